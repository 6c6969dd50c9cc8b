"""Reading over HTTP: formats, parameters, codecs, failures before and after the first byte."""

import csv
import io
import json
import subprocess
import urllib.parse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arrowport_testing import PARQUET_TYPE, STREAM_TYPE, RawConnection, bench_table


@pytest.fixture(scope="module")
def filled(server):
    server.ingest("numbers", bench_table(150_000))
    server.ingest("words", pa.table({"w": ["plain", 'quo"te', "com,ma", "new\nline", None, "ünï"],
                                     "n": [1, 2, 3, None, 5, 6]}))
    return server


WORDS = "SELECT w, n FROM words ORDER BY n NULLS LAST"
EXPECTED = [("plain", 1), ('quo"te', 2), ("com,ma", 3), (None, 5), ("ünï", 6), ("new\nline", None)]


def test_arrow_is_the_default(filled):
    for accept in (None, "*/*", STREAM_TYPE, f"{STREAM_TYPE};q=0.9, */*;q=0.1"):
        reply = filled.post("/query", WORDS.encode(), "text/plain", {"Accept": accept} if accept else {})
        assert reply.status == 200, reply.body
        assert reply.headers["content-type"].startswith(STREAM_TYPE)
        assert [tuple(r.values()) for r in reply.table.to_pylist()] == EXPECTED


def test_curl_reads(filled):
    url = f"{filled.url}/query?" + urllib.parse.urlencode({"sql": "SELECT count(*) AS n FROM numbers"})
    done = subprocess.run(["curl", "-sS", "--fail", url], capture_output=True, timeout=30)
    assert pa.ipc.open_stream(done.stdout).read_all().to_pylist() == [{"n": 150_000}]
    done = subprocess.run(["curl", "-sS", "--fail", f"{filled.url}/query", "-d", "SELECT 1 AS x",
                           "-H", "Accept: text/csv"], capture_output=True, timeout=30)
    assert done.stdout.decode().split() == ["x", "1"]


def test_csv(filled):
    reply = filled.query(WORDS, "text/csv")
    assert reply.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(reply.body.decode(), newline="")))
    assert rows[0] == ["w", "n"]
    assert [tuple(row) for row in rows[1:]] == [
        (w or "", "" if n is None else str(n)) for w, n in EXPECTED]


def test_json(filled):
    reply = filled.query(WORDS, "application/json")
    assert reply.headers["content-type"].startswith("application/json")
    document = reply.json
    rows = document if isinstance(document, list) else document.get("rows", document.get("data"))
    assert rows == [{"w": w, "n": n} for w, n in EXPECTED]


def test_ndjson(filled):
    reply = filled.query(WORDS, "application/x-ndjson")
    assert "ndjson" in reply.headers["content-type"]
    assert [json.loads(line) for line in reply.body.decode().splitlines()] == \
        [{"w": w, "n": n} for w, n in EXPECTED]


def test_parquet(filled):
    reply = filled.query("SELECT * FROM numbers ORDER BY id", PARQUET_TYPE)
    assert reply.headers["content-type"].startswith(PARQUET_TYPE)
    assert pq.read_table(io.BytesIO(reply.body)).combine_chunks().equals(bench_table(150_000))


def test_unacceptable_format(filled):
    reply = filled.query(WORDS, "image/png")
    assert reply.status in (406, 415), reply.body
    assert reply.json["status"] == "error"


@pytest.mark.parametrize("codec", ["zstd", "lz4", "none"])
def test_ipc_codecs(filled, codec):
    reply = filled.post(f"/query?codec={codec}", b"SELECT * FROM numbers ORDER BY id", "text/plain")
    assert reply.table.combine_chunks().equals(bench_table(150_000))
    plain = filled.post("/query?codec=none", b"SELECT * FROM numbers ORDER BY id", "text/plain")
    assert codec == "none" or len(reply.body) < 0.9 * len(plain.body)


def test_bad_codec(filled):
    assert filled.post("/query?codec=rar", b"SELECT 1", "text/plain").status in (400, 422)


def test_json_request_with_parameters(filled):
    body = {"sql": "SELECT ? + 1 AS a, ? || '!' AS b, ? AS c, ? AS d, ? AS e",
            "params": [41, "x'; DROP TABLE numbers; --", None, True, 2.5]}
    reply = filled.post("/query", json.dumps(body).encode(), "application/json", {"Accept": "application/x-ndjson"})
    assert reply.status == 200, reply.body
    assert reply.json == {"a": 42, "b": "x'; DROP TABLE numbers; --!", "c": None, "d": True, "e": 2.5}


