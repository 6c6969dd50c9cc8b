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
import time

import pyarrow as pa
import pytest

from arrowport_testing import (Ledger, Server, command, ipc_stream, poll_until, put, read_ack)

ROUNDS = int(os.environ.get("ARROWPORT_KILL_ROUNDS", "20"))
DELTA_ROUNDS = int(os.environ.get("ARROWPORT_KILL_ROUNDS", "10"))
SEED = int(os.environ.get("ARROWPORT_KILL_SEED", str(random.randrange(1 << 32))))
POINTS = ["ingest.decoded", "ingest.queued", "ingest.reply.before", "sink.insert.before", "sink.insert.after",
          "sink.commit.before", "sink.commit.after", "sink.checkpoint.before", "sink.checkpoint.after"]
DELTA_POINTS = ["ingest.decoded", "ingest.queued", "ingest.reply.before", "sink.commit.before",
                "sink.commit.after", "delta.commit.after_files", "delta.commit.before_log",
                "delta.commit.after_log", "delta.checkpoint.before_file", "delta.checkpoint.before_hint",
                "store.before_link", "store.after_link"]
TABLE = "ledger_rows"
RESTART_SECONDS_MAX = 2.0


class Writer(threading.Thread):
    """Sends keyed requests one after the other; one that got no answer is sent again until it has."""

    settings = {}  # of the stream, with every request

    def __init__(self, server, ledger, name, seed):
        super().__init__(name=name)
        self.server, self.ledger, self.random = server, ledger, random.Random(seed)
        self.stop = threading.Event()
        self.failure = None
        self.acknowledged = 0
        self.replays = 0

    def rows(self):
        # Mostly small; sometimes over a row group, where the storage takes another path.
        return 130_000 if self.random.random() < 0.02 else self.random.randint(1, 2_000)

    def run(self):
        number = 0
        try:
            while not self.stop.is_set():
                key = f"{self.name}-{number:06d}"
                rows = self.rows()
                batch = self.ledger.send(key, rows)
                self.deliver(key, batch)
                number += 1
        except BaseException as error:
            self.failure = error

    def deliver(self, key, batch):
        deadline = time.monotonic() + 60
        while True:
            try:
                summary = self.send(key, batch)
            except (OSError, pa.ArrowException, EOFError) as error:
                refusal = isinstance(error, pa.ArrowInvalid) or isinstance(error, KeyError)
                assert not refusal, f"{key} was refused: {error}"
            except Exception as error:
                assert type(error).__module__ == "http.client", error
            else:
                if summary is not None:
                    assert summary["rows_processed"] == batch.num_rows, summary
                    self.ledger.acknowledge(key)
                    self.acknowledged += 1
                    self.replays += summary["idempotent_replay"]
                    return
            if self.stop.is_set():
                return  # left unacknowledged: applied wholly or not at all
            assert time.monotonic() < deadline, f"{key} found no server for 60 s"
            self.stop.wait(0.01)


class HttpWriter(Writer):
    connection = None

    def send(self, key, batch):
        if self.connection is None:
            self.connection = self.server.connect(timeout=20)
        try:
            reply = self.server.ingest(TABLE, ipc_stream(batch), key=key, connection=self.connection,
                                       parameters=self.settings)
        except BaseException:
            self.connection.close()
            self.connection = None
            raise
        assert reply.status in (200, 429, 503), reply.body
        return reply.json if reply.status == 200 else None


class FlightWriter(Writer):
    client = None

    def send(self, key, batch):
        if self.client is None:
            self.client = self.server.flight()
        try:
            return put(self.client, command(TABLE, idempotency_key=key, **self.settings), [batch])[-1]
        except BaseException:
            self.client.close()
            self.client = None
            raise


class FlightBatchWriter(Writer):
    """A producer with sequences on long streams in batch mode, resuming after each break.

    Its keys are its messages: an acknowledged offset acknowledges every key up to it.
    """

    def rows(self):
        return self.random.randint(1, 500)

    def run(self):
        try:
            self.sent_batches = []
            while not self.stop.is_set():
                try:
                    self.stream()
                except (OSError, pa.ArrowException):
                    self.stop.wait(0.01)
        except BaseException as error:
            self.failure = error

    def batch_of(self, sequence):
        while len(self.sent_batches) <= sequence:
            key = f"{self.name}-{len(self.sent_batches):06d}"
            self.sent_batches.append((key, self.ledger.send(key, self.rows())))
        return self.sent_batches[sequence]

    def acknowledge_to(self, sequence):
        for key, _ in self.sent_batches[self.acknowledged:sequence + 1]:
            self.ledger.acknowledge(key)
            self.acknowledged += 1

    def stream(self):
        first = self.acknowledged
        with self.server.flight() as client:
            writer, reader = client.do_put(
                command(TABLE, producer=self.name, sequence=first, commit="batch", **self.settings),
                Ledger.SCHEMA)
            try:
                opened = read_ack(reader)
                last = opened["producer_last_sequence"]
                assert (last if last is not None else -1) >= first - 1, \
                    f"{self.name}: acknowledged up to {first - 1}, the server knows {last}"
                in_flight = sent = 0
                while not self.stop.is_set() and sent < 200:
                    writer.write_batch(self.batch_of(first + sent)[1])
                    sent += 1
                    while sent - in_flight > 8:
                        ack = read_ack(reader)
                        in_flight = ack["ack_up_to_offset"] + 1
                        self.acknowledge_to(first + ack["ack_up_to_offset"])
                writer.done_writing()
                while (ack := read_ack(reader)) is not None:
                    if "ack_up_to_offset" in ack:
                        self.acknowledge_to(first + ack["ack_up_to_offset"])
            finally:
                writer.close()


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
