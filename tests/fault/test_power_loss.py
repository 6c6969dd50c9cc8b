"""Power cuts under a running server: what was acknowledged is there once, whatever else the disk kept.

The storage lies on tests/fault/power_cut_fs.py, which forgets what was not synced. Each round lands
keyed requests, cuts the power at some moment, judges what the disk holds with deltalake (or DuckDB),
and starts again from it. With syncs of one kind ignored the same round must find a loss.

ARROWPORT_KILL_ROUNDS (default 3) and ARROWPORT_KILL_SEED set length and seed.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from arrowport_testing import Ledger, Server, delta_table, poll_until
from ledger_writers import TABLE, FlightBatchWriter, FlightWriter, HttpWriter, Writer

ROUNDS = int(os.environ.get("ARROWPORT_KILL_ROUNDS", "3"))
SEED = int(os.environ.get("ARROWPORT_KILL_SEED", str(random.randrange(1 << 32))))

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/fuse"),
                                reason="mounting a file system of one's own takes root and /dev/fuse")
deltalake = pytest.importorskip("deltalake")


class Disk:
    """The file system's process and the folder with what survives its cuts."""

    def __init__(self, folder):
        self.mount, self.state = folder / "mount", folder / "state"
        self.process = None
        for path in (self.mount, self.state):
            path.mkdir(parents=True)

    def start(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("power_cut_fs.py"), self.mount, self.state, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            pytest.skip("the kernel does not let us mount")

    def command(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def cut(self, server, survivors):
        """The power goes: from the cut on nothing the server does reaches the disk."""
        assert self.command(f"cut {survivors}") == "cut"
        server.process.kill()
        self.stop()
        server.kill9()

    def stop(self):
        if self.process is not None:
            assert self.command("end") == "end"
            assert self.process.wait(30) == 0
            self.process = None


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "disk")
    yield made
    if made.process is not None:
        made.process.stdin.close()
        made.process.wait(30)


def make_server(tmp_path, disk, *arguments):
    return Server(tmp_path / "run", "--delta-path", disk.mount / "lake", "--set",
                  "delta_options.commit_interval_ms=0", "--set", "duckdb.checkpoint_wal_bytes=1MiB",
                  *arguments, db=disk.mount / "landing.duckdb")


def writers_of(server, ledger):
    writers = [HttpWriter(server, ledger, f"http-{i}", SEED + i) for i in range(2)]
    writers += [FlightWriter(server, ledger, "flight-0", SEED + 10)]
    return writers + [FlightBatchWriter(server, ledger, "stream-0", SEED + 20)]


def traffic(writers, enough):
    start = sum(writer.acknowledged for writer in writers)
    poll_until(lambda: any(w.failure for w in writers) or
               sum(w.acknowledged for w in writers) - start >= enough, 60, "traffic")
    for writer in writers:
        assert writer.failure is None, writer.failure


@pytest.mark.parametrize("backend", ["delta", "duckdb"])
def test_acknowledged_rows_survive_power_cuts(tmp_path, monkeypatch, disk, backend):
    print(f"seed {SEED}, {ROUNDS} rounds")
    monkeypatch.setattr(Writer, "settings", {"storage_backend": backend})
    storage = disk.state / ("lake" if backend == "delta" else "landing.duckdb")
    chance = random.Random(SEED)
    ledger = Ledger()
    server = make_server(tmp_path, disk, "--set", "delta_config.checkpoint_interval=5")
    writers = writers_of(server, ledger)
    try:
        for number in range(ROUNDS):
            disk.start()
            server.start()
            if number == 0:
                for writer in writers:
                    writer.start()
            traffic(writers, chance.randint(20, 60))
            # A database's log half on disk is refused on purpose; tables in files have no such state.
            some = backend == "delta" and number % 3 > 0
            disk.cut(server, chance.randrange(1 << 32) if some else "none")
            _, acknowledged = ledger.snapshot()
            ledger.verify(storage, TABLE, acknowledged)
        disk.start()
        server.start()
        traffic(writers, 10)
    finally:
        for writer in writers:
            writer.stop.set()
        for writer in writers:
            if writer.ident:
                writer.join(90)
        if server.process is not None and disk.process is None:
            server.kill9()
    assert server.stop() == 0
    assert disk.command("cut none") == "cut"
    disk.stop()
    print(f"{ledger.verify(storage, TABLE)} keys")


@pytest.mark.parametrize("backend, ignored", [("delta", "files"), ("delta", "folders"),
                                              ("duckdb", "files"), ("duckdb", "folders")])
def test_without_syncs_the_loss_is_found(tmp_path, disk, backend, ignored):
    """The harness sees what it is there to see."""
    ledger = Ledger()
    disk.start("--ignore-syncs", ignored)
    with make_server(tmp_path, disk) as server:
        for number in range(3):
            key = f"key-{number}"
            reply = server.ingest(TABLE, ledger.send(key, 100), key=key,
                                  parameters={"storage_backend": backend})
            assert reply.status == 200, reply.body
            ledger.acknowledge(key)
        disk.cut(server, "none")
    losses = (AssertionError, deltalake.exceptions.DeltaError, duckdb.Error)
    with pytest.raises(losses, match="lost|not found|No table metadata|does not exist|No files in log|not a valid DuckDB"):
        ledger.verify(disk.state / ("lake" if backend == "delta" else "landing.duckdb"), TABLE)


@pytest.mark.parametrize("backend", ["delta", "duckdb"])
def test_a_failed_sync_is_never_a_double_nor_a_loss(tmp_path, disk, backend):
    """Each sync of a commit fails once; the same request is repeated until it is acknowledged."""
    ledger = Ledger()
    disk.start()
    with make_server(tmp_path, disk) as server:
        def send(key, batch):
            return server.ingest(TABLE, batch, key=key, parameters={"storage_backend": backend})

        assert send("first", ledger.send("first", 10)).status == 200
        ledger.acknowledge("first")
        refused = 0
        for number in range(1, 9) if backend == "delta" else [1, 2, 1, 2]:
            if backend == "duckdb":
                # The next commit begins a log: its own sync, then the folder's.
                assert server.post("/admin/checkpoint").status == 200
            key = f"key-{refused}-{number}"
            batch = ledger.send(key, 1000)
            assert disk.command(f"fail-sync {number}") == "fail-sync"
            reply = send(key, batch)
            if reply.status != 200:
                refused += 1
                assert (reply.status, reply.code) == (503, "STORAGE_UNAVAILABLE"), reply.body
                reply = poll_until(lambda: (again := send(key, batch)).status == 200 and again, 30, "the repeat")
            assert reply.json["rows_processed"] == 1000
            ledger.acknowledge(key)
        assert refused >= 4, "a commit has four syncs: file, folder, log entry, log (DuckDB: log, folder)"
        if backend == "delta":
            ledger.verify(disk.mount / "lake", TABLE)
        disk.cut(server, "none")
    storage = disk.state / ("lake" if backend == "delta" else "landing.duckdb")
    assert ledger.verify(storage, TABLE) == (9 if backend == "delta" else 5)


def test_only_an_unknown_outcome_may_have_rows(tmp_path, disk):
    """Without a key a repeat would double: an error that does not say `not known` wrote nothing."""
    disk.start()
    with make_server(tmp_path, disk) as server:
        def send(name):
            return server.ingest(TABLE, Ledger.batch(name, 50), parameters={"storage_backend": "delta"})

        def landed(name):
            table = delta_table(disk.mount / "lake", TABLE).to_pyarrow_table()
            return table["key"].to_pylist().count(name)

        unknown = 0
        for number in range(1, 5):
            # What the failure before left to be opened anew is open.
            assert send(f"before-{number}").status == 200
            name = f"request-{number}"
            assert disk.command(f"fail-sync {number}") == "fail-sync"
            reply = send(name)
            if reply.status == 200:
                assert landed(name) == 50
            elif b"not known" in reply.body:
                unknown += 1
                assert landed(name) in (0, 50)
            else:
                assert landed(name) == 0, reply.body
        assert unknown == 1, "only the sync behind the log entry leaves it open"
        assert send("last").status == 200 and landed("last") == 50
        assert server.stop() == 0
