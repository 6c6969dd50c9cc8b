"""The query service over Parquet: file, folder, glob, differing schemas, new and broken files."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
from arrowport_testing import SOURCE_DIR, binary, clean_environment, poll_until, put, run_cli

SCRIPTS = SOURCE_DIR / "examples" / "parquet-query-service"


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def count(server, table="dataset"):
    return server.value(f"SELECT count(*) FROM {table}")


def test_one_file(make_server, tmp_path):
    path = tmp_path / "one.parquet"
    assert run_cli("generate", "--num-records", 1_000, "--output-path", path).returncode == 0
    server = make_server("--parquet-path", path)
    with server.flight() as client:
        table = client.do_get(flight.Ticket("SELECT * FROM dataset ORDER BY id")).read_all()
        assert table["id"].to_pylist() == list(range(1_000))
        assert table.schema.names == pq.read_schema(path).names
        names = {info.descriptor.path[-1] for info in client.list_flights()}
        assert b"dataset" in names


def test_folder_with_partitions_and_new_files(make_server, tmp_path):
    root = tmp_path / "data"
    write(root / "year=2023/a.parquet", x=[1, 2])
    write(root / "year=2024/b.parquet", x=[3], y=["only here"])
    server = make_server("--parquet-path", root)
    assert server.rows("SELECT x, y, year::INT FROM dataset ORDER BY x") == \
        [(1, None, 2023), (2, None, 2023), (3, "only here", 2024)]
    write(root / "year=2025/c.parquet", x=[4])
    poll_until(lambda: count(server) == 4, what="the new file")


def test_files_of_a_folder_are_tables(make_server, tmp_path):
    for number, name in enumerate(["b", "a", "c"]):
        write(tmp_path / f"flat/{name}.parquet", x=[number])
    server = make_server("--parquet-path", tmp_path / "flat")
    assert [server.value(f"SELECT x FROM file_{i}") for i in range(3)] == [1, 0, 2]


def test_glob(make_server, tmp_path):
    write(tmp_path / "g/keep-1.parquet", x=[1])
    write(tmp_path / "g/keep-2.parquet", x=[2])
    write(tmp_path / "g/other.parquet", x=[3])
    server = make_server("--parquet-path", tmp_path / "g" / "keep-*.parquet")
    assert count(server) == 2


def test_broken_file_is_named(make_server, tmp_path):
    write(tmp_path / "d/good.parquet", x=[1])
    (tmp_path / "d/broken.parquet").write_bytes(b"PAR1 this is no parquet file PAR1")
    server = make_server("--parquet-path", tmp_path / "d")
    reply = server.query("SELECT * FROM dataset")
    assert reply.status >= 400
    assert "broken.parquet" in reply.json["message"]
    assert server.value("SELECT 1") == 1


def test_missing_path_is_named(make_server, tmp_path):
    server = make_server("--parquet-path", tmp_path / "nowhere")
    reply = server.query("SELECT * FROM dataset")
    assert reply.status in (400, 404, 500), reply.body
    assert "nowhere" in reply.json["message"]
    write(tmp_path / "nowhere/a.parquet", x=[1])
    poll_until(lambda: server.query("SELECT * FROM dataset").status == 200, what="the data that came later")


def test_beside_ingest(make_server, tmp_path):
    write(tmp_path / "side/a.parquet", x=[1, 2, 3])
    server = make_server("--parquet-path", tmp_path / "side")
    with server.flight() as client:
        put(client, "landed", pa.table({"x": [2, 3, 4]}))
    assert server.value("SELECT count(*) FROM dataset JOIN landed USING (x)") == 2


def test_datasets_of_the_configuration(make_server, tmp_path):
    write(tmp_path / "n/a.parquet", x=[1])
    write(tmp_path / "m/a.parquet", x=[1, 2])
    server = make_server(config=f"datasets:\n  north: {tmp_path}/n\n  south: {tmp_path}/m/*.parquet\n")
    assert (count(server, "north"), count(server, "south")) == (1, 2)


def test_example_scripts(tmp_path):
    environment = clean_environment({"ARROWPORT_PROGRAM": binary()})

    def script(name, *arguments):
        return subprocess.run([sys.executable, SCRIPTS / name, *map(str, arguments)], cwd=tmp_path, env=environment,
                              capture_output=True, text=True, timeout=60)

    made = script("generate_sample_data.py", "--num-records", 5_000, "--output-path", tmp_path / "sample.parquet")
    assert made.returncode == 0, made.stderr
    from arrowport_testing import free_port
    port = free_port()
    log = open(tmp_path / "log", "wb")
    server = subprocess.Popen([sys.executable, SCRIPTS / "server.py", "--port", str(port), "--parquet-path",
                               tmp_path / "sample.parquet"], cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        def answered():
            done = script("client.py", "--port", port, "--query", "SELECT count(*) AS n FROM dataset",
                          "--output-format", "csv", "--output-path", tmp_path / "n.csv")
            return done.returncode == 0

        poll_until(answered, seconds=20, what="an answer of server.py", interval=0.1)
        assert (tmp_path / "n.csv").read_text().replace('"', "").split() == ["n", "5000"]
    finally:
        server.kill()
        server.wait()
        log.close()
