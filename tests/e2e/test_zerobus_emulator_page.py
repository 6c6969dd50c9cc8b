"""docs/reference/zerobus-emulator.md, run: every example, name and request on it."""

import json
import re
import subprocess
import urllib.parse

import pytest

from arrowport_testing import SOURCE_DIR, run_cli
from zerobus_testing import COLUMNS, TABLE, Emulator

PAGE = (SOURCE_DIR / "docs/reference/zerobus-emulator.md").read_text()
JSON_BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.S)]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with Emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


def names(header):
    """The names in the first column of the table under `header`."""
    table = PAGE.partition(f"| {header} |")[2].partition("\n\n")[0]
    return [name for row in table.splitlines()[2:]
            for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def accepts(emulator, script):
    status, _, body = emulator.request("PUT", "/control/script", json.dumps(script).encode())
    assert status in (200, 400), body
    return status == 200


def test_options():
    shown = run_cli("zerobus", "emulate", "--help").stdout
    options = [name.split()[0] for name in names("option")]
    assert len(options) > 10
    assert [name for name in options if name not in shown] == []


def test_the_script(emulator, tmp_path):
    line, script = JSON_BLOCKS
    assert accepts(emulator, script)
    assert not accepts(emulator, {**script, "unknown": 1})
    assert set(names("field | meaning")) >= set(script)
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script))
    with Emulator(tmp_path / "started", "--script", path):
        pass
    command = re.search(r"^curl .*", PAGE, re.M)[0]
    command = command.replace("http://127.0.0.1:9001", emulator.http_url)
    done = subprocess.run(command.split() + ["-sSf"], cwd=tmp_path, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_every_point_and_action(emulator):
    points, actions = names("point"), names("`type` of `action`")
    assert len(points) == 8
    for point in points:
        assert accepts(emulator, {"faults": [{"point": point, "action": {"type": "tcp_close"}}]})
    assert len(actions) == 18
    for action in actions:
        action = {"type": action, "duration_ms": 1}
        assert any(accepts(emulator, {"faults": [{"point": point, "action": action}]})
                   for point in points), action
    assert not accepts(emulator, {"faults": [{"point": "after_log", "action": "tcp_reset"}]})
    emulator.script()


def test_the_control_interface(emulator):
    bodies = {"PUT /control/script": {}, "PUT /control/table": {"columns": COLUMNS}}
    values = {"table": TABLE, "name": "c.s.t", "from": "0", "duration_ms": "1", "forced": "true",
              "signal": "true"}
    requests = []
    rows = PAGE.partition("| request | effect |")[2].partition("\n\n")[0].splitlines()[2:]
    for cell in (row.split("|")[1].replace("`", "") for row in rows):
        paths = re.findall(r"/control/[^\s,]+", cell)
        paths += [paths[0].rpartition("/")[0] + more for more in re.findall(r"\.\.\.(/\S+)", cell)]
        requests += [(method, path) for path in paths
                     for method in re.findall(r"\b(?:GET|PUT|POST|DELETE)\b", cell)]
    assert len(requests) == 13
    for method, path in requests:
        path, _, query = path.partition("?")
        names = [part.partition("=")[0] for part in query.split("&") if part]
        body = bodies.get(f"{method} {path}")
        status, _, text = emulator.request(
            method, path + "?" + urllib.parse.urlencode({name: values[name] for name in names}),
            None if body is None else json.dumps(body).encode())
        assert status == 200, (method, path, text)


def test_counters_and_log(emulator):
    told = PAGE.partition("\nCounters: ")[2].partition("\n\n")[0]
    told = set(re.findall(r"`([a-z_]+)`", told))
    assert told == set(emulator.counters())


def test_the_log_line(emulator, tmp_path):
    line = JSON_BLOCKS[0]
    sent = tmp_path / "rows.csv"
    sent.write_text("id\n7\n8\n")
    done = run_cli("zerobus", "send", sent, env={
        "ZEROBUS_ENDPOINT": emulator.grpc_url, "UNITY_CATALOG_URL": emulator.http_url,
        "ZEROBUS_TABLE_NAME": TABLE, "ZEROBUS_CLIENT_ID": "tester",
        "ZEROBUS_CLIENT_SECRET": "s3cret"})
    assert done.returncode == 0, done.stderr
    written = emulator.rows()[-1]
    assert list(written) == list(line)
    assert {key: written[key] for key in ("mode", "rows", "ids")} == {
        key: line[key] for key in ("mode", "rows", "ids")}
