"""Finds the arrowport program: $ARROWPORT_PROGRAM, this checkout's build, else the PATH."""

import os
import shutil
import sys
from pathlib import Path


def run(*arguments):
    """Replaces this process by `arrowport ARGUMENTS...`."""
    built = Path(__file__).resolve().parents[2] / "build/release/arrowport"
    program = os.environ.get("ARROWPORT_PROGRAM") or (
        str(built) if built.exists() else shutil.which("arrowport"))
    if not program:
        sys.exit("arrowport not found: run `make build`, or set ARROWPORT_PROGRAM")
    os.execv(program, [program, *arguments])
