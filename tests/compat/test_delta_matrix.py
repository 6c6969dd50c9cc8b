"""Every kind of table the writer makes, read by Spark, deltalake, Polars and DuckDB alike.

The tables are left in one folder and judged by one call of `readback`; without it deltalake and DuckDB
judge in this process.
"""

import datetime as dt
import decimal
import json
import os
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

import foreign_readers
from arrowport_testing import Server
from delta_rows import PARTITION_VALUES, UTC, every_type

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ARROWPORT_BUILD_DIR", ROOT / "build/release"))
LAND, STATE = BUILD / "tests/compat/delta_land", BUILD / "tests/compat/delta_state"

if not (LAND.exists() and STATE.exists()):
    pytest.skip(f"{LAND} or {STATE} is not built", allow_module_level=True)

# What a reader says of a feature it lacks.
LACKS = {
    "widened": {"deltalake": "refused", "polars": "refused"},
    "v2 checkpoint": {"polars": "refused"},
    # Polars takes values from folders, whose names have an end, and NULL where there is none.
    "long partition values": {"polars": "differs"},
    # Spark reads the rows; PySpark's toArrow cannot carry NOT NULL inside a struct that is NULL.
    "required columns": {"spark": "failed: ArrowInvalid"},
}
MADE = {}


def scenario(make):
    MADE[make.__name__.replace("_", " ")] = make
    return make


class Table:
    """One table being written; `rows` is what it should hold, `changes` its feed by version range."""

    def __init__(self, path):
        self.path = path
        self.rows = None
        self.changes = {}
        self.files = 0

    def put(self, rows, batch_rows=None):
        self.files += 1
        path = self.path.parent / f"{self.path.name}-{self.files}.arrows"
        with pa.ipc.new_stream(path, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=batch_rows)
        return path

    def land(self, *words):
        """A script for delta_land; a table stands for the file that holds it."""
        self.run(LAND, *words)

    def maintain(self, *words):
        self.run(STATE, *words)

    def run(self, program, *words):
        given = [f"{word[0]}={self.put(word[1])}" if isinstance(word, tuple) else word for word in words]
        done = subprocess.run([program, self.path, *given], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert not any(json.loads(line).get("error") for line in done.stdout.splitlines()), done.stderr


def small(first, rows=4):
    return pa.table({"id": pa.array(range(first, first + rows), pa.int64()),
                     "kind": [("a", "b", None)[i % 3] for i in range(rows)],
                     "flag": [(True, False, None)[i % 3] for i in range(rows)],
                     "x": [(1.5, float("nan"), None)[i % 3] for i in range(rows)]})


# ---- types, partitions, encodings ------------------------------------------------------------


@scenario
def every_type_there_is(table):
    table.land(("append", every_type(0)), ("append", every_type(1)), "checkpoint", ("append", every_type(2)))
    table.rows = pa.concat_tables([every_type(shift) for shift in range(3)])


@scenario
def every_type_in_partitions(table):
    table.land("partition=day,i16,b", ("append", every_type(0)), "checkpoint", ("append", every_type(1)))
    table.rows = pa.concat_tables([every_type(0), every_type(1)])


@scenario
def long_partition_values(table):
    table.rows = pa.table({"p": ["ü" * 100, "z" * 250], "id": [1, 2]})
    table.land("partition=p", ("append", table.rows))


@scenario
def required_columns(table):
    inner = pa.struct([pa.field("x", pa.int64(), nullable=False), pa.field("y", pa.int64())])
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("maybe", inner),
                        pa.field("sure", inner, nullable=False),
                        pa.field("list", pa.list_(pa.field("element", pa.int64(), nullable=False)))])
    table.rows = pa.Table.from_pylist(
        [{"id": 1, "maybe": None, "sure": {"x": 1, "y": None}, "list": [1, 2]},
         {"id": 2, "maybe": {"x": 5, "y": 6}, "sure": {"x": 2, "y": 3}, "list": None}], schema)
    table.land(("append", table.rows))


@scenario
def timestamps_without_zone(table):
    table.rows = pa.table({"t": pa.array([dt.datetime(1969, 12, 31, 23, 59, 59, 999999), None])})
    table.land(("append", table.rows))


def partitioned_by(kind):
    def make(table):
        type_, values = PARTITION_VALUES[kind]
        rows = pa.table({"p": pa.array(values * 2, type_), "id": pa.array(range(2 * len(values)))})
        table.land("partition=p", ("append", rows), "checkpoint", ("append", rows))
        column = pa.array([value or None for value in values * 4], type_) if kind == "s" else pa.array(
            values * 4, type_)
        table.rows = pa.concat_tables([rows, rows]).set_column(0, "p", column)
    return make


