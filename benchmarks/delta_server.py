#!/usr/bin/env python3
"""The whole server landing in Delta with fsync, against deltalake in process without, in one run.

  delta_server.py [--rounds N] [--seconds S] [--folder FOLDER]

Needs: pip install deltalake==1.6.6 pyarrow numpy duckdb. Bars: 1 M rows over Flight >= 1.3x
deltalake, 100 k >= 2x; 1,000-row requests at commit_interval_ms 0: >= 350/s from one client,
>= 2,000/s from 16, >= 3,000/s from 64; at the default at most 2 versions/s sustained."""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path

import deltalake

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))
from arrowport_testing import Server, bench_table, command, ipc_stream, put  # noqa: E402


def uploads(server, folder, rows, rounds):
    """Medians of one append each, rounds interleaved, the first dropped."""
    data = bench_table(rows)
    name = f"rows_{rows}"
    ours, theirs = [], []
    with server.flight() as client:
        for _ in range(rounds + 1):
            begin = time.perf_counter()
            put(client, command(name, storage_backend="delta", commit_interval_ms=0), data, 65536)
            ours.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            deltalake.write_deltalake(str(folder / name), data, mode="append")
            theirs.append(time.perf_counter() - begin)
    ours, theirs = (statistics.median(times[1:]) for times in (ours, theirs))
    print(f"{rows:>9} rows: server {ours * 1e3:8.1f} ms, deltalake {theirs * 1e3:8.1f} ms, "
          f"ratio {theirs / ours:.2f}", flush=True)


def send_requests(port, path, begin, seconds, done):
    import http.client
    body = ipc_stream(bench_table(1000))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    count = 0
    begin.wait()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        connection.request("POST", path, body=body)
        reply = connection.getresponse()
        text = reply.read()
        assert reply.status == 200, text
        count += 1
    done.put(count)


def requests(server, clients, seconds, interval_ms):
    """1,000-row durable requests a second from `clients` connections."""
    processes = min(clients, 8)
    per_process = clients // processes
    context = multiprocessing.get_context("fork")
    begin, done = context.Event(), context.Queue()
    table = f"small_{clients}_{interval_ms}"
    path = f"/ingest/{table}?backend=delta&commit_interval_ms={interval_ms}"
    server.post(path, ipc_stream(bench_table(1000)))
    workers = [context.Process(target=run_clients, args=(server.http_port, path, begin, seconds, done,
                                                         per_process)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    begin.set()
    total = sum(done.get() for _ in range(processes * per_process))
    for worker in workers:
        worker.join()
    return table, total / seconds


def run_clients(port, path, begin, seconds, done, count):
    import threading
    threads = [threading.Thread(target=send_requests, args=(port, path, begin, seconds, done))
               for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        with Server(folder / "server", "--delta-path", folder / "lake") as server:
            for rows in (1_000_000, 100_000, 10_000, 1_000):
                uploads(server, folder, rows, options.rounds)
            for clients in (1, 16, 64):
                _, rate = requests(server, clients, options.seconds, 0)
                print(f"{clients:>3} clients, 1,000 rows durable: {rate:8.0f} requests/s", flush=True)
            seconds = max(options.seconds, 12)
            table, rate = requests(server, 16, seconds, 500)
            log = deltalake.DeltaTable(str(folder / "lake" / table))
            times = sorted(entry["timestamp"] for entry in log.history())
            late = [time for time in times if time > times[-1] - 5000]
            print(f" 16 clients at the default spacing: {rate:8.0f} requests/s, {len(times)} versions in "
                  f"{seconds} s, {(len(late) - 1) / 5:.2f}/s sustained", flush=True)


if __name__ == "__main__":
    main()
