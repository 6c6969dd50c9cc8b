"""The wheel in a clean environment: imports, the program, the wrapper's example.

And the C++ library as installed: find_package(arrowport) builds and runs the examples.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from arrowport_testing import SOURCE_DIR, Server
from zerobus_testing import CLIENT, TABLE

BUILD = Path(os.environ.get("ARROWPORT_BUILD_DIR", SOURCE_DIR / "build/release"))


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=500,
                          **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def clean_environment():
    return {name: value for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "LD_", "VIRTUAL_ENV", "ARROWPORT"))}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of a new environment's programs, with the wheel installed."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, SOURCE_DIR / "tools/wheel", folder, BUILD, env=clean_environment())
    wheel, = folder.glob("arrowport-*.whl")
    venv.create(folder / "venv", with_pip=True)
    run(folder / "venv/bin/pip", "install", "-q", "--disable-pip-version-check", wheel,
        env=clean_environment())
    return folder / "venv/bin"


def test_imports(installed, tmp_path):
    code = ("import arrowport, arrow_zerobus_sdk_wrapper, pathlib; from arrowport import zerobus; "
            "print(arrowport.__version__, pathlib.Path(arrowport.__file__).parent)")
    version, folder = run(installed / "python", "-c", code, env=clean_environment(),
                          cwd=tmp_path).split()
    assert version == "1.0.0" and Path(folder).is_relative_to(installed.parent)


def test_needs_no_library_of_the_system(installed):
    """But those that any Linux has."""
    site, = (installed.parent / "lib").glob("python3*/site-packages")
    parts = [site / "arrowport/_bin/arrowport", *site.glob("arrowport/**/*.so"),
             *site.glob("arrowport.libs/*")]
    assert len(parts) > 10
    needed = {}
    for part in parts:
        for line in run("ldd", part, env=clean_environment()).splitlines():
            name, _, path = line.strip().partition(" => ")
            assert "not found" not in path, (part, line)
            if path and not path.startswith(str(installed.parent)):
                needed.setdefault(re.match(r"[A-Za-z_+]+", name)[0], part)
    assert needed.keys() <= {"libc", "libm", "libdl", "librt", "libpthread", "libresolv",
                             "libstdc++", "libgcc_s", "libz"}, needed
    licences = next(site.glob("arrowport-*.dist-info")) / "licenses"
    assert "libprotobuf32" in {path.name for path in licences.iterdir()}


def test_the_program_serves(installed, tmp_path, monkeypatch):
    monkeypatch.setenv("ARROWPORT_BINARY", str(installed / "arrowport"))
    monkeypatch.delenv("PYTHONPATH", raising=False)  # else the build folder's package goes first
    with Server(tmp_path / "server") as server:
        example = SOURCE_DIR / "examples/python/land_and_query.py"
        out = run(installed / "python", example, server.url, env=clean_environment(), cwd=tmp_path)
        assert "{'n': 3, 'total': 4.5}" in out


@pytest.mark.parametrize("script", ["wrapper_quick_start.py", "wrapper_example.py"])
def test_the_wrapper_example(installed, emulator, tmp_path, script):
    shutil.copy(SOURCE_DIR / "examples/python" / script, tmp_path)
    out = run(installed / "python", tmp_path / script, cwd=tmp_path, env={
        **clean_environment(), "ZEROBUS_ENDPOINT": emulator.grpc_url, "ZEROBUS_TABLE_NAME": TABLE,
        "ZEROBUS_CLIENT_ID": CLIENT[0], "ZEROBUS_CLIENT_SECRET": CLIENT[1],
        "UNITY_CATALOG_URL": emulator.http_url})
    assert "3 rows" in out and "failed" not in out


def test_find_package(emulator, server, tmp_path):
    import pyarrow
    run("cmake", "--build", BUILD, "--target", "arrowport_library")
    run("cmake", "--install", BUILD, "--component", "library", "--prefix", tmp_path / "prefix")
    run("cmake", "-S", SOURCE_DIR / "examples/cpp", "-B", tmp_path / "build",
        f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}",
        f"-DARROWPORT_ARROW_DIR={Path(pyarrow.__file__).parent}")
    run("cmake", "--build", tmp_path / "build")
    assert "3 rows in cpp_events" in run(tmp_path / "build/land_and_query", server.url)
    out = run(tmp_path / "build/zerobus_send", emulator.grpc_url, TABLE, *CLIENT, emulator.http_url)
    assert out == "3 of 3 rows durable\n"
