"""Landing in Delta tables by every route, judged by deltalake and by the server's own SQL."""

import base64
import json
import os
import subprocess

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from arrowport_testing import (PARQUET_TYPE, STREAM_TYPE, Server, bench_batch, bench_table, command,
                               delta_table, in_parallel, ipc_file, ipc_stream, json_body, parquet_bytes,
                               poll_until, put, read_ack, run_cli)

DELTA = {"backend": "delta"}


@pytest.fixture
def lake(tmp_path):
    return tmp_path / "lake"


@pytest.fixture
def server(tmp_path, lake):
    with Server(tmp_path, "--delta-path", lake) as started:
        yield started


def rows_of(lake, table):
    return delta_table(lake, table).to_pyarrow_table()


def check(reply, table, version, rows):
    assert reply.status == 200, reply.body
    body = reply.json
    assert (body["storage_backend"], body["durability"]) == ("delta", "file")
    assert (body["table"], body["version"]) == (table, f"delta:{table}:{version}")
    assert body["rows_processed"] == rows
    return body


def test_a_first_write_is_version_0_with_its_rows(server, lake):
    sent = bench_table(1000)
    check(server.ingest("events", sent, parameters=DELTA), "events", 0, 1000)
    table = delta_table(lake, "events")
    assert table.version() == 0
    assert table.to_pyarrow_table().sort_by("id").equals(sent)
    check(server.ingest("events", bench_table(10, first=1000), parameters=DELTA), "events", 1, 10)
    assert rows_of(lake, "events").num_rows == 1010
    assert [entry["operation"] for entry in delta_table(lake, "events").history()] == ["WRITE", "WRITE"]


def test_every_http_route(server, lake):
    data = bench_table(100)
    check(server.ingest("a", ipc_file(data), parameters=DELTA,
                        content_type="application/vnd.apache.arrow.file"), "a", 0, 100)
    check(server.ingest("a", parquet_bytes(data), parameters=DELTA, content_type=PARQUET_TYPE), "a", 1, 100)
    config = {"storage_backend": "delta", "delta_options": {"partition_by": ["category"]}}
    check(server.post("/stream/b", json_body(data, config)), "b", 0, 100)
    assert delta_table(lake, "b").metadata().partition_columns == ["category"]
    batch = json.loads(json_body(data))["batch"]
    check(server.post("/delta/c", json.dumps(batch).encode(), "application/json"), "c", 0, 100)
    beside = {"delta_options": {"partition_by": ["category"]}, "config": {"schema_mode": "strict"},
              "batch": batch}
    check(server.post("/delta/d", json.dumps(beside).encode()), "d", 0, 100)
    assert delta_table(lake, "d").metadata().partition_columns == ["category"]
    check(server.post("/delta/e?partition_by=category,id", ipc_stream(data), STREAM_TYPE), "e", 0, 100)
    assert delta_table(lake, "e").metadata().partition_columns == ["category", "id"]
    for table in "cde":
        assert rows_of(lake, table).num_rows == 100
    other = server.post("/delta/f", json.dumps({"config": {"storage_backend": "duckdb"}, **batch}).encode())
    assert (other.status, other.code) == (422, "BAD_CONFIG")
    assert not (lake / "f").exists()


