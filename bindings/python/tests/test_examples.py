"""The examples run as they stand."""

import json
import os
import subprocess
import sys

import pytest

from arrowport_testing import SOURCE_DIR
from zerobus_testing import CLIENT, TABLE

EXAMPLES = SOURCE_DIR / "examples/python"


def run_example(path, *arguments, **environment):
    done = subprocess.run([sys.executable, path, *arguments], env={**os.environ, **environment},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def zerobus_environment(emulator):
    return {"ZEROBUS_ENDPOINT": emulator.grpc_url, "ZEROBUS_TABLE_NAME": TABLE,
            "ZEROBUS_CLIENT_ID": CLIENT[0], "ZEROBUS_CLIENT_SECRET": CLIENT[1],
            "UNITY_CATALOG_URL": emulator.http_url}


def test_land_and_query(server):
    out = run_example(EXAMPLES / "land_and_query.py", server.url)
    assert "3 rows in events" in out and "replay=True" in out
    assert "[{'n': 3, 'total': 4.5}]" in out and "offset 2" in out


def test_zerobus_send(emulator):
    out = run_example(EXAMPLES / "zerobus_send.py", **zerobus_environment(emulator))
    assert out == "blocking: 3 of 3 rows durable\nasyncio: 9 rows durable\n"


@pytest.mark.parametrize("script", ["wrapper_quick_start.py", "wrapper_example.py"])
def test_wrapper(emulator, script):
    """Code in the shape of the wrapper's documentation: awaited, and plain in a running loop."""
    before = len(emulator.ids())
    out = run_example(EXAMPLES / script, **zerobus_environment(emulator))
    assert "failed" not in out and "3 rows" in out
    assert emulator.ids()[before:] == [1, 2, 3]


def test_notebook(server):
    """The cells in order; their assertions are the check."""
    notebook = json.loads((EXAMPLES / "arrowport.ipynb").read_text())
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"]
                     if cell["cell_type"] == "code")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60,
                   env={**os.environ, "ARROWPORT_URL": server.url})
