"""Landing over HTTP with curl and http.client: routes, framings, encodings, formats, keys."""

import gzip
import json
import os
import subprocess
import tempfile

import pyarrow as pa
import pytest

from arrowport_testing import (FILE_TYPE, PARQUET_TYPE, STREAM_TYPE, RawConnection, bench_table, chunked,
                               in_parallel, ipc_file, ipc_stream, json_body, parquet_bytes)

ROWS = 5_000
SUM = ROWS * (ROWS - 1) // 2


def landed(server, table):
    return server.rows(f"SELECT count(*), sum(id)::BIGINT FROM {table}")[0]


def curl(server, path, body, *options, expect=200):
    """Sends a file with the stock curl; the reply's JSON."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        done = subprocess.run(
            ["curl", "-sS", "-w", "\n%{http_code}", *options, server.url + path,
             "--data-binary", "@" + file.name], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    text, status = done.stdout.decode().rsplit("\n", 1)
    assert int(status) == expect, text
    return json.loads(text)


def test_curl_needs_no_options(server):
    reply = curl(server, "/ingest/from_curl", ipc_stream(bench_table(ROWS)))
    assert reply["status"] == "success"
    assert reply["message"] == "Data processed successfully"
    assert (reply["stream"], reply["rows_processed"], reply["storage_backend"]) == \
        ("from_curl", ROWS, "duckdb")
    assert {"table", "bytes", "batches", "durability", "version", "idempotent_replay",
            "request_id"} <= reply.keys()
    assert reply["durability"] == "file"
    assert landed(server, "from_curl") == (ROWS, SUM)


def test_curl_waits_for_continue_and_chunks(server):
    body = ipc_stream(bench_table(200_000))
    curl(server, "/ingest/expecting", body, "-H", "Expect: 100-continue", "-H", f"Content-Type: {STREAM_TYPE}")
    curl(server, "/ingest/expecting", body, "-H", "Transfer-Encoding: chunked", "-H",
         f"Content-Type: {STREAM_TYPE}")
    assert server.value("SELECT count(*) FROM expecting") == 400_000


def test_sized_and_chunked_bodies(server):
    body = ipc_stream(bench_table(ROWS), chunk_rows=500)
    assert server.ingest("sized", body).status == 200
    pieces = [body[i:i + 777] for i in range(0, len(body), 777)]
    reply = server.post("/ingest/in_chunks", chunked(pieces), STREAM_TYPE)
    assert reply.status == 200, reply.body
    assert reply.json["batches"] == 10
    assert landed(server, "sized") == landed(server, "in_chunks") == (ROWS, SUM)


def test_one_byte_chunks(server):
    body = ipc_stream(pa.table({"id": list(range(20))}))
    reply = server.post("/ingest/one_byte", chunked([body[i:i + 1] for i in range(len(body))]), STREAM_TYPE)
    assert reply.status == 200, reply.body
    assert landed(server, "one_byte") == (20, 190)


def test_chunk_extensions_and_trailers(server):
    body = ipc_stream(pa.table({"id": [1, 2, 3]}))
    with RawConnection(server.http_port) as raw:
        raw.send("POST /ingest/extended HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        raw.send(b"%x;name=value\r\n" % len(body) + body + b"\r\n0\r\nX-Trailer: yes\r\n\r\n")
        assert raw.reply().status == 200
    assert landed(server, "extended") == (3, 6)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_content_encodings(server, encoding, framing):
    plain = ipc_stream(bench_table(ROWS))
    packed = gzip.compress(plain) if encoding == "gzip" else pa.compress(plain, "zstd", asbytes=True)
    body = packed if framing == "sized" else chunked([packed[:1000], packed[1000:]])
    reply = server.post(f"/ingest/{encoding}_{framing}", body, STREAM_TYPE, {"Content-Encoding": encoding})
    assert reply.status == 200, reply.body
    assert landed(server, f"{encoding}_{framing}") == (ROWS, SUM)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_ipc(server, codec):
    assert server.ingest(f"ipc_{codec}", ipc_stream(bench_table(ROWS), compression=codec)).status == 200
    assert landed(server, f"ipc_{codec}") == (ROWS, SUM)


@pytest.mark.parametrize("content_type, encode", [
    (FILE_TYPE, ipc_file), (PARQUET_TYPE, parquet_bytes), (STREAM_TYPE, ipc_stream),
], ids=["arrow_file", "parquet", "arrow_stream"])
def test_formats(server, content_type, encode, request):
    name = request.node.callspec.id
    for framing in ("sized", "chunked"):
        body = encode(bench_table(ROWS))
        body = body if framing == "sized" else chunked([body[:3000], body[3000:]])
        reply = server.post(f"/ingest/{name}_{framing}", body, content_type)
        assert reply.status == 200, reply.body
        assert reply.json["rows_processed"] == ROWS
        assert landed(server, f"{name}_{framing}") == (ROWS, SUM)


@pytest.mark.parametrize("content_type", [None, "application/octet-stream",
                                          "application/x-www-form-urlencoded",
                                          STREAM_TYPE + "; charset=binary", STREAM_TYPE.upper()])
def test_what_counts_as_an_arrow_stream(server, content_type):
    reply = server.post("/ingest/default_type", ipc_stream(bench_table(5)), content_type)
    assert reply.status == 200, reply.body


def test_json_and_base64(server):
    table = bench_table(ROWS)
    assert server.post("/stream/json_plain", json_body(table), "application/json").json["rows_processed"] == ROWS
    assert landed(server, "json_plain") == (ROWS, SUM)


def test_json_config_may_come_first_last_or_not(server):
    table = bench_table(10)
    document = json.loads(json_body(table))
    config = {"target_table": "json_target"}
    orders = [{"config": config, "batch": document["batch"]}, {"batch": document["batch"], "config": config}]
    data_first = {"data": document["batch"]["data"], "arrow_schema": document["batch"]["arrow_schema"]}
    orders.append({"batch": data_first, "config": config})
    for body in orders:
        reply = server.post("/stream/json_source", json.dumps(body).encode(), "application/json")
        assert reply.status == 200, reply.body
        assert (reply.json["stream"], reply.json["table"]) == ("json_source", "json_target")
    assert server.value("SELECT count(*) FROM json_target") == 30


def test_json_without_schema_or_end_marker(server):
    table = bench_table(10)
    document = json.loads(json_body(table, end_marker=False))
    del document["batch"]["arrow_schema"]
    reply = server.post("/stream/json_short", json.dumps(document).encode(), "application/json")
    assert reply.status == 200, reply.body
    assert server.value("SELECT count(*) FROM json_short") == 10


def test_json_declared_schema_ignores_metadata_and_dictionaries(server):
    words = pa.table({"w": pa.array(["a", "b", "a"]).dictionary_encode()})
    declared = pa.schema([pa.field("w", pa.utf8(), metadata={"note": "x"})], metadata={"more": "y"})
    reply = server.post("/stream/json_declared", json_body(words, schema=declared), "application/json")
    assert reply.status == 200, reply.body


def test_query_parameters_are_settings(server):
    reply = server.ingest("with_parameters", bench_table(10), parameters={"table": "other.place"})
    assert reply.json["table"] == "other.place"
    assert server.ingest("with_parameters", bench_table(4),
                         parameters={"table": "other.place", "mode": "overwrite"}).status == 200
    assert server.value("SELECT count(*) FROM other.place") == 4
    wider = bench_table(2).append_column("extra", pa.array([1, 2]))
    assert server.ingest("with_parameters", wider, parameters={"table": "other.place"}).status == 409
    reply = server.ingest("with_parameters", wider,
                          parameters={"table": "other.place", "schema_mode": "merge"})
    assert reply.status == 200, reply.body
    assert server.rows("SELECT count(*), count(extra) FROM other.place") == [(6, 2)]


def test_key_replays_the_first_answer_across_routes(server):
    table = bench_table(25)
    first = server.ingest("http_keyed", table, key="k-1")
    second = server.ingest("http_keyed", table, key="k-1")
    third = server.post("/ingest/http_keyed", chunked([ipc_stream(table)]), STREAM_TYPE,
                        {"Idempotency-Key": "k-1"})
    assert [r.json["idempotent_replay"] for r in (first, second, third)] == [False, True, True]
    assert len({r.json["version"] for r in (first, second, third)}) == 1
    assert {r.json["rows_processed"] for r in (first, second, third)} == {25}
    assert server.value("SELECT count(*) FROM http_keyed") == 25


def test_key_with_other_content(server):
    server.ingest("http_reused", bench_table(25), key="k")
    reply = server.ingest("http_reused", bench_table(26), key="k")
    assert (reply.status, reply.code, reply.json["retriable"]) == (409, "KEY_REUSED", False)
    assert server.value("SELECT count(*) FROM http_reused") == 25


def test_same_key_at_once(server):
    body = ipc_stream(bench_table(3_000))
    replies = in_parallel([lambda: server.ingest("http_at_once", body, key="k")] * 8)
    assert [reply.status for reply in replies] == [200] * 8
    assert sorted(reply.json["idempotent_replay"] for reply in replies) == [False] + [True] * 7
    assert server.value("SELECT count(*) FROM http_at_once") == 3_000


def test_a_refused_request_does_not_use_its_key_up(server):
    server.ingest("fixed_later", pa.table({"n": [1]}))
    assert server.ingest("fixed_later", pa.table({"n": ["x"]}), key="k").status == 409
    assert server.ingest("fixed_later", pa.table({"n": [2]}), key="k").status == 200


def test_producer_and_sequence(server):
    def send(sequence):
        return server.ingest("http_produced", bench_table(10),
                             headers={"Arrowport-Producer": "p", "Arrowport-Sequence": str(sequence)})

    assert send(0).status == 200
    assert send(1).json["idempotent_replay"] is False
    assert send(0).json["idempotent_replay"] is True
    gap = send(5)
    assert (gap.status, gap.code) == (409, "SEQUENCE_GAP")
    assert send(2).status == 200
    assert server.value("SELECT count(*) FROM http_produced") == 30


def test_keys_and_sequences_survive_a_restart(make_server):
    server = make_server()
    headers = {"Arrowport-Producer": "p", "Arrowport-Sequence": "0"}
    server.ingest("kept", bench_table(10), key="k")
    server.ingest("kept", bench_table(10), headers=headers)
    for end in (server.stop, server.kill9):
        end()
        server.start()
        assert server.ingest("kept", bench_table(10), key="k").json["idempotent_replay"] is True
        assert server.ingest("kept", bench_table(10), headers=headers).json["idempotent_replay"] is True
        assert server.ingest("kept", bench_table(11), key="k").status == 409
    assert server.value("SELECT count(*) FROM kept") == 20


def test_keep_alive_serves_many_requests(server):
    connection = server.connect()
    for number in range(50):
        body = ipc_stream(bench_table(10, first=number * 10))
        assert server.post("/ingest/kept_alive", body, STREAM_TYPE, connection=connection).status == 200
    connection.close()
    assert landed(server, "kept_alive") == (500, 499 * 250)


def test_pipelined_requests_are_answered_in_order(server):
    body = ipc_stream(pa.table({"id": [1]}))
    with RawConnection(server.http_port) as raw:
        head = f"POST /ingest/pipelined HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nX-Request-Id: "
        raw.send(b"".join(f"{head}r{i}\r\n\r\n".encode() + body for i in range(5)))
        response = b""
        while response.count(b'"status":"success"') < 5:
            piece = raw.socket.recv(65536)
            assert piece, response
            response += piece
        ids = [line.split(b":")[1].strip() for line in response.split(b"\r\n")
               if line.lower().startswith(b"x-request-id:")]
        assert ids == [b"r0", b"r1", b"r2", b"r3", b"r4"]


def test_large_upload_streams_through(server):
    table = pa.concat_tables([bench_table(100_000)] * 20)
    reply = server.ingest("large", ipc_stream(table))
    assert reply.status == 200 and reply.json["rows_processed"] == 2_000_000
    assert server.value("SELECT count(*) FROM large") == 2_000_000


def test_request_ids(server):
    reply = server.ingest("ids", bench_table(1), headers={"X-Request-Id": "mine-1"})
    assert reply.headers["x-request-id"] == reply.json["request_id"] == "mine-1"
    made = server.ingest("ids", bench_table(1), headers={"X-Request-Id": "bad id \u00e9".encode("latin-1")})
    assert made.headers["x-request-id"] == made.json["request_id"]
    assert made.headers["x-request-id"].isascii() and " " not in made.headers["x-request-id"]
    assert server.get("/health/live").headers["x-request-id"]
    failed = server.get("/nowhere")
    assert failed.headers["x-request-id"] == failed.json["request_id"]


def test_memory_storage_says_so(make_server):
    server = make_server(db=":memory:")
    reply = server.ingest("volatile", bench_table(10))
    assert reply.json["durability"] == "memory"
    assert not os.listdir(server.folder) or not [
        name for name in os.listdir(server.folder) if name.endswith((".duckdb", ".wal"))]


def test_unicode_and_quoted_names(server):
    for number, name in enumerate(["Ünïcødé", "with space", 'quo"te', "semi;colon", "select", "UPPER", "emoji 🛬"]):
        reply = server.ingest(name, pa.table({"id": [number], 'a "b" c': ["x"], "größe": [1.5]}))
        assert reply.status == 200, reply.body
        quoted = '"' + name.replace('"', '""') + '"'
        assert server.rows(f'SELECT id, "a ""b"" c", "größe" FROM {quoted}') == [(number, "x", 1.5)]
