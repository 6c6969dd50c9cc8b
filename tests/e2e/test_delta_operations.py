"""Operations on Delta tables by HTTP, Flight and the command line, judged by a foreign reader."""

import json
import threading

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest

from arrowport_testing import Server, flight_code, ipc_stream, run_cli

ROWS = 100


def rows_from(first, rows=ROWS):
    return pa.table({"id": pa.array(range(first, first + rows), pa.int64()),
                     "kind": pa.array([("a", "b")[i % 2] for i in range(rows)], pa.string()),
                     "value": pa.array([i * 0.5 for i in range(rows)], pa.float64())})


def fill(server, table, commits, parameters=None):
    """`commits` versions of ROWS rows each."""
    for number in range(commits):
        reply = server.ingest(table, rows_from(number * ROWS),
                              parameters={"backend": "delta", **(parameters or {})})
        assert reply.status == 200, reply.body


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with Server(folder, "--delta-path", folder / "tables", "--set", "delta_options.commit_interval_ms=0") as running:
        yield running


@pytest.fixture(scope="module")
def events(server):
    fill(server, "events", 5)
    return "events"


def reply_json(reply, status=200):
    assert reply.status == status, reply.body
    return reply.json


def post(server, path, fields, status=200):
    return reply_json(server.post(path, json.dumps(fields).encode(), "application/json"), status)


def count(server, table):
    return server.value(f"SELECT count(*) FROM delta.{table}")


# Reading.


def test_list(server, events):
    tables = {line["table"]: line for line in reply_json(server.get("/delta"))["tables"]}
    assert tables["events"]["num_rows"] == 5 * ROWS
    assert tables["events"]["version"] == 4
    fill(server, "sales.orders", 1)
    page = reply_json(server.get("/delta?limit=1"))
    assert len(page["tables"]) == 1 and page["more"] is True
    after = page["tables"][0]["table"]
    rest = reply_json(server.get(f"/delta?after={after}"))
    assert after not in [line["table"] for line in rest["tables"]]
    assert "sales.orders" in [line["table"] for line in rest["tables"]]


def test_info(server, events):
    info = reply_json(server.get("/delta/events/info"))
    assert set(info) == {"version", "num_files", "size_bytes", "num_rows", "schema", "partition_columns", "protocol",
                         "properties"}
    assert (info["version"], info["num_files"], info["num_rows"]) == (4, 5, 5 * ROWS)
    assert [field["name"] for field in info["schema"]["fields"]] == ["id", "kind", "value"]
    assert info["protocol"]["minWriterVersion"] >= 2
    files = list((server.folder / "tables" / "events").glob("*.parquet"))
    assert info["size_bytes"] == sum(file.stat().st_size for file in files)


def test_history(server, events):
    history = reply_json(server.get("/delta/events/history"))["history"]
    assert [line["version"] for line in history] == [4, 3, 2, 1, 0]
    assert all(set(line) == {"version", "timestamp", "operation", "operationParameters", "operationMetrics"}
               for line in history)
    assert history[0]["operation"] == "WRITE"
    assert len(reply_json(server.get("/delta/events/history?limit=2"))["history"]) == 2


@pytest.mark.parametrize("accept,read", [
    ("application/vnd.apache.arrow.stream", lambda body: pa.ipc.open_stream(body).read_all().num_rows),
    ("application/vnd.apache.parquet", lambda body: pq.read_table(pa.BufferReader(body)).num_rows),
    ("text/csv", lambda body: len(body.decode().splitlines()) - 1),
    ("application/json", lambda body: len(json.loads(body))),
    ("application/x-ndjson", lambda body: len(body.decode().splitlines())),
])
def test_version_rows(server, events, accept, read):
    reply = server.get("/delta/events/version/1", headers={"Accept": accept})
    assert reply.status == 200, reply.body
    assert read(reply.body) == 2 * ROWS


def test_version_by_timestamp(server, events):
    history = reply_json(server.get("/delta/events/history"))["history"]
    milliseconds = history[2]["timestamp"]
    reply = server.get(f"/delta/events/version?timestamp={milliseconds}")
    assert reply.status == 200, reply.body
    # Versions made within one millisecond have one timestamp.
    later = [line for line in history if line["timestamp"] <= milliseconds]
    assert reply.table.num_rows == (later[0]["version"] + 1) * ROWS
    assert server.get("/delta/events/version?timestamp=2001-01-01T00:00:00Z").status == 404
    assert server.get("/delta/events/version?timestamp=soon").status == 400
    assert server.get("/delta/events/version").status == 400


