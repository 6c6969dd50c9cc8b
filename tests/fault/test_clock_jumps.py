"""The wall clock jumps under a running server: versions go on, their times never fall, requests are
known again, and readers of the tables notice nothing."""

import json
import mmap
import struct
from pathlib import Path

import pytest

from arrowport_testing import Ledger, Server, binary, delta_table

pytest.importorskip("deltalake")

LIBRARY = Path(binary()).parent / "tests/fault/libclock_shift.so"
PARTS = 3  # requests between two jumps
HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
JUMPS = [0, -HOUR, -40 * YEAR, 2 * HOUR, 30 * DAY, 10 * YEAR, -DAY, 0]
# A table with times in its commits: they have to rise strictly.
STRICT = [
    {"commitInfo": {"inCommitTimestamp": 1_700_000_000_000, "timestamp": 1_700_000_000_000,
                    "operation": "CREATE TABLE", "operationParameters": {}}},
    {"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["inCommitTimestamp"]}},
    {"metaData": {"id": "3c5f4a3e-7d4e-4a52-8e11-0d5f4c3b2a19", "format": {"provider": "parquet", "options": {}},
                  "schemaString": json.dumps({"type": "struct", "fields": [
                      {"name": "key", "type": "string", "nullable": True, "metadata": {}},
                      {"name": "row", "type": "long", "nullable": True, "metadata": {}},
                      {"name": "payload", "type": "decimal(20,0)", "nullable": True, "metadata": {}}]}),
                  "partitionColumns": [], "configuration": {"delta.enableInCommitTimestamps": "true"},
                  "createdTime": 1_700_000_000_000}}]

if not LIBRARY.exists():
    pytest.skip(f"{LIBRARY} is not built", allow_module_level=True)


class Clock:
    def __init__(self, path):
        path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 8)

    def ahead(self, seconds):
        self.shared[:] = struct.pack("<q", seconds)


def commit_infos(table):
    for commit in sorted((table / "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            if "commitInfo" in (action := json.loads(line)):
                yield action["commitInfo"]


@pytest.mark.parametrize("backend", ["delta", "duckdb"])
def test_jumps(tmp_path, backend):
    lake = tmp_path / "lake"
    log = lake / "strict" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("".join(json.dumps(action) + "\n" for action in STRICT))
    clock = Clock(tmp_path / "clock")
    tables = ["plain", "strict"] if backend == "delta" else ["plain"]
    ledgers = {table: Ledger() for table in tables}
    server = Server(tmp_path, "--delta-path", lake, "--set", f"storage_backend={backend}", "--set",
                    "delta_options.commit_interval_ms=0", "--set", "delta_config.checkpoint_interval=3",
                    env={"LD_PRELOAD": str(LIBRARY), "CLOCK_SHIFT_FILE": str(tmp_path / "clock")})
    sent = []
    with server:
        for number, seconds in enumerate(JUMPS):
            clock.ahead(seconds)
            for table in tables:
                for old in sent:
                    again = server.ingest(table, Ledger.batch(old, 20), key=old)
                    assert again.status == 200 and again.json["idempotent_replay"], (old, seconds, again.body)
                for part in range(PARTS):
                    key = f"key-{number}-{part}"
                    reply = server.ingest(table, ledgers[table].send(key, 20), key=key)
                    assert reply.status == 200, reply.body
                    ledgers[table].acknowledge(key)
            sent += [f"key-{number}-{part}" for part in range(PARTS)]
        if backend == "delta":
            # Times that never fall make time travel find every version.
            assert server.get("/delta/plain/version/5").table.num_rows == 6 * 20
        assert server.stop() == 0
    for table in tables:
        storage = lake if backend == "delta" else tmp_path / "landing.duckdb"
        assert ledgers[table].verify(storage, table) == PARTS * len(JUMPS)
    if backend == "duckdb":
        return
    times = [info["timestamp"] for info in commit_infos(lake / "plain")]
    assert len(times) > 2 and times == sorted(times)
    strict = [info["inCommitTimestamp"] for info in commit_infos(lake / "strict")]
    assert len(set(strict)) == len(strict) > 2 and strict == sorted(strict)
    assert delta_table(lake, "strict").version() == PARTS * len(JUMPS)
