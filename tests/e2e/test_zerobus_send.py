"""`arrowport zerobus send` and `zerobus decode` against the emulator."""

import base64
import json
import subprocess

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from arrowport_testing import (binary, child_of_test, clean_environment, free_port, ipc_file,
                               ipc_stream, poll_until, run_cli)
from zerobus_testing import CLIENT, TABLE, Emulator, column

ROWS = 2_000
STEM = TABLE.replace(".", "_")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    tables = {TABLE: {"columns": [
        column("id", "LONG", "long", 0, nullable=False), column("name", "STRING", "string", 1),
        column("tags", "ARRAY", {"type": "array", "elementType": "string", "containsNull": True}, 2),
        column("raw", "BINARY", "binary", 3), column("at", "TIMESTAMP", "timestamp", 4),
        column("price", "DECIMAL", "decimal(10,2)", 5, type_precision=10, type_scale=2)]}}
    with Emulator(tmp_path_factory.mktemp("emulator"), tables=tables) as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(emulator):
    emulator.script()
    emulator.before = len(emulator.ids()) if emulator.log_path.exists() else 0


def table(first=0, count=ROWS, **columns):
    ids = range(first, first + count)
    return pa.table({
        "id": pa.array(ids, pa.int64()), "name": [f"näme {i}" for i in ids],
        "tags": [["a", str(i)] if i % 3 else [] for i in ids],
        "raw": pa.array([bytes([i % 256]) for i in ids], pa.binary()),
        "at": pa.array([i * 1_000_000 for i in ids], pa.timestamp("us", "UTC")),
        "price": pa.array([f"{i}.25" for i in ids]).cast(pa.decimal128(10, 2)), **columns})


def environment(emulator, **more):
    return {"ZEROBUS_ENDPOINT": emulator.grpc_url, "UNITY_CATALOG_URL": emulator.http_url,
            "ZEROBUS_TABLE_NAME": TABLE, "ZEROBUS_CLIENT_ID": CLIENT[0],
            "ZEROBUS_CLIENT_SECRET": CLIENT[1], "no_proxy": "*", **more}


def send(emulator, *arguments, stdin=None, env=None):
    return run_cli("zerobus", "send", *arguments, env=environment(emulator, **(env or {})),
                   stdin=stdin)


def new_ids(emulator):
    return sorted(map(int, emulator.ids()[emulator.before:]))


@pytest.mark.parametrize("mode", ["proto", "json", "flight"])
def test_files_in_every_mode(emulator, tmp_path, mode):
    (tmp_path / "a.arrows").write_bytes(ipc_stream(table(), chunk_rows=100))
    (tmp_path / "b.arrow").write_bytes(ipc_file(table(ROWS)))
    pq.write_table(table(2 * ROWS), tmp_path / "c.parquet")
    done = send(emulator, tmp_path / "a.arrows", tmp_path / "b.arrow", tmp_path / "c.parquet",
                "--mode", mode)
    assert done.returncode == 0, done.stderr
    assert new_ids(emulator) == list(range(3 * ROWS))
    assert done.stdout.count(TABLE) == 3
    assert CLIENT[1] not in done.stdout + done.stderr


def test_flags_standard_input_and_json(emulator, tmp_path):
    (tmp_path / "secret").write_text(CLIENT[1] + "\n")
    done = run_cli("zerobus", "send", "-", "--endpoint", emulator.grpc_url, "--table", TABLE,
                   "--unity-catalog-url", emulator.http_url, "--client-id", CLIENT[0],
                   "--client-secret-file", tmp_path / "secret", "--json",
                   env={"ZEROBUS_TABLE_NAME": "main.web.of_the_environment"},
                   stdin=ipc_stream(table()))
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert (line["status"], line["rows_durable"], line["rows_failed"]) == ("success", ROWS, 0)
    assert new_ids(emulator) == list(range(ROWS))


def test_rows_that_do_not_convert_fail_alone(emulator, tmp_path):
    names = [None if i % 2 else "x" for i in range(10)]
    bad = table(0, 10, price=pa.array(["1.00"] * 7 + ["999999999.00", "1.00", "9.99"]).cast(
        pa.decimal128(20, 2)), name=pa.array(names))
    (tmp_path / "bad.arrows").write_bytes(ipc_stream(bad))
    (tmp_path / "good.arrows").write_bytes(ipc_stream(table(10, 5)))
    done = send(emulator, tmp_path / "bad.arrows", tmp_path / "good.arrows", "--json")
    assert done.returncode == 4, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["status"], first["rows_durable"], first["rows_failed"]) == ("partial", 9, 1)
    assert [(e["row"], e["kind"]) for e in first["errors"]] == [(7, "Conversion")]
    assert second["status"] == "success"
    assert new_ids(emulator) == [i for i in range(15) if i != 7]


