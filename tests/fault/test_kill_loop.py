"""kill -9 at random moments and at named points, under retrying writers of both protocols.

Writers keep a ledger of what they sent and what was acknowledged. After each round an
independent reader (the Python `duckdb` on a copy of the dead server's files) checks it: every
acknowledged key exactly once with its rows and checksum, no other key torn.

ARROWPORT_KILL_ROUNDS (default 20) and ARROWPORT_KILL_SEED set length and seed.
"""

import contextlib
import os
import random
import subprocess
import threading

import pytest

from arrowport_testing import Ledger, Server, poll_until
from ledger_writers import TABLE, FlightBatchWriter, FlightWriter, HttpWriter, Writer

ROUNDS = int(os.environ.get("ARROWPORT_KILL_ROUNDS", "20"))
DELTA_ROUNDS = int(os.environ.get("ARROWPORT_KILL_ROUNDS", "10"))
SEED = int(os.environ.get("ARROWPORT_KILL_SEED", str(random.randrange(1 << 32))))
POINTS = ["ingest.decoded", "ingest.queued", "ingest.reply.before", "sink.insert.before", "sink.insert.after",
          "sink.commit.before", "sink.commit.after", "sink.checkpoint.before", "sink.checkpoint.after"]
DELTA_POINTS = ["ingest.decoded", "ingest.queued", "ingest.reply.before", "sink.commit.before",
                "sink.commit.after", "delta.commit.after_files", "delta.commit.before_log",
                "delta.commit.after_log", "delta.checkpoint.before_file", "delta.checkpoint.before_hint",
                "store.before_link", "store.after_link"]
RESTART_SECONDS_MAX = 2.0


def kill_once(server, writers, chance, round_number):
    """Lets traffic flow, then the server dies: at a named point if one was armed, else whenever."""
    start = [writer.acknowledged for writer in writers]

    def busy():
        return (not server.alive or
                sum(w.acknowledged for w in writers) - sum(start) >= chance.randint(20, 150))

    poll_until(busy, 30, f"traffic in round {round_number}")
    if server.faults:
        # An armed point that this traffic does not pass is no failure: it dies from outside then.
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(1)
    else:
        threading.Event().wait(chance.uniform(0, 0.05))
    server.kill9()


@pytest.mark.parametrize("backend", ["duckdb", "delta"])
def test_kill_loop(tmp_path, monkeypatch, backend):
    if backend == "delta":
        pytest.importorskip("deltalake")
    rounds = ROUNDS if backend == "duckdb" else DELTA_ROUNDS
    points = POINTS if backend == "duckdb" else DELTA_POINTS
    print(f"seed {SEED}, {rounds} rounds")
    monkeypatch.setattr(Writer, "settings", {"storage_backend": backend})
    storage = tmp_path / ("landing.duckdb" if backend == "duckdb" else "lake")
    chance = random.Random(SEED)
    ledger = Ledger()
    # A small threshold, so that checkpoints fall into the traffic too.
    settings = ["--set", "duckdb.checkpoint_wal_bytes=1MiB", "--delta-path", tmp_path / "lake",
                "--set", "delta_options.commit_interval_ms=0"]
    with Server(tmp_path, *settings) as server:
        writers = [HttpWriter(server, ledger, f"http-{i}", SEED + i) for i in range(3)]
        writers += [FlightWriter(server, ledger, f"flight-{i}", SEED + 10 + i) for i in range(3)]
        writers += [FlightBatchWriter(server, ledger, f"stream-{i}", SEED + 20 + i) for i in range(2)]
        for writer in writers:
            writer.start()
        slowest = 0.0
        try:
            for number in range(rounds):
                kill_once(server, writers, chance, number)
                _, acknowledged = ledger.snapshot()
                if rounds <= 20 or number % 10 == 9:
                    ledger.verify(storage, TABLE, acknowledged)
                server.faults = (f"{chance.choice(points)}=kill@{chance.randint(1, 120)}"
                                 if number % 2 == 0 else None)
                try:
                    server.start()
                except AssertionError:
                    # A point passed while starting killed it: start again without.
                    assert server.faults, server.log()[-2000:]
                    server.process = None
                    server.faults = None
                    server.start()
                slowest = max(slowest, server.start_seconds)
                for writer in writers:
                    assert writer.failure is None, writer.failure
        finally:
            for writer in writers:
                writer.stop.set()
            for writer in writers:
                writer.join(90)
        for writer in writers:
            assert writer.failure is None, writer.failure
            assert writer.acknowledged > 0, writer.name
        if server.faults:
            server.restart()
        assert server.stop() == 0
    keys = ledger.verify(storage, TABLE)
    replays = sum(writer.replays for writer in writers)
    print(f"{keys} keys, {replays} replays, slowest restart {slowest:.2f} s")
    assert slowest < RESTART_SECONDS_MAX
    if rounds >= 20:
        assert replays > 0, "no retry met its own earlier commit: the loop is too gentle to prove anything"


