"""Every documented refusal that a client can provoke: status, stable code, nothing written."""

import base64
import json

import pyarrow as pa
import pytest

from arrowport_testing import (FILE_TYPE, PARQUET_TYPE, STREAM_TYPE, RawConnection, bench_table, chunked, ipc_file,
                               ipc_stream, json_body, parquet_bytes)


def check(reply, status, *codes):
    assert reply.status == status, reply.body
    body = reply.json
    assert body["status"] == "error"
    assert not codes or body["code"] in codes, body
    assert body["message"] and isinstance(body["retriable"], bool)
    assert body["request_id"] == reply.headers["x-request-id"]
    assert reply.headers["content-type"].startswith("application/json")
    return body


def table_missing(server, name):
    return server.query(f'SELECT * FROM "{name}"').status == 404


STREAM = ipc_stream(bench_table(100))


@pytest.mark.parametrize("body", [b"", b"hello, this is not arrow at all", b"\xff\xff\xff\xff", b"\0" * 64,
                                  STREAM[:200], STREAM[:-30], STREAM[:-8], STREAM[8:]],
                         ids=["empty", "text", "marker", "zeros", "in_schema", "in_batch", "no_end", "shifted"])
def test_bodies_that_are_not_a_whole_stream(server, body):
    check(server.ingest("not_a_stream", body), 400, "BAD_DATA", "INCOMPLETE_STREAM")
    assert table_missing(server, "not_a_stream")


def test_a_cut_stream_has_its_own_code(server):
    check(server.ingest("cut_stream", STREAM[:-8]), 400, "INCOMPLETE_STREAM")
    assert table_missing(server, "cut_stream")


def test_bytes_behind_the_end_marker(server):
    check(server.ingest("trailing", STREAM + b"more"), 400, "BAD_DATA")
    assert table_missing(server, "trailing")


@pytest.mark.parametrize("content_type, body", [(FILE_TYPE, ipc_file(bench_table(100))),
                                                (PARQUET_TYPE, parquet_bytes(bench_table(100)))],
                         ids=["arrow_file", "parquet"])
def test_cut_files(server, content_type, body):
    for cut in (b"", body[:10], body[:len(body) // 2], body[:-1]):
        reply = server.post("/ingest/cut_file", cut, content_type)
        check(reply, 400, "BAD_DATA", "INCOMPLETE_STREAM")
    assert table_missing(server, "cut_file")


def test_wrong_encodings(server):
    for encoding in ("gzip", "zstd"):
        reply = server.post("/ingest/encoded", STREAM, STREAM_TYPE, {"Content-Encoding": encoding})
        check(reply, 400, "BAD_DATA", "INCOMPLETE_STREAM")
    cut = pa.compress(STREAM, "zstd", asbytes=True)[:-5]
    reply = server.post("/ingest/encoded", cut, STREAM_TYPE, {"Content-Encoding": "zstd"})
    check(reply, 400, "BAD_DATA", "INCOMPLETE_STREAM")
    reply = server.post("/ingest/encoded", STREAM, STREAM_TYPE, {"Content-Encoding": "br"})
    check(reply, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert table_missing(server, "encoded")


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "application/zip"])
def test_unknown_media_types(server, content_type):
    check(server.post("/ingest/media", STREAM, content_type), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{", b"null", b'"text"', b"{}", b'{"batch": {}}', b'{"batch": 5}',
    b'{"batch": {"data": 5}}', b'{"batch": {"data": "***"}}', b'{"batch": {"data": "AAAA"}}',
    b'{"batch": {"data": ""}}',
    b'{"batch": {"data": "%s' % base64.b64encode(STREAM), b'{"config": [], "batch": {"data": "AAAA"}}',
    b"\xef\xbb\xbf{}", b'{"a":' * 10_000,
], ids=lambda b: repr(b[:25]))
def test_bad_json(server, body):
    check(server.post("/stream/bad_json", body, "application/json"), 400)
    assert table_missing(server, "bad_json")


def test_bad_declared_schema(server):
    other = pa.schema([("x", pa.int32())])
    reply = server.post("/stream/declared", json_body(bench_table(5), schema=other), "application/json")
    check(reply, 400, "SCHEMA_DECLARATION_MISMATCH")
    assert table_missing(server, "declared")


def test_bad_config_in_a_request(server):
    for config in ({"no_such_setting": 1}, {"schema_mode": "sideways"}, {"mode": "upside_down"},
                   {"storage_backend": "papyrus"}, {"chunk_size": "many"}):
        reply = server.post("/stream/configured", json_body(bench_table(5), config=config), "application/json")
        check(reply, 422, "BAD_CONFIG")
    check(server.ingest("configured", STREAM, parameters={"no_such": "1"}), 422, "BAD_CONFIG")
    assert table_missing(server, "configured")


@pytest.mark.parametrize("name", ["a.b.c", "a%2Fb", "a%5Cb", "a%00b", "a%0Ab", "%ff%fe", "x" * 256, ".", "a.",
                                  ".b", "delta.t", "_arrowport.ledger", "%20" * 300])
def test_bad_names(server, name):
    reply = server.post(f"/ingest/{name}", STREAM, STREAM_TYPE)
    check(reply, 400, "INVALID_NAME", "INVALID_ARGUMENT")


@pytest.mark.parametrize("columns", [["a", "a"], ["a", "A"], [""], ["x" * 256], ["nul\0byte"]], ids=repr)
def test_bad_columns(server, columns):
    batch = pa.RecordBatch.from_arrays([pa.array([1])] * len(columns), names=columns)
    reply = server.ingest("bad_columns", batch)
    assert reply.status in (400, 409), reply.body
    check(reply, reply.status)
    assert table_missing(server, "bad_columns")


def test_schema_mismatch(server):
    server.ingest("typed", pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]}))
    server.run_sql("CREATE TABLE must (a INTEGER NOT NULL, b INTEGER DEFAULT 7)")
    more = pa.table({"a": pa.array([1], pa.int32()), "b": ["x"], "c": [1.0]})
    body = check(server.ingest("typed", more), 409, "SCHEMA_MISMATCH")
    assert "c" in body["message"] and body["retriable"] is False
    body = check(server.ingest("typed", pa.table({"a": [2**40], "b": ["x"]})), 409, "SCHEMA_MISMATCH")
    assert "a" in body["message"] and str(2**40) in body["message"]
    check(server.ingest("typed", pa.table({"a": [1.5]})), 409, "SCHEMA_MISMATCH")
    check(server.ingest("must", pa.table({"b": [1]})), 409, "SCHEMA_MISMATCH")
    assert server.value("SELECT count(*) FROM typed") == 1
    assert server.metrics()['arrowport_schema_mismatches_total{stream="typed"}'] == 3


