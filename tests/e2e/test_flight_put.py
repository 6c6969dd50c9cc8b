"""Landing over Arrow Flight with pyarrow: descriptors, commit modes, acknowledgements, keys."""

import json
import threading

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from arrowport_testing import (bench_batch, bench_table, command, flight_code, put, read_ack)

SUMMARY_FIELDS = {"status", "stream", "rows_processed", "storage_backend", "message", "table", "bytes",
                  "batches", "durability", "version", "idempotent_replay", "request_id"}


@pytest.fixture
def client(server):
    with server.flight() as connection:
        yield connection


def refused(client, descriptor, data=None):
    with pytest.raises((pa.ArrowException, KeyError)) as failure:
        put(client, descriptor, data if data is not None else bench_table(10))
    return failure.value


def test_stream_mode_lands_every_row(server, client):
    acks = put(client, "stream_mode", bench_table(10_000), chunk_rows=1_000)
    assert acks[0] == {"ready": True, "ack_up_to_offset": -1, "ack_up_to_records": 0,
                       "producer_last_sequence": None}
    summary = acks[-1]
    assert SUMMARY_FIELDS <= summary.keys()
    assert summary["status"] == "success"
    assert summary["stream"] == summary["table"] == "stream_mode"
    assert (summary["rows_processed"], summary["batches"]) == (10_000, 10)
    assert (summary["storage_backend"], summary["durability"]) == ("duckdb", "file")
    assert summary["idempotent_replay"] is False
    assert summary["version"].startswith("duckdb:")
    assert server.rows("SELECT count(*), sum(id)::BIGINT FROM stream_mode") == [(10_000, 49_995_000)]


def test_acknowledged_is_visible_to_the_next_query(server, client):
    for expected in range(1, 6):
        put(client, "visible", bench_table(100))
        assert server.value("SELECT count(*) FROM visible") == 100 * expected


def test_both_ports_take_uploads(server):
    for port in sorted(set(server.ready["flight"])):
        with server.flight(port) as client:
            put(client, "both_ports", bench_table(5))
    assert server.value("SELECT count(*) FROM both_ports") == 5 * len(set(server.ready["flight"]))


def test_path_descriptor_is_a_stream(server, client):
    put(client, flight.FlightDescriptor.for_path("by_path"), bench_table(7))
    assert server.value("SELECT count(*) FROM by_path") == 7


def test_zero_batches_create_the_table(server, client):
    empty = bench_table(1).slice(0, 0)
    writer, reader = client.do_put(command("no_batches"), empty.schema)
    writer.done_writing()
    acks = []
    while (ack := read_ack(reader)) is not None:
        acks.append(ack)
    writer.close()
    assert acks[-1]["rows_processed"] == 0
    assert server.value("SELECT count(*) FROM no_batches") == 0


def test_batch_mode_acknowledges_while_the_stream_is_open(server, client):
    batches = [bench_batch(100, first=100 * i) for i in range(20)]
    writer, reader = client.do_put(command("batch_mode", commit="batch"), batches[0].schema)
    assert read_ack(reader)["ready"] is True
    records = 0
    for number, batch in enumerate(batches):
        writer.write_batch(batch)
        offset = -1
        while offset < number:
            ack = read_ack(reader)
            offset = ack["ack_up_to_offset"]
        records = ack["ack_up_to_records"]
        assert records == 100 * (number + 1)
        assert server.value("SELECT count(*) FROM batch_mode") == records
    writer.done_writing()
    last = None
    while (ack := read_ack(reader)) is not None:
        last = ack
    writer.close()
    assert last["status"] == "success" and last["rows_processed"] == 2_000


def test_batch_mode_acks_are_cumulative_and_never_go_back(client):
    acks = put(client, command("cumulative", commit="batch"), bench_table(50_000), chunk_rows=500)
    offsets = [ack["ack_up_to_offset"] for ack in acks[1:] if "ack_up_to_offset" in ack]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == 99


def test_batch_mode_bad_message_ends_the_call_and_keeps_what_was_acknowledged(server, client):
    schema = pa.schema([("id", pa.int64()), ("name", pa.utf8())])
    good = pa.record_batch([[1, 2], ["a", "b"]], schema=schema)
    bad_text = pa.Array.from_buffers(pa.utf8(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"),
                                                    pa.py_buffer(b"\xff")])
    bad = pa.RecordBatch.from_arrays([pa.array([3]), bad_text], schema=schema)
    writer, reader = client.do_put(command("bad_message", commit="batch"), schema)
    read_ack(reader)
    for number in range(3):
        writer.write_batch(good)
        while read_ack(reader)["ack_up_to_offset"] < number:
            pass
    writer.write_batch(bad)
    with pytest.raises(pa.ArrowInvalid) as failure:
        while read_ack(reader) is not None:
            pass
        writer.close()
    assert "3" in str(failure.value)
    assert server.value("SELECT count(*) FROM bad_message") == 6


