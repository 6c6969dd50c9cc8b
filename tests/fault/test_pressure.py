"""Many, slow and greedy clients; memory (cases 11, 20, 22, 23 and the memory bars)."""

import asyncio
import json
import threading
import time

import pyarrow as pa
import pytest

from arrowport_testing import (HTTP2_PREFACE, STREAM_TYPE, RawConnection, bench_batch, bench_table, command, flight_code,
                               in_parallel, ipc_stream, percentile, poll_until, put)

MIB = 1 << 20
UPLOAD_ROWS = 20_000_000
UPLOAD_LIMITS = ["--set", "duckdb.memory_limit=128MiB"]


def stream_parts(rows, chunk_rows=122_880):
    """An Arrow stream of `rows` rows in parts, never whole in this process."""
    body = ipc_stream(bench_table(chunk_rows))
    schema_end = body.index(b"\xff\xff\xff\xff", 4)
    batch = body[schema_end:-8]
    yield body[:schema_end]
    for _ in range(rows // chunk_rows):
        yield batch
    rest = rows % chunk_rows
    if rest:
        tail = ipc_stream(bench_table(rest))
        yield tail[schema_end:-8]
    yield body[-8:]


@pytest.mark.parametrize("protocol", ["http", "flight"])
def test_a_long_upload_stays_in_its_budget(make_server, protocol):
    server = make_server(*UPLOAD_LIMITS)
    server.ingest("warm", bench_table(1_000))
    idle = server.rss_bytes()
    server.reset_peak()
    if protocol == "http":
        reply = server.post("/ingest/long", stream_parts(UPLOAD_ROWS), STREAM_TYPE, timeout=240)
        assert reply.status == 200, reply.body
        rows = reply.json["rows_processed"]
    else:
        batch = bench_batch(100_000)
        with server.flight() as client:
            rows = put(client, "long", [batch] * (UPLOAD_ROWS // 100_000))[-1]["rows_processed"]
    peak = server.peak_rss_bytes()
    print(f"{protocol}: idle {idle / MIB:.0f} MiB, peak {peak / MIB:.0f} MiB")
    assert rows == UPLOAD_ROWS
    assert server.value("SELECT count(*) FROM long") == UPLOAD_ROWS
    assert peak - idle < 300 * MIB


def test_a_slow_reader_of_a_large_result_costs_little(make_server):
    server = make_server()
    idle = server.rss_bytes()
    server.reset_peak()
    sql = "SELECT x, x * 2 AS y, x::VARCHAR AS z FROM range(50000000) t(x)"
    with RawConnection(server.http_port) as raw:
        raw.send(f"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: {len(sql)}\r\n\r\n{sql}")
        received = sum(len(raw.socket.recv(65_536)) for _ in range(50))
        threading.Event().wait(1)
        assert received > 0
        assert server.peak_rss_bytes() - idle < 150 * MIB
        assert server.value("SELECT 1") == 1
    assert server.post("/admin/checkpoint").status == 200


def test_thousand_idle_connections(make_server):
    """Case 22: half of them HTTP/1.1, half HTTP/2."""
    server = make_server()
    server.ingest("beside", bench_table(100))
    before, threads = server.rss_bytes(), server.thread_count()
    idle = []
    try:
        for number in range(1_000):
            raw = RawConnection(server.http_port if number % 2 else server.flight_port)
            raw.send(HTTP2_PREFACE if number % 2 else "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            idle.append(raw)
        for raw in idle:
            assert raw.socket.recv(1_000)
        grown = server.rss_bytes() - before
        print(f"{grown / 1000 / 1024:.1f} KiB a connection")
        assert grown < 100 * MIB
        assert server.thread_count() <= threads + 4
        assert server.ingest("beside", bench_table(100)).status == 200
        with server.flight() as client:
            put(client, "beside", bench_table(100))
        active = {k: v for k, v in server.metrics().items() if k.startswith("arrowport_active_connections")}
        assert sum(active.values()) >= 1_000
    finally:
        for raw in idle:
            raw.close()


def test_idle_connections_are_closed(make_server):
    server = make_server("--set", "limits.idle_timeout=1s")
    with RawConnection(server.http_port) as http, RawConnection(server.flight_port) as http2:
        http.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        http2.send(HTTP2_PREFACE)
        assert http.closed_within(8) and http2.closed_within(8)


def test_connection_limit(make_server):
    server = make_server("--set", "limits.connections_max=50")
    held = []
    try:
        for _ in range(50):
            raw = RawConnection(server.http_port)
            raw.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.socket.recv(1_000)
            held.append(raw)
        with RawConnection(server.http_port) as raw:
            raw.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                assert raw.reply().status in (429, 503)
            except (ConnectionError, OSError):
                pass
            except Exception as error:
                assert type(error).__module__ == "http.client", error
        held.pop().close()
        poll_until(lambda: answers(server), 5, "a place after one left")
    finally:
        for raw in held:
            raw.close()


def answers(server):
    try:
        return server.get("/health/live", timeout=2).status == 200
    except Exception:
        return False


# Case 20: slowloris.


def test_slow_heads_and_bodies(make_server):
    """Slow ones are cut off by the header time and by the least body rate; others notice nothing."""
    server = make_server("--set", "limits.header_timeout=1s")
    body = ipc_stream(bench_table(1_000))
    quiet = latencies(server, body, 100)
    slow = []
    for number in range(100):
        raw = RawConnection(server.http_port, timeout=60)
        if number % 2:
            raw.send("POST /ingest/slow HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        else:
            raw.send(f"POST /ingest/slow HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n")
            raw.send(body[:100])
        slow.append(raw)
    beside = latencies(server, body, 100)
    heads_closed = [raw.closed_within(5) for raw in slow[1::2]]
    assert all(heads_closed)
    assert slow[0].closed_within(45), "a body that stopped still holds its connection after 45 s"
    assert all(raw.closed_within(10) for raw in slow[2::2])
    for raw in slow:
        raw.close()
    assert percentile(beside, 99) < max(5 * percentile(quiet, 99), 0.1)
    assert server.query("SELECT * FROM slow").status == 404


def latencies(server, body, count):
    connection = server.connect()
    seconds = []
    for _ in range(count):
        started = time.monotonic()
        assert server.ingest("quick", body, connection=connection).status == 200
        seconds.append(time.monotonic() - started)
    connection.close()
    return seconds


# Case 23: many small calls, admission.


async def small_calls(port, connections, each, request):
    """Statuses of `connections` x `each` requests, all connections at once."""
    statuses = {}

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(each):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split()[1])
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                          if line.lower().startswith(b"content-length"))
            await reader.readexactly(length)
            statuses[status] = statuses.get(status, 0) + 1
            if status == 429 or status == 503:
                assert b"retry-after" in head.lower()
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return statuses


def test_ten_thousand_small_calls(make_server):
    server = make_server()
    server.ingest("small", pa.table({"x": [0]}))
    threads = server.thread_count()
    body = ipc_stream(pa.table({"x": [1]}))
    request = f"POST /ingest/small HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    peak_threads = []
    done = threading.Event()
    watcher = threading.Thread(target=lambda: [peak_threads.append(server.thread_count())
                                               for _ in iter(lambda: done.wait(0.05), True)])
    watcher.start()
    statuses = asyncio.run(small_calls(server.http_port, 500, 20, request))
    done.set()
    watcher.join()
    print(statuses, f"threads {threads} to {max(peak_threads)}")
    assert sum(statuses.values()) == 10_000 and set(statuses) <= {200, 429, 503}
    assert server.value("SELECT count(*) FROM small") == 1 + statuses[200]
    assert max(peak_threads) <= threads + 16


def test_admission_refuses_with_a_hint(make_server):
    server = make_server("--set", "limits.requests_in_flight_max=4", "--set", "limits.queue_wait=100ms",
                         faults="sink.commit.before=sleep:500")
    body = ipc_stream(pa.table({"x": [1]}))
    replies = in_parallel([lambda: server.ingest("queued", body)] * 40)
    accepted = [r for r in replies if r.status == 200]
    refused = [r for r in replies if r.status != 200]
    assert accepted and refused
    for reply in refused:
        assert reply.status in (429, 503) and reply.code == "OVERLOADED" and reply.json["retriable"] is True
        assert int(reply.headers["retry-after"]) >= 1

    def flight_put():
        with server.flight() as client:
            return put(client, "queued", pa.table({"x": [1]}))

    outcomes = in_parallel([flight_put] * 40)
    failures = [o for o in outcomes if isinstance(o, BaseException)]
    assert failures and len(failures) < 40
    for failure in failures:
        assert "OVERLOADED" in str(failure) or flight_code(failure) in ("RESOURCE_EXHAUSTED", "ArrowException",
                                                                        "FlightServerError"), failure
    assert server.value("SELECT count(*) FROM queued") == len(accepted) + 40 - len(failures)
    rejected = {k: v for k, v in server.metrics().items() if k.startswith("arrowport_admission_rejected_total")}
    assert sum(rejected.values()) >= len(refused) + len(failures)


def test_memory_budget_makes_uploads_wait_not_fail(make_server):
    server = make_server("--set", "limits.ingest_memory_max=32MiB", "--set", "limits.request_memory_max=8MiB",
                         "--set", "limits.queue_wait=30s")
    body = ipc_stream(bench_table(400_000), chunk_rows=50_000)
    idle = server.rss_bytes()
    server.reset_peak()
    replies = in_parallel([lambda: server.ingest("budgeted", body)] * 12)
    assert [reply.status for reply in replies] == [200] * 12
    assert server.value("SELECT count(*) FROM budgeted") == 12 * 400_000
    print(f"peak +{(server.peak_rss_bytes() - idle) / MIB:.0f} MiB")


def test_engine_memory_limit_fails_the_query_not_the_server(make_server):
    """Case 11."""
    server = make_server("--set", "duckdb.memory_limit=64MiB", "--set", "duckdb.threads=1")
    server.run_sql("SET max_temp_directory_size='1MiB'")
    reply = server.query("SELECT x, list(y) FROM (SELECT x % 7 AS x, repeat('z', 100) || x AS y "
                         "FROM range(20000000) t(x)) GROUP BY x")
    assert reply.status in (400, 413, 503), reply.body
    assert server.value("SELECT 1") == 1
    assert server.ingest("after", bench_table(1_000)).status == 200


def test_many_long_streams_hold_no_threads(make_server):
    server = make_server()
    batch = bench_batch(10)
    put(server.flight(), "long_lived", [batch])
    threads = server.thread_count()
    client = server.flight()
    streams = []
    for _ in range(200):
        writer, reader = client.do_put(command("long_lived", commit="batch"), batch.schema)
        writer.write_batch(batch)
        streams.append((writer, reader))
    for writer, reader in streams:
        offset = -1
        while offset < 0:
            offset = json.loads(reader.read().to_pybytes())["ack_up_to_offset"]
    assert server.thread_count() <= threads + 4
    for writer, _ in streams:
        writer.close()
    assert server.value("SELECT count(*) FROM long_lived") == 2_010
