"""Tables copied between DuckDB and Delta: equal afterwards, and taken up again when cut."""

import datetime
import decimal
import json

import pyarrow as pa
import pytest

from arrowport_testing import poll_until, run_cli

# More than two chunks of 2^20 rows.
LARGE_ROWS = 2_300_000


def typed_table(rows=1000):
    return pa.table({
        "id": pa.array(range(rows), pa.int64()),
        "small": pa.array([i % 100 for i in range(rows)], pa.uint8()),
        "name": pa.array([None if i % 11 == 0 else f"n{i}" for i in range(rows)]),
        "price": pa.array([decimal.Decimal(i) / 100 for i in range(rows)], pa.decimal128(12, 2)),
        "ratio": pa.array([float("nan") if i % 13 == 0 else i / 7 for i in range(rows)], pa.float64()),
        "at": pa.array([datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)] * rows, pa.timestamp("us", "UTC")),
        "day": pa.array([datetime.date(2024, 1, 1 + i % 3) for i in range(rows)], pa.date32()),
        "tags": pa.array([[f"t{i}"] for i in range(rows)], pa.list_(pa.string())),
        "place": pa.array([{"x": i, "y": None} for i in range(rows)], pa.struct([("x", pa.int32()), ("y", pa.string())])),
    })


def migrate(server, fields):
    return server.post("/migrate", json.dumps(fields).encode(), "application/json", timeout=120)


@pytest.fixture
def storage(make_server):
    return make_server("--delta-path", "tables")


def same_rows(server, table):
    return server.value(f"SELECT count(*) FROM (FROM {table} EXCEPT ALL FROM delta.{table})") == 0 and \
        server.value(f"SELECT count(*) FROM (FROM delta.{table} EXCEPT ALL FROM {table})") == 0


def test_to_delta_and_back(storage):
    assert storage.ingest("typed", typed_table()).status == 200
    reply = migrate(storage, {"table": "typed", "from": "duckdb", "to": "delta",
                              "delta_options": {"partition_by": ["day"]}})
    assert reply.status == 200, reply.body
    assert (reply.json["rows"], reply.json["rows_already_there"]) == (1000, 0)
    assert same_rows(storage, "typed")
    info = storage.get("/delta/typed/info").json
    assert info["partition_columns"] == ["day"] and info["num_rows"] == 1000

    storage.run_sql("DROP TABLE typed")
    back = migrate(storage, {"table": "typed", "from": "delta", "to": "duckdb"})
    assert back.status == 200, back.body
    assert back.json["checksum"] == migrate(storage, {"table": "typed", "from": "delta", "to": "duckdb"}).json["checksum"]
    assert storage.value("SELECT count(*) FROM typed") == 1000
    assert same_rows(storage, "typed")


def test_again_adds_nothing(storage):
    assert storage.ingest("twice", typed_table()).status == 200
    fields = {"table": "twice", "from": "duckdb", "to": "delta"}
    first = migrate(storage, fields).json
    again = migrate(storage, fields)
    assert again.status == 200, again.body
    assert (again.json["rows"], again.json["rows_already_there"], again.json["chunks"]) == (1000, 1000, 0)
    assert again.json["checksum"] == first["checksum"]
    # What came since is all that is added.
    assert storage.ingest("twice", typed_table(10)).status == 200
    more = migrate(storage, fields).json
    assert (more["rows"], more["rows_already_there"]) == (1010, 1000)


def test_empty_and_missing(storage):
    storage.run_sql("CREATE TABLE hollow (id BIGINT, name VARCHAR)")
    reply = migrate(storage, {"table": "hollow", "from": "duckdb", "to": "delta"})
    assert reply.status == 200 and reply.json["rows"] == 0, reply.body
    assert storage.value("SELECT count(*) FROM delta.hollow") == 0
    for fields, status, code in [
        ({"table": "nothing", "from": "duckdb", "to": "delta"}, 404, "TABLE_NOT_FOUND"),
        ({"table": "nothing", "from": "delta", "to": "duckdb"}, 404, "TABLE_NOT_FOUND"),
        ({"table": "hollow", "from": "duckdb", "to": "duckdb"}, 400, "INVALID_ARGUMENT"),
        ({"table": "hollow", "from": "duckdb"}, 400, "INVALID_ARGUMENT"),
        ({"table": "hollow", "from": "duckdb", "to": "paper"}, 400, "INVALID_ARGUMENT"),
        ({"from": "duckdb", "to": "delta"}, 400, "INVALID_ARGUMENT"),
        ({"table": "hollow", "from": "duckdb", "to": "delta", "delta_options": {"colour": 1}}, 422, "BAD_CONFIG"),
    ]:
        reply = migrate(storage, fields)
        assert (reply.status, reply.code) == (status, code), (fields, reply.body)


def test_other_rows_in_the_target_are_kept(storage):
    assert storage.ingest("mixed", pa.table({"id": [1, 2, 3]})).status == 200
    assert storage.ingest("mixed", pa.table({"id": [7]}), parameters={"backend": "delta"}).status == 200
    reply = migrate(storage, {"table": "mixed", "from": "duckdb", "to": "delta"})
    assert (reply.status, reply.code) == (409, "ALREADY_EXISTS"), reply.body
    assert storage.rows("SELECT id FROM delta.mixed") == [(7,)]


def test_what_the_target_cannot_hold_is_refused(storage):
    storage.run_sql("CREATE TABLE waits (id BIGINT, gap INTERVAL)")
    storage.run_sql("INSERT INTO waits VALUES (1, INTERVAL 1 DAY)")
    reply = migrate(storage, {"table": "waits", "from": "duckdb", "to": "delta"})
    assert reply.status == 400 and reply.code == "UNSUPPORTED_TYPE" and "gap" in reply.json["message"], reply.body


def test_cut_and_taken_up_again(make_server):
    server = make_server("--delta-path", "tables", faults="migrate.chunk.after=kill@1")
    server.run_sql(f"CREATE TABLE large AS SELECT range AS id, range % 7 AS k FROM range({LARGE_ROWS})")
    with pytest.raises(Exception):
        migrate(server, {"table": "large", "from": "duckdb", "to": "delta"})
    poll_until(lambda: not server.alive, what="the server's end")
    server.restart(faults=None)
    landed = server.value("SELECT count(*) FROM delta.large")
    assert 0 < landed < LARGE_ROWS
    reply = migrate(server, {"table": "large", "from": "duckdb", "to": "delta"})
    assert reply.status == 200, reply.body
    assert (reply.json["rows"], reply.json["rows_already_there"]) == (LARGE_ROWS, landed)
    assert server.rows("SELECT count(*), count(DISTINCT id), sum(id)::BIGINT FROM delta.large") == [
        (LARGE_ROWS, LARGE_ROWS, LARGE_ROWS * (LARGE_ROWS - 1) // 2)]


def test_command_line(storage):
    assert storage.ingest("typed_in", typed_table()).status == 200
    done = run_cli("migrate", "typed_in", "--from", "duckdb", "--to", "delta", "--partition-by", "day", "--json", "--url",
                   storage.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 1000
    assert storage.get("/delta/typed_in/info").json["partition_columns"] == ["day"]
    assert run_cli("migrate", "typed_in", "--from", "duckdb").returncode == 2
    assert run_cli("migrate", "none", "--from", "duckdb", "--to", "delta", "--url", storage.url).returncode == 1
