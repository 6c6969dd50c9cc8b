"""Spark, deltalake, Polars and DuckDB as judges of Delta tables, through the shared `readback`
tool: many tables with one call, since a start of Spark takes longer than reading a table.

The tool is found by $ARROWPORT_SHARED_DIR or beside the repository, its environment by
$READBACK_HOME or where its `setup` puts it.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ARROWPORT_SHARED_DIR", ROOT.parent / "shared")) / "delta"
TOOL = SHARED / "readback"
HOME = Path(os.environ.get("READBACK_HOME") or
            Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "readback")
ALL = ("spark", "deltalake", "polars", "duckdb")
SECONDS_MAX = 1500


def why_absent():
    """Why the readers cannot be asked; nothing when they can."""
    if not (TOOL / "readback").exists():
        return f"{TOOL} is not here"
    if not (HOME / ".stamp").exists():
        return f"{HOME} is not set up: run {TOOL / 'setup'}"
    return None


def tool_module(name):
    """A module of the tool that needs pyarrow only: `canon` or `readback`."""
    if str(TOOL) not in sys.path:
        sys.path.append(str(TOOL))
    return importlib.import_module(name)


def difference(expected, found):
    """How two tables differ as multisets of rows in canonical types; None when they do not."""
    canon = tool_module("canon")
    return canon.difference(canon.canonical(expected), canon.canonical(found))


class Verdicts:
    """Tables with the rows they should hold, then what each reader returned."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.cases = []

    def expect(self, name, table, rows, version=None, cdf=None):
        """`rows`: a pyarrow table; for `cdf`, a version range, without `_commit_timestamp`."""
        place = self.folder / "expected" / f"{len(self.cases)}"
        place.mkdir(parents=True)
        pq.write_table(tool_module("canon").canonical(rows), place / "rows.parquet",
                       coerce_timestamps="us", store_schema=True)
        check = {"rows": os.path.relpath(place, self.folder), "version": version}
        if cdf:
            check |= {"cdf": list(cdf), "columns": rows.column_names}
        self.cases.append({"name": name, "table": os.path.relpath(table, self.folder), "expected": [check]})

    def read(self, readers=ALL):
        """{name: {reader: "ok" or what went wrong}}, one call of the tool."""
        index, report = self.folder / "index.json", self.folder / "report.json"
        index.write_text(json.dumps({"cases": self.cases}))
        done = subprocess.run(
            [TOOL / "readback", "--cases", index, "--reader", ",".join(readers), "--json",
             "--json-file", report],
            capture_output=True, text=True, timeout=SECONDS_MAX,
            env={**os.environ, "READBACK_HOME": str(HOME)})
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return {name: {reader: outcomes[0] for reader, outcomes in by_reader.items()}
                for name, by_reader in json.loads(report.read_text()).items()}


def load_rows(folder):
    """The rows of a folder of Parquet files in canonical types."""
    return tool_module("readback").load_parquet(str(folder))


def stream_rows(path):
    with pa.ipc.open_stream(path) as reader:
        return reader.read_all()
