"""Debug files: formats, rotation, retention, and errors that never fail a send."""

import re
import shutil

import duckdb
import pyarrow as pa
import pytest

import arrowport
from arrow_zerobus_sdk_wrapper import ConfigurationError, ZerobusWrapper


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
    assert [path.name for path in (tmp_path / "zerobus").iterdir() if path.is_dir()] == ["arrow"]


def test_a_schema_change_begins_a_new_file_and_a_flush_ends_it(make_wrapper, tmp_path):
    folder = tmp_path / "zerobus/arrow"
    with make_wrapper() as wrapper:
        wrapper.send_batch(rows(1))
        wrapper.send_batch(pa.record_batch({"id": pa.array([2], pa.int64()), "name": ["x"]}))
        wrapper.flush()
        assert ids_of(folder / "main_web_events.arrow") == [2]
        wrapper.send_batch(rows(3))
        wrapper.flush()
        wrapper.send_batch(rows(4))
    rotated = sorted(path for path in folder.iterdir() if path.name != "main_web_events.arrow")
    pattern = re.compile(r"main_web_events_\d{8}_\d{6}_\d+\.arrow")
    assert all(pattern.fullmatch(path.name) for path in rotated)
    assert sorted(ids_of(path)[0] for path in rotated) == [1, 2]
    assert ids_of(folder / "main_web_events.arrow") == [3, 4]


def test_rotation_keeps_the_newest_and_touches_no_other_table(make_wrapper, tmp_path):
    folder = tmp_path / "zerobus/arrow"
    folder.mkdir(parents=True)
    others = ["main_web_events_2_20250101_000000_1.arrow", "main_web_events_20250101.arrow",
              "main_web_events_20250101_000000_1.arrow.keep"]
    for name in others:
        (folder / name).write_bytes(b"mine")
    with make_wrapper(debug_max_file_size=20_000, debug_max_files_retained=3) as wrapper:
        for first in range(0, 20_000, 1000):
            wrapper.send_batch(rows(*range(first, first + 1000)))
    assert all((folder / name).read_bytes() == b"mine" for name in others)
    kept = [path for path in folder.iterdir() if path.name not in others]
    assert len(kept) == 4
    assert all(path.stat().st_size <= 20_000 for path in kept)
    found = sorted(row for path in kept for row in ids_of(path))
    assert found == list(range(20_000 - len(found), 20_000)) and len(found) > 4000


def test_the_next_writer_keeps_what_it_finds(make_wrapper, tmp_path):
    for expected in (1, 2, 3):
        with make_wrapper() as wrapper:
            wrapper.send_batch(rows(expected))
        assert len(list((tmp_path / "zerobus/arrow").iterdir())) == expected


def test_a_folder_that_cannot_be_written(make_wrapper, tmp_path, options):
    (tmp_path / "zerobus").write_text("a file where the folder should be")
    with pytest.raises(ConfigurationError, match="folder"):
        make_wrapper()
    keywords = options()
    keywords["table_name"] = keywords.pop("table")
    with pytest.warns(RuntimeWarning, match="no debug files"):
        wrapper = ZerobusWrapper(debug_enabled=True, debug_output_dir=tmp_path, **keywords)
    with wrapper:
        assert wrapper.send_batch(pa.record_batch({"id": pa.array([1], pa.int64())})).success


def test_a_write_error_never_fails_the_send(make_wrapper, tmp_path):
    with make_wrapper() as wrapper:
        shutil.rmtree(tmp_path / "zerobus/arrow")
        assert wrapper.send_batch(rows(1)).success
        assert wrapper.debug_write_errors >= 1


def test_the_documented_queries_read_them(make_wrapper, tmp_path, server):
    with make_wrapper() as wrapper:
        wrapper.send_batch(rows(1, 2))
        wrapper.send_batch(pa.record_batch({"id": pa.array([3], pa.int64()), "name": ["x"]}))
    events = pa.ipc.open_stream(tmp_path / "zerobus/arrow/main_web_events.arrow").read_all()
    assert duckdb.sql("SELECT sum(id) FROM events").fetchone() == (3,)
    folder = tmp_path / "zerobus/arrow"
    with arrowport.Client(server.url) as client:
        def first(sql):
            return client.query(sql).read_all().to_pylist()[0]
        newest = folder / "main_web_events.arrow"
        assert first(f"SELECT sum(id)::BIGINT AS n FROM read_arrow('{newest}')") == {"n": 3}
        every = folder / "*.arrow"
        assert first(f"SELECT sum(id)::BIGINT AS n FROM read_arrow('{every}')") == {"n": 6}
