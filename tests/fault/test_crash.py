"""Deaths of the server or of its client at awkward moments (cases 1, 3, 4, 6, 12, 15, 36, 37)."""

import os
import signal
import subprocess
import sys
import threading
import time

import pyarrow as pa
import pytest

from arrowport_testing import (SOURCE_DIR, STREAM_TYPE, Ledger, RawConnection, bench_batch, bench_table, command,
                               ipc_stream, offline_copy, poll_until, put, read_ack)


def files_of(server):
    return {str(p.relative_to(server.folder)) for p in server.folder.rglob("*") if p.is_file()}


def started_upload(server, stream, rows=400_000, fraction=0.6):
    """An HTTP upload of which a part has arrived; the raw connection."""
    body = ipc_stream(bench_table(rows), chunk_rows=20_000)
    raw = RawConnection(server.http_port)
    raw.send(f"POST /ingest/{stream} HTTP/1.1\r\nHost: x\r\nContent-Type: {STREAM_TYPE}\r\n"
             f"Content-Length: {len(body)}\r\n\r\n")
    raw.send(body[:int(len(body) * fraction)])
    return raw


@pytest.mark.parametrize("protocol", ["http", "flight"])
def test_server_dies_while_the_body_arrives(make_server, protocol):
    """Case 1."""
    server = make_server()
    server.ingest("arriving", bench_table(10))
    if protocol == "http":
        raw = started_upload(server, "arriving")
    else:
        raw = server.flight()
        writer, _ = raw.do_put(command("arriving"), bench_batch(1).schema)
        for number in range(20):
            writer.write_batch(bench_batch(20_000, first=number * 20_000))
    server.kill9()
    raw.close()
    server.start()
    assert server.value("SELECT count(*) FROM arriving") == 10
    assert server.stop() == 0
    assert not [name for name in files_of(server) if "tmp" in name.lower()]
    assert not server.wal_path.exists()


@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.98])
def test_http_client_goes_away(make_server, fraction):
    """A body shorter than its Content-Length is no upload, however much of it came."""
    server = make_server()
    server.ingest("cut_off", bench_table(10))
    started_upload(server, "cut_off", fraction=fraction).close()
    poll_until(lambda: server.ingest("cut_off", bench_table(1)).status == 200)
    assert server.value("SELECT count(*) FROM cut_off") == 11
    assert server.stop() == 0
    with offline_copy(server.db) as connection:
        assert connection.execute('SELECT count(*) FROM cut_off').fetchone() == (11,)


DYING_CLIENT = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import pyarrow.flight as flight
from arrowport_testing import bench_batch, command
client = flight.FlightClient(sys.argv[2])
writer, reader = client.do_put(command(sys.argv[3], commit=sys.argv[4]), bench_batch(1).schema)
reader.read()
for number in range(30):
    writer.write_batch(bench_batch(5_000, first=number * 5_000))
    if sys.argv[4] == "batch":
        reader.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("commit", ["stream", "batch"])
def test_flight_client_is_killed_in_the_middle(make_server, commit):
    """Case 15: a killed client looks like a clean end of stream to a careless server."""
    server = make_server()
    server.ingest("victim", bench_table(10))
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", DYING_CLIENT, str(SOURCE_DIR / "tests/e2e"), server.grpc,
                               "victim", commit], timeout=60)
        assert done.returncode == -signal.SIGKILL
    with server.flight() as client:
        list(client.do_action("flush"))
    rows = server.value("SELECT count(*) FROM victim")
    if commit == "stream":
        assert rows == 10
    else:
        # Each message is durable on its own: whole messages only, at least those acknowledged.
        assert (rows - 10) % 5_000 == 0 and rows - 10 >= 5 * 29 * 5_000 // 2
    assert server.stop() == 0
    with offline_copy(server.db) as connection:
        final = connection.execute("SELECT count(*) FROM victim").fetchone()[0]
    assert (final - 10) % 5_000 == 0 and (commit == "batch" or final == 10)


