"""Hostile bytes: corrupt IPC, cut streams, lying schemas, bombs, endless bodies (cases 13, 14, 19, 33)."""

import contextlib
import gzip
import io
import os
import random
import struct
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from arrowport_testing import (FILE_TYPE, HTTP2_PREFACE, PARQUET_TYPE, STREAM_TYPE, RawConnection, bench_table, chunked, command,
                               flight_code, ipc_file, ipc_stream, json_body, parquet_bytes, put)

SEED = int(os.environ.get("ARROWPORT_FUZZ_SEED", str(random.randrange(1 << 32))))
ROUNDS = int(os.environ.get("ARROWPORT_FUZZ_ROUNDS", "300"))


def buffers(kind, length, *parts, children=None):
    """An array of raw buffers that nobody has validated."""
    return pa.Array.from_buffers(kind, length, [None if p is None else pa.py_buffer(p) for p in parts],
                                 children=children)


def i32(*values):
    return struct.pack(f"<{len(values)}i", *values)


def i64(*values):
    return struct.pack(f"<{len(values)}q", *values)


LIES = {
    "negative_offset": lambda: buffers(pa.utf8(), 2, None, i32(0, -5, 3), b"abc"),
    "decreasing_offsets": lambda: buffers(pa.utf8(), 2, None, i32(0, 3, 1), b"abc"),
    "offset_behind_the_data": lambda: buffers(pa.utf8(), 2, None, i32(0, 1, 1 << 30), b"abc"),
    "first_offset_not_zero": lambda: buffers(pa.utf8(), 1, None, i32(1 << 20, 1 << 20), b"abc"),
    "bad_utf8": lambda: buffers(pa.utf8(), 1, None, i32(0, 2), b"\xff\xfe"),
    "short_values": lambda: buffers(pa.int64(), 1_000_000, None, b"\0" * 8),
    "short_validity": lambda: buffers(pa.int32(), 100_000, b"\xff", b"\0" * 400_000),
    "large_offset": lambda: buffers(pa.large_utf8(), 1, None, i64(0, 1 << 50), b"abc"),
    "list_offset_behind": lambda: buffers(pa.list_(pa.int64()), 1, None, i32(0, 1_000_000),
                                          children=[pa.array([1, 2, 3])]),
    "negative_list_offset": lambda: buffers(pa.list_(pa.int64()), 2, None, i32(0, -1, 2),
                                            children=[pa.array([1, 2, 3])]),
    "dictionary_index_out_of_range": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0, 99], pa.int32()), pa.array(["a"]), safe=False),
    "dictionary_index_negative": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0, -7], pa.int32()), pa.array(["a"]), safe=False),
    "short_struct_child": lambda: buffers(pa.struct([("a", pa.int64())]), 1_000, None,
                                          children=[pa.array([1, 2, 3])]),
    "decimal_out_of_precision": lambda: buffers(pa.decimal128(3, 0), 1, None, b"\xff" * 15 + b"\x7f"),
    "view_of_a_missing_buffer": lambda: buffers(
        pa.string_view(), 1, None, struct.pack("<i4sii", 100, b"abcd", 7, 0)),
}


def lying_stream(name):
    array = LIES[name]()
    batch = pa.RecordBatch.from_arrays([array], names=["x"])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return batch, sink.getvalue()


@pytest.mark.parametrize("name", LIES)
def test_arrays_that_lie(server, name):
    try:
        batch, body = lying_stream(name)
    except pa.ArrowException:
        pytest.skip("pyarrow itself will not write this one")
    reply = server.ingest("lies", body)
    assert reply.status == 400, reply.body
    assert reply.code == "BAD_DATA"
    with server.flight() as client, pytest.raises((pa.ArrowException, OSError)) as failure:
        put(client, "lies", [batch])
    assert flight_code(failure.value) == "INVALID_ARGUMENT"
    assert server.query("SELECT * FROM lies").status == 404
    assert server.alive