def test_values_that_fit_are_cast(server):
    server.run_sql("CREATE TABLE casts (a TINYINT, b DECIMAL(9,2), c DATE, d VARCHAR, e INTEGER DEFAULT 7)")
    reply = server.ingest("casts", pa.table({
        "D": ["x"], "a": pa.array([100], pa.int64()), "b": pa.array([1], pa.int32()),
        "c": pa.array([86_400_000], pa.timestamp("ms"))}))
    assert reply.status == 200, reply.body
    row = server.rows("SELECT a, b::VARCHAR, c::VARCHAR, d, e FROM casts")
    assert row == [(100, "1.00", "1970-01-02", "x", 7)]


def test_constraint_violation(server):
    server.run_sql("CREATE TABLE guarded (id BIGINT PRIMARY KEY, n INTEGER CHECK (n > 0))")
    assert server.ingest("guarded", pa.table({"id": [1], "n": [1]})).status == 200
    for bad in ({"id": [1], "n": [1]}, {"id": [2], "n": [-1]}, {"id": [3, 3], "n": [1, 1]}):
        reply = server.ingest("guarded", pa.table(bad))
        assert reply.status in (400, 409), reply.body
        check(reply, reply.status, "CONSTRAINT_VIOLATION")
    assert server.value("SELECT count(*) FROM guarded") == 1


def test_unsupported_types_are_named(server):
    union = pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()),
                                     [pa.array([1]), pa.array(["a"])])
    reply = server.ingest("odd_union", pa.table({"fine": [1, 2], "the_union": union}))
    assert reply.status in (200, 400), reply.body
    if reply.status == 400:
        body = check(reply, 400, "UNSUPPORTED_TYPE")
        assert "the_union" in body["message"]


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/no/such/route", 404), ("POST", "/no_such_route", 404), ("GET", "/", None),
    ("GET", "/ingest/x", 405), ("DELETE", "/query", 405), ("PUT", "/ingest/x", 405), ("POST", "/metrics", 405),
    ("GET", "/stream/x", 405),
])
def test_routes_and_methods(server, method, path, status):
    reply = server.request(method, path)
    if status is not None:
        check(reply, status, "NOT_FOUND" if status == 404 else "METHOD_NOT_ALLOWED")
    if status == 405:
        assert reply.headers.get("allow")


