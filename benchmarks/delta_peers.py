#!/usr/bin/env python3
"""Delta writes against deltalake in process, same data, same run, rounds interleaved.

  delta_peers.py BUILD_FOLDER [--rounds N] [--folder FOLDER] [--only NAME]

Needs: pip install deltalake==1.6.6 pyarrow numpy. deltalake's append is the denominator; it syncs
nothing, so ours is measured without and with. The first round is dropped; medians are printed."""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import deltalake
import numpy as np
import pyarrow as pa


def documented(rows):
    rng = np.random.default_rng(1)
    return pa.table({
        "id": np.arange(rows), "timestamp": np.arange(rows) * 1000, "value": rng.random(rows),
        "category": pa.array(np.array(["A", "B", "C", "D"])[rng.integers(0, 4, rows)]),
        "metric": rng.random(rows)})


def wide(rows, columns=200):
    """Eight types, 10 % nulls."""
    rng = np.random.default_rng(2)
    words = np.array([f"word {i}" for i in range(100)])
    makers = [
        lambda: rng.integers(0, 1 << 40, rows), lambda: rng.integers(0, 1000, rows).astype(np.int32),
        lambda: rng.random(rows), lambda: rng.random(rows).astype(np.float32),
        lambda: words[rng.integers(0, 100, rows)], lambda: rng.integers(0, 2, rows).astype(bool),
        lambda: rng.integers(0, 20000, rows).astype("datetime64[D]"),
        lambda: (rng.integers(0, 1 << 40, rows) * 1000).astype("datetime64[us]")]
    data = {}
    for i in range(columns):
        array = pa.array(makers[i % 8](), mask=rng.random(rows) < 0.1)
        if pa.types.is_timestamp(array.type):
            array = array.cast(pa.timestamp("us", "UTC"))
        data[f"c{i}"] = array
    return pa.table(data)


def peer(folder, table):
    """One append of deltalake to a table that exists."""
    path = folder / "peer"
    if not path.exists():
        deltalake.write_deltalake(path, table.slice(0, 1))
    begin, cpu = time.perf_counter(), time.process_time()
    deltalake.write_deltalake(path, table, mode="append")
    return (time.perf_counter() - begin) * 1e3, (time.process_time() - cpu) * 1e3


def ours(program, folder, stream, *words):
    path = folder / "ours"
    shutil.rmtree(path, ignore_errors=True)
    done = subprocess.run([program, stream, path, *map(str, words)], capture_output=True, text=True,
                          check=True)
    return json.loads(done.stdout)


CASES = {
    "1M rows": (lambda: documented(1_000_000), 5),
    "100k rows": (lambda: documented(100_000), 9),
    "200 columns x 100k": (lambda: wide(100_000), 3),
}
BARS = {("1M rows", "1 encoder"): 1.8, ("1M rows", "2 encoders"): 3.0, ("100k rows", "1 encoder"): 3.5,
        ("200 columns x 100k", "1 encoder"): 4.0}
VARIANTS = {"1 encoder": ["--encoders", 1], "2 encoders": ["--encoders", 2],
            "1 encoder, synced": ["--encoders", 1, "--sync"],
            "2 encoders, synced": ["--encoders", 2, "--sync"]}


def compare(program, folder, name, rounds):
    make, own_rounds = CASES[name]
    table = make()
    stream = folder / "input.arrows"
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    times = {"deltalake": []} | {variant: [] for variant in VARIANTS}
    for _ in range((rounds or own_rounds) + 1):
        times["deltalake"].append(peer(folder, table))
        for variant, words in VARIANTS.items():
            # The first append creates the table, the second is like the peer's.
            found = ours(program, folder, stream, "--repeat", 2, *words)
            times[variant].append((found["ms"][1], found["cpu_ms"][1]))
    shutil.rmtree(folder / "peer")
    base = statistics.median(wall for wall, _ in times["deltalake"][1:])
    for variant, measured in times.items():
        wall = statistics.median(wall for wall, _ in measured[1:])
        cpu = statistics.median(cpu for _, cpu in measured[1:])
        bar = BARS.get((name, variant))
        print(f"{name:20} {variant:20} {wall:9.1f} ms  cpu {cpu:9.1f}  {base / wall:5.2f}x"
              + (f"  bar {bar}x" if bar else ""), flush=True)


def small_commits(program, folder):
    table = documented(1000)
    stream = folder / "small.arrows"
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    handle = folder / "peer"
    deltalake.write_deltalake(handle, table)
    begin = time.perf_counter()
    for _ in range(100):
        deltalake.write_deltalake(handle, table, mode="append")
    print(f"1,000-row appends    deltalake, not synced, 100 commits"
          f" {100 / (time.perf_counter() - begin):9.0f} requests/s")
    shutil.rmtree(handle)
    for group, bar in ((1, 700), (16, 4500), (64, 6000)):
        repeat = 1500 // group
        for words in (["--sync"], []):
            found = ours(program, folder, stream, "--repeat", repeat, "--group", group, *words)
            rate = group * (repeat - 1) / (sum(found["ms"][1:]) / 1e3)
            print(f"1,000-row appends    {group:2} a commit, {'synced' if words else 'not synced':10}"
                  f" {rate:9.0f} requests/s" + (f"  bar {bar}" if words else ""), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--folder")
    parser.add_argument("--only")
    options = parser.parse_args()
    program = Path(options.build) / "benchmarks/delta_write"
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        for name in CASES:
            if options.only in (None, name):
                compare(program, folder, name, options.rounds)
        if options.only in (None, "small"):
            small_commits(program, folder)


if __name__ == "__main__":
    main()