def test_flight_and_the_command_line(server, lake, tmp_path):
    with server.flight() as client:
        small = put(client, command("events", storage_backend="delta"), bench_table(500))[-1]
        large = put(client, command("events", storage_backend="delta"), bench_table(400_000, first=500))[-1]
    assert (small["version"], large["version"]) == ("delta:events:0", "delta:events:1")
    assert delta_table(lake, "events").version() == 1
    found = rows_of(lake, "events")
    assert sorted(found["id"].to_pylist()) == list(range(400_500))
    file = tmp_path / "data.arrows"
    file.write_bytes(ipc_stream(bench_table(50)))
    done = run_cli("ingest", "parts", file, "--backend", "delta", "--partition-by", "category",
                   "--port", server.http_port)
    assert done.returncode == 0, done.stderr
    assert delta_table(lake, "parts").metadata().partition_columns == ["category"]
    local = tmp_path / "local"
    done = run_cli("ingest", "parts", file, "--backend", "delta", "--local", "--db", tmp_path / "x.duckdb",
                   "--delta-path", local, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows_of(local, "parts").num_rows == 50


def test_batch_mode_acknowledges_as_versions_land(server, lake):
    with server.flight() as client:
        writer, reader = client.do_put(
            command("events", storage_backend="delta", commit="batch", producer="p", sequence=0),
            bench_batch(1).schema)
        assert read_ack(reader)["producer_last_sequence"] is None
        for number in range(10):
            writer.write_batch(bench_batch(100, first=number * 100))
        writer.done_writing()
        acks = []
        while (ack := read_ack(reader)) is not None:
            acks.append(ack)
        writer.close()
    assert acks[-1]["rows_processed"] == 1000
    assert acks[-2]["ack_up_to_offset"] == 9
    assert acks[-2]["version"].startswith("delta:events:")
    assert sorted(rows_of(lake, "events")["id"].to_pylist()) == list(range(1000))
    assert delta_table(lake, "events").transaction_version("p") == 9


def test_retries_land_once_also_after_a_kill(server, lake):
    data = bench_table(100)
    large = bench_table(300_000)
    first = check(server.ingest("t", data, key="k", parameters=DELTA), "t", 0, 100)
    check(server.ingest("t", large, key="big", parameters=DELTA), "t", 1, 300_000)
    for _ in range(2):
        again = check(server.ingest("t", data, key="k", parameters=DELTA), "t", 0, 100)
        assert again["idempotent_replay"] and again["bytes"] == first["bytes"]
        assert server.ingest("t", large, key="big", parameters=DELTA).json["idempotent_replay"]
        other = server.ingest("t", bench_table(7), key="k", parameters=DELTA)
        assert (other.status, other.code) == (409, "KEY_REUSED")
        server.restart()
    # The same key in another table, and in one whose name differs in case only, is another key.
    check(server.ingest("T", data, key="k", parameters=DELTA), "T", 0, 100)
    assert rows_of(lake, "t").num_rows == 300_100


def test_producers_go_on_where_they_were(server, lake):
    def send(sequence):
        return server.ingest("t", bench_table(10, first=10 * sequence), parameters=DELTA,
                             headers={"Arrowport-Producer": "p", "Arrowport-Sequence": str(sequence)})
    check(send(0), "t", 0, 10)
    check(send(1), "t", 1, 10)
    server.restart()
    assert send(1).json["idempotent_replay"] is True
    gap = send(3)
    assert (gap.status, gap.code) == (409, "SEQUENCE_GAP")
    check(send(2), "t", 2, 10)
    assert sorted(rows_of(lake, "t")["id"].to_pylist()) == list(range(30))


def test_columns_are_added_in_the_commit_that_brings_them(server, lake):
    server.ingest("t", pa.table({"a": [1]}), parameters=DELTA)
    check(server.ingest("t", pa.table({"a": [2], "b": ["x"]}), parameters=DELTA), "t", 1, 1)
    assert rows_of(lake, "t").sort_by("a").to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    refused = server.ingest("t", pa.table({"a": [3], "c": [1]}), parameters={**DELTA, "schema_mode": "strict"})
    assert (refused.status, refused.code) == (409, "SCHEMA_MISMATCH")
    skipped = server.ingest("t", pa.table({"a": ["text"]}), parameters={**DELTA, "on_mismatch": "skip"})
    assert skipped.status == 200 and skipped.json["rows_processed"] == 0 and skipped.json["warning"]
    assert delta_table(lake, "t").version() == 1
    # A narrower type is cast when every value fits, a wider one is too.
    assert server.ingest("t", pa.table({"a": pa.array([4], pa.int8())}), parameters=DELTA).status == 200
    # Nested fields too.
    server.ingest("n", pa.table({"s": [{"x": 1}]}), parameters=DELTA)
    assert server.ingest("n", pa.table({"s": [{"x": 2, "y": "z"}]}), parameters=DELTA).status == 200
    assert rows_of(lake, "n")["s"].to_pylist() == [{"x": 1, "y": None}, {"x": 2, "y": "z"}] or \
        rows_of(lake, "n")["s"].to_pylist() == [{"x": 2, "y": "z"}, {"x": 1, "y": None}]


def test_overwrite_replaces_all_rows(server, lake):
    server.ingest("t", bench_table(1000), parameters=DELTA)
    check(server.ingest("t", bench_table(5), parameters={**DELTA, "mode": "overwrite"}), "t", 1, 5)
    assert rows_of(lake, "t").num_rows == 5
    empty = bench_table(5).slice(0, 0)
    check(server.ingest("t", empty, parameters={**DELTA, "mode": "overwrite"}), "t", 2, 0)
    assert rows_of(lake, "t").num_rows == 0
    made = server.ingest("none", empty, parameters=DELTA)
    check(made, "none", 0, 0)


def test_what_is_refused_makes_no_table(server, lake):
    for name in ("a b", "a.b.c", "é", "x.é", "_delta_log", "s._delta_log", "..", "a%2e"):
        reply = server.ingest(name, bench_table(1), parameters=DELTA)
        assert (reply.status, reply.code) == (400, "INVALID_NAME"), name
    for field in (pa.field("t", pa.time64("us")), pa.field("d", pa.duration("s")), pa.field("n", pa.null())):
        empty = pa.schema([field]).empty_table()
        assert server.ingest("bad", empty, parameters=DELTA).code == "UNSUPPORTED_TYPE"
    missing = server.ingest("bad", bench_table(1), parameters={**DELTA, "partition_by": "nothing"})
    assert missing.status in (400, 404)
    cut = server.ingest("bad", ipc_stream(bench_table(1000), end_marker=False), parameters=DELTA)
    assert cut.status == 400
    assert not (lake / "bad" / "_delta_log").exists()
    # A table's folder holds nothing but that table.
    server.ingest("s.t", bench_table(1), parameters=DELTA)
    assert server.ingest("s", bench_table(1), parameters=DELTA).code == "INVALID_NAME"
    server.ingest("u", bench_table(1), parameters=DELTA)
    assert server.ingest("u.t", bench_table(1), parameters=DELTA).code == "INVALID_NAME"
    os.symlink("/tmp", lake / "out")
    assert server.ingest("out", bench_table(1), parameters=DELTA).code == "INVALID_NAME"


def test_sql_sees_every_acknowledged_row(server, lake):
    for number in range(5):
        token = server.ingest("t", bench_table(100, first=100 * number), parameters=DELTA).json["version"]
        reply = server.query("SELECT count(*) AS n FROM delta.t", **{"Arrowport-Read-After": token})
        assert reply.status == 200, reply.body
        assert reply.table.to_pylist() == [{"n": 100 * (number + 1)}]
    server.ingest("s.t", bench_table(3), parameters=DELTA)
    assert server.value("SELECT count(*) FROM delta.s.t") == 3
    assert server.value("SELECT count(*) FROM delta.t AT (VERSION => 1)") == 200
    server.ingest("t", bench_table(1))  # the same name in DuckDB is another table
    assert server.value("SELECT count(*) FROM t") == 1
    names = {(t["catalog"], t["schema"], t["table"]) for t in server.get("/tables").json["tables"]}
    assert {("delta", "main", "t"), ("delta", "s", "t")} <= names
    with server.flight() as client:
        flights = {tuple(part.decode() for part in info.descriptor.path): info for info in client.list_flights()}
        assert {("t",), ("delta", "t"), ("delta", "s", "t")} <= flights.keys()
        for path, rows in ((("t",), 1), (("delta", "t"), 500), (("delta", "s", "t"), 3)):
            assert client.do_get(flights[path].endpoints[0].ticket).read_all().num_rows == rows, path
            again = client.get_flight_info(flight.FlightDescriptor.for_path(*path))
            assert client.do_get(again.endpoints[0].ticket).read_all().num_rows == rows, path
    fields = server.get("/tables/delta.t/schema").json["fields"]
    assert [field["name"] for field in fields] == bench_table(1).schema.names


def test_tables_of_others(server, lake):
    import deltalake
    data = bench_table(10)
    deltalake.write_deltalake(str(lake / "theirs"), data, partition_by=["category"])
    check(server.ingest("theirs", data, parameters=DELTA), "theirs", 1, 10)
    deltalake.write_deltalake(str(lake / "theirs"), data, mode="append")
    check(server.ingest("theirs", data, parameters=DELTA), "theirs", 3, 10)
    assert rows_of(lake, "theirs").num_rows == 40
    # They add a column behind our back; it is there for the next upload.
    wider = data.append_column("more", pa.array(range(10)))
    deltalake.write_deltalake(str(lake / "theirs"), wider, mode="append", schema_mode="merge")
    check(server.ingest("theirs", wider, parameters={**DELTA, "schema_mode": "strict"}), "theirs", 5, 10)
    assert server.value("SELECT count(more) FROM delta.theirs") == 20


def test_two_servers_and_deltalake_on_one_root(tmp_path, lake):
    import deltalake
    setting = ["--delta-path", lake, "--set", "delta_options.commit_interval_ms=0"]
    with Server(tmp_path / "one", *setting) as one, Server(tmp_path / "two", *setting) as two:
        def land(server, first):
            for number in range(20):
                reply = server.ingest("t", bench_table(10, first=first + 10 * number), parameters=DELTA,
                                      key=f"{first}-{number}")
                assert reply.status == 200, reply.body

        def foreign():
            for number in range(5):
                deltalake.write_deltalake(str(lake / "t"), bench_table(10, first=900_000 + 10 * number),
                                          mode="append")
        one.ingest("t", bench_table(10, first=800_000), parameters=DELTA, key="first")
        results = in_parallel([lambda: land(one, 0), lambda: land(two, 100_000), lambda: land(one, 200_000),
                               lambda: land(two, 300_000), foreign])
        assert results == [None] * 5, results
        # A retry that reaches the other server is recognised too.
        again = two.ingest("t", bench_table(10, first=800_000), parameters=DELTA, key="first")
        assert again.json["idempotent_replay"] is True
        assert two.ingest("t", bench_table(10, first=0), parameters=DELTA, key="0-0").json["idempotent_replay"]
    ids = rows_of(lake, "t")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 10 + 4 * 200 + 50


def test_versions_keep_their_spacing(server, lake):
    """20 credits for a burst, then one version each commit_interval_ms, with all that waits."""
    data = ipc_stream(bench_table(10))

    def land():
        for _ in range(10):
            assert server.ingest("t", data, parameters={**DELTA, "commit_interval_ms": 200}).status == 200
    in_parallel([land] * 6)
    assert rows_of(lake, "t").num_rows == 600
    history = delta_table(lake, "t").history()
    times = sorted(entry["timestamp"] for entry in history)
    seconds = (times[-1] - times[0]) / 1000
    assert len(times) <= 20 + seconds / 0.2 + 2, (len(times), seconds)


def test_checkpoints_follow_the_writers(server, lake):
    for number in range(12):
        server.ingest("t", bench_table(1, first=number), parameters={**DELTA, "commit_interval_ms": 0})
    poll_until(lambda: list((lake / "t" / "_delta_log").glob("*.checkpoint.parquet")), 10, "a checkpoint")
    poll_until(lambda: (lake / "t" / "_delta_log" / "_last_checkpoint").exists(), 10, "its hint")
    assert rows_of(lake, "t").num_rows == 12


def test_delta_as_the_default_of_a_stream(tmp_path, lake):
    config = f"""
delta_config: {{table_path: {lake}}}
streams:
  events:
    storage_backend: delta
    target_table: sales.events
    delta_options: {{partition_by: [category], commit_interval_ms: 0, compression: zstd}}
"""
    with Server(tmp_path, config=config) as server:
        check(server.ingest("events", bench_table(40)), "sales.events", 0, 40)
        files = [path.name for path in (lake / "sales" / "events").rglob("*.parquet")]
        assert files and all("zstd" in name for name in files), files
        streams = {s["name"]: s for s in server.get("/streams").json["streams"]}
        assert streams["events"]["backend"] == "delta"
    assert delta_table(lake, "sales.events").metadata().partition_columns == ["category"]


def test_object_stores_are_refused_by_name(tmp_path):
    with Server(tmp_path, "--delta-path", "s3://bucket/tables") as server:
        reply = server.ingest("t", bench_table(1), parameters=DELTA)
        assert (reply.status, reply.code) == (501, "NOT_BUILT")
        assert server.ingest("t", bench_table(1)).status == 200