def test_head_and_options_do_no_harm(server):
    assert server.request("HEAD", "/health/live").status in (200, 405)
    assert server.request("OPTIONS", "/query").status in (200, 204, 405)
    assert server.get("/health/live").status == 200


def test_backends_not_built_yet(server):
    for backend in ("delta", "ducklake"):
        reply = server.ingest("later", STREAM, parameters={"backend": backend})
        assert reply.status in (200, 501), reply.body
        if reply.status == 501:
            check(reply, 501, "NOT_BUILT")
    assert table_missing(server, "later")


@pytest.mark.parametrize("head, statuses", [
    ("POST /ingest/x HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n", {400}),
    ("POST /ingest/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", {400}),
    ("POST /ingest/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", {400}),
    ("POST /ingest/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
    ("POST /ingest/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", {400, 413}),
    ("GET / HTTP/1.1\r\nHost: x\r\nX: " + "a" * 200_000 + "\r\n\r\n", {400, 413, 431}),
    ("GET /" + "a" * 200_000 + " HTTP/1.1\r\nHost: x\r\n\r\n", {400, 413, 414, 431}),
    ("NOT A REQUEST\r\n\r\n", {400}),
    ("GET / HTTP/9.9\r\n\r\n", {400, 505}),
    ("\0\1\2\3\4\5\6\7\r\n\r\n", {400}),
], ids=range(10))
def test_malformed_requests(server, head, statuses):
    with RawConnection(server.http_port, timeout=15) as raw:
        try:
            raw.send(head)
            status = raw.reply().status
        except (ConnectionError, OSError, ValueError):
            status = None  # closing without a word is an answer too
        except Exception as error:
            assert type(error).__name__ in ("RemoteDisconnected", "BadStatusLine"), error
            status = None
    assert status is None or status in statuses
    assert server.get("/health/live").status == 200


def test_chunked_and_length_together_are_not_smuggled(server):
    body = ipc_stream(pa.table({"id": [1]}))
    with RawConnection(server.http_port) as raw:
        raw.send(f"POST /ingest/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                 f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        assert raw.reply().status in (200, 400)
        # Whatever it answered, the connection must not hold a second request of our bytes.
        raw.socket.settimeout(0.3)
        try:
            assert raw.socket.recv(1000) == b""
        except (TimeoutError, ConnectionError):
            pass


def test_limits(make_server):
    server = make_server("--set", "limits.body_bytes_max=1MiB", "--set", "limits.message_bytes_max=512KiB",
                         "--set", "limits.columns_max=20", "--set", "limits.nesting_max=5")
    big = ipc_stream(bench_table(100_000), chunk_rows=5_000)
    check(server.ingest("big", big), 413, "TOO_LARGE")
    check(server.post("/ingest/big", chunked([big[i:i + 65536] for i in range(0, len(big), 65536)]), STREAM_TYPE),
          413, "TOO_LARGE")
    check(server.ingest("big", bench_table(20_000)), 413, "TOO_LARGE")
    wide = pa.table({f"c{i}": [i] for i in range(21)})
    check(server.ingest("wide", wide), 413, "TOO_LARGE")
    nested = pa.array([1])
    for _ in range(7):
        nested = pa.ListArray.from_arrays([0, 1], nested)
    check(server.ingest("nested", pa.table({"n": nested})), 413, "TOO_LARGE")
    assert server.ingest("fits", bench_table(10_000)).status == 200
    for name in ("big", "wide", "nested"):
        assert table_missing(server, name)


def test_skip_and_quarantine(make_server):
    server = make_server()
    server.ingest("drifting", pa.table({"a": [1]}))
    other = pa.table({"a": ["x"]})
    skipped = server.ingest("drifting", other, parameters={"on_mismatch": "skip"})
    assert (skipped.status, skipped.json["rows_processed"]) == (200, 0)
    assert skipped.json["warning"]
    aside = server.ingest("drifting", other, key="q", parameters={"on_mismatch": "quarantine"})
    if aside.status == 501:
        check(aside, 501, "NOT_BUILT")
    else:
        assert (aside.status, aside.json["status"], aside.json["rows_processed"]) == (202, "quarantined", 0)
        assert server.get("/quarantine").body.count(b"drifting") >= 1
    assert server.value("SELECT count(*) FROM drifting") == 1


def test_errors_are_json_for_every_refusal_of_a_head(server):
    for path in ("/query", "/ingest/x"):
        reply = server.request("PATCH", path)
        assert json.loads(reply.body)["code"] == "METHOD_NOT_ALLOWED"
