"""One batch appended to a copy of every foreign Delta table: readers of its features then see the
old and the new rows, or the writer refuses by name and the copy is as it was.

deltalake and DuckDB judge in this process; Spark and Polars too where `readback` is set up.
"""

import hashlib
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pytest

import foreign_readers
from delta_rows import arrow_schema, some_rows

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ARROWPORT_BUILD_DIR", ROOT / "build/release"))
LAND, STATE = BUILD / "tests/compat/delta_land", BUILD / "tests/compat/delta_state"

if not (LAND.exists() and STATE.exists()):
    pytest.skip(f"{LAND} or {STATE} is not built", allow_module_level=True)
if not (foreign_readers.SHARED / "cases.json").exists():
    pytest.skip(f"{foreign_readers.SHARED} is not here", allow_module_level=True)

CASES = {case["name"]: case
         for case in json.loads((foreign_readers.SHARED / "cases.json").read_text())["cases"]}

# What the writer says of tables it does not write. Every other table takes the rows.
REFUSED = {
    "dat-check_constraints": "checkConstraints",
    "dat-generated_columns": "generatedColumns",
    "dat-iceberg_compat_v1": "icebergCompatV1",
    "dat-multi_partitioned": "cannot be partitioned by binary",
    "delta-rs-simple_table_features": "reader version 5",
    "delta-rs-table_with_column_mapping": "columnMapping",
    "delta-rs-table_with_liquid_clustering": "rowTracking",
    "delta-spark-dbr_8_1_generated_columns": "generatedColumns",
    "golden-collations-table": "collations",
    "golden-data-reader-timestamp_ntz-id-mode": "columnMapping",
    "golden-data-reader-timestamp_ntz-name-mode": "columnMapping",
    "golden-data-skipping-basic-stats-all-types-columnmapping-id": "columnMapping",
    "golden-data-skipping-basic-stats-all-types-columnmapping-name": "columnMapping",
    "golden-deltalog-invalid-protocol-version": "reader version 99",
    "golden-deltalog-state-reconstruction-from-checkpoint-missing-protocol": "checkpoint without protocol",
    "golden-deltalog-state-reconstruction-without-metadata": "no metadata in the log",
    "golden-table-with-columnmapping-mode-id": "columnMapping",
    "golden-table-with-columnmapping-mode-name": "columnMapping",
    "golden-table-with-icebegCompatV2Enabled": "icebergCompatV2",
    "golden-versions-not-contiguous": "gap in the log",
    "kernel-java-catalog-owned-preview": "catalogManaged",
    "kernel-java-column-mapping-id": "columnMapping",
    "kernel-java-data-reader-partition-values-column-mapping-name": "columnMapping",
    "kernel-rs-cdf-column-mapping-name-mode": "columnMapping",
    "kernel-rs-partitioned_with_materialize_feature": "materializePartitionColumns",
    "kernel-rs-table-with-geo": "geospatial",
    "kernel-rs-void-column": "columns of type void",
    "made-column_mapping_id": "columnMapping",
    "made-column_mapping_name": "columnMapping",
    "made-combined": "rowTracking",
    "made-feature-lists-absent": "missing readerFeatures",
    "made-last-commit-truncated": "malformed commit",
    "made-log-gap": "gap in the log",
    "made-multipart-incomplete-and-needed": "log incomplete",
    "made-no-commits": "log incomplete",
    "made-reader-version-4": "reader version 4",
    "made-row_tracking": "rowTracking",
    "made-unknown-reader-feature": "fancyNewLayout",
    "made-unknown-type": "moonphase",
    "made-unknown-writer-feature": "futureWriterThing",
    "made-variant": "variantType",
    "made-writer_only": "checkConstraints",
}
# Calls of the tool, each well under its time.
PARTS = 2
# (table, reader) -> why its answer is not ours though it reads the table as it was.
KNOWN = {
    ("kernel-rs-timestamp-partitioned-table", "polars"):
        "its writer spelt the time in the folder with T and Z; Polars wants one spelling, ours is Spark's",
}


def run(program, *words):
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60)


def digest(folder):
    """Every file below `folder` with what is in it."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def state(table):
    """What our reader says of the newest version; nothing when it refuses."""
    done = run(STATE, table, "state")
    return json.loads(done.stdout) if done.returncode == 0 else None


def append(table, rows, *more):
    """An append, and the steps behind it; the first error's text, or nothing."""
    file = table.parent / f"{table.name}.arrows"
    with pa.ipc.new_stream(file, rows.schema) as writer:
        writer.write_table(rows)
    done = run(LAND, table, f"append={file}", *(word.replace("FILE", str(file)) for word in more))
    assert done.returncode == 0, done.stderr
    failed = any(json.loads(line)["error"] for line in done.stdout.splitlines())
    return done.stderr.strip() if failed else None


def copy_of(case, folder):
    table = folder / case["name"]
    shutil.copytree(foreign_readers.SHARED / case["table"], table, symlinks=True)
    return table


def old_rows(case):
    """The rows of the newest version as the collection has them; nothing without any."""
    for check in case.get("expected") or []:
        if check.get("version") is None and not check.get("cdf") and not check.get("as_of"):
            return foreign_readers.load_rows(foreign_readers.SHARED / check["rows"])
    return None


class Appended:
    """A table with rows appended twice, a checkpoint in between."""

    def __init__(self, case, folder):
        self.case = case
        self.table = copy_of(case, folder)
        self.before = state(self.table)
        self.rows = some_rows(arrow_schema(self.before["schema"]), 12)
        self.error = append(self.table, self.rows, "checkpoint", "append=FILE")
        self.after = state(self.table)

    def expected(self, times):
        old = old_rows(self.case)
        new = foreign_readers.tool_module("canon").canonical(self.rows).select(old.column_names)
        return pa.concat_tables([old, *[new] * times])


