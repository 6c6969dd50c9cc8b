"""Reading over Arrow Flight with pyarrow: SQL, paths, tickets, listing, actions."""

import json
import time

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from arrowport_testing import bench_table, flight_code, put


@pytest.fixture(scope="module")
def client(server):
    with server.flight() as connection:
        put(connection, "numbers", bench_table(200_000), chunk_rows=50_000)
        put(connection, "north.cities", pa.table({"name": ["Tromsø", "Oslo"], "people": [78_000, 717_000]}))
        yield connection


def read(client, ticket):
    return client.do_get(flight.Ticket(ticket)).read_all()


def failure_of(call):
    with pytest.raises((pa.ArrowException, KeyError)) as failure:
        call()
    return failure.value


def test_sql_as_ticket(client):
    table = read(client, "SELECT count(*) AS n, sum(id)::BIGINT AS total FROM numbers")
    assert table.to_pylist() == [{"n": 200_000, "total": 200_000 * 199_999 // 2}]


def test_whole_table_reads_back_equal(client):
    assert read(client, "SELECT * FROM numbers ORDER BY id").combine_chunks().equals(bench_table(200_000))


@pytest.mark.parametrize("descriptor", [
    flight.FlightDescriptor.for_command("SELECT * FROM north.cities"),
    flight.FlightDescriptor.for_command(json.dumps({"query": "SELECT * FROM north.cities"})),
    flight.FlightDescriptor.for_path("north", "cities"),
], ids=["sql", "json", "path"])
def test_flight_info_leads_to_the_rows(client, descriptor):
    info = client.get_flight_info(descriptor)
    assert info.schema.names == ["name", "people"]
    assert len(info.endpoints) == 1
    table = client.do_get(info.endpoints[0].ticket).read_all()
    assert sorted(table.to_pydict()["people"]) == [78_000, 717_000]
    assert client.get_schema(descriptor).schema == info.schema == table.schema


def test_one_part_path_is_a_table(client):
    info = client.get_flight_info(flight.FlightDescriptor.for_path("numbers"))
    assert client.do_get(info.endpoints[0].ticket).read_all().num_rows == 200_000


def test_tickets_are_usable_more_than_once(client):
    ticket = client.get_flight_info(flight.FlightDescriptor.for_command("SELECT 42 AS x")).endpoints[0].ticket
    for _ in range(2):
        assert client.do_get(ticket).read_all().to_pylist() == [{"x": 42}]


def test_list_flights_shows_each_table_once(client):
    flights = list(client.list_flights())
    paths = [tuple(part.decode() for part in info.descriptor.path) for info in flights]
    assert len(paths) == len(set(paths))
    by_table = {path[-1]: info for path, info in zip(paths, flights)}
    assert {"numbers", "cities"} <= by_table.keys()
    assert not [path for path in paths if "_arrowport" in path]
    numbers = by_table["numbers"]
    assert numbers.schema == bench_table(1).schema
    assert numbers.total_records == 200_000
    assert len(numbers.endpoints) == 1
    assert client.do_get(numbers.endpoints[0].ticket).read_all().num_rows == 200_000


def test_batches_are_sized_for_the_network(client):
    sizes = [chunk.data.num_rows for chunk in client.do_get(flight.Ticket("SELECT * FROM numbers"))]
    assert sum(sizes) == 200_000
    assert max(sizes) <= 65_536 + 2_048
    assert len(sizes) < 60


def test_empty_results_keep_their_schema(client):
    table = read(client, "SELECT id, category FROM numbers WHERE id < 0")
    assert (table.num_rows, table.schema.names) == (0, ["id", "category"])


def test_statements_without_rows(client):
    read(client, "CREATE TABLE made (x INTEGER)")
    assert read(client, "INSERT INTO made VALUES (1), (2), (3)").to_pydict()["Count"] == [3]
    assert read(client, "SELECT sum(x)::INT AS s FROM made").to_pylist() == [{"s": 6}]


@pytest.mark.parametrize("sql, code", [
    ("SELEC 1", "INVALID_ARGUMENT"),
    ("SELECT no_such_function(1)", "INVALID_ARGUMENT"),
    ("SELECT 'x'::INTEGER", "INVALID_ARGUMENT"),
    ("SELECT * FROM no_such_table", "NOT_FOUND"),
    ("SELECT * FROM no_such_schema.t", "NOT_FOUND"),
    ("SELECT no_such_column FROM numbers", "NOT_FOUND"),
    ("", "INVALID_ARGUMENT"),
])
def test_failing_queries_have_their_code(client, sql, code):
    by_ticket = failure_of(lambda: read(client, sql or " "))
    assert flight_code(by_ticket) == code
    if sql and sql != "SELECT 'x'::INTEGER":
        by_info = failure_of(lambda: client.get_flight_info(flight.FlightDescriptor.for_command(sql)))
        assert flight_code(by_info) == code
    for name in ("no_such_table", "no_such_column", "no_such_function"):
        if name in sql:
            assert name in str(by_ticket)


def test_existing_table_is_already_exists(client):
    read(client, "CREATE TABLE twice (x INTEGER)")
    error = failure_of(lambda: read(client, "CREATE TABLE twice (x INTEGER)"))
    assert flight_code(error) in ("ALREADY_EXISTS", "ArrowException", "FlightServerError")
    assert "twice" in str(error)


@pytest.mark.parametrize("descriptor, code", [
    (flight.FlightDescriptor.for_path("no_such_table"), "NOT_FOUND"),
    (flight.FlightDescriptor.for_path("a", "b", "c"), "INVALID_ARGUMENT"),
    (flight.FlightDescriptor.for_command("{}"), "INVALID_ARGUMENT"),
    (flight.FlightDescriptor.for_command('{"query": 7}'), "INVALID_ARGUMENT"),
], ids=str)
def test_failing_descriptors_have_their_code(client, descriptor, code):
    assert flight_code(failure_of(lambda: client.get_flight_info(descriptor))) == code
    assert flight_code(failure_of(lambda: client.get_schema(descriptor))) == code


def test_actions(client, server):
    offered = {action.type for action in client.list_actions()}
    assert {"healthcheck", "flush", "checkpoint"} <= offered
    for name in ("healthcheck", "flush", "checkpoint"):
        list(client.do_action(flight.Action(name, b"")))
    assert not server.wal_path.exists() or server.wal_path.stat().st_size < 100_000
    error = failure_of(lambda: list(client.do_action(flight.Action("no_such_action", b""))))
    assert flight_code(error) in ("UNIMPLEMENTED", "INVALID_ARGUMENT")


def test_the_first_batch_comes_long_before_the_last(client):
    started = time.monotonic()
    reader = client.do_get(flight.Ticket("SELECT a.id AS x, b.id AS y FROM numbers a, range(200) b(id)"))
    first = next(iter(reader))
    first_seconds = time.monotonic() - started
    assert first.data.num_rows > 0
    assert first_seconds < 2
    reader.cancel()


def test_cancelling_frees_the_server(client, server):
    reader = client.do_get(flight.Ticket("SELECT a.id AS x FROM numbers a, range(100000) b(id)"))
    next(iter(reader))
    reader.cancel()
    assert server.value("SELECT 1") == 1


def test_deadline_ends_a_long_query(client, server):
    options = flight.FlightCallOptions(timeout=0.3)
    sql = "SELECT count(*) FROM range(100000000000) a(x) WHERE x % 7 = 3"
    started = time.monotonic()
    error = failure_of(lambda: client.do_get(flight.Ticket(sql), options).read_all())
    assert flight_code(error) in ("DEADLINE_EXCEEDED", "CANCELLED")
    assert time.monotonic() - started < 5
    assert server.value("SELECT 1") == 1


def test_the_server_answers_do_exchange_with_a_clear_refusal(client):
    error = failure_of(lambda: client.do_exchange(flight.FlightDescriptor.for_path("x"))[1].read_all())
    assert flight_code(error) == "UNIMPLEMENTED"