def test_refusals(server, events):
    for path, status, code in [
        ("/delta/nothing/info", 404, "TABLE_NOT_FOUND"),
        ("/delta/nothing/version/0", 404, "TABLE_NOT_FOUND"),
        ("/delta/bad.name.too/info", 400, "INVALID_NAME"),
        ("/delta/..%2Fevents/info", 400, "INVALID_NAME"),
        ("/delta/a%20b/info", 400, "INVALID_NAME"),
        ("/delta/events/history?limit=0", 400, "INVALID_ARGUMENT"),
        ("/delta/events/history?limit=many", 400, "INVALID_ARGUMENT"),
        ("/delta/events/info?colour=red", 400, "INVALID_ARGUMENT"),
        ("/delta/events/version/99", 404, None),
        ("/delta/events/version/-1", 400, "INVALID_ARGUMENT"),
        ("/delta/events/version/one", 400, "INVALID_ARGUMENT"),
    ]:
        reply = server.get(path)
        assert reply.status == status, (path, reply.body)
        assert code is None or reply.code == code, (path, reply.body)
    for path, body, status, code in [
        ("/delta/events/vacuum", b"{", 400, "INVALID_ARGUMENT"),
        ("/delta/events/vacuum", b"[]", 400, "INVALID_ARGUMENT"),
        ("/delta/events/vacuum", b'{"dry": true}', 400, "INVALID_ARGUMENT"),
        ("/delta/events/vacuum", b'{"dry_run": "no"}', 400, "INVALID_ARGUMENT"),
        ("/delta/events/vacuum", b'{"retention_hours": -1}', 400, "INVALID_ARGUMENT"),
        ("/delta/events/vacuum", b'{"retention_hours": 1}', 400, "INVALID_ARGUMENT"),
        ("/delta/events/vacuum", b"[" * 60000, 400, "INVALID_ARGUMENT"),
        ("/delta/events/vacuum", b" " * 70000, 413, "TOO_LARGE"),
        ("/delta/events/vacuum?dry_run=false", b"{}", 400, "INVALID_ARGUMENT"),
        ("/delta/events/restore", b"{}", 400, "INVALID_ARGUMENT"),
        ("/delta/events/restore", b'{"version": 99}', 404, None),
        ("/delta/events/optimize", b'{"z_order_by": ["nothing"]}', 400, "COLUMN_NOT_FOUND"),
        ("/delta/events/optimize", b'{"table": "other"}', 400, "INVALID_ARGUMENT"),
        ("/delta/nothing/checkpoint", b"", 404, "TABLE_NOT_FOUND"),
    ]:
        reply = server.post(path, body, "application/json")
        assert reply.status == status, (path, body[:40], reply.body)
        assert code is None or reply.code == code, (path, body[:40], reply.body)


# Changing.


def test_vacuum_is_a_dry_run_unless_told(server):
    fill(server, "swept", 3)
    post(server, "/delta/swept/optimize", {})
    before = reply_json(server.get("/delta/swept/info"))
    reply = reply_json(server.post("/delta/swept/vacuum"))
    assert reply == {"dry_run": True, "retention_hours": 168, "files": 0, "bytes": 0}
    reply = post(server, "/delta/swept/vacuum", {"retention_hours": 0, "force": True})
    assert reply["dry_run"] is True and reply["files"] == 3
    assert reply_json(server.get("/delta/swept/info")) == before
    folder = server.folder / "tables" / "swept"
    assert len(list(folder.glob("*.parquet"))) == 4
    reply = post(server, "/delta/swept/vacuum", {"retention_hours": 0, "force": True, "dry_run": False})
    assert reply["files"] == 3 and reply["bytes"] > 0
    assert len(list(folder.glob("*.parquet"))) == 1
    assert count(server, "swept") == 3 * ROWS
    assert server.get("/delta/swept/version/0").status != 200


def test_restore(server):
    fill(server, "undone", 4)
    reply = post(server, "/delta/undone/restore", {"version": 1})
    assert reply["version"] == 4 and reply["files_removed"] == 2
    assert count(server, "undone") == 2 * ROWS
    # Writers go on from the restored state.
    fill(server, "undone", 1)
    assert count(server, "undone") == 3 * ROWS