def compressed_with(codec, *words):
    def make(table):
        table.rows = pa.table({"id": pa.array(range(5000)), "s": [f"value {i % 7}" for i in range(5000)]})
        table.land(*words, f"compression={codec}", "groups=2000", ("append", table.rows))
    return make


for name in PARTITION_VALUES:
    MADE[f"partitioned by {name}"] = partitioned_by(name)
for name in ("snappy", "zstd", "zstd:19", "gzip", "lz4", "none"):
    MADE[f"compressed with {name}"] = compressed_with(name)
MADE["plain encodings"] = compressed_with("zstd", "plain")


# ---- change of schema ------------------------------------------------------------------------


@scenario
def grown(table):
    first = pa.table({"id": [1], "s": pa.array([{"a": 1}])})
    second = pa.table({"id": [2], "s": pa.array([{"b": "x"}]), "extra": [1.5]})
    table.land("mode=merge", ("append", first), ("append", second), "checkpoint", ("append", first))
    table.rows = pa.Table.from_pylist(
        [{"id": 1, "s": {"a": 1, "b": None}, "extra": None}] * 2 +
        [{"id": 2, "s": {"a": None, "b": "x"}, "extra": 1.5}])


@scenario
def widened(table):
    first = pa.table({"n": pa.array([1], pa.int32()), "f": pa.array([1.5], pa.float32()),
                      "d": pa.array([decimal.Decimal("1.5")], pa.decimal128(5, 1))})
    second = pa.table({"n": pa.array([2**40]), "f": pa.array([1e300]),
                       "d": pa.array([decimal.Decimal("12345678.25")], pa.decimal128(12, 2))})
    table.land("mode=merge", "widen", ("append", first), ("append", second), "checkpoint")
    table.rows = pa.concat_tables([first.cast(second.schema), second])


@scenario
def schema_replaced(table):
    table.rows = pa.table({"name": ["x"], "when": pa.array([dt.datetime(2024, 1, 1, tzinfo=UTC)])})
    table.land(("append", small(0)), "mode=overwrite", ("overwrite", table.rows))


# ---- overwrite, restore, optimise, vacuum, feed ----------------------------------------------


@scenario
def overwritten(table):
    table.rows = small(100)
    table.land("partition=kind", ("append", small(0)), ("overwrite", table.rows), "checkpoint")


@scenario
def part_overwritten(table):
    more = pa.table({"id": pa.array([9], pa.int64()), "kind": ["b"], "flag": [True], "x": [2.5]})
    table.land("partition=kind", ("append", small(0, 9)), "where=kind=b", ("overwrite", more))
    table.rows = pa.concat_tables([small(0, 9).filter([kind != "b" for kind in small(0, 9)["kind"].to_pylist()]),
                                   more])


@scenario
def restored(table):
    grown = small(4).append_column("more", pa.array([1.5] * 4))
    table.land("mode=merge", ("append", small(0)), ("append", grown), "checkpoint", ("overwrite", grown))
    table.maintain("restore=0")
    table.rows = small(0)


@scenario
def restored_and_gone_on(table):
    table.land("partition=kind", ("append", small(0)), ("append", small(4)))
    table.maintain("restore=0")
    table.land(("append", small(8)), "checkpoint", ("append", small(12)))
    table.rows = pa.concat_tables([small(0), small(8), small(12)])


@scenario
def optimised(table):
    parts = [small(4 * i) for i in range(8)]
    table.land("partition=kind", *(("append", part) for part in parts))
    table.maintain("optimize")
    table.land(("append", small(100)), "checkpoint")
    table.rows = pa.concat_tables([*parts, small(100)])


@scenario
def optimised_and_vacuumed(table):
    parts = [every_type(i) for i in range(6)]
    table.land(*(("append", part) for part in parts))
    table.maintain("optimize", "vacuum=0")
    table.rows = pa.concat_tables(parts)


@scenario
def change_feed(table):
    table.land("property=delta.enableChangeDataFeed=true", ("append", small(0)), ("append", small(4)),
               ("overwrite", small(50)))
    table.maintain("optimize")
    table.rows = small(50)

    def changed(rows, kind, version):
        count = rows.num_rows
        return rows.append_column("_change_type", pa.array([kind] * count)).append_column(
            "_commit_version", pa.array([version] * count, pa.int64()))

    old = pa.concat_tables([small(0), small(4)])
    table.changes[0, 2] = pa.concat_tables([
        changed(small(0), "insert", 0), changed(small(4), "insert", 1), changed(old, "delete", 2),
        changed(small(50), "insert", 2)])


# ---- checkpoints, times ----------------------------------------------------------------------


