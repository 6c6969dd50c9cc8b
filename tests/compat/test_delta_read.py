"""Random operations by deltalake and by this library's maintenance on one table; after each
both must see the same files, transactions and rows. Needs: pip install deltalake==1.6.6."""

import json
import os
import random
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("ARROWPORT_DELTA_STATE",
                              ROOT / "build/release/tests/compat/delta_state"))

deltalake = pytest.importorskip("deltalake")

if not PROGRAM.exists():
    pytest.skip(f"{PROGRAM} is not built", allow_module_level=True)


def ours(path, *words):
    done = subprocess.run([PROGRAM, path, *map(str, words)], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def batch(rng, count):
    return pa.table({"id": [rng.randrange(1000) for _ in range(count)],
                     "kind": [rng.choice(["a", "b=c", "d e", None]) for _ in range(count)],
                     "x": [rng.random() for _ in range(count)]})


def sorted_rows(table):
    names = sorted(table.schema.names)
    return sorted(zip(*(map(repr, table.column(name).to_pylist()) for name in names)))


def check(path, tmp_path, producers):
    theirs = deltalake.DeltaTable(path)
    state, _ = ours(path, "state", f"rows={tmp_path / 'rows.arrows'}")
    assert state["version"] == theirs.version()
    prefix = f"{path}/"
    files = {uri.removeprefix("file://").removeprefix(prefix) for uri in theirs.file_uris()}
    assert {unquote(file) for file in state["files"]} in (files, set(map(unquote, files)))
    for app, version in producers.items():
        assert state["transactions"][app] == version
        assert theirs.transaction_version(app) == version
    mine = pa.ipc.open_stream(tmp_path / "rows.arrows").read_all()
    rows = sorted_rows(mine)
    assert rows == sorted_rows(pa.table(theirs.to_pyarrow_table()))
    if state["rows"] >= 0:
        assert state["rows"] == len(rows)
    return rows


@pytest.mark.parametrize("partitioned", [False, True])
@pytest.mark.parametrize("seed", [random.randrange(1 << 30) for _ in range(2)])
def test_random_operations(tmp_path, seed, partitioned):
    rng = random.Random(seed)
    path = str(tmp_path / "table")
    partition_by = ["kind"] if partitioned else None
    deltalake.write_deltalake(path, batch(rng, 10), partition_by=partition_by)
    producers, history = {}, {}
    for step in range(25):
        table = deltalake.DeltaTable(path)
        operation = rng.choice(["append", "append", "append", "overwrite", "delete", "compact",
                                "checkpoint", "optimize", "restore", "vacuum"])
        if operation == "append":
            app = rng.choice(["p", "q"])
            producers[app] = producers.get(app, 0) + 1
            properties = deltalake.CommitProperties(
                app_transactions=[deltalake.Transaction(app, producers[app])])
            deltalake.write_deltalake(path, batch(rng, rng.randrange(1, 20)), mode="append",
                                      commit_properties=properties)
        elif operation == "overwrite":
            deltalake.write_deltalake(path, batch(rng, 5), mode="overwrite")
        elif operation == "delete":
            table.delete(f"id > {rng.randrange(1000)}")
        elif operation == "compact":
            table.optimize.compact()
        elif operation == "checkpoint":
            table.create_checkpoint()
        elif operation == "optimize":
            ours(path, "optimize")
        elif operation == "restore" and history:
            version = rng.choice(list(history))
            ours(path, f"restore={version}")
            assert check(path, tmp_path, producers) == history[version], f"restored {version}"
        elif operation == "vacuum" and rng.random() < 0.3:
            ours(path, "vacuum=0")
            history.clear()
        rows = check(path, tmp_path, producers)
        history[deltalake.DeltaTable(path).version()] = rows
