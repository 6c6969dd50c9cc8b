"""Two at once: retries, table creation, DDL, constraints in a group, a second process (25-29)."""

import os
import subprocess
import sys
import threading

import pyarrow as pa
import pytest

from arrowport_testing import (Server, bench_table, command, flight_code, in_parallel, ipc_stream, put)


def test_retries_of_one_key_from_both_protocols(make_server):
    """Case 25: one application, everyone hears of it; another payload under the key is refused."""
    server = make_server(faults="sink.commit.before=sleep:100")
    body, table = ipc_stream(bench_table(1_000)), bench_table(1_000)

    def over_flight():
        with server.flight() as client:
            return put(client, command("once", idempotency_key="k"), table)[-1]

    def over_http():
        reply = server.ingest("once", body, key="k")
        assert reply.status == 200, reply.body
        return reply.json

    def other_payload():
        return server.ingest("once", bench_table(999), key="k2").status

    replies = in_parallel([over_flight, over_http] * 6)
    for reply in replies:
        assert isinstance(reply, dict), reply
        assert reply["rows_processed"] == 1_000
    assert sorted(r["idempotent_replay"] for r in replies) == [False] + [True] * 11
    assert server.value("SELECT count(*) FROM once") == 1_000
    mixed = in_parallel([lambda: server.ingest("once", body, key="k2").status, other_payload] * 4)
    assert sorted(mixed) == [200] * 4 + [409] * 4


def test_a_waiting_retry_takes_over_when_the_first_fails(make_server):
    server = make_server(faults="sink.commit.before=error@2")
    server.ingest("taken_over", bench_table(1))
    replies = in_parallel([lambda: server.ingest("taken_over", bench_table(100), key="k")] * 4)
    statuses = sorted(reply.status for reply in replies)
    assert statuses[0] == 200 and set(statuses) <= {200, 500}, [r.body for r in replies]
    assert server.value("SELECT count(*) FROM taken_over") == 101


@pytest.mark.parametrize("round_number", range(5))
def test_two_create_the_same_table(server, round_number):
    """Case 26, same schema: both land."""
    name = f"created_{round_number}"
    replies = in_parallel([lambda: server.ingest(name, bench_table(100))] * 8)
    assert [reply.status for reply in replies] == [200] * 8, [r.body for r in replies]
    assert server.value(f"SELECT count(*) FROM {name}") == 800


@pytest.mark.parametrize("round_number", range(5))
def test_two_create_the_same_table_differently(server, round_number):
    """Case 26, incompatible schemas: one wins whole, the other is refused whole."""
    name = f"contested_{round_number}"
    words = pa.table({"a": ["x"] * 100, "only_words": [1] * 100})
    numbers = pa.table({"a": [1] * 100, "only_numbers": [1.5] * 100})
    replies = in_parallel([lambda: server.ingest(name, words), lambda: server.ingest(name, numbers)] * 4)
    landed = [reply for reply in replies if reply.status == 200]
    assert len(landed) == 4, [r.body for r in replies]
    assert {reply.status for reply in replies} == {200, 409}
    assert server.value(f"SELECT count(*) FROM {name}") == 400
    assert len(server.rows(f"DESCRIBE {name}")) == 2


def test_columns_added_at_once(server):
    server.ingest("growing", pa.table({"a": [0]}))
    tables = [pa.table({"a": [i], f"c{i % 4}": [i]}) for i in range(16)]
    replies = in_parallel([lambda t=t: server.ingest("growing", t, parameters={"schema_mode": "merge"})
                           for t in tables])
    assert [reply.status for reply in replies] == [200] * 16, [r.body for r in replies]
    assert server.rows("SELECT count(*), count(c0) + count(c1) + count(c2) + count(c3) FROM growing") == [(17, 16)]


def test_ddl_during_ingest(make_server):
    """Case 27: each upload precedes or follows the change; 409 at worst, never half."""
    server = make_server()
    server.ingest("changing", pa.table({"a": [0]}))
    stop, landed, odd = threading.Event(), [0], []

    def write():
        connection = server.connect()
        while not stop.is_set():
            reply = server.ingest("changing", pa.table({"a": list(range(100))}), connection=connection)
            if reply.status == 200:
                landed[0] += 1
            elif reply.status not in (409, 503):
                odd.append(reply.body)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    for number in range(10):
        reply = server.query(f"ALTER TABLE changing ADD COLUMN extra_{number} INTEGER")
        assert reply.status in (200, 409, 503), reply.body
    stop.set()
    thread.join()
    assert not odd, odd
    assert landed[0] > 0
    assert server.value("SELECT count(*) FROM changing") == 1 + 100 * landed[0]


