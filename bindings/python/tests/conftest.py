"""Fixtures: a Zerobus emulator and an Arrowport server, one of each for a module."""

import asyncio

import pytest

from arrowport_testing import Server
from zerobus_testing import CLIENT, TABLE, Emulator


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with Emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
def make_emulator(tmp_path):
    """Emulators of one test: make_emulator(script=None, **options)."""
    started = []

    def make(script=None, **options):
        emulator = Emulator(tmp_path / f"emulator-{len(started)}", **options)
        started.append(emulator.__enter__())
        if script is not None:
            emulator.script(**script)
        return emulator

    yield make
    for emulator in started:
        emulator.__exit__()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


def options_for(emulator, table=TABLE, **changes):
    """Keywords of zerobus.Options for the emulator."""
    return {"endpoint": emulator.grpc_url, "table": table, "client_id": CLIENT[0],
            "client_secret": CLIENT[1], "unity_catalog_url": emulator.http_url,
            "workspace_id": "127", "recovery_backoff_base_ms": 1, "recovery_backoff_max_ms": 20,
            **changes}


@pytest.fixture
def options(emulator):
    """options(**changes): keywords for the module's emulator."""
    return lambda **changes: options_for(emulator, **changes)


@pytest.fixture
def run():
    """Runs a coroutine function to its end, bounded."""
    def run(function):
        async def bounded():
            return await asyncio.wait_for(function(), 30)
        return asyncio.run(bounded())
    return run
