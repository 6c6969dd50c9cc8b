"""Deaths inside vacuum, optimise and restore of a Delta table, judged by deltalake: every row that
was acknowledged is there once, no live file is gone, and the operation can be asked for again."""

import contextlib
import http.client
import json
import os
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from arrowport_testing import Ledger, Server, delta_table

pytest.importorskip("deltalake")

TABLE = "ledger_rows"
COMMIT = ["delta.commit.before_log=kill@{}", "store.before_link=kill@{}", "store.after_link=kill@{}",
          "delta.commit.after_log=kill@{}"]


class Lake:
    """A server, its one table and the ledger of what was acknowledged."""

    def __init__(self, folder):
        self.root = folder / "lake"
        self.ledger = Ledger()
        self.sent = 0
        self.server = Server(folder, "--delta-path", self.root, "--set", "storage_backend=delta", "--set",
                             "delta_options.commit_interval_ms=0", "--set", "delta_options.partition_by=[]")

    def land(self, requests):
        for _ in range(requests):
            key, self.sent = f"key-{self.sent:04d}", self.sent + 1
            assert self.server.ingest(TABLE, self.ledger.send(key, 50), key=key).status == 200
            self.ledger.acknowledge(key)

    def operate(self, operation, **fields):
        return self.server.post(f"/delta/{TABLE}/{operation}", json.dumps(fields).encode(), "application/json")

    def die_in(self, fault, operation, **fields):
        """Arms the point, asks for the operation, and sees the server die of it."""
        self.server.restart(faults=fault)
        with contextlib.suppress(OSError, EOFError, http.client.HTTPException):
            reply = self.operate(operation, **fields)
            pytest.fail(f"{operation} outlived {fault}: {reply.status} {reply.body}")
        assert self.server.process.wait(20) == -9
        self.server.kill9()
        self.server.faults = None
        self.judge()

    def judge(self):
        table = delta_table(self.root, TABLE)
        gone = [uri for uri in table.file_uris() if not Path(unquote(urlparse(uri).path)).exists()]
        assert gone == []
        assert not list(self.root.rglob(".arrowport-tmp-*")), "a file without a name was left behind"

    def version(self):
        return delta_table(self.root, TABLE).version()

    def data_files(self):
        return len(list((self.root / TABLE).glob("*.parquet")))

    def live_files(self):
        return len(delta_table(self.root, TABLE).file_uris())

    def keys(self):
        return sorted(set(delta_table(self.root, TABLE).to_pyarrow_table()["key"].to_pylist()))


@pytest.fixture
def lake(tmp_path):
    probe = os.path.join(tmp_path, ".")
    try:
        os.close(os.open(probe, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except OSError:
        pytest.skip("this file system has no files without a name")
    made = Lake(tmp_path)
    with made.server:
        made.land(5)
        yield made


def test_optimise(lake):
    points = [point.format(1) for point in COMMIT[:1]]
    # The data file is named first, the log entry second.
    points += [point.format(number) for point in COMMIT[1:3] for number in (1, 2)]
    points += ["delta.optimize.before_commit=kill@1", "delta.commit.after_log=kill@1",
               "delta.optimize.after_commit=kill@1"]
    for point in points:
        before = lake.version()
        lake.die_in(point, "optimize")
        committed = "after" in point and point != "store.after_link=kill@1"
        assert lake.version() == before + committed, point
        lake.ledger.verify(lake.root, TABLE)
        lake.server.start()
        assert lake.operate("optimize").status == 200
        assert lake.live_files() == 1
        lake.land(3)
        lake.ledger.verify(lake.root, TABLE)


def test_vacuum(lake):
    points = [point.format(number) for point in COMMIT for number in (1, 2)]
    points += ["delta.vacuum.after_start=kill@1", "delta.vacuum.before_remove=kill@1",
               "delta.vacuum.before_remove=kill@3", "delta.vacuum.before_end=kill@1"]
    everything = {"dry_run": False, "retention_hours": 0, "force": True}
    for point in points:
        assert lake.operate("optimize").status == 200
        lake.land(3)
        assert lake.data_files() > lake.live_files() + 2
        lake.die_in(point, "vacuum", **everything)
        lake.ledger.verify(lake.root, TABLE)
        lake.server.start()
        assert lake.operate("vacuum", **everything).status == 200
        assert lake.data_files() == lake.live_files()
        lake.land(1)
        lake.ledger.verify(lake.root, TABLE)


def test_restore(lake):
    earlier, earlier_keys = lake.version(), lake.keys()
    points = [point.format(1) for point in COMMIT] + ["delta.restore.before_commit=kill@1"]
    for point in points:
        lake.land(2)
        later = lake.keys()
        assert later != earlier_keys
        before = lake.version()
        lake.die_in(point, "restore", version=earlier)
        lake.ledger.verify(lake.root, TABLE, set())
        committed = "after" in point
        assert (lake.version(), lake.keys()) == ((before + 1, earlier_keys) if committed else (before, later)), point
        lake.server.start()
        assert lake.operate("restore", version=earlier).status == 200
        assert lake.keys() == earlier_keys