def test_drop_during_ingest(make_server):
    server = make_server()
    replies = in_parallel([lambda: [server.ingest("dropped", pa.table({"a": [1]})).status for _ in range(30)],
                           lambda: [server.query("DROP TABLE IF EXISTS dropped").status for _ in range(10)]] * 2)
    for statuses in replies:
        assert isinstance(statuses, list) and set(statuses) <= {200, 404, 409, 503}, statuses
    assert server.ingest("dropped", pa.table({"a": [1]})).status == 200


def test_one_bad_request_in_a_group(make_server):
    """Case 28: only the culprit hears of its fault."""
    server = make_server(faults="sink.commit.before=sleep:30")
    server.run_sql("CREATE TABLE strict_ones (id BIGINT PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0))")

    def send(number):
        bad = number % 8 == 7
        batch = pa.table({"id": [number], "n": pa.array([-1 if bad else number], pa.int32())})
        if number % 2:
            return server.ingest("strict_ones", batch, key=f"k{number}")
        with server.flight() as client:
            return put(client, command("strict_ones", idempotency_key=f"k{number}"), batch)

    replies = in_parallel([lambda n=n: send(n) for n in range(48)])
    for number, reply in enumerate(replies):
        if number % 8 == 7:
            assert reply.status in (400, 409) and reply.code == "CONSTRAINT_VIOLATION", reply
        elif number % 2:
            assert reply.status == 200, reply.body
        else:
            assert isinstance(reply, list), reply
    assert server.value("SELECT count(*) FROM strict_ones") == 42


def test_duplicate_primary_keys_in_a_group(make_server):
    server = make_server(faults="sink.commit.before=sleep:30")
    server.run_sql("CREATE TABLE unique_ones (id BIGINT PRIMARY KEY)")
    replies = in_parallel([lambda n=n: server.ingest("unique_ones", pa.table({"id": [n // 2]})) for n in range(32)])
    statuses = [reply.status for reply in replies]
    assert statuses.count(200) == 16, [r.body for r in replies if r.status != 200]
    assert server.rows("SELECT count(*), count(DISTINCT id) FROM unique_ones") == [(16, 16)]


def test_second_server_on_the_same_file(make_server):
    """Case 29: refused at once, naming the holder; the first is not disturbed."""
    server = make_server()
    server.ingest("held", bench_table(10))
    second = make_server(db=str(server.db), start=False).spawn()
    assert second.wait(10) not in (0, None)
    assert str(server.pid) in second.log()
    assert not second.ready_path.exists()
    assert server.ingest("held", bench_table(10)).status == 200
    assert server.value("SELECT count(*) FROM held") == 20


def test_file_held_by_another_program(make_server, tmp_path):
    path = tmp_path / "held.duckdb"
    holder = subprocess.Popen(
        [sys.executable, "-c", "import duckdb, sys; c = duckdb.connect(sys.argv[1]); "
         "print('held', flush=True); sys.stdin.read()", path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        server = make_server(db=str(path), start=False).spawn()
        assert server.wait(10) not in (0, None)
        assert str(holder.pid) in server.log()
    finally:
        holder.stdin.close()
        holder.wait(10)


def test_a_file_that_is_no_database(make_server, tmp_path):
    path = tmp_path / "not.duckdb"
    path.write_bytes(b"this is not a database" * 1_000)
    before = path.read_bytes()
    server = make_server(db=str(path), start=False).spawn()
    assert server.wait(10) not in (0, None)
    assert "not.duckdb" in server.log()
    assert path.read_bytes() == before


def test_no_right_to_write(make_server, tmp_path):
    path = tmp_path / "nowhere" / "x.duckdb"
    (tmp_path / "nowhere").write_text("a file, not a folder")
    server = make_server(db=str(path), start=False).spawn()
    assert server.wait(10) not in (0, None, -6, -11)
    assert "nowhere" in server.log()


def test_sequences_from_two_at_once(make_server):
    server = make_server()

    def send(sequence):
        try:
            with server.flight() as client:
                return put(client, command("sequenced", producer="p", sequence=sequence), bench_table(10))[-1]
        except pa.ArrowException as error:
            return flight_code(error)

    applied = 0
    for sequence in range(10):
        replies = in_parallel([lambda: send(sequence)] * 3)
        assert all(isinstance(reply, dict) for reply in replies), replies
        assert sorted(reply["idempotent_replay"] for reply in replies) == [False, True, True]
        applied += 1
    assert server.value("SELECT count(*) FROM sequenced") == 10 * applied
    assert send(20) == "INVALID_ARGUMENT"


def test_server_class_needs_no_cleanup(tmp_path):
    with Server(tmp_path) as server:
        pid = server.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