def mutate(chance, body):
    """A stream with a few bytes flipped, cut out, doubled or overwritten by extreme numbers."""
    body = bytearray(body)
    for _ in range(chance.choice([1, 1, 2, 8])):
        if not body:
            break
        at = chance.randrange(len(body))
        kind = chance.randrange(5)
        if kind == 0:
            body[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            body[at:at + 4] = struct.pack("<i", chance.choice([-1, 0, 1, 2**31 - 1, -2**31, 65_536]))
        elif kind == 2:
            body[at:at + 8] = struct.pack("<q", chance.choice([-1, 2**63 - 1, -2**63, 2**32, 2**40]))
        elif kind == 3:
            del body[at:at + chance.randrange(1, 64)]
        else:
            body[at:at] = body[at:at + chance.randrange(1, 64)]
    return bytes(body)


def seeds():
    table = pa.table({
        "a": pa.array([1, None, 3], pa.int32()), "s": ["x", None, "zzz"], "l": [[1], None, [2, 3]],
        "d": pa.array(["p", "q", "p"]).dictionary_encode(), "t": pa.array([{"u": 1.5}] * 3),
        "m": pa.array([[("k", 1)], None, []], pa.map_(pa.utf8(), pa.int64())),
    })
    return [(STREAM_TYPE, ipc_stream(table, chunk_rows=2)), (STREAM_TYPE, ipc_stream(table, compression="zstd")),
            (STREAM_TYPE, ipc_stream(table, compression="lz4")), (FILE_TYPE, ipc_file(table)),
            (PARQUET_TYPE, parquet_bytes(table)), ("application/json", json_body(table))]


def test_mutated_bodies(server):
    """Case 13: whatever the bytes, an answer of the contract, nothing torn, no crash."""
    chance = random.Random(SEED)
    print(f"seed {SEED}, {ROUNDS} rounds")
    sources = seeds()
    expected = 0
    connection = server.connect()
    statuses = {}
    for number in range(ROUNDS):
        kind, body = sources[number % len(sources)]
        body = mutate(chance, body)
        route = "/stream/mutated" if kind == "application/json" else "/ingest/mutated"
        try:
            reply = server.post(route, body, kind, connection=connection)
        except OSError as error:
            assert server.alive, f"round {number} of seed {SEED} ended the server: {server.log()[-2000:]}"
            raise AssertionError(f"round {number} of seed {SEED}: {error!r} instead of an answer")
        assert reply.status in (200, 400, 409, 413, 415, 422), (number, reply.body)
        statuses[reply.status] = statuses.get(reply.status, 0) + 1
        if reply.status == 200:
            expected += reply.json["rows_processed"]
        if reply.headers.get("connection") == "close":
            connection.close()
    print(statuses)
    assert statuses.get(400, 0) > ROUNDS / 4
    if expected:
        assert server.value("SELECT count(*) FROM mutated") == expected


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, data):
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def header(name, value):
    """An HPACK literal that is not indexed, without Huffman coding."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def frame(kind, flags, payload, stream=1):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


PUT_HEADERS = b"".join(header(name, value) for name, value in [
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/arrow.flight.protocol.FlightService/DoPut"),
    (b":authority", b"localhost"), (b"content-type", b"application/grpc"), (b"te", b"trailers")])


def raw_put(port, stream, messages):
    """One DoPut of (metadata, body) pairs nobody has looked at; True when the call was answered."""
    descriptor = varint(1 << 3) + varint(2) + field(2, b'{"stream_name": "%s"}' % stream.encode())
    with RawConnection(port, timeout=20) as raw:
        out = HTTP2_PREFACE + frame(1, 4, PUT_HEADERS)
        for number, (metadata, body) in enumerate(messages):
            data = (field(1, descriptor) if number == 0 else b"") + field(2, metadata) + field(1000, body)
            message = b"\0" + len(data).to_bytes(4, "big") + data
            assert len(message) < 16_384
            out += frame(0, 0, message)
        raw.send(out + frame(0, 1, b""))
        received = bytearray()
        while True:
            while len(received) >= 9:
                length, kind, flags = int.from_bytes(received[:3], "big"), received[3], received[4]
                if len(received) < 9 + length:
                    break
                number = int.from_bytes(received[5:9], "big")
                if number == 1 and (kind == 3 or (kind in (0, 1) and flags & 1)):
                    return True
                del received[:9 + length]
            piece = raw.socket.recv(65_536)
            if not piece:
                return False
            received += piece


def test_mutated_flight_messages(server):
    """Uploads whose IPC parts were changed behind the client library's back."""
    chance = random.Random(SEED + 1)
    reader = pa.ipc.MessageReader.open_stream(seeds()[0][1])
    messages = [(m.metadata.to_pybytes(), m.body.to_pybytes() if m.body is not None else b"") for m in reader]
    assert raw_put(server.flight_port, "raw_flight", messages)
    assert server.value("SELECT count(*) FROM raw_flight") == 3
    for number in range(ROUNDS):
        changed = list(messages)
        for _ in range(chance.choice([1, 1, 2])):
            at = chance.randrange(len(changed))
            metadata, body = changed[at]
            if body and chance.random() < 0.5:
                changed[at] = (metadata, mutate(chance, body))
            else:
                changed[at] = (mutate(chance, metadata), body)
        if chance.random() < 0.2:
            chance.shuffle(changed)
        try:
            raw_put(server.flight_port, "raw_flight", changed)
        except ConnectionError:
            pass  # the alive check below is what counts
        assert server.alive, f"round {number} of seed {SEED + 1}: {server.log()[-2000:]}"
    assert server.get("/health/ready").status == 200
    assert server.value("SELECT count(*) FROM raw_flight") >= 3


