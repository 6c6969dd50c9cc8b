"""`arrowport serve`: start, ports, ready file, protected mode, configuration, health, shutdown."""

import http.client
import json
import os
import signal
import socket
import subprocess

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from arrowport_testing import (bench_table, clean_environment, binary, free_port, poll_until, put, run_cli,
                               user_table_exists)


def spoken_on(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def other_address():
    """An address of this machine that is not loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


# Ports and readiness.


def test_ready_file(server):
    assert server.ready == {"pid": server.pid, "http": server.ready["http"], "flight": server.ready["flight"]}
    assert spoken_on(server.http_port) and spoken_on(server.flight_port)
    assert server.http_port in server.ready["flight"]  # one listener, both protocols


def test_starts_quickly(server):
    assert server.start_seconds < 2


def test_prints_where_it_listens_and_an_example_for_each_protocol(server):
    text = poll_until(lambda: server.log() if str(server.flight_port) in server.log() else None)
    assert str(server.http_port) in text
    assert "curl" in text and "grpc://" in text


def test_each_port_speaks_both_protocols(server):
    for port in {*server.ready["http"], *server.ready["flight"]}:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/health/live")
        assert connection.getresponse().status == 200
        connection.close()
        with server.flight(port) as client:
            list(client.list_flights())


def test_defaults_and_aliases(make_server):
    """No options at all: 8888, 8889, the alias 8000, arrowport.duckdb in the working folder."""
    if any(spoken_on(port) for port in (8888, 8889)):
        pytest.skip("port 8888 or 8889 is taken on this machine")
    server = make_server(ports=(), db=None)
    assert server.ready["http"][0] == 8888 and server.ready["flight"] == [8888, 8889]
    assert 8000 in server.ready["http"] or "8000" in server.log()
    assert (server.folder / "arrowport.duckdb").exists()
    second = make_server(ports=(), db=None, start=False).spawn()
    assert second.wait() == 3
    assert "8888" in second.log()


def test_taken_alias_is_skipped_with_a_warning(make_server):
    if any(spoken_on(port) for port in (8888, 8889, 8000)):
        pytest.skip("port 8888, 8889 or 8000 is taken on this machine")
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 8000))
        holder.listen()
        server = make_server(ports=())
        assert 8000 not in server.ready["http"]
        assert "8000" in server.log()


def test_taken_port_ends_with_3(make_server, server):
    for ports in (("--port", str(server.http_port), "--flight-port", "0"),
                  ("--port", "0", "--flight-port", str(server.http_port))):
        second = make_server(ports=ports, start=False).spawn()
        assert second.wait() == 3
        assert str(server.http_port) in second.log()
        assert not second.ready_path.exists()


def test_ipv6_and_host_names(make_server):
    server = make_server("--host", "localhost")
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=2):
        pass


# Protected mode.


def test_protected_mode_serves_loopback_only(make_server):
    address = other_address()
    if address is None:
        pytest.skip("this machine has no address besides loopback")
    server = make_server("--host", "0.0.0.0")
    assert server.ingest("local", bench_table(1)).status == 200
    connection = http.client.HTTPConnection(address, server.http_port, timeout=10)
    connection.request("POST", "/query", b"SELECT 1")
    response = connection.getresponse()
    body = json.loads(response.read())
    assert response.status == 403
    assert "allow_anonymous" in body["message"]
    connection.close()
    client = flight.FlightClient(f"grpc://{address}:{server.flight_port}")
    with pytest.raises((flight.FlightUnauthenticatedError, flight.FlightUnauthorizedError)) as failure:
        client.do_get(flight.Ticket("SELECT 1")).read_all()
    assert "allow_anonymous" in str(failure.value)


def test_allow_anonymous_opens_it(make_server):
    address = other_address()
    if address is None:
        pytest.skip("this machine has no address besides loopback")
    server = make_server("--host", "0.0.0.0", "--allow-anonymous")
    client = flight.FlightClient(f"grpc://{address}:{server.flight_port}")
    assert client.do_get(flight.Ticket("SELECT 1 AS x")).read_all().to_pylist() == [{"x": 1}]


# Configuration.


@pytest.mark.parametrize("text, words", [
    ("api:\n  prot: 8888\n", ["api.prot", "api.port", "2"]),
    ("api:\n  port: many\n", ["port", "many"]),
    ("streams:\n  s:\n    target_tabel: x\n", ["target_tabel", "target_table"]),
    ("defaults:\n  on_mismatch: sometimes\n", ["on_mismatch", "sometimes"]),
    ("api: [\n", ["settings.yaml"]),
    ("limits:\n  queue_wait: 5 parsecs\n", ["queue_wait"]),
    ("- a\n- b\n", ["settings.yaml"]),
], ids=["unknown_key", "bad_number", "unknown_stream_key", "bad_choice", "bad_yaml", "bad_time", "not_a_map"])
def test_bad_configuration_names_the_place(make_server, text, words):
    server = make_server(start=False, config=text, ports=()).spawn()
    assert server.wait() not in (0, -signal.SIGABRT, -signal.SIGSEGV)
    log = server.log()
    for word in words:
        assert word in log, log


@pytest.mark.parametrize("arguments", [["--set", "api.prot=1"], ["--set", "nonsense"], ["--no-such-flag"],
                                       ["--port", "70000"], ["--port", "x"]], ids=" ".join)
def test_bad_flags_are_usage_errors(tmp_path, arguments):
    done = run_cli("serve", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done
    assert done.stderr


def test_layers_default_file_environment_flag(tmp_path):
    (tmp_path / "arrowport.yaml").write_text("api:\n  port: 1001\nflight:\n  port: 1002\n"
                                             "storage_backend: duckdb\ndb_path: from_file.duckdb\n")
    environment = {"ARROWPORT_PORT": "2001", "ARROWPORT_FLIGHT_PORT": "2002"}
    done = run_cli("config", "show", "--json", "--port", "3001", cwd=tmp_path, env=environment)
    if done.returncode == 2 and "--port" in done.stderr:
        done = run_cli("config", "show", "--json", "--set", "api.port=3001", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    for value in ("3001", "2002", "from_file.duckdb"):
        assert value in shown
    for value in ("1001", "2001"):
        assert f'"{value}"' not in shown
    origins = {entry["key"]: entry["origin"] for entry in json.loads(shown)}
    assert origins["flight.port"] == "ARROWPORT_FLIGHT_PORT"
    assert "arrowport.yaml" in origins["duckdb.path"]
    assert origins["api.port"].startswith("--") and origins["api.host"] == "default"


def test_streams_of_the_file_route(make_server):
    server = make_server(config="streams:\n  sensor:\n    target_table: lab.readings\n    schema_mode: merge\n")
    assert server.ingest("sensor", pa.table({"a": [1]})).json["table"] == "lab.readings"
    assert server.ingest("sensor", pa.table({"a": [1], "b": [2]})).status == 200
    assert server.rows("SELECT count(*), count(b) FROM lab.readings") == [(2, 1)]


def test_missing_parent_folders_are_created(make_server):
    server = make_server(db="deep/er/still/landing.duckdb")
    assert server.db.exists()


# Health, metrics, version.


def test_health_version_and_openapi(server):
    assert server.get("/health/live").status == 200
    assert server.get("/health/ready").status == 200
    version = server.get("/version").json
    printed = run_cli("version").stdout
    assert version["version"] in printed
    document = server.get("/openapi.json").json
    assert document["openapi"].startswith("3.")
    for path in ("/ingest/{stream}", "/stream/{stream}", "/query", "/metrics", "/health/live"):
        assert path in document["paths"], path


METRICS = ["arrowport_rows_processed_total", "arrowport_bytes_received_total", "arrowport_ingest_latency_seconds",
           "arrowport_active_connections", "arrowport_requests_total", "arrowport_memory_bytes",
           "arrowport_commit_seconds", "arrowport_commit_group_requests", "arrowport_inflight_bytes",
           "arrowport_wal_bytes", "arrowport_query_seconds", "process_", "arrowport_build_info"]


def test_metrics(server):
    with server.flight() as client:
        put(client, "measured", bench_table(100))
    server.ingest("measured", bench_table(50))
    server.value("SELECT 1")
    reply = server.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    text = reply.body.decode()
    for name in METRICS:
        assert f"\n{name}" in "\n" + text, name
    samples = server.metrics()
    rows = {labels: value for labels, value in samples.items()
            if labels.startswith("arrowport_rows_processed_total{") and '"measured"' in labels}
    assert sum(rows.values()) == 150
    assert any('protocol="flight"' in labels and value == 100 for labels, value in rows.items())
    assert any('protocol="rest"' in labels and value == 50 for labels, value in rows.items())
    assert samples['arrowport_ingest_latency_seconds_count{stream="measured"}'] == 2

    # Statements of either protocol count once, and checkpoints.
    queries = samples["arrowport_query_seconds_count"]
    checkpoints = samples.get("arrowport_checkpoint_seconds_count", 0)
    with server.flight() as client:
        client.do_get(flight.Ticket(b"SELECT 1")).read_all()
    server.value("SELECT 2")
    assert server.post("/admin/checkpoint").status == 200
    samples = server.metrics()
    assert samples["arrowport_query_seconds_count"] == queries + 2
    assert samples["arrowport_checkpoint_seconds_count"] == checkpoints + 1


def test_every_metric_line_is_well_formed(server):
    kinds = {}
    for line in server.get("/metrics").body.decode().splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split()
            assert name not in kinds
            kinds[name] = kind
        elif line and not line.startswith("#"):
            name = line.split("{")[0].split(" ")[0]
            base = name
            for suffix in ("_bucket", "_sum", "_count"):
                if name not in kinds and name.endswith(suffix):
                    base = name[:-len(suffix)]
            assert base in kinds, line
            float(line.rsplit(" ", 1)[1])


def test_stream_labels_are_bounded(make_server):
    server = make_server(db=":memory:")
    connection = server.connect()
    body = pa.table({"a": [1]})
    for number in range(1_200):
        assert server.ingest(f"s{number}", body, connection=connection).status == 200
    labels = {line for line in server.metrics() if line.startswith("arrowport_rows_processed_total{")}
    assert len(labels) <= 1_010
    assert any('stream="other"' in line for line in labels)


def test_metrics_port_serves_only_metrics(make_server):
    port = free_port()
    server = make_server("--set", f"api.metrics_port={port}")
    answers = {}
    for path in ("/metrics", "/query?sql=SELECT%201", "/tables"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        answers[path] = connection.getresponse().status
        connection.close()
    assert answers == {"/metrics": 200, "/query?sql=SELECT%201": 404, "/tables": 404}
    assert server.get("/health/live").status == 200


# Shutdown.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(make_server, number):
    server = make_server()
    server.ingest("kept", bench_table(1000))
    server.signal(number)
    assert server.wait() == 0
    assert not server.wal_path.exists()
    assert user_table_exists(server.db, "kept")


def test_restart_keeps_everything(make_server):
    server = make_server()
    server.ingest("kept", bench_table(1000))
    assert server.stop() == 0
    server.start()
    assert server.value("SELECT count(*) FROM kept") == 1000
    server.restart()
    assert server.value("SELECT count(*) FROM kept") == 1000


def test_admin_checkpoint_and_backup(make_server):
    server = make_server()
    server.ingest("saved", bench_table(5_000))
    assert server.wal_path.stat().st_size > 100_000
    assert server.post("/admin/checkpoint").status == 200
    assert not server.wal_path.exists() or server.wal_path.stat().st_size < 10_000
    target = server.folder / "copy.duckdb"
    reply = server.post("/admin/backup", json.dumps({"path": str(target)}).encode(), "application/json")
    if reply.status == 501:
        assert reply.code == "NOT_BUILT"
        return
    assert reply.status == 200, reply.body
    assert user_table_exists(target, "saved")


def test_log_is_json_when_not_a_terminal(make_server):
    server = make_server("--set", "log.level=debug")
    server.ingest("logged", bench_table(1))
    assert server.stop() == 0
    entries = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    assert entries


def test_output_to_a_closed_pipe_does_not_end_it(tmp_path):
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [binary(), "serve", "--port", "0", "--flight-port", "0", "--db", ":memory:", "--ready-file",
         str(tmp_path / "ready.json")], stdout=write_end, stderr=write_end, cwd=tmp_path, env=clean_environment())
    os.close(write_end)
    os.close(read_end)
    try:
        ready = poll_until(lambda: (tmp_path / "ready.json").exists() and (tmp_path / "ready.json").read_text())
        port = json.loads(ready)["http"][0]
        assert spoken_on(port)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