def test_died_after_commit_before_the_reply(make_server):
    """Case 3, on both protocols: the retry says "already applied"."""
    server = make_server()
    server.ingest("replied", bench_table(1))
    for key, protocol in (("h", "http"), ("f", "flight")):
        server.restart(faults="sink.commit.after=kill@1")
        with pytest.raises(Exception):
            if protocol == "http":
                server.ingest("replied", bench_table(500), key=key)
            else:
                put(server.flight(), command("replied", idempotency_key=key), bench_table(500))
        server.restart()
        assert server.ingest("replied", bench_table(500), key=key).json["idempotent_replay"] is True
    assert server.value("SELECT count(*) FROM replied") == 1_001


@pytest.mark.parametrize("delay_ms", [0, 2, 5, 15, 40])
def test_killed_during_a_checkpoint(make_server, delay_ms):
    """Case 4: at any moment of it, every acknowledged row is there once."""
    ledger = Ledger()
    server = make_server()
    for number in range(10):
        key = f"key-{number}"
        assert server.ingest("checked", ledger.send(key, 100_000), key=key).status == 200
        ledger.acknowledge(key)
    wal = server.wal_path.stat().st_size
    thread = threading.Thread(target=lambda: quietly(server, "/admin/checkpoint"))
    thread.start()
    threading.Event().wait(delay_ms / 1000)
    server.kill9()
    thread.join()
    assert wal > 1_000_000
    assert ledger.verify(server.db, "checked") == 10
    server.start()
    assert server.value("SELECT count(*) FROM checked") == 1_000_000


def quietly(server, path):
    try:
        server.post(path)
    except Exception:
        pass  # the server was killed meanwhile


@pytest.mark.parametrize("cut", [1, 7, 1_000, 20_000])
def test_truncated_log(make_server, cut):
    """Case 6: it starts, says what was cut, and serves whole transactions only."""
    ledger = Ledger()
    server = make_server()
    for number in range(20):
        key = f"key-{number:02d}"
        assert server.ingest("torn", ledger.send(key, 1_000), key=key).status == 200
    server.kill9()
    size = server.wal_path.stat().st_size
    assert size > 100_000
    os.truncate(server.wal_path, size - cut)
    before = server.log()
    server.start()
    rows = server.value("SELECT count(*) FROM torn")
    assert rows % 1_000 == 0 and 17_000 <= rows < 20_000
    said = server.log()[len(before):].lower()
    assert "wal" in said or "log" in said and "cut" in said
    # The lost key is applied again, the kept ones are not.
    for number in range(20):
        key = f"key-{number:02d}"
        assert server.ingest("torn", ledger.batch(key, 1_000), key=key).status == 200
        ledger.acknowledge(key)
    assert server.value("SELECT count(*) FROM torn") == 20_000
    assert server.stop() == 0
    assert ledger.verify(server.db, "torn") == 20


def test_log_larger_than_memory_at_start(make_server):
    """Case 12: the log that may pile up by the settings can be replayed in little memory."""
    server = make_server("--set", "duckdb.checkpoint_wal_bytes=400MiB", "--set", "duckdb.wal_bytes_max=400MiB")
    body = ipc_stream(bench_table(100_000))
    while server.wal_path.stat().st_size < 200 << 20 if server.wal_path.exists() else True:
        assert server.ingest("piled", body).status == 200
    rows = server.value("SELECT count(*) FROM piled")
    server.kill9()
    server.arguments += ["--set", "duckdb.memory_limit=128MiB"]
    server.start()
    assert server.value("SELECT count(*) FROM piled") == rows


def test_log_stays_under_its_cap(make_server):
    """The hard cap holds writers back while a checkpoint runs; nobody fails for it."""
    cap = 16 << 20
    server = make_server("--set", "duckdb.checkpoint_wal_bytes=4MiB", "--set", f"duckdb.wal_bytes_max={cap}")
    body = ipc_stream(bench_table(50_000))
    largest = 0
    for _ in range(60):
        reply = server.ingest("capped", body)
        assert reply.status == 200, reply.body
        if server.wal_path.exists():
            largest = max(largest, server.wal_path.stat().st_size)
    assert largest < 2 * cap
    assert server.value("SELECT count(*) FROM capped") == 3_000_000


# Shutdown under load (case 36, without reload).


