"""Record mode as Python's grpcio sees it, with classes of protoc: zerobus_grpc_client.py."""

from pathlib import Path

import pytest

from clients import CLIENTS
from zerobus_testing import Emulator


@pytest.mark.parametrize("part", ["opening", "rows", "faults", "details"])
def test_record_mode(tmp_path, run_client, part):
    python = CLIENTS / "zerobus" / "bin" / "python"
    program = Path(__file__).with_name("zerobus_grpc_client.py")
    proto = Path(__file__).parents[2] / "src" / "zerobus" / "protocol" / "zerobus.proto"
    with Emulator(tmp_path / "emulator") as emulator:
        steps = run_client([python, program, emulator.grpc_url, emulator.http_url, proto,
                            tmp_path / "classes", part, emulator.token()], python, "python3")
        assert steps.pop("end") == {"passed": True}
        assert steps
        if part == "faults":
            assert emulator.counters()["open_now"] == 0