def test_offset_ids_are_checked(server, client):
    put(client, "offsets", bench_table(300), chunk_rows=100, offsets=True)
    batch = bench_batch(10)
    writer, reader = client.do_put(command("offsets"), batch.schema)
    with pytest.raises(pa.ArrowInvalid):
        writer.write_with_metadata(batch, b'{"offset_id": 0}')
        writer.write_with_metadata(batch, b'{"offset_id": 2}')
        writer.done_writing()
        while read_ack(reader) is not None:
            pass
        writer.close()
    assert server.value("SELECT count(*) FROM offsets") == 300


def test_a_client_that_never_reads_acks_does_not_stall(server, client):
    batches = [bench_batch(10, first=10 * i) for i in range(5_000)]
    writer, _ = client.do_put(command("never_reads", commit="batch"), batches[0].schema)
    for batch in batches:
        writer.write_batch(batch)
    writer.close()
    assert server.value("SELECT count(*) FROM never_reads") == 50_000


def test_key_replays_the_first_answer(server, client):
    descriptor = command("keyed", idempotency_key="k-1")
    first = put(client, descriptor, bench_table(50))[-1]
    second = put(client, descriptor, bench_table(50))[-1]
    assert first["idempotent_replay"] is False and second["idempotent_replay"] is True
    assert {k: first[k] for k in ("rows_processed", "version", "table")} == \
           {k: second[k] for k in ("rows_processed", "version", "table")}
    assert server.value("SELECT count(*) FROM keyed") == 50


def test_key_with_other_content_is_refused(server, client):
    put(client, command("key_reused", idempotency_key="k"), bench_table(50))
    error = refused(client, command("key_reused", idempotency_key="k"), bench_table(51))
    assert flight_code(error) == "INVALID_ARGUMENT"
    assert server.value("SELECT count(*) FROM key_reused") == 50