@pytest.mark.parametrize("point", POINTS)
def test_named_point(tmp_path, point):
    """Dies at the point with one request in flight; the retry is applied exactly once."""
    ledger = Ledger()
    settings = ["--set", "duckdb.checkpoint_wal_bytes=64KiB"] if "checkpoint" in point else []
    with Server(tmp_path, *settings, faults=None) as server:
        server.ingest(TABLE, ledger.send("before", 10), key="before")
        ledger.acknowledge("before")
        server.restart(faults=f"{point}=kill@1")
        batch = ledger.send("during", 5_000)
        try:
            reply = server.ingest(TABLE, batch, key="during")
            assert reply.status == 200
            ledger.acknowledge("during")
        except Exception as error:
            assert isinstance(error, (OSError, EOFError)) or type(error).__module__ == "http.client", error
        if "checkpoint" in point and server.alive:
            try:
                server.post("/admin/checkpoint")
            except Exception:
                pass  # it dies here
        server.process.wait(20)
        server.kill9()
        found = ledger.verify(server.db, TABLE)
        committed = point in ("sink.commit.after", "ingest.reply.before") or "checkpoint" in point
        assert found == (2 if committed else 1), f"{found} keys after a death at {point}"
        server.restart()
        assert server.start_seconds < RESTART_SECONDS_MAX
        again = server.ingest(TABLE, batch, key="during")
        assert again.status == 200, again.body
        assert again.json["idempotent_replay"] is committed
        ledger.acknowledge("during")
        assert server.stop() == 0
    assert ledger.verify(tmp_path / "landing.duckdb", TABLE) == 2
    leftovers = {p.name for p in tmp_path.iterdir()} - {"landing.duckdb", "server.log", "quarantine"}
    assert not [name for name in leftovers if not name.startswith("ready-")], leftovers


@pytest.mark.parametrize("rows", [5_000, 300_000])
@pytest.mark.parametrize("point", DELTA_POINTS)
def test_named_point_of_delta(tmp_path, point, rows):
    """As test_named_point, with data files and a log: both ways into a table, judged by deltalake."""
    pytest.importorskip("deltalake")
    ledger = Ledger()
    lake = tmp_path / "lake"
    settings = ["--delta-path", lake, "--set", "delta_options.commit_interval_ms=0",
                "--set", "storage_backend=delta", "--set", "delta_config.checkpoint_interval=1"]
    with Server(tmp_path, *settings) as server:
        assert server.ingest(TABLE, ledger.send("before", 10), key="before").status == 200
        ledger.acknowledge("before")
        server.restart(faults=f"{point}=kill@1")
        batch = ledger.send("during", rows)
        try:
            reply = server.ingest(TABLE, batch, key="during")
            assert reply.status == 200
            ledger.acknowledge("during")
        except Exception as error:
            assert isinstance(error, (OSError, EOFError)) or type(error).__module__ == "http.client", error
        server.process.wait(20)
        server.kill9()
        found = ledger.verify(lake, TABLE)
        if point in ("ingest.reply.before", "sink.commit.after", "delta.commit.after_log") or "checkpoint" in point:
            assert found == 2, f"an acknowledged or committed request is lost after a death at {point}"
        elif not point.startswith("store."):
            assert found == 1, f"a request without its log entry is there after a death at {point}"
        server.restart()
        again = server.ingest(TABLE, batch, key="during")
        assert again.status == 200, again.body
        assert again.json["idempotent_replay"] is (found == 2)
        ledger.acknowledge("during")
        assert server.stop() == 0
    assert ledger.verify(lake, TABLE) == 2