# Case 14: what HTTP or Arrow calls incomplete is never a success.


@pytest.mark.parametrize("cut", ["no_end_marker", "message_border", "inside_a_message", "no_last_chunk"])
def test_cut_at_every_kind_of_border(server, cut):
    table = bench_table(10_000)
    body = ipc_stream(table, chunk_rows=1_000)
    name = f"cut_{cut}"
    if cut == "no_last_chunk":
        with RawConnection(server.http_port) as raw:
            raw.send(f"POST /ingest/{name} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            raw.send(b"%x\r\n" % len(body) + body + b"\r\n")
            raw.socket.shutdown(1)
            try:
                assert raw.reply().status == 400
            except Exception as error:
                assert not isinstance(error, AssertionError)
    else:
        if cut == "no_end_marker":
            body = body[:-8]
        elif cut == "message_border":
            body = ipc_stream(table.slice(0, 5_000), chunk_rows=1_000)[:-8]
        else:
            body = body[:len(body) // 2]
        for sent in (body, chunked([body[:100], body[100:]])):
            reply = server.post(f"/ingest/{name}", sent, STREAM_TYPE)
            assert (reply.status, reply.code) == (400, "INCOMPLETE_STREAM"), reply.body
    assert server.query(f"SELECT * FROM {name}").status == 404


# Cases 16 and 17: schemas that lie, dictionaries.


def test_a_batch_of_another_schema_in_the_stream(server):
    a = ipc_stream(pa.table({"x": [1, 2]}))
    b = ipc_stream(pa.table({"x": ["longer text"], "y": [1.0]}))
    schema_end = a.index(b"\xff\xff\xff\xff", 4)
    other_schema_end = b.index(b"\xff\xff\xff\xff", 4)
    reply = server.ingest("mixed_up", a[:schema_end] + b[other_schema_end:])
    assert reply.status == 400, reply.body
    assert server.query("SELECT * FROM mixed_up").status == 404


def test_many_columns_and_deep_nesting(server):
    wide = pa.table({f"c{i}": pa.array([1], pa.int8()) for i in range(10_000)})
    assert server.ingest("wide", wide).status == 413
    for depth in (65, 70, 3_000):  # as a schema alone: pyarrow writes no batch that deep
        kind = pa.int64()
        for _ in range(depth):
            kind = pa.struct([("a", kind)])
        sink = io.BytesIO()
        pa.ipc.new_stream(sink, pa.schema([("d", kind)])).close()
        reply = server.ingest("deep", sink.getvalue())
        assert reply.status in (400, 413), reply.body
    assert server.alive
    assert server.query("SELECT * FROM wide").status == server.query("SELECT * FROM deep").status == 404


def test_replaced_and_delta_dictionaries(server):
    first = pa.record_batch([pa.array(["a", "b", "a"]).dictionary_encode()], names=["w"])
    second = pa.record_batch([pa.array(["c", "d", "c"]).dictionary_encode()], names=["w"])
    grown = pa.record_batch([pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()),
                                                          ["a", "b", "e"])], names=["w"])
    for name, batches, deltas in (("replaced", [first, second], False), ("grown", [first, grown], True)):
        sink = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
        with pa.ipc.new_stream(sink, first.schema, options=options) as writer:
            for batch in batches:
                writer.write_batch(batch)
        reply = server.ingest(name, sink.getvalue())
        assert reply.status == 200, reply.body
        expected = [value for batch in batches for value in batch.column(0).to_pylist()]
        assert [row[0] for row in server.rows(f"SELECT w FROM {name}")] == expected
        with server.flight() as client:
            put(client, name + "_flight", batches if not deltas else [first])


# Case 18: bombs.


def test_content_encoding_bombs(server):
    server.reset_peak()
    before = server.rss_bytes()
    zeros = b"\0" * (64 << 20)
    for encoding, packed in (("gzip", gzip.compress(zeros)), ("zstd", pa.compress(zeros, "zstd", asbytes=True))):
        reply = server.post("/ingest/bomb", packed, STREAM_TYPE, {"Content-Encoding": encoding})
        assert reply.status in (400, 413), reply.body
    assert server.peak_rss_bytes() - before < 200 << 20


def test_ipc_bomb(server):
    table = pa.table({"z": pa.array(np.zeros(40_000_000, np.int64))})
    body = ipc_stream(table, compression="zstd")
    assert len(body) < 1 << 20
    before = server.rss_bytes()
    server.reset_peak()
    reply = server.ingest("ipc_bomb", body)
    assert (reply.status, reply.code) == (413, "TOO_LARGE"), reply.body
    assert server.peak_rss_bytes() - before < 200 << 20
    assert server.query("SELECT * FROM ipc_bomb").status == 404