def test_optimize_and_z_order(server):
    fill(server, "packed", 6)
    reply = post(server, "/delta/packed/optimize", {})
    assert (reply["files_removed"], reply["files_added"], reply["version"]) == (6, 1, 6)
    assert post(server, "/delta/packed/optimize", {})["version"] == 6
    reply = post(server, "/delta/packed/optimize", {"z_order_by": ["kind", "id"], "target_file_size": 1 << 20})
    assert reply["version"] == 7
    assert server.rows("SELECT count(*), sum(id)::BIGINT, count(DISTINCT id) FROM delta.packed") == [
        (6 * ROWS, 6 * ROWS * (6 * ROWS - 1) // 2, 6 * ROWS)]
    history = reply_json(server.get("/delta/packed/history?limit=1"))["history"]
    assert history[0]["operation"] == "OPTIMIZE"
    assert "kind" in history[0]["operationParameters"]["zOrderBy"]


def test_z_order_keeps_every_type(server):
    table = pa.table({
        "id": pa.array(range(50), pa.int64()),
        "t": pa.array(range(50), pa.timestamp("us", "UTC")),
        "n": pa.array(range(50), pa.timestamp("us")),
        "d": pa.array(range(50), pa.date32()),
        "m": pa.array([None if i % 7 == 0 else i for i in range(50)], pa.decimal128(20, 3)),
        "b": pa.array([bytes([i]) for i in range(50)], pa.binary()),
        "l": pa.array([[i, None] for i in range(50)], pa.list_(pa.int32())),
        "s": pa.array([{"x": i, "y": str(i)} for i in range(50)]),
        "p": pa.array([[("k", i)] for i in range(50)], pa.map_(pa.string(), pa.int64())),
    })
    reply = server.ingest("typed", table, parameters={"backend": "delta"})
    assert reply.status == 200, reply.body
    before = server.get("/delta/typed/version/0").table.sort_by("id")
    reply = post(server, "/delta/typed/optimize", {"z_order_by": ["t", "m"]})
    assert reply["version"] == 1, reply
    after = server.get("/delta/typed/version/1").table.sort_by("id")
    assert after.equals(before)


def test_checkpoint(server, events):
    reply = reply_json(server.post("/delta/events/checkpoint"))
    assert reply["version"] == 4
    log = server.folder / "tables" / "events" / "_delta_log"
    assert (log / "00000000000000000004.checkpoint.parquet").exists()
    assert json.loads((log / "_last_checkpoint").read_text())["version"] == 4


def test_tables_of_others(server):
    deltalake = pytest.importorskip("deltalake")
    folder = server.folder / "tables" / "foreign"
    for number in range(3):
        deltalake.write_deltalake(str(folder), rows_from(number * ROWS), mode="append")
    assert reply_json(server.get("/delta/foreign/info"))["num_rows"] == 3 * ROWS
    post(server, "/delta/foreign/optimize", {})
    post(server, "/delta/foreign/restore", {"version": 1})
    assert deltalake.DeltaTable(str(folder)).to_pyarrow_table().num_rows == 2 * ROWS


# Flight.


def act(server, name, fields):
    results = list(server.flight().do_action(flight.Action(name, json.dumps(fields).encode())))
    return json.loads(results[0].body.to_pybytes())


def test_flight_actions(server):
    fill(server, "flown", 3)
    assert act(server, "delta.info", {"table": "flown"})["num_rows"] == 3 * ROWS
    assert act(server, "delta.history", {"table": "flown", "limit": 1})["history"][0]["version"] == 2
    assert act(server, "delta.vacuum", {"table": "flown"})["dry_run"] is True
    assert act(server, "delta.optimize", {"table": "flown"})["version"] == 3
    assert act(server, "delta.restore", {"table": "flown", "version": 0})["version"] == 4
    assert act(server, "delta.checkpoint", {"table": "flown"})["version"] == 4
    assert "flown" in [line["table"] for line in act(server, "delta.list", {})["tables"]]
    names = [action.type for action in server.flight().list_actions()]
    assert {"delta.list", "delta.info", "delta.history", "delta.vacuum", "delta.restore", "delta.optimize",
            "delta.checkpoint"} <= set(names)


@pytest.mark.parametrize("name,fields,code", [
    ("delta.info", {"table": "nothing"}, "NOT_FOUND"),
    ("delta.info", {}, "INVALID_ARGUMENT"),
    ("delta.restore", {"table": "events"}, "INVALID_ARGUMENT"),
    ("delta.dance", {"table": "events"}, "UNIMPLEMENTED"),
])
def test_flight_refusals(server, events, name, fields, code):
    with pytest.raises(pa.ArrowException) as failure:
        act(server, name, fields)
    assert flight_code(failure.value) == code


# The command line.


def cli(server, *arguments):
    done = run_cli("delta", *arguments, "--url", server.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_command_line(server):
    fill(server, "typed_in", 6)
    listing = cli(server, "list")
    assert any(line.split("\t")[0] == "typed_in" for line in listing.splitlines())
    info = dict(line.split("\t") for line in cli(server, "info", "typed_in").splitlines()[1:])
    assert info["version"] == "5" and info["column id"] == "long"
    history = cli(server, "history", "typed_in", "--limit", "10").splitlines()
    assert len(history) == 7 and history[1].startswith("5\t")
    assert json.loads(cli(server, "history", "typed_in", "--limit", "1", "--json"))["history"][0]["version"] == 5
    sweep = dict(line.split("\t") for line in
                 cli(server, "vacuum", "typed_in", "--retention-hours", "168").splitlines()[1:])
    assert sweep["dry_run"] == "true" and sweep["retention_hours"] == "168"
    swept = json.loads(cli(server, "vacuum", "typed_in", "--retention-hours", "168", "--no-dry-run", "--json"))
    assert swept == {"dry_run": False, "retention_hours": 168, "files": 0, "bytes": 0}
    cli(server, "restore", "typed_in", "5")
    restored = json.loads(cli(server, "restore", "typed_in", "3", "--json"))
    assert restored["files_removed"] == 2
    assert count(server, "typed_in") == 4 * ROWS
    packed = json.loads(cli(server, "optimize", "typed_in", "--z-order-by", "id", "--z-order-by", "kind",
                            "--target-file-size", "64MiB", "--json"))
    assert packed["files_removed"] == 4
    assert json.loads(cli(server, "checkpoint", "typed_in", "--json"))["version"] == packed["version"]


def test_command_line_ingest_with_partitions(server, tmp_path):
    table = pa.table({"id": [1, 2, 3], "date": ["2024-01-01", "2024-01-01", "2024-01-02"], "event_type": ["a", "b", "a"]})
    (tmp_path / "data.arrow").write_bytes(ipc_stream(table))
    done = run_cli("ingest", "cli_events", tmp_path / "data.arrow", "--backend", "delta", "--partition-by", "date",
                   "--partition-by", "event_type", "--url", server.url)
    assert done.returncode == 0, done.stderr
    info = json.loads(cli(server, "info", "cli_events", "--json"))
    assert info["partition_columns"] == ["date", "event_type"] and info["num_rows"] == 3


def test_command_line_exit_codes(server):
    assert run_cli("delta", "info", "nothing", "--url", server.url).returncode == 1
    assert run_cli("delta", "history").returncode == 2
    assert run_cli("delta").returncode == 2
    assert run_cli("delta", "restore", "events", "last", "--url", server.url).returncode == 2
    assert run_cli("delta", "list", "--url", "http://127.0.0.1:1").returncode == 3
    refused = run_cli("delta", "vacuum", "cli_none", "--json", "--url", server.url)
    assert refused.returncode == 1 and json.loads(refused.stderr)["code"] == "TABLE_NOT_FOUND"


def test_command_line_without_server(make_server):
    server = make_server("--delta-path", "tables", "--set", "delta_options.commit_interval_ms=0")
    fill(server, "kept", 2)
    server.stop()
    folder = server.folder
    done = run_cli("delta", "restore", "kept", "0", "--local", "--json", "--db", folder / "landing.duckdb",
                   "--delta-path", folder / "tables")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["version"] == 2
    listing = run_cli("delta", "list", "--local", "--json", "--db", folder / "landing.duckdb", "--delta-path",
                      folder / "tables")
    assert json.loads(listing.stdout)["tables"][0]["num_rows"] == ROWS


# What is seen from outside.


def test_metrics(server):
    fill(server, "metered", 3)
    metrics = server.metrics()
    assert metrics['arrowport_delta_table_version{table="metered"}'] == 2
    assert metrics['arrowport_delta_table_files{table="metered"}'] == 3
    assert metrics['arrowport_delta_table_small_files{table="metered"}'] == 3
    assert metrics['arrowport_delta_table_size_bytes{table="metered"}'] > 0
    assert 0 <= metrics['arrowport_freshness_seconds{table="metered"}'] < 60
    assert metrics['arrowport_delta_commits_total{table="metered",result="committed"}'] == 3
    post(server, "/delta/metered/optimize", {})
    assert server.metrics()['arrowport_delta_table_small_files{table="metered"}'] == 1


def test_terminal_and_help():
    usage = run_cli("delta", "--help").stdout
    assert all(name in usage for name in ("list", "info", "history", "vacuum", "restore", "optimize", "checkpoint"))


def test_writers_go_on_beside_maintenance(server):
    fill(server, "busy", 8)
    stop, landed, failures = threading.Event(), [8], []

    def write():
        while not stop.is_set():
            reply = server.ingest("busy", rows_from(landed[0] * ROWS), parameters={"backend": "delta"})
            if reply.status != 200:
                failures.append(reply.body)
                return
            landed[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for fields in ({}, {"z_order_by": ["id"]}, {}, {"z_order_by": ["kind", "id"]}):
            post(server, "/delta/busy/optimize", fields)
        reply_json(server.post("/delta/busy/checkpoint"))
    finally:
        stop.set()
        writer.join()
    assert not failures and landed[0] > 8
    rows = landed[0] * ROWS
    assert server.rows("SELECT count(*), count(DISTINCT id), sum(id)::BIGINT FROM delta.busy") == [
        (rows, rows, rows * (rows - 1) // 2)]
