#!/usr/bin/env python3
"""Checks on the source text, run as tests: python3 tools/lint.py [check ...].

Each check is a function named check_*; it yields one message per finding.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
# Longer on purpose, with the reason.
LONG_FILES = {
    "src/ingest/stream_upload.cc": "one state machine; its steps are read together",
}
LINE_COLUMNS_MAX = 100  # clang-format aims at 90; long literals may stand out a little


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT,
                         capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in out.splitlines() if (ROOT / line).is_file()]


def sources():
    return [p for p in tracked("src/*.h", "src/*.cc") if "proto" not in p.parts]


def directions():
    table = {}
    for line in (ROOT / "tools/direction.txt").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        folder, _, allowed = line.partition(":")
        table[folder.strip()] = set(allowed.split())
    return table


def folder_of(path, table):
    """The longest folder of the table that holds `path` (relative to src/)."""
    parts = Path(path).parent.parts
    for size in range(len(parts), 0, -1):
        name = "/".join(parts[:size])
        if name in table:
            return name
    return None


def check_direction():
    """Includes run only the way tools/direction.txt says."""
    table = directions()
    for path in sources():
        relative = path.relative_to(SOURCE)
        mine = folder_of(relative, table)
        if mine is None:
            yield f"{relative}: its folder is not in tools/direction.txt"
            continue
        allowed = table[mine] | {mine}
        if path.stem.endswith("_test"):
            allowed = allowed | {"testing"}
        for target in INCLUDE.findall(path.read_text()):
            theirs = folder_of(target, table)
            if theirs and theirs not in allowed:
                yield f"{relative}: {mine} may not include {theirs} ({target})"


def check_duckdb_headers():
    """DuckDB's headers are seen by engine, sink/duckdb and lake alone."""
    for path in sources():
        relative = str(path.relative_to(SOURCE))
        if re.search(r'#\s*include\s+[<"]duckdb', path.read_text()):
            if not relative.startswith(("engine/", "sink/duckdb/", "lake/")):
                yield f"{relative}: includes DuckDB headers"


def check_own_header_first():
    """x.cc includes x.h first, so that every header proves it stands alone."""
    for path in sources():
        if path.suffix != ".cc" or not path.with_suffix(".h").exists():
            continue
        first = INCLUDE.search(path.read_text())
        wanted = str(path.with_suffix(".h").relative_to(SOURCE))
        if not first or first.group(1) != wanted:
            yield f"{path.relative_to(ROOT)}: the first include must be \"{wanted}\""


def check_pragma_once():
    for path in tracked("src/*.h", "include/*.h"):
        if "#pragma once" not in path.read_text():
            yield f"{path.relative_to(ROOT)}: no #pragma once"


def check_readmes():
    """Each folder of src/ with code says in at most 40 lines what it is."""
    folders = {path.parent for path in sources()}
    for folder in sorted(folders):
        readme = folder / "README.md"
        if not readme.exists():
            yield f"{folder.relative_to(ROOT)}: no README.md"
        elif len(readme.read_text().splitlines()) > 40:
            yield f"{readme.relative_to(ROOT)}: more than 40 lines"


BANNED = [
    (re.compile(r"\bgetenv\s*\("), "getenv outside config", ("src/config/",)),
    (re.compile(r"\.detach\s*\(\s*\)"), "detached thread", ()),
    (re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\s*\("), "sleeping",
     ("src/base/fault_point.cc", "src/client/backoff.cc")),
    (re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"), "unfinished mark", ()),
    (re.compile(r"\bstd::(cout|cerr)\b"), "stream output outside cli", ("src/cli/",)),
    (re.compile(r"\b(strcpy|sprintf|strcat|gets)\s*\("), "unbounded C string call", ()),
]


def check_banned():
    for path in sources():
        relative = str(path.relative_to(ROOT))
        text = path.read_text()
        for pattern, what, exempt in BANNED:
            if relative.startswith(exempt) if exempt else False:
                continue
            if what == "getenv outside config" and path.stem.endswith("_test"):
                continue
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                if what == "sleeping" and "// poll" in text.splitlines()[line - 1]:
                    continue  # a bounded wait for what cannot signal, said so on the line
                yield f"{relative}:{line}: {what}: {match.group(0)}"


def check_python_sleep():
    """Tests wait for conditions, not for time to pass."""
    for path in tracked("tests/*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "time.sleep(" in line and "# poll" not in line:
                yield f"{path.relative_to(ROOT)}:{number}: time.sleep outside a marked poll"


def check_size():
    for path in sources() + tracked("include/*.h"):
        lines = path.read_text().splitlines()
        if len(lines) > FILE_LINES_MAX and str(path.relative_to(ROOT)) not in LONG_FILES:
            yield f"{path.relative_to(ROOT)}: {len(lines)} lines (at most {FILE_LINES_MAX})"
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_COLUMNS_MAX and "http" not in line and '"' not in line:
                yield f"{path.relative_to(ROOT)}:{number}: {len(line)} columns"


def check_functions():
    """Functions fit on a screen. A definition starts at column 0 and ends with a lone '}'."""
    start = re.compile(r"^[A-Za-z_].*[^;]\s*\{$|^[A-Za-z_].*\)\s*(const)?\s*\{$")
    skip = re.compile(r"^(namespace|struct|class|enum|union|extern)\b|=\s*\{$")
    for path in sources():
        if path.stem.endswith("_test"):
            continue
        begin = None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if begin is None and start.match(line) and not skip.search(line):
                begin = number
            elif line.startswith("}") and begin is not None:
                if number - begin + 1 > FUNCTION_LINES_MAX:
                    yield (f"{path.relative_to(ROOT)}:{begin}: function of "
                           f"{number - begin + 1} lines (at most {FUNCTION_LINES_MAX})")
                begin = None


def check_private_words():
    """The repository speaks of Arrowport alone: no machine paths."""
    pattern = re.compile(r"(?<![\w.])/(work|farm)/|/tmp/\w+_jobs")
    for path in tracked():
        if path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path.relative_to(ROOT)}:{line}: machine path {match.group(0)}"


CHECKS = {name[6:]: function for name, function in sorted(globals().items())
          if name.startswith("check_")}


def main(names):
    failed = 0
    for name in names or CHECKS:
        findings = list(CHECKS[name]())
        for finding in findings:
            print(f"{name}: {finding}")
        failed += bool(findings)
    print(f"{len(names or CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