def test_exit_codes(emulator, tmp_path):
    (tmp_path / "rows.arrows").write_bytes(ipc_stream(table()))
    rows = tmp_path / "rows.arrows"
    fast = ["--set", "zerobus.stream.recovery_retries=0", "--set", "zerobus.retry.max_attempts=1"]
    assert send(emulator, rows, env={"ZEROBUS_CLIENT_SECRET": "wrong"}).returncode == 1
    assert send(emulator, rows, "--table", "main.web.absent").returncode == 2
    assert send(emulator, tmp_path / "absent").returncode == 1
    assert send(emulator, rows, "--table", "two.parts").returncode == 2
    assert send(emulator, rows, "--mode", "morse").returncode == 2
    assert send(emulator, rows, "--set", "zerobus.mod=json").returncode == 2
    assert send(emulator, rows, env={"UNITY_CATALOG_URL": ""}).returncode == 2
    assert send(emulator, rows, "--dry-run").returncode == 2  # and no debug files
    gone = send(emulator, rows, "--endpoint", f"http://127.0.0.1:{free_port()}", *fast)
    assert gone.returncode == 3, gone.stderr
    assert send(emulator, tmp_path / "absent", rows).returncode == 4
    (tmp_path / "cut.arrows").write_bytes(ipc_stream(table(), chunk_rows=100)[:-3000])
    cut = send(emulator, tmp_path / "cut.arrows")
    assert cut.returncode == 4, cut.stderr  # the batches before the cut are durable


