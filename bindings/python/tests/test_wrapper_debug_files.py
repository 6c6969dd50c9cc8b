"""Debug files: formats, rotation, retention, and errors that never fail a send."""

import re

import duckdb
import pyarrow as pa
import pytest

from arrow_zerobus_sdk_wrapper import ZerobusWrapper
from arrow_zerobus_sdk_wrapper._debug_files import _RotatedFile


@pytest.fixture
def make_wrapper(tmp_path):
    """A wrapper that sends nothing: make_wrapper(**options)."""
    def make(**options):
        return ZerobusWrapper(endpoint="http://127.0.0.1:1", table_name="main.web.events",
                              debug_output_dir=tmp_path, zerobus_writer_disabled=True,
                              **{"debug_enabled": True, **options})
    return make


def rows(*ids):
    return pa.record_batch({"id": pa.array(ids, pa.int64())})


def ids_of(path):
    return pa.ipc.open_stream(path).read_all().column("id").to_pylist()


def messages(data):
    """Splits length-delimited messages."""
    found, at = [], 0
    while at < len(data):
        size, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        assert at + size <= len(data)
        found.append(data[at:at + size])
        at += size
    return found


def test_messages_are_length_delimited(make_wrapper, tmp_path):
    with make_wrapper() as wrapper:
        wrapper.send_batch(rows(1, 2, 300))
        wrapper.send_batch(rows(4))
    data = (tmp_path / "zerobus/proto/main_web_events.proto").read_bytes()
    # Field 1, varint.
    assert messages(data) == [b"\x08\x01", b"\x08\x02", b"\x08\xac\x02", b"\x08\x04"]
    assert ids_of(tmp_path / "zerobus/arrow/main_web_events.arrow") == [1, 2, 300, 4]


def test_one_format_alone(make_wrapper, tmp_path):
    with make_wrapper(debug_enabled=False, debug_arrow_enabled=True) as wrapper:
        wrapper.send_batch(rows(1))
    assert [path.name for path in (tmp_path / "zerobus").iterdir()] == ["arrow"]


def test_a_schema_change_and_a_flush_begin_a_new_file(make_wrapper, tmp_path):
    folder = tmp_path / "zerobus/arrow"
    with make_wrapper() as wrapper:
        wrapper.send_batch(rows(1))
        wrapper.send_batch(pa.record_batch({"id": pa.array([2], pa.int64()), "name": ["x"]}))
        wrapper.flush()
        assert ids_of(folder / "main_web_events.arrow") == [2]
        wrapper.send_batch(rows(3))
    rotated = sorted(path for path in folder.iterdir() if path.name != "main_web_events.arrow")
    pattern = re.compile(r"main_web_events_\d{8}_\d{6}_(\d+)\.arrow")
    assert sorted(int(pattern.fullmatch(path.name)[1]) for path in rotated) == [1, 2]
    assert sorted(ids_of(path)[0] for path in rotated) == [1, 2]
    assert ids_of(folder / "main_web_events.arrow") == [3]


def test_rotation_keeps_the_newest_and_touches_no_other_table(make_wrapper, tmp_path):
    folder = tmp_path / "zerobus/arrow"
    folder.mkdir(parents=True)
    others = ["main_web_events_2_20250101_000000_1.arrow", "main_web_events_20250101.arrow",
              "main_web_events_20250101_000000_1.arrow.keep"]
    for name in others:
        (folder / name).write_bytes(b"mine")
    batch = rows(*range(1000))
    with make_wrapper(debug_max_file_size=20_000, debug_max_files_retained=3) as wrapper:
        for _ in range(20):
            wrapper.send_batch(batch)
    assert all((folder / name).read_bytes() == b"mine" for name in others)
    kept = [path for path in folder.iterdir() if path.name not in others]
    assert len(kept) == 4
    assert all(path.stat().st_size <= 20_000 for path in kept)
    sequences = sorted(int(path.stem.rpartition("_")[2]) for path in kept
                       if path.stem != "main_web_events")
    assert sequences == [7, 8, 9]


def test_sequences_go_on_in_the_next_process(tmp_path):
    for expected in (0, 1, 2):
        file = _RotatedFile(tmp_path, "t", ".arrow", None, None)
        file.open().write(b"x")
        file.close()
        assert len(list(tmp_path.iterdir())) == expected + 1


def test_a_write_error_never_fails_the_send(make_wrapper, tmp_path):
    (tmp_path / "zerobus").write_text("a file where the folder should be")
    with make_wrapper() as wrapper:
        assert wrapper.send_batch(rows(1)).success
        assert wrapper._debug_files.write_errors >= 1


def test_the_documented_queries_read_them(make_wrapper, tmp_path):
    with make_wrapper() as wrapper:
        wrapper.send_batch(rows(1, 2))
    events = pa.ipc.open_stream(tmp_path / "zerobus/arrow/main_web_events.arrow").read_all()
    assert duckdb.sql("SELECT sum(id) FROM events").fetchone() == (3,)