def test_claimed_uncompressed_length(server):
    """A tiny compressed buffer that claims terabytes is refused before anything is allocated."""
    body = bytearray(ipc_stream(pa.table({"x": list(range(5_000))}), compression="zstd"))
    magic = bytes.fromhex("28b52ffd")
    at = body.index(magic) - 8
    for claim in (1 << 42, 1 << 62, -2, (1 << 63) - 1):
        body[at:at + 8] = struct.pack("<q", claim)
        reply = server.ingest("claims", bytes(body))
        assert reply.status in (400, 413), reply.body
    assert server.alive


# Case 19: lengths.


def test_absurd_content_length(server):
    for length in (2**63, 2**63 + 5, 2**64, 10**30):
        with RawConnection(server.http_port, timeout=5) as raw:
            raw.send(f"POST /ingest/absurd HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
            assert raw.reply().status in (400, 413), length
    assert server.get("/health/live").status == 200


def test_endless_body_is_stopped_at_the_limit(make_server):
    """413, and the connection ends soon; what still comes meanwhile is dropped, not kept."""
    server = make_server("--set", "limits.body_bytes_max=8MiB")
    before = server.rss_bytes()
    server.reset_peak()
    body = ipc_stream(bench_table(20_000))
    schema_end = body.index(b"\xff\xff\xff\xff", 4)
    batch = body[schema_end:-8]
    chunk = b"%x\r\n" % len(batch) + batch + b"\r\n"
    started = time.monotonic()
    with RawConnection(server.http_port) as raw:
        raw.send("POST /ingest/endless HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        raw.send(b"%x\r\n" % schema_end + body[:schema_end] + b"\r\n")
        with contextlib.suppress(OSError):
            while time.monotonic() - started < 20:
                raw.send(chunk)
        assert time.monotonic() - started < 20, "it still listens to an endless body after 20 s"
        with contextlib.suppress(OSError):
            assert raw.reply().status == 413
    assert server.peak_rss_bytes() - before < 100 << 20
    assert server.query("SELECT * FROM endless").status == 404


def test_too_large_flight_message(make_server):
    server = make_server("--set", "limits.message_bytes_max=1MiB")
    with server.flight() as client:
        with pytest.raises((pa.ArrowException, OSError)) as failure:
            put(client, "too_large", bench_table(100_000))
        assert flight_code(failure.value) in ("RESOURCE_EXHAUSTED", "ArrowException", "FlightServerError"), failure.value
        put(client, "small_enough", bench_table(10_000))
    assert server.query("SELECT * FROM too_large").status == 404


# Case 33: names that would be SQL.


INJECTIONS = ['x"; DROP TABLE precious; --', "x'; DROP TABLE precious; --", 'precious" (a) VALUES (1); --',
              "/* comment */", "--", "select", "Precious", "x; ATTACH 'evil.db'", "$$", "pg_catalog", "main",
              'a"".""b', "information_schema", "x" * 255]


@pytest.mark.parametrize("name", INJECTIONS, ids=lambda n: n[:20])
def test_names_are_never_sql(server, name):
    server.ingest("precious", pa.table({"a": [42]}), key="precious")
    table = pa.table({name: [1], "b": [2]})
    by_stream = server.ingest(name, table)
    assert by_stream.status in (200, 400, 409), by_stream.body
    as_target = server.ingest("injected", table, parameters={"table": name})
    assert as_target.status in (200, 400, 409), as_target.body
    with server.flight() as client:
        try:
            put(client, command(name), table)
        except (pa.ArrowException, OSError) as error:
            assert flight_code(error) == "INVALID_ARGUMENT"
        try:
            client.get_flight_info(flight.FlightDescriptor.for_path(name))
        except (pa.ArrowException, KeyError) as error:
            assert flight_code(error) in ("NOT_FOUND", "INVALID_ARGUMENT")
    key = server.ingest("keyed_names", table, key=name[:200])
    assert key.status in (200, 409)
    assert server.rows("SELECT a FROM precious") == [(42,)] or name.lower() == "precious"
    if by_stream.status == 200 and "." not in name and name.lower() != "precious":
        quoted = '"' + name.replace('"', '""') + '"'
        assert server.rows(f"SELECT {quoted}, b FROM {quoted}")[0] == (1, 2)


def test_absurd_names(server):
    for name in ("x" * 1_000_000, "a" * 256, "é" * 200):
        with server.flight() as client, pytest.raises((pa.ArrowException, OSError)):
            put(client, command(name), pa.table({"a": [1]}))
    for column in ("x" * 1_000_000, "é" * 200):
        assert server.ingest("absurd_column", pa.table({column: [1]})).status in (400, 413)
    assert server.query("SELECT * FROM absurd_column").status == 404
