#!/usr/bin/env python3
"""Arrowport with stock Python clients, in the terms other servers were measured in.

    ARROWPORT_BUILD_DIR=build/release python benchmarks/peers.py [--rounds N]

Same work as the peers' table: the documented schema, 1,000 / 100,000 / 1,000,000 rows, one
pyarrow or http.client client, then 1 and 16 clients of 1,000-row requests, an export of 10 M
rows, memory. The peers' figures were taken on a machine of the same kind, not in this run.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))

import duckdb  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.flight as flight  # noqa: E402

from arrowport_testing import (Server, bench_table, ipc_stream, json_body,  # noqa: E402
                               percentile, put)

MIB = 1 << 20
BATCH_ROWS = 65_536
PEERS = """
| peer (measured elsewhere, see above) | 1,000 rows | 100,000 rows | 1,000,000 rows | durability |
|---|---|---|---|---|
| Python Arrowport 0.2, patched to run, Flight | 6.7 ms | 2.94 Mrow/s | 6.65 Mrow/s | memory |
| same, REST JSON+base64 | 9.0 ms | 1.52 | 2.38 | memory |
| GizmoSQL 1.36 bulk ingest | 14-18 ms | 0.75-0.96 | 0.83-1.7 | file, fsync |

1,000-row requests a second: Python Arrowport Flight 352 (memory), REST 21 to 162; GizmoSQL 94-113
from one client, 122-147 from 16. Export of 10 M rows: GizmoSQL 9.5-10.7 Mrow/s, first batch
5-7 ms. Peak memory in the 1 M load: Python Arrowport 324-434 MiB, GizmoSQL 304-381.
"""


def timed(work, rounds):
    work()
    seconds = []
    for _ in range(rounds):
        start = time.monotonic()
        work()
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds)


def cell(rows, seconds):
    return f"{seconds * 1000:.1f} ms" if rows == 1_000 else f"{rows / seconds / 1e6:.2f} Mrow/s"


def checked(reply):
    assert reply.status == 200, reply.body
    return reply


def load_rows(server, rounds, durability):
    tables = {rows: bench_table(rows) for rows in (1_000, 100_000, 1_000_000)}
    client, connection = server.flight(), server.connect()
    ways = {
        "Arrowport, Flight (pyarrow)": lambda table: lambda: put(client, "loaded", table, BATCH_ROWS),
        "Arrowport, HTTP raw (http.client)": lambda table: (
            lambda body: lambda: checked(server.ingest("loaded", body, connection=connection)))(
                ipc_stream(table, chunk_rows=BATCH_ROWS)),
        "Arrowport, HTTP JSON+base64": lambda table: (
            lambda body: lambda: checked(server.post("/stream/loaded", body, "application/json",
                                                     connection=connection)))(json_body(table)),
    }
    for name, way in ways.items():
        cells = [cell(rows, timed(way(table), rounds)) for rows, table in tables.items()]
        print(f"| {name} | {' | '.join(cells)} | {durability} |", flush=True)


def load_in_process(path, rounds, durability):
    connection = duckdb.connect(path)
    cells = []
    for rows in (1_000, 100_000, 1_000_000):
        table = bench_table(rows)
        batches = table.to_batches(max_chunksize=BATCH_ROWS)
        connection.register("data", pa.Table.from_batches(batches))
        connection.execute("CREATE TABLE IF NOT EXISTS loaded AS SELECT * FROM data LIMIT 0")
        cells.append(cell(rows, timed(
            lambda: connection.execute("INSERT INTO loaded SELECT * FROM data"), rounds)))
    connection.close()
    print(f"| in-process DuckDB from Python | {' | '.join(cells)} | {durability} |", flush=True)


def small_requests(server, clients, seconds, protocol):
    table = bench_table(1_000)
    body = ipc_stream(table)
    stop, times, lock = threading.Event(), [], threading.Lock()

    def run():
        mine = []
        client = server.flight() if protocol == "Flight" else None
        connection = server.connect() if client is None else None
        while not stop.is_set():
            start = time.monotonic()
            if client:
                put(client, "small", table)
            else:
                checked(server.ingest("small", body, connection=connection))
            mine.append(time.monotonic() - start)
        with lock:
            times.extend(mine)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    print(f"| {clients} | {protocol} | {len(times) / seconds:.0f} | {percentile(times, 50) * 1000:.1f} | "
          f"{percentile(times, 99) * 1000:.1f} |", flush=True)


def export(server, rounds):
    part = bench_table(1_000_000)
    with server.flight() as client:
        for _ in range(10):
            put(client, "exported", part, BATCH_ROWS)
        rates, firsts = [], []
        for _ in range(rounds):
            start = time.monotonic()
            reader = client.do_get(flight.Ticket("SELECT * FROM exported"))
            rows = 0
            for chunk in reader:
                if rows == 0:
                    firsts.append(time.monotonic() - start)
                rows += chunk.data.num_rows
            rates.append(rows / (time.monotonic() - start) / 1e6)
            assert rows == 10_000_000
    print(f"\nExport of 10 M rows: {statistics.median(rates):.1f} Mrow/s, first batch "
          f"{statistics.median(firsts) * 1000:.1f} ms.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    print(f"### Python clients (load {os.getloadavg()[0]:.2f}, median of {options.rounds})\n")
    print("| what | 1,000 rows | 100,000 rows | 1,000,000 rows | durability |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="arrowport-peers-") as folder:
        for durability, db in (("memory", ":memory:"), ("file, fsync", "landing.duckdb")):
            with Server(Path(folder) / durability.split(",")[0], db=db) as server:
                start_seconds, idle = server.start_seconds, server.rss_bytes()
                server.reset_peak()
                load_rows(server, options.rounds, durability)
                peak = server.peak_rss_bytes()
            load_in_process(":memory:" if db == ":memory:" else f"{folder}/in_process.duckdb",
                            options.rounds, durability)
        print(PEERS)
        with Server(Path(folder) / "small") as server:
            print("| clients, 1,000-row requests, file | protocol | requests/s | p50 ms | p99 ms |")
            print("|---|---|---|---|---|")
            for clients in (1, 16):
                for protocol in ("Flight", "HTTP"):
                    small_requests(server, clients, options.seconds, protocol)
        with Server(Path(folder) / "export", db=":memory:") as server:
            export(server, 5)
        print(f"Start to ports open {start_seconds:.2f} s; idle {idle / MIB:.0f} MiB, peak over all loads into the "
              f"file {peak / MIB:.0f} MiB.")


if __name__ == "__main__":
    main()