def test_parameter_count_mismatch(filled):
    body = {"sql": "SELECT ? + ?", "params": [1]}
    assert filled.post("/query", json.dumps(body).encode(), "application/json").status == 400


def test_get_and_post_agree(filled):
    sql = "SELECT sum(id)::BIGINT AS s FROM numbers"
    by_get = filled.get("/query?" + urllib.parse.urlencode({"sql": sql}))
    assert by_get.table == filled.query(sql).table


def test_statements(filled):
    assert filled.query("CREATE TABLE made (x INT)").status == 200
    assert filled.query("INSERT INTO made VALUES (1), (2)").table.to_pydict()["Count"] == [2]
    assert filled.value("SELECT count(*) FROM made") == 2


@pytest.mark.parametrize("sql, status, code", [
    ("SELEC 1", 400, "BAD_QUERY"),
    ("SELECT no_such_function()", 400, "BAD_QUERY"),
    ("SELECT 'x'::INTEGER", 400, "BAD_QUERY"),
    ("SELECT * FROM no_such_table", 404, "TABLE_NOT_FOUND"),
    ("SELECT no_such_column FROM numbers", (400, 404), "COLUMN_NOT_FOUND"),
    ("", 400, None),
    (" ; ", 400, None),
])
def test_failures(filled, sql, status, code):
    reply = filled.query(sql)
    assert reply.status in (status if isinstance(status, tuple) else (status,)), reply.body
    assert reply.json["status"] == "error" and reply.json["retriable"] is False
    assert code in (None, reply.code)
    assert reply.json["message"]


def test_a_failure_after_the_first_byte_is_cut_never_ended_cleanly(filled):
    sql = "SELECT CASE WHEN x < 3000000 THEN x ELSE error('late failure') END AS x FROM range(4000000) t(x)"
    for accept in ("text/csv", "application/x-ndjson", STREAM_TYPE):
        with RawConnection(filled.http_port) as raw:
            raw.send(f"POST /query HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n"
                     f"Content-Length: {len(sql)}\r\n\r\n{sql}")
            received = bytearray()
            while piece := raw.socket.recv(1 << 20):
                received += piece
        assert received.startswith(b"HTTP/1.1 200"), bytes(received[:200])
        assert len(received) > 1_000_000
        assert not received.endswith(b"0\r\n\r\n")


def test_large_results_stream(filled):
    reply = filled.query("SELECT x, x * 2 AS y FROM range(3000000) t(x)")
    assert reply.table.num_rows == 3_000_000
    assert reply.headers.get("transfer-encoding") == "chunked"


def test_tables_and_their_schemas(filled):
    text = filled.get("/tables").body.decode()
    assert "numbers" in text and "words" in text and "_arrowport" not in text
    schema = filled.get("/tables/numbers/schema")
    assert schema.status == 200
    for name in bench_table(1).schema.names:
        assert name in schema.body.decode()
    missing = filled.get("/tables/no_such_table/schema")
    assert (missing.status, missing.code) == (404, "TABLE_NOT_FOUND")


def test_streams(filled):
    body = filled.get("/streams").json
    listed = body if isinstance(body, list) else body["streams"]
    numbers = {entry.get("name", entry.get("stream")): entry for entry in listed}["numbers"]
    assert numbers["rows"] == 150_000 and numbers["bytes"] > 0 and numbers["storage_backend"] == "duckdb"
    assert filled.get("/streams/numbers").json["rows"] == 150_000
    assert filled.get("/streams/no_such_stream").status == 404


def test_read_your_writes_token(filled):
    version = filled.ingest("tokened", bench_table(10)).json["version"]
    reply = filled.post("/query", b"SELECT count(*) AS n FROM tokened", "text/plain",
                        {"Arrowport-Read-After": version})
    assert reply.table.to_pylist() == [{"n": 10}]


def test_a_client_that_goes_away_stops_its_query(filled):
    sql = "SELECT a.id, b.id FROM numbers a, numbers b"
    with RawConnection(filled.http_port) as raw:
        raw.send(f"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: {len(sql)}\r\n\r\n{sql}")
        assert raw.socket.recv(1000)
    assert filled.value("SELECT 1") == 1
    assert filled.get("/health/ready").status == 200
