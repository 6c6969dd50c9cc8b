"""Fixtures of every pytest folder that runs the real server."""

import pytest

from arrowport_testing import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server on an empty file, one for the module."""
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def make_server(tmp_path):
    """Makes servers that are gone when the test ends: make_server(*arguments, **options).

    They are started unless start=False; each has a folder of its own under tmp_path unless
    `folder` names one.
    """
    made = []

    def make(*arguments, start=True, folder=None, **options):
        server = Server(folder or tmp_path / f"server-{len(made)}", *arguments, **options)
        made.append(server)
        return server.start() if start else server

    yield make
    for server in made:
        server.kill9()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the server's last words beside a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    for value in item.funcargs.values():
        if isinstance(value, Server):
            report.sections.append(("server log", value.log()[-4000:]))
