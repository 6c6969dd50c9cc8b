"""The command line against a running server and against the storage itself."""

import csv
import json
import os
import pty
import subprocess

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from arrowport_testing import bench_table, binary, clean_environment, ipc_file, ipc_stream, run_cli

ROWS = 12_345
TOTAL = ROWS * (ROWS - 1) // 2


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    table = bench_table(ROWS)
    (folder / "rows.arrows").write_bytes(ipc_stream(table))
    (folder / "rows.arrow").write_bytes(ipc_file(table))
    pq.write_table(table, folder / "rows.parquet")
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    return folder


@pytest.mark.parametrize("name", ["rows.arrows", "rows.arrow", "rows.parquet", "rows.csv"])
def test_ingest_files(server, files, name):
    table = "cli_" + name.rpartition(".")[2]
    done = run_cli("ingest", table, files / name, "--url", server.url)
    assert done.returncode == 0, done.stderr
    assert server.rows(f"SELECT count(*), sum(id)::BIGINT FROM {table}") == [(ROWS, TOTAL)]


def test_ingest_several_files_and_json(server, files):
    done = run_cli("ingest", "cli_several", files / "rows.arrows", files / "rows.parquet", "--url", server.url,
                   "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout.splitlines()[-1]) if "\n{" in done.stdout else json.loads(done.stdout)
    assert server.value("SELECT count(*) FROM cli_several") == 2 * ROWS


def test_ingest_from_stdin(server, files):
    done = run_cli("ingest", "cli_stdin", "-", "--url", server.url, stdin=(files / "rows.arrows").read_bytes())
    assert done.returncode == 0, done.stderr
    assert server.value("SELECT count(*) FROM cli_stdin") == ROWS


def test_ingest_options(server, files):
    for _ in range(2):
        done = run_cli("ingest", "cli_source", files / "rows.parquet", "--table", "cli.target", "--mode", "overwrite",
                       "--url", server.url)
        assert done.returncode == 0, done.stderr
    assert server.value("SELECT count(*) FROM cli.target") == ROWS


def test_ingest_exit_codes(server, files, tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 not really PAR1")
    assert run_cli("ingest", "cli_bad", broken, "--url", server.url).returncode == 1
    assert run_cli("ingest", "cli_bad", tmp_path / "missing.parquet", "--url", server.url).returncode in (1, 2)
    assert run_cli("ingest").returncode == 2
    assert run_cli("ingest", "s", files / "rows.csv", "--url", "http://127.0.0.1:1").returncode == 3
    assert run_cli("no-such-command").returncode == 2
    partly = run_cli("ingest", "cli_partly", files / "rows.parquet", broken, "--url", server.url)
    assert partly.returncode == 4, partly.stderr


def test_ingest_local(files, tmp_path):
    database = tmp_path / "local.duckdb"
    done = run_cli("ingest", "offline", files / "rows.parquet", "--local", "--db", database, cwd=tmp_path)
    if done.returncode == 2 and "--db" in done.stderr:
        done = run_cli("ingest", "offline", files / "rows.parquet", "--local", cwd=tmp_path,
                       env={"ARROWPORT_DB": str(database)})
    assert done.returncode == 0, done.stderr
    import duckdb
    with duckdb.connect(str(database), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM offline").fetchone() == (ROWS,)


QUERY = "SELECT id, category, value FROM cli_queried ORDER BY id LIMIT 100"


@pytest.fixture(scope="module")
def queried(server):
    server.ingest("cli_queried", bench_table(1_000))
    return server


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "json"])
def test_query_to_a_file(queried, tmp_path, form):
    path = tmp_path / f"out.{form}"
    done = run_cli("query", "--host", "localhost", "--port", queried.flight_port, "--query", QUERY,
                   "--output-format", form, "--output-path", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = bench_table(1_000).select(["id", "category", "value"]).slice(0, 100)
    if form == "parquet":
        assert pq.read_table(path).equals(expected)
    elif form == "arrow":
        data = path.read_bytes()
        reader = pa.ipc.open_file(data) if data.startswith(b"ARROW1") else pa.ipc.open_stream(data)
        assert reader.read_all().combine_chunks().equals(expected.combine_chunks())
    elif form == "csv":
        rows = list(csv.reader(path.open(newline="")))
        assert rows[0] == expected.schema.names
        assert [(int(a), b, float(c)) for a, b, c in rows[1:]] == [tuple(r.values()) for r in expected.to_pylist()]
    else:
        text = path.read_text()
        rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
        assert rows == expected.to_pylist()


def test_query_default_path(queried, tmp_path):
    done = run_cli("query", "--port", queried.flight_port, "--query", QUERY, "--output-format", "csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "query_results.csv").exists()


def test_query_display(queried, tmp_path):
    done = run_cli("query", "--port", queried.flight_port, "--query", "SELECT 42 AS answer, 'ünï' AS word",
                   "--output-format", "display", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "answer" in done.stdout and "42" in done.stdout and "ünï" in done.stdout
    assert "\x1b[" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_query_from_stdin(queried, tmp_path):
    done = run_cli("query", "--port", queried.flight_port, "--query", "-", "--output-format", "display",
                   cwd=tmp_path, stdin="SELECT 40 + 2 AS answer")
    assert done.returncode == 0 and "42" in done.stdout, done


def test_query_exit_codes(queried, tmp_path):
    port = queried.flight_port
    failed = run_cli("query", "--port", port, "--query", "SELEC 1", "--output-format", "csv", cwd=tmp_path)
    assert failed.returncode == 1 and "SELEC" in failed.stderr
    assert run_cli("query", "--port", port, "--query", "SELECT * FROM nowhere", cwd=tmp_path).returncode == 1
    assert run_cli("query", "--port", "1", "--query", "SELECT 1", cwd=tmp_path).returncode == 3
    assert run_cli("query", cwd=tmp_path).returncode == 2
    assert not list(tmp_path.iterdir()), "a failed query left a file"


def test_query_of_a_reading_only_flight_server(tmp_path):
    """The client is a Flight client: it works against pyarrow's own server."""
    import pyarrow.flight as flight
    import threading

    class Constant(flight.FlightServerBase):
        def get_flight_info(self, context, descriptor):
            table = pa.table({"x": [1, 2, 3]})
            endpoint = flight.FlightEndpoint(b"t", [])
            return flight.FlightInfo(table.schema, descriptor, [endpoint], 3, -1)

        def do_get(self, context, ticket):
            return flight.RecordBatchStream(pa.table({"x": [1, 2, 3]}))

    foreign = Constant("grpc://127.0.0.1:0")
    threading.Thread(target=foreign.serve, daemon=True).start()
    done = run_cli("query", "--host", "127.0.0.1", "--port", foreign.port, "--query", "SELECT 1",
                   "--output-format", "csv", "--output-path", tmp_path / "o.csv", cwd=tmp_path)
    foreign.shutdown()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o.csv").read_text().replace('"', "").split() == ["x", "1", "2", "3"]


def test_tables_and_streams(queried):
    for name in ("tables", "streams"):
        plain = run_cli(name, "--url", queried.url)
        assert plain.returncode == 0 and "cli_queried" in plain.stdout, plain
        assert "\x1b[" not in plain.stdout
        document = run_cli(name, "--json", "--url", queried.url)
        assert "cli_queried" in json.dumps(json.loads(document.stdout))


def test_url_from_the_environment(queried):
    assert run_cli("tables", env={"ARROWPORT_URL": queried.url}).returncode == 0


def test_generate(tmp_path):
    first, second, other = (tmp_path / f"{n}.parquet" for n in "abc")
    for path, seed in ((first, 7), (second, 7), (other, 8)):
        done = run_cli("generate", "--num-records", 250_000, "--output-path", path, "--seed", seed, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    table = pq.read_table(first)
    assert table.schema.names == ["id", "date", "category", "value1", "value2", "active", "description"]
    assert table.equals(pq.read_table(second)) and not table.equals(pq.read_table(other))
    assert table["id"].to_pylist()[:3] == [0, 1, 2] and table.num_rows == 250_000
    import pyarrow.compute as pc
    assert pa.types.is_date(table.schema.field("date").type)
    assert pc.min(pc.year(table["date"])).as_py() == 2020 and pc.max(pc.year(table["date"])).as_py() == 2023
    assert set(table["category"].unique().to_pylist()) == set("ABCDE")
    assert abs(pc.mean(table["value1"]).as_py() - round(pc.mean(table["value1"]).as_py())) < 1
    assert pc.min(table["value2"]).as_py() >= 0
    assert pa.types.is_boolean(table.schema.field("active").type)
    assert not pc.any(pc.match_substring(table["description"], "\n")).as_py()


def test_generate_defaults(tmp_path):
    assert run_cli("generate", "--num-records", 10, cwd=tmp_path).returncode == 0
    assert pq.read_table(tmp_path / "sample_data.parquet").num_rows == 10


def test_help_and_version():
    top = run_cli("--help")
    assert top.returncode == 0
    for word in ("serve", "ingest", "query", "generate", "config", "version"):
        assert word in top.stdout
    for word in ("serve", "ingest", "query", "generate"):
        assert run_cli(word, "--help").returncode == 0
    assert run_cli("version").stdout.strip()


def test_config_check(tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("api:\n  port: 1234\n")
    bad.write_text("api:\n  prot: 1234\n")
    assert run_cli("config", "check", "--config", good, cwd=tmp_path).returncode == 0
    refused = run_cli("config", "check", "--config", bad, cwd=tmp_path)
    assert refused.returncode in (1, 2) and "api.port" in refused.stdout + refused.stderr


def test_secrets_are_masked(tmp_path):
    (tmp_path / "arrowport.yaml").write_text("s3:\n  secret: hunter2hunter2\n")
    done = run_cli("config", "show", cwd=tmp_path)
    assert "hunter2" not in done.stdout + done.stderr


def test_colour_only_on_a_terminal(queried, tmp_path):
    controller, terminal = pty.openpty()
    process = subprocess.Popen([binary(), "query", "--port", str(queried.flight_port), "--query", "SELECT 1 AS one",
                                "--output-format", "display"], stdout=terminal, stderr=subprocess.PIPE, cwd=tmp_path,
                               env=clean_environment({"TERM": "xterm-256color"}))
    _, errors = process.communicate(timeout=30)
    os.close(terminal)
    text = os.read(controller, 65536).decode()
    os.close(controller)
    assert process.returncode == 0, errors
    assert "one" in text
