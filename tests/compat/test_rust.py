"""Rust: arrow-flight on tonic."""

from clients import CLIENTS


def test_arrow_flight(server, run_client, judge):
    program = CLIENTS / "rust" / "debug" / "arrowport_compat"
    url = f"http://127.0.0.1:{server.flight_port}"
    judge(run_client([program, url, "from_rust"], program, "cargo"), "from_rust")


def test_arrow_flight_on_the_http_port(server, run_client, judge):
    program = CLIENTS / "rust" / "debug" / "arrowport_compat"
    url = f"http://127.0.0.1:{server.http_port}"
    judge(run_client([program, url, "from_rust_too"], program, "cargo"), "from_rust_too")
