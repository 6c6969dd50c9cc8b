"""arrowport.Client and AsyncClient against a server."""

import asyncio
import re
import threading

import duckdb
import pyarrow as pa
import pytest

import arrowport
from arrowport._errors import _CLASS_OF_CODE
from arrowport_testing import SOURCE_DIR


@pytest.fixture
def client(server):
    with arrowport.Client(server.url) as client:
        yield client


def table(rows, first=0):
    return pa.table({"id": pa.array(range(first, first + rows), pa.int64()),
                     "name": pa.array([f"row {n}" for n in range(first, first + rows)], pa.string())})


def count(client, name):
    return client.query(f'SELECT count(*) AS n FROM "{name}"').read_all().column("n")[0].as_py()


def test_an_acknowledged_send_is_queryable(client):
    receipt = client.send("landed", table(1000))
    assert (receipt.rows, receipt.table, receipt.storage_backend) == (1000, "landed", "duckdb")
    assert receipt.durability == "file" and re.fullmatch(r"duckdb:\d+", receipt.version)
    rows = client.query("SELECT * FROM landed ORDER BY id").read_all()
    assert rows.cast(table(0).schema).equals(table(1000))


@pytest.mark.parametrize("form", [
    lambda data: data, lambda data: data.to_batches()[0], lambda data: data.to_batches(3),
    lambda data: data.to_reader(4), lambda data: duckdb.from_arrow(data)],
    ids=["table", "batch", "batches", "reader", "duckdb relation"])
def test_any_arrow_data_goes_in(client, form, request):
    name = "forms " + request.node.callspec.id
    assert client.send(name, form(table(10))).rows == 10
    assert count(client, name) == 10


def test_a_repeat_under_a_key_changes_nothing(client):
    first = client.send("keyed", table(5), idempotency_key="once")
    again = client.send("keyed", table(5), idempotency_key="once")
    assert not first.idempotent_replay and again.idempotent_replay
    assert count(client, "keyed") == 5
    with pytest.raises(arrowport.ConflictError) as refused:
        client.send("keyed", table(6), idempotency_key="once")
    assert refused.value.code == "KEY_REUSED" and not refused.value.retriable


def test_settings_reach_the_server(client):
    client.send("replaced", table(5))
    client.send("replaced", table(2), settings={"mode": "overwrite"})
    assert count(client, "replaced") == 2
    with pytest.raises(arrowport.RequestError):
        client.send("replaced", table(2), settings={"mode": "sideways"})


def test_a_mismatch_is_typed(client):
    client.send("shaped", table(1))
    with pytest.raises(arrowport.SchemaMismatchError) as refused:
        client.send("shaped", pa.table({"other": [1]}))
    assert refused.value.code == "SCHEMA_MISMATCH" and isinstance(refused.value, arrowport.Error)
    with pytest.raises(arrowport.NotFoundError):
        client.query("SELECT * FROM no_such_table").read_all()


def test_a_failing_source_is_told(client):
    def batches():
        yield table(3).to_batches()[0]
        raise RuntimeError("the source broke")

    reader = pa.RecordBatchReader.from_batches(table(0).schema, batches())
    with pytest.raises(arrowport.Error, match="the source broke"):
        client.send("broken", reader)


def test_results_stream_into_any_library(client):
    client.send("streamed", table(100_000))
    result = client.query("SELECT * FROM streamed")
    assert result.schema.names == ["id", "name"]
    assert sum(batch.num_rows for batch in result) == 100_000
    relation = duckdb.from_arrow(pa.RecordBatchReader.from_stream(
        client.query("SELECT * FROM streamed")))
    assert relation.aggregate("count(*)").fetchone() == (100_000,)


def test_flight_sql_route(client):
    assert client.query("SELECT 7 AS n", flight_sql=True).read_all().to_pylist() == [{"n": 7}]


def test_a_writer_acknowledges_batches(client):
    acks = []
    schema = table(0).schema
    with client.open_writer("written", schema, on_ack=acks.append) as writer:
        offsets = [writer.write(table(10, first=10 * n)) for n in range(20)]
        writer.flush()
        assert writer.acknowledged_offset == 19
        receipt = writer.close()
    assert offsets == list(range(20)) and receipt.rows == 200
    assert acks[-1].offset == 19 and acks[-1].rows == 200
    assert [ack.offset for ack in acks] == sorted({ack.offset for ack in acks})
    assert count(client, "written") == 200


def test_a_batch_of_another_schema_leaves_the_writer_well(client):
    with client.open_writer("steady", table(0).schema) as writer:
        writer.write(table(10))
        with pytest.raises(arrowport.RequestError, match="another schema"):
            writer.write(pa.table({"other": [1]}))
        writer.write(table(5))
    assert count(client, "steady") == 15


def test_other_threads_run_while_a_query_waits(client):
    counted = 0
    query = threading.Thread(target=lambda: client.query(
        "SELECT count(*) FROM range(60_000_000) t(a) WHERE hash(a) % 7 = 3").read_all())
    query.start()
    while query.is_alive():
        counted += 1
        query.join(0.002)
    assert counted > 5


def test_asyncio(server, run):
    async def main():
        async with arrowport.AsyncClient(server.url) as client:
            await client.ping()
            receipts = await asyncio.gather(
                *(client.send("together", table(10, first=10 * n)) for n in range(20)))
            async with await client.open_writer("together", table(0).schema) as writer:
                await writer.write(table(5))
            result = await client.query("SELECT count(*) AS n FROM together")
            rows = [row async for batch in result for row in batch.to_pylist()]
            return sum(receipt.rows for receipt in receipts), rows

    assert run(main) == (200, [{"n": 205}])


def test_nobody_there():
    client = arrowport.Client("127.0.0.1:1", retry_max_attempts=1)
    with pytest.raises(arrowport.UnavailableError) as refused:
        client.ping()
    assert refused.value.code == "UNREACHABLE" and refused.value.retriable
    with pytest.raises(arrowport.RequestError):
        arrowport.Client("ftp://somewhere")


def test_a_closed_client_says_so(server):
    client = arrowport.Client(server.url)
    result = client.query("SELECT 1 AS one")
    client.close()
    assert result.read_all().num_rows == 1
    with pytest.raises(ValueError, match="closed"):
        client.ping()


def test_every_code_has_a_class():
    source = (SOURCE_DIR / "src/base/error.cc").read_text()
    names = set(re.findall(r'\{ErrorCode::k\w+,\s*"([A-Z_]+)"', source))
    assert len(names) > 30 and set(_CLASS_OF_CODE) == names