def test_same_key_twice_at_once_is_applied_once(server):
    barrier = threading.Barrier(8)
    summaries = []

    def send():
        with server.flight() as client:
            barrier.wait()
            summaries.append(put(client, command("at_once", idempotency_key="k"), bench_table(2_000))[-1])

    threads = [threading.Thread(target=send) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(summaries) == 8
    assert sorted(s["idempotent_replay"] for s in summaries) == [False] + [True] * 7
    assert server.value("SELECT count(*) FROM at_once") == 2_000


def test_producer_sequences(server, client):
    def send(sequence, rows=10):
        return put(client, command("produced", producer="p", sequence=sequence), bench_table(rows))

    first = send(0)
    assert first[0]["producer_last_sequence"] is None
    second = send(1)
    assert second[0]["producer_last_sequence"] == 0
    assert send(1)[-1]["idempotent_replay"] is True
    assert send(0)[-1]["idempotent_replay"] is True
    with pytest.raises(pa.ArrowInvalid):
        send(3)
    assert send(2)[0]["producer_last_sequence"] == 1
    assert server.value("SELECT count(*) FROM produced") == 30


def test_producer_in_batch_mode_resumes_where_it_stopped(server, client):
    batches = [bench_batch(10, first=10 * i) for i in range(10)]
    put(client, command("resumed", producer="p", sequence=0, commit="batch"), batches[:6])
    acks = put(client, command("resumed", producer="p", sequence=3, commit="batch"), batches[3:])
    assert acks[0]["producer_last_sequence"] == 5
    assert server.rows("SELECT count(*), count(DISTINCT id) FROM resumed") == [(100, 100)]


@pytest.mark.parametrize("descriptor", [
    flight.FlightDescriptor.for_command("SELECT 1"),
    flight.FlightDescriptor.for_command("{}"),
    flight.FlightDescriptor.for_command('{"stream_name": ""}'),
    flight.FlightDescriptor.for_command('{"stream_name": 5}'),
    flight.FlightDescriptor.for_command('{"stream_name": "s"'),
    flight.FlightDescriptor.for_command('["stream_name"]'),
    flight.FlightDescriptor.for_command(b"\xff\xfe"),
    flight.FlightDescriptor.for_command(b""),
    flight.FlightDescriptor.for_path("a", "b"),
    flight.FlightDescriptor.for_path(),
    command("s", commit="sometimes"),
    command("s", no_such_setting=1),
    command("s", sequence=1),
    command("s", producer="p"),
    command("s", producer="p", sequence=0, idempotency_key="k"),
    command("s", commit="batch", idempotency_key="k"),
    command("s", commit="batch", mode="overwrite"),
    command("a/b"),
    command("a.b.c"),
    command("x" * 256),
    command("delta.t"),
    command("_arrowport.ledger"),
], ids=lambda d: repr(d)[:70])
def test_bad_descriptors_are_invalid_arguments(client, descriptor):
    assert flight_code(refused(client, descriptor)) == "INVALID_ARGUMENT"


def test_schema_mismatch_is_refused_and_writes_nothing(server, client):
    put(client, "strict", pa.table({"a": [1], "b": ["x"]}))
    error = refused(client, "strict", pa.table({"a": [1], "b": ["x"], "c": [2]}))
    assert flight_code(error) == "INVALID_ARGUMENT" and "c" in str(error)
    error = refused(client, "strict", pa.table({"a": ["not a number"], "b": ["x"]}))
    assert flight_code(error) == "INVALID_ARGUMENT" and "a" in str(error)
    assert server.value("SELECT count(*) FROM strict") == 1


def test_a_failure_in_the_middle_rolls_all_back(server, client):
    schema = pa.schema([("id", pa.utf8())])
    put(client, "half", pa.table({"id": [1]}))
    batches = [pa.record_batch([[str(i)]], schema=schema) for i in range(50)]
    batches.append(pa.record_batch([["not a number"]], schema=schema))
    error = refused(client, "half", batches)
    assert flight_code(error) == "INVALID_ARGUMENT"
    assert server.rows("SELECT id FROM half") == [(1,)]


def test_overwrite_replaces_the_rows(server, client):
    put(client, "replaced", bench_table(500))
    put(client, command("replaced", mode="overwrite"), bench_table(20))
    assert server.value("SELECT count(*) FROM replaced") == 20


def test_settings_in_the_descriptor(server, client):
    summary = put(client, command("routed", target_table="elsewhere.there"), bench_table(5))[-1]
    assert (summary["stream"], summary["table"]) == ("routed", "elsewhere.there")
    assert server.value("SELECT count(*) FROM elsewhere.there") == 5


@pytest.mark.parametrize("rows", [122_879, 122_880, 122_881, 300_000])
def test_row_group_borders(server, client, rows):
    table = f"border_{rows}"
    put(client, table, bench_table(rows), chunk_rows=65_536)
    assert server.rows(f"SELECT count(*), sum(id)::BIGINT, max(id) FROM {table}") == \
        [(rows, rows * (rows - 1) // 2, rows - 1)]


def test_order_is_kept(server, client):
    put(client, "ordered", bench_table(400_000), chunk_rows=10_000)
    assert server.value("SELECT count(*) FROM (SELECT id, row_number() OVER () - 1 AS n FROM ordered) "
                        "WHERE id <> n") == 0


def test_compressed_and_dictionary_batches(server, client):
    words = pa.array(["red", "green", None, "red"] * 250).dictionary_encode()
    table = pa.table({"n": list(range(1000)), "word": words})
    for codec in ("lz4", "zstd"):
        options = flight.FlightCallOptions(write_options=pa.ipc.IpcWriteOptions(compression=codec))
        put(client, "compressed_" + codec, table, chunk_rows=100, options=options)
        assert server.rows(f"SELECT word, count(*) FROM compressed_{codec} GROUP BY 1 ORDER BY 1 NULLS LAST") == \
            [("green", 250), ("red", 500), (None, 250)]


def test_concurrent_uploads_to_one_table(server):
    def send(first):
        with server.flight() as client:
            for part in range(5):
                put(client, "shared", bench_table(1_000, first=first * 5_000 + part * 1_000))

    threads = [threading.Thread(target=send, args=(i,)) for i in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert server.rows("SELECT count(*), count(DISTINCT id) FROM shared") == [(40_000, 40_000)]


def test_summary_is_json_with_no_surprises(client):
    summary = put(client, "plain_summary", bench_table(3))[-1]
    assert json.loads(json.dumps(summary)) == summary
    assert isinstance(summary["bytes"], int) and summary["bytes"] > 0
