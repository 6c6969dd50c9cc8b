#!/usr/bin/env python3
"""The gate of the listener with a pyarrow client: the same DoPut into a sink that decodes, validates
and forgets, and the same DoGet of prebuilt batches, over our listener and over Arrow's
FlightServerBase, in interleaved pairs.

    .deps/venv/bin/python benchmarks/listener_gate.py build/release [--pairs N] [--rows-per-run N]

Exit code 1 when a ratio is under its mark."""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight


def make_batch(rows):
    """The schema and kind of rows of the C++ half."""
    return pa.record_batch({
        "id": pa.array(range(rows), pa.int64()),
        "timestamp": pa.array(range(1_700_000_000_000, 1_700_000_000_000 + rows), pa.int64()),
        "value": pa.array([i * 0.5 for i in range(rows)], pa.float64()),
        "category": pa.array(["ABCD"[i % 4] for i in range(rows)], pa.utf8()),
        "metric": pa.array([i * 0.25 for i in range(rows)], pa.float64())})


def put(client, batch, count):
    start = time.perf_counter()
    writer, reader = client.do_put(flight.FlightDescriptor.for_path("t"), batch.schema)
    for _ in range(count):
        writer.write_batch(batch)
    writer.done_writing()
    while reader.read() is not None:
        pass
    writer.close()
    return time.perf_counter() - start


def get(client, batch, count):
    start = time.perf_counter()
    rows = sum(chunk.data.num_rows for chunk in client.do_get(flight.Ticket(b"t")))
    assert rows == batch.num_rows * count, f"rows are missing: {rows}"
    return time.perf_counter() - start


def compare(name, run, clients, batch, count, pairs, mark):
    for client in clients:
        run(client, batch, count)
    seconds = ([], [])
    for pair in range(pairs):
        for side in ((0, 1) if pair % 2 == 0 else (1, 0)):
            seconds[side].append(run(clients[side], batch, count))
    base, own = (batch.num_rows * count / 1e6 / statistics.median(side) for side in seconds)
    ratio = statistics.median(theirs / ours for theirs, ours in zip(*seconds))
    print(f"{name:6} {batch.num_rows:7} rows  base {base:6.1f}  own {own:6.1f} M rows/s  ratio {ratio:.2f}  "
          f"(>= {mark:.2f}){'  UNDER' if ratio < mark else ''}", flush=True)
    return ratio >= mark


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows-per-run", type=int, default=20_000_000)
    options = parser.parse_args()
    servers = subprocess.Popen([options.build / "benchmarks/listener_gate", "serve"], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    passed = True
    try:
        ports = servers.stdout.readline().split()
        clients = [flight.connect(f"grpc://127.0.0.1:{port}") for port in ports]
        for rows in (1_000, 10_000, 65_536, 122_880):
            count = options.rows_per_run // (4 if rows == 1_000 else 1) // rows
            servers.stdin.write(f"{rows} {count}\n")
            servers.stdin.flush()
            assert servers.stdout.readline() == "set\n"
            batch = make_batch(rows)
            strict = rows in (10_000, 65_536)
            passed &= compare("DoPut", put, clients, batch, count, options.pairs, 1.0 if strict else 0.9)
            passed &= compare("DoGet", get, clients, batch, count, options.pairs, 0.95 if strict else 0.9)
    finally:
        servers.stdin.close()
        servers.wait()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