@pytest.mark.parametrize("recovery", ["true", "false"])
def test_rows_survive_breaks(emulator, tmp_path, recovery):
    """By the stream's own recovery, or as whole sends of the rows that are left."""
    emulator.script(faults=[{"point": "after_log", "action": {"type": "tcp_reset"}, "times": 2}])
    connections = emulator.counters()["connections"]
    (tmp_path / "rows.arrows").write_bytes(ipc_stream(table(), chunk_rows=50))
    done = send(emulator, tmp_path / "rows.arrows",
                "--set", "zerobus.stream.recovery_backoff_base_ms=10",
                "--set", f"zerobus.stream.recovery={recovery}", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows_durable"] == ROWS
    assert emulator.counters()["connections"] == connections + 3
    assert sorted(set(new_ids(emulator))) == list(range(ROWS))


def decode(*arguments):
    done = run_cli("zerobus", "decode", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def expected(rows):
    return [{"id": r["id"], "name": r["name"], "tags": r["tags"],
             "raw": base64.b64encode(r["raw"]).decode(), "at": r["id"] * 1_000_000,
             "price": str(r["price"])} for r in rows.to_pylist()]


def test_debug_files_and_decode(emulator, tmp_path):
    rows = table()
    (tmp_path / "rows.arrows").write_bytes(ipc_stream(rows, chunk_rows=500))
    done = send(emulator, tmp_path / "rows.arrows", "--debug-dir", tmp_path / "debug")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "debug/zerobus"
    assert pa.ipc.open_stream((folder / f"arrow/{STEM}.arrow").read_bytes()).read_all() == rows
    assert decode(folder / f"proto/{STEM}.proto") == expected(rows)
    assert [r["id"] for r in decode(folder / f"arrow/{STEM}.arrow", "--limit", 3)] == [0, 1, 2]
    assert new_ids(emulator) == list(range(ROWS))


def test_dry_run_rotates_and_sends_nothing(emulator, tmp_path):
    (tmp_path / "rows.arrows").write_bytes(ipc_stream(table(), chunk_rows=500))
    done = run_cli("zerobus", "send", tmp_path / "rows.arrows", "--dry-run", "--table", TABLE,
                   env={"DEBUG_ENABLED": "true", "DEBUG_OUTPUT_DIR": str(tmp_path / "debug"),
                        "DEBUG_MAX_FILE_SIZE": "16384", "DEBUG_MAX_FILES_RETAINED": "100"})
    assert done.returncode == 0, done.stderr
    assert "not sent" in done.stdout
    assert emulator.ids()[emulator.before:] == []
    for kind in "arrow", "proto":
        folder = tmp_path / "debug/zerobus" / kind
        paths = sorted(folder.glob(f"{STEM}_*"),
                       key=lambda p: (p.stem.rsplit("_", 1)[0], int(p.stem.rsplit("_", 1)[1])))
        assert len(paths) > 3
        paths.append(folder / f"{STEM}.{kind}")
        assert max(p.stat().st_size for p in paths) <= 16384
        assert [r["id"] for p in paths for r in decode(p)] == list(range(ROWS))


def test_decode_refuses_what_it_cannot_read(emulator, tmp_path):
    (tmp_path / "rows.arrows").write_bytes(ipc_stream(table(0, 3)))
    assert send(emulator, tmp_path / "rows.arrows", "--debug-dir", tmp_path).returncode == 0
    rows = tmp_path / f"zerobus/proto/{STEM}.proto"
    rows.write_bytes(rows.read_bytes()[:-1])
    cut = run_cli("zerobus", "decode", rows)
    assert cut.returncode == 1 and "INCOMPLETE_STREAM" in cut.stderr
    assert len(cut.stdout.splitlines()) == 2
    (tmp_path / f"zerobus/descriptors/{STEM}.pb").unlink()
    assert run_cli("zerobus", "decode", rows).returncode == 1
    assert "descriptor" in run_cli("zerobus", "decode", rows).stderr


def test_killed_send_leaves_whole_rows(emulator, tmp_path):
    """What a killed process wrote can be read, and the next one goes on beside it."""
    emulator.script(faults=[{"point": "before_log", "action": {"type": "silence"}}])
    (tmp_path / "rows.arrows").write_bytes(ipc_stream(table(0, 100)))
    command = [binary(), "zerobus", "send", str(tmp_path / "rows.arrows"), "--debug-dir",
               str(tmp_path), "--set", "zerobus.debug.flush_interval_secs=1"]
    rows = tmp_path / f"zerobus/proto/{STEM}.proto"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL,
                          env=clean_environment(environment(emulator))) as process:
        try:
            poll_until(lambda: rows.exists() and rows.stat().st_size > 0, 20, "a flush")
        finally:
            process.kill()
    assert [r["id"] for r in decode(rows)] == list(range(100))
    emulator.script()
    (tmp_path / "more.arrows").write_bytes(ipc_stream(table(100, 5)))
    assert send(emulator, tmp_path / "more.arrows", "--debug-dir", tmp_path).returncode == 0
    assert [r["id"] for r in decode(rows)] == list(range(100, 105))
    old, = rows.parent.glob(f"{STEM}_*.proto")
    assert [r["id"] for r in decode(old)] == list(range(100))


def test_a_batch_from_a_pipe_is_sent_when_it_is_there(emulator):
    """Not when a mebibyte is."""
    sender = subprocess.Popen(
        child_of_test([binary(), "zerobus", "send", "-"]), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env=clean_environment() | environment(emulator))
    try:
        with pa.ipc.new_stream(sender.stdin, table().schema) as stream:
            for first in (900_000, 900_010):
                stream.write_table(table(first, 10))
                sender.stdin.flush()
                poll_until(lambda: new_ids(emulator)[-10:] == list(range(first, first + 10)), 20,
                           "rows of the pipe")
        sender.stdin.close()
        assert sender.wait(20) == 0
    finally:
        sender.kill()
        sender.wait()
        sender.stdout.close()


def test_telemetry_into_files(emulator, tmp_path):
    (tmp_path / "rows.arrows").write_bytes(ipc_stream(table()))
    done = send(emulator, tmp_path / "rows.arrows", env={
        "OTLP_ENABLED": "true", "OTLP_OUTPUT_DIR": str(tmp_path), "OTLP_SERVICE_NAME": "loader"})
    assert done.returncode == 0, done.stderr
    traces = (tmp_path / "otlp/traces.jsonl").read_text()
    metrics = (tmp_path / "otlp/metrics.jsonl").read_text().splitlines()[-1]
    assert f'"send {TABLE}"' in traces and "loader" in traces
    sums = {metric["name"]: metric["sum"]["dataPoints"][0]["asInt"]
            for scope in json.loads(metrics)["resourceMetrics"][0]["scopeMetrics"]
            for metric in scope["metrics"] if "sum" in metric}
    assert sums["arrowport.zerobus.rows.durable"] == str(ROWS)
    assert CLIENT[1] not in traces + metrics + done.stderr


def test_a_collector_that_is_not_there_harms_nothing(emulator, tmp_path):
    (tmp_path / "rows.arrows").write_bytes(ipc_stream(table()))
    done = send(emulator, tmp_path / "rows.arrows", env={
        "OTLP_ENABLED": "true", "OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("telemetry cannot be exported") == 1