def checkpointed(*properties):
    def make(table):
        rows = small(0)
        table.land(*properties, "partition=kind", *[("append", rows)] * 4, ("overwrite", rows), "checkpoint",
                   ("append", rows))
        for version in range(4):
            (table.path / "_delta_log" / f"{version:020}.json").unlink()
        table.rows = pa.concat_tables([rows, rows])
    return make


MADE["classic checkpoint"] = checkpointed()
MADE["v2 checkpoint"] = checkpointed("property=delta.checkpointPolicy=v2")
MADE["in-commit timestamps"] = checkpointed("property=delta.enableInCommitTimestamps=true")


# ---- tables of others, taken further ---------------------------------------------------------


def of_others(name, *maintenance):
    def make(table):
        case = {case["name"]: case for case in json.loads(
            (foreign_readers.SHARED / "cases.json").read_text())["cases"]}[name]
        shutil.copytree(foreign_readers.SHARED / case["table"], table.path)
        table.maintain(*maintenance)
        rows = [check["rows"] for check in case["expected"] if check.get("version") is None and not check.get("cdf")]
        table.rows = foreign_readers.load_rows(foreign_readers.SHARED / rows[0])
    return make


if (foreign_readers.SHARED / "cases.json").exists():
    for name in ("made-dv_on_disk", "made-dv-inline", "kernel-rs-table-with-dv-small", "dat-deletion_vectors",
                 "golden-dv-partitioned-with-checkpoint"):
        MADE[f"{name} optimised"] = of_others(name, "optimize")
        MADE[f"{name} optimised and vacuumed"] = of_others(name, "optimize", "vacuum=0")
    for name in ("made-partition_all_types", "made-nested_deep", "golden-parquet-all-types", "made-stats_edges"):
        MADE[f"{name} optimised"] = of_others(name, "optimize")


def served(folder):
    """Tables a server made: ordered along the z-curve, vacuumed, restored."""
    parts = [small(10 * i, 10) for i in range(6)]
    tables = {}
    with Server(folder, "--delta-path", folder / "lake", "--set", "storage_backend=delta", "--set",
                "delta_options.commit_interval_ms=0") as server:
        def operate(name, operation, **fields):
            reply = server.post(f"/delta/{name}/{operation}", json.dumps(fields).encode(), "application/json")
            assert reply.status == 200, reply.body

        for name in ("ordered", "vacuumed", "undone"):
            for part in parts:
                assert server.ingest(name, part).status == 200
            tables[name] = Table(folder / "lake" / name)
            tables[name].rows = pa.concat_tables(parts)
        operate("ordered", "optimize", z_order_by=["kind", "id", "flag", "x"])
        operate("vacuumed", "optimize")
        operate("vacuumed", "vacuum", dry_run=False, retention_hours=0, force=True)
        operate("undone", "restore", version=2)
        tables["undone"].rows = pa.concat_tables(parts[:3])
    return {f"served, {name}": table for name, table in tables.items()}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix")
    made = {}
    for number, (name, make) in enumerate(MADE.items()):
        made[name] = Table(folder / f"table-{number}")
        make(made[name])
    return made | served(folder / "server")


def agrees(name, reader, outcome):
    lacks = LACKS.get(name, {}).get(reader)
    return outcome.startswith(lacks) if lacks else outcome == "ok"


def test_deltalake_and_duckdb_read_every_table(tables):
    pytest.importorskip("deltalake")
    pytest.importorskip("duckdb_extension_delta")
    if not (foreign_readers.TOOL / "readers.py").exists():
        pytest.skip(f"{foreign_readers.TOOL} is not here")
    readers = foreign_readers.tool_module("readers")
    faults = {}
    for reader in (readers.Deltalake(), readers.Duckdb()):
        for name, table in tables.items():
            if reader.name in LACKS.get(name, {}):
                continue
            found, _ = reader.read({"table": str(table.path)})
            if differs := foreign_readers.difference(table.rows, found):
                faults[name, reader.name] = differs
    assert faults == {}


def test_every_reader_reads_every_table(tables, tmp_path):
    if why := foreign_readers.why_absent():
        pytest.skip(why)
    verdicts = foreign_readers.Verdicts(tmp_path)
    for name, table in tables.items():
        verdicts.expect(name, table.path, table.rows)
        for versions, rows in table.changes.items():
            verdicts.expect(f"{name}, changes", table.path, rows, cdf=versions)
    read = verdicts.read()
    for name, by_reader in read.items():
        print(f"{name:64}", *(f"{reader}={outcome}" for reader, outcome in by_reader.items()))
    faults = {(name, reader): outcome for name, by_reader in read.items() for reader, outcome in by_reader.items()
              if not agrees(name, reader, outcome) and not outcome.startswith("not-offered")}
    assert faults == {}
