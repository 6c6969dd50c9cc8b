"""The demo on a slice of the real flights, and the slice checked value by value."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest

from arrowport_testing import SOURCE_DIR, binary, clean_environment, parquet_bytes, put, PARQUET_TYPE

DATA = SOURCE_DIR / ".deps" / "data" / "flights-3m.parquet"


def test_demo_program():
    done = subprocess.run([sys.executable, SOURCE_DIR / "examples/flights_demo.py", "--arrowport", binary(),
                           "--rows", "200000"], capture_output=True, text=True, timeout=120,
                          env=clean_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200,000" in done.stdout


@pytest.fixture(scope="module")
def flights():
    return pq.ParquetFile(DATA).read_row_group(0).slice(0, 100_000)


def test_both_protocols_return_what_was_sent(server, flights):
    expected = flights.cast(pa.schema([
        pa.field(f.name, pa.utf8() if pa.types.is_large_string(f.type) else f.type) for f in flights.schema]))
    with server.flight() as client:
        put(client, "by_flight", flights, chunk_rows=20_000)
        assert server.post("/ingest/by_http", parquet_bytes(flights), PARQUET_TYPE).status == 200
        for table in ("by_flight", "by_http"):
            got = client.do_get(flight.Ticket(f"SELECT * FROM {table}")).read_all()
            assert got.schema.names == expected.schema.names
            assert got.cast(expected.schema).combine_chunks().equals(expected.combine_chunks())


def test_aggregates_match_an_independent_engine(server, flights):
    import duckdb
    sql = ("SELECT origin, count(*)::BIGINT AS n, sum(delay)::BIGINT AS delay, max(distance) AS far "
           "FROM {} GROUP BY origin ORDER BY n DESC, origin LIMIT 20")
    server.post("/ingest/aggregated", parquet_bytes(flights), PARQUET_TYPE)
    connection = duckdb.connect()
    connection.register("flights", flights)
    assert server.rows(sql.format("aggregated")) == connection.execute(sql.format("flights")).fetchall()
