"""The official Zerobus SDK against the emulator, in every mode they share."""

from pathlib import Path

import pytest

from clients import CLIENTS
from zerobus_testing import CLIENT, TABLE, Emulator


@pytest.fixture
def emulator(tmp_path):
    with Emulator(tmp_path / "emulator") as running:
        yield running


@pytest.fixture
def run_sdk(emulator, run_client):
    python = CLIENTS / "zerobus" / "bin" / "python"
    program = Path(__file__).with_name("zerobus_sdk_client.py")

    def run(*steps):
        return run_client([python, program, emulator.grpc_url, emulator.http_url, TABLE, *CLIENT,
                           *steps], python, "python3")

    return run


def test_json_records(emulator, run_sdk):
    steps = run_sdk("json")
    assert steps["json"] == {"offsets": [0, 1], "acks": [0, 1], "errors": []}
    assert emulator.ids() == [1, 2, 3, 4]
    assert {line["mode"] for line in emulator.rows()} == {"record"}
    assert emulator.counters()["half_closes"] == 1


def test_proto_records_with_a_nested_message(emulator, run_sdk):
    assert run_sdk("proto")["proto"]["last"] == 1
    assert emulator.ids() == [11, 12, 13, 14]


def test_arrow_batches(emulator, run_sdk):
    assert run_sdk("arrow")["arrow"]["offsets"] == [0, 1, 2]
    assert [(line["mode"], line["offset"], line["ids"]) for line in emulator.rows()] == [
        ("flight", 0, [21, 22]), ("flight", 1, [23, 24]), ("flight", 2, [25, 26])]


def test_asynchronous_interface(emulator, run_sdk):
    run_sdk("asynchronous")
    assert emulator.ids() == [31, 32, 33, 34]


def test_refusals_are_understood_as_final(emulator, run_sdk):
    steps = run_sdk("arrow_refused", "row_refused", "wrong_secret")
    # The SDK reads the typed details: it names the schema, not just the status.
    assert "schema does not match the target table" in steps["arrow_refused"]["error"]
    assert "nothing is not in the table" in steps["arrow_refused"]["error"]
    assert "required field is missing: id" in steps["row_refused"]["error"]
    assert "401" in steps["wrong_secret"]["error"]
    assert emulator.rows() == []


def test_a_reset_behind_the_log_brings_duplicates_and_no_loss(emulator, run_sdk):
    emulator.script(faults=[{"connection": 1, "point": "after_log", "at": 4,
                             "action": {"type": "reset_stream", "http2_code": 2}}],
                    acks={"every": 100})
    run_sdk("recovery")
    assert set(emulator.ids()) == set(range(41, 51))
    assert {line["connection"] for line in emulator.rows()} == {1, 2}
    again = [line for line in emulator.rows() if line["connection"] == 2]
    assert [line["offset"] for line in again] == list(range(10)), "wire offsets restart"


def test_a_rotation_is_followed_without_loss_or_duplicates(emulator, run_sdk):
    emulator.script(rotation={"connection": 1, "after_requests": 5, "duration_ms": 2000})
    run_sdk("rotation")
    assert emulator.ids() == list(range(61, 81))
    counters = emulator.counters()
    assert counters["close_signals"] == 1
    assert counters["connections"] == 2