def writers_under_load(server, ledger, stop, refusals):
    def run(name):
        number = 0
        while not stop.is_set():
            key = f"{name}-{number}"
            number += 1
            batch = ledger.send(key, 500)
            try:
                if name.startswith("h"):
                    reply = server.ingest("drained", batch, key=key)
                    if reply.status == 200:
                        ledger.acknowledge(key)
                    else:
                        refusals.append(reply.status)
                        assert reply.status == 503, reply.body
                else:
                    with server.flight() as client:
                        put(client, command("drained", idempotency_key=key), [batch])
                    ledger.acknowledge(key)
            except (OSError, pa.ArrowException, EOFError) as error:
                assert not isinstance(error, pa.ArrowInvalid), error
                return
            except Exception as error:
                assert type(error).__module__ == "http.client", error
                return

    threads = [threading.Thread(target=run, args=(f"{kind}{i}",)) for kind in "hf" for i in range(4)]
    for thread in threads:
        thread.start()
    return threads


def test_sigterm_under_load(make_server):
    server = make_server()
    ledger, stop, refusals = Ledger(), threading.Event(), []
    threads = writers_under_load(server, ledger, stop, refusals)
    poll_until(lambda: len(ledger.acknowledged) > 200)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert not server.wal_path.exists()
    assert ledger.verify(server.db, "drained") >= len(ledger.acknowledged)


def test_sigterm_rolls_back_what_does_not_finish(make_server):
    server = make_server("--set", "shutdown.grace_seconds=1")
    server.ingest("unfinished", bench_table(10))
    raw = started_upload(server, "unfinished")
    with server.flight() as client:
        writer, reader = client.do_put(command("unfinished"), bench_batch(1).schema)
        read_ack(reader)
        writer.write_batch(bench_batch(1_000))
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert time.monotonic() - started < 6
    raw.close()
    with offline_copy(server.db) as connection:
        assert connection.execute("SELECT count(*) FROM unfinished").fetchone() == (10,)


def test_second_sigterm_ends_at_once(make_server):
    server = make_server()
    server.ingest("impatient", bench_table(10))
    raw = started_upload(server, "impatient")
    server.signal(signal.SIGTERM)
    threading.Event().wait(0.2)
    started = time.monotonic()
    server.signal(signal.SIGTERM)
    server.wait(5)
    assert time.monotonic() - started < 2
    raw.close()
    server.start()
    assert server.value("SELECT count(*) FROM impatient") == 10


def test_in_flight_upload_finishes_within_the_grace(make_server):
    server = make_server()
    body = ipc_stream(bench_table(1_000))
    raw = RawConnection(server.http_port)
    raw.send(f"POST /ingest/graceful HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:5_000])
    poll_until(lambda: server.get("/health/live").status == 200)
    server.signal(signal.SIGTERM)
    threading.Event().wait(0.3)
    raw.send(body[5_000:])
    assert raw.reply().status == 200
    raw.close()
    assert server.wait() == 0
    with offline_copy(server.db) as connection:
        assert connection.execute("SELECT count(*) FROM graceful").fetchone() == (1_000,)


@pytest.mark.parametrize("point", ["sink.checkpoint.before=error", "sink.checkpoint.after=error",
                                   "sink.checkpoint.before=nospace"])
def test_a_failing_checkpoint_fails_no_request(make_server, point):
    """Case 37: the commit is durable, so the answer is success."""
    ledger = Ledger()
    server = make_server("--set", "duckdb.checkpoint_wal_bytes=64KiB", faults=point)
    for number in range(30):
        key = f"key-{number}"
        reply = server.ingest("solid", ledger.send(key, 2_000), key=key)
        assert reply.status == 200, reply.body
        ledger.acknowledge(key)
    assert server.value("SELECT count(*) FROM solid") == 60_000
    server.kill9()
    assert ledger.verify(server.db, "solid") == 30


@pytest.mark.parametrize("action", ["error", "nospace"])
def test_an_error_before_commit_is_reported_and_leaves_nothing(make_server, action):
    server = make_server()
    server.ingest("sound", bench_table(10))
    for point in ("sink.insert.before", "sink.insert.after", "sink.commit.before"):
        server.restart(faults=f"{point}={action}@1")
        failed = server.ingest("sound", bench_table(100), key=point)
        assert failed.status == (507 if action == "nospace" else 500), failed.body
        assert failed.json["retriable"] is (action == "nospace")
        again = server.ingest("sound", bench_table(100), key=point)
        assert (again.status, again.json["idempotent_replay"]) == (200, False)
    assert server.value("SELECT count(*) FROM sound") == 310
