"""The `arrowport` command: runs the program that came with the package, in this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def program() -> Path:
    """The server and command line program of this installation."""
    return Path(__file__).parent / "_bin" / "arrowport"


def main() -> int:
    path = program()
    if not path.is_file():
        print(f"arrowport: this installation carries no program ({path} is missing)",
              file=sys.stderr)
        return 1
    # Replaced, not started as a child: signals and the exit code are the program's own.
    os.execv(path, ["arrowport", *sys.argv[1:]])
