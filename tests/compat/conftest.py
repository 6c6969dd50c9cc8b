"""Foreign clients: each test runs one program of tools/setup_compat against the real server."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from arrowport_testing import clean_environment

ROWS = 3000
IDS = {"rows": ROWS, "id_sum": ROWS * (ROWS - 1) // 2, "nulls": 429}


@pytest.fixture
def run_client():
    """Runs a client program; its steps as {step: object}. Skips when it was not built."""

    def run(command, needs, tool):
        if not Path(needs).exists():
            why = "run tools/setup_compat" if shutil.which(tool) else f"{tool} is not installed"
            pytest.skip(f"{needs} is missing: {why}")
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120,
                              env=clean_environment())
        assert done.returncode == 0, done.stdout + done.stderr
        steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return {step.pop("step"): step for step in steps}

    return run


@pytest.fixture
def judge():
    """Checks the steps every Flight client does. Codes are compared without case or '_'."""

    def check(steps, table):
        acks = steps["put"]["acks"]
        assert acks[0]["ready"] is True
        summary = acks[-1]
        assert summary["status"] == "success"
        assert summary["rows_processed"] == ROWS
        assert steps["get_by_ticket"] == IDS
        assert steps["get_by_info"] == IDS
        assert [table] in [path[-1:] for path in steps["list"]["paths"]]
        codes = {step: steps[step]["code"].replace("_", "").lower()
                 for step in ("bad_sql", "missing_table", "bad_put")}
        assert codes == {"bad_sql": "invalidargument", "missing_table": "notfound",
                         "bad_put": "invalidargument"}
        assert "no_such_table" in steps["missing_table"]["message"]

    return check