@pytest.fixture(scope="module")
def appended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("append")
    taken = [case for name, case in CASES.items() if name not in REFUSED]
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda case: Appended(case, folder), taken)
        return {table.case["name"]: table for table in made}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_its_reason_and_changes_nothing(tmp_path, name):
    table = copy_of(CASES[name], tmp_path)
    now = state(table)
    # A row that fits, where the schema can be read: the refusal is about the table.
    rows = some_rows(arrow_schema(now["schema"])) if now else pa.table({"x": [1]})
    before = digest(table)
    # Nothing is in the way of a checkpoint of a table whose partition column alone is refused.
    upkeep = [] if "binary" in REFUSED[name] else ["checkpoint", "cleanup"]
    error = append(table, rows, "mode=merge", "append=FILE", *upkeep)
    assert error and REFUSED[name] in error
    assert digest(table) == before


def test_the_table_of_refusals_is_what_the_collection_asks_for():
    for name, case in CASES.items():
        must = "must refuse" in (case.get("append") or "")
        # Rows that cannot be read back do not keep others from being written.
        must = must or bool(case.get("refuse")) and case["refuse"] not in (
            "missing data file", "deletion vector checksum")
        assert not must or name in REFUSED, name


def test_every_other_table_takes_the_rows(appended):
    assert len(appended) > 150
    assert {name: table.error for name, table in appended.items() if table.error} == {}
    for name, table in appended.items():
        assert table.after["version"] == table.before["version"] + 2, name
        # Rows without columns are no rows.
        grown = 2 if table.rows.num_columns else 0
        assert len(table.after["files"]) >= len(table.before["files"]) + grown, name
        assert set(table.before["files"]) <= set(table.after["files"]), name


def test_a_log_without_data_files_goes_on_in_other_readers(appended):
    deltalake = pytest.importorskip("deltalake")
    checked = 0
    for name, table in appended.items():
        if not table.case.get("log_only"):
            continue
        try:
            deltalake.DeltaTable(foreign_readers.SHARED / table.case["table"])
        except deltalake.exceptions.DeltaError:  # a schema it does not read
            continue
        theirs = deltalake.DeltaTable(table.table)
        assert theirs.version() == table.after["version"], name
        names = [{unquote(unquote(path)).rsplit("/", 1)[-1] for path in paths}
                 for paths in (theirs.file_uris(), table.after["files"])]
        assert names[0] == names[1], name
        checked += 1
    assert checked > 10


def test_our_reader_sees_old_and_new_rows(appended, tmp_path):
    checked = 0
    for name, table in appended.items():
        if old_rows(table.case) is None:
            continue
        done = run(STATE, table.table, f"rows={tmp_path / 'rows.arrows'}")
        assert done.returncode == 0, (name, done.stderr)
        found = foreign_readers.stream_rows(tmp_path / "rows.arrows")
        assert foreign_readers.difference(table.expected(2), found) is None, name
        checked += 1
    assert checked > 130


def wrong(outcomes, reader_of):
    """What readers that read a table as it was say otherwise of it now."""
    faults = {}
    for (name, reader), outcome in outcomes.items():
        reads = reader_of.get(name, {}).get(reader, "ok")
        if outcome != "ok" and "ok" in reads and (name, reader) not in KNOWN:
            faults[name, reader] = outcome
        if outcome.startswith("differs") and "differs" not in reads and (name, reader) not in KNOWN:
            faults[name, reader] = outcome
    return faults


def test_a_checkpoint_puts_a_hint_that_leads_nowhere_right(appended):
    deltalake = pytest.importorskip("deltalake")
    table = appended["made-last-checkpoint-points-nowhere"]
    found = pa.table(deltalake.DeltaTable(table.table).to_pyarrow_table())
    assert foreign_readers.difference(table.expected(2), found) is None


def test_deltalake_and_duckdb_see_old_and_new_rows(appended):
    pytest.importorskip("deltalake")
    pytest.importorskip("duckdb_extension_delta")
    readers = foreign_readers.tool_module("readers")
    outcomes = {}
    for reader in (readers.Deltalake(), readers.Duckdb()):
        for name, table in appended.items():
            if old_rows(table.case) is None:
                continue
            try:
                found, _ = reader.read({"table": str(table.table)})
                differs = foreign_readers.difference(table.expected(2), found)
                outcome = f"differs: {differs}" if differs else "ok"
            except BaseException as failure:  # a panic of Rust is no Exception
                outcome = f"failed: {failure}"
            outcomes[name, reader.name] = outcome
    assert sum(outcome == "ok" for outcome in outcomes.values()) > 250
    assert wrong(outcomes, {name: case.get("readers") or {} for name, case in CASES.items()}) == {}


@pytest.mark.parametrize("part", range(PARTS))
def test_every_foreign_reader_sees_old_and_new_rows(appended, tmp_path, part):
    if why := foreign_readers.why_absent():
        pytest.skip(why)
    verdicts = foreign_readers.Verdicts(tmp_path)
    for name, table in list(appended.items())[part::PARTS]:
        if old_rows(table.case) is not None:
            verdicts.expect(name, table.table, table.expected(2))
    read = verdicts.read()
    for name, by_reader in read.items():
        print(f"{name:64}", *(f"{reader}={outcome.split(':')[0]}" for reader, outcome in by_reader.items()))
    outcomes = {(name, reader): outcome for name, by_reader in read.items()
                for reader, outcome in by_reader.items()}
    assert sum(outcome == "ok" for outcome in outcomes.values()) > 3 * len(read)
    assert wrong(outcomes, {name: case.get("readers") or {} for name, case in CASES.items()}) == {}
