"""Python ADBC: the Go Flight SQL driver connects and reads by ticket."""

from pathlib import Path

from arrowport_testing import bench_table, put
from clients import CLIENTS


def test_connect_and_read_by_ticket(server, run_client):
    with server.flight() as client:
        put(client, "for_adbc", bench_table(5000))
    program = Path(__file__).with_name("adbc_client.py")
    python = CLIENTS / "venv" / "bin" / "python"
    steps = run_client([python, program, server.grpc, "for_adbc"], python, "python3")
    assert "connect" in steps
    assert steps["partition"] == {"rows": 5000, "id_sum": 5000 * 4999 // 2}
    assert steps["statement"]["code"] in ("OK", "NOT_IMPLEMENTED")
    if steps["statement"]["code"] == "OK":
        assert steps["statement"]["rows"] == 5000
