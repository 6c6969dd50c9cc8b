"""Runs the README: each ```sh block whose info string says `test`, in order, in one shell session.

8888 and 8889 in the text are replaced by the ports of a running server. Blocks of python run
the same way.
"""

import re
import subprocess

import pytest

from arrowport_testing import SOURCE_DIR, binary, clean_environment

README = SOURCE_DIR / "README.md"
BLOCK = re.compile(r"^```(?:sh|bash|python) test\b([^\n]*)\n(.*?)^```", re.M | re.S)


def blocks():
    text = README.read_text() if README.exists() else ""
    for match in BLOCK.finditer(text):
        language = "python" if match.group(0).startswith("```python") else "sh"
        yield pytest.param(language, match.group(2), id=f"line-{text.count(chr(10), 0, match.start()) + 1}")


def test_the_readme_has_runnable_blocks():
    assert README.exists(), "no README.md"
    assert list(blocks()), "no block of README.md is marked ```sh test"


@pytest.mark.parametrize("language, text", list(blocks()))
def test_block(server, tmp_path_factory, language, text):
    folder = tmp_path_factory.getbasetemp() / "readme"
    folder.mkdir(exist_ok=True)
    tools = folder / "bin"
    if not tools.exists():
        tools.mkdir()
        (tools / "arrowport").symlink_to(binary())
    text = re.sub(r"\b8888\b", str(server.http_port), text)
    text = re.sub(r"\b8889\b", str(server.flight_port), text)
    environment = clean_environment({"ARROWPORT_URL": server.url})
    environment["PATH"] = f"{tools}:{SOURCE_DIR}/.deps/venv/bin:{environment['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [SOURCE_DIR / ".deps/venv/bin/python", "-c", text]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
