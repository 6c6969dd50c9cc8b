#!/usr/bin/env python3
"""Whole Delta tables against deltalake in process: many files, and their maintenance.

  delta_tables.py BUILD_FOLDER [--folder FOLDER] [--only files|compact|order] [--rows N]

Needs: pip install deltalake==1.6.6 pyarrow numpy. Tables are made by hand (pyarrow and JSON), so
neither side reads its own. Bars: an append to a table of 10,000 files within 1.3 of one to an
empty table; its snapshot and a pruned query twice as fast as deltalake; compaction and z-order
as fast, while the process grows by at most a tenth of the table's bytes."""

import argparse
import json
import multiprocessing
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import deltalake
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from delta_peers import documented

FILES = 10_000
ROWS_PER_FILE = 1000
SCHEMA = json.dumps({"type": "struct", "fields": [
    {"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in
    (("id", "long"), ("timestamp", "long"), ("value", "double"), ("category", "string"),
     ("metric", "double"))]})


def commit_lines(adds, first):
    lines = [{"commitInfo": {"timestamp": 1, "operation": "WRITE"}}]
    if first:
        lines.append({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}})
        lines.append({"metaData": {
            "id": "5b5bd2d6-7f5e-4c0e-9a52-3c1ad8f4a1c1", "schemaString": SCHEMA,
            "format": {"provider": "parquet", "options": {}}, "partitionColumns": [],
            "configuration": {}, "createdTime": 1}})
    return "".join(json.dumps(line) + "\n" for line in lines + [{"add": add} for add in adds])


def write_log(path, adds, commits):
    log = path / "_delta_log"
    log.mkdir(parents=True)
    share = len(adds) // commits
    for version in range(commits):
        part = adds[version * share:(version + 1) * share]
        (log / f"{version:020}.json").write_text(commit_lines(part, version == 0))


def write_files(path, files, rows):
    """`files` files of `rows` rows, ids ascending through all of them; their add actions."""
    path.mkdir(parents=True)
    rng = np.random.default_rng(3)
    words = np.array(["A", "B", "C", "D"])
    adds = []
    for number in range(files):
        ids = np.arange(rows) + number * rows
        table = pa.table({"id": ids, "timestamp": ids * 1000, "value": rng.random(rows),
                          "category": pa.array(words[rng.integers(0, 4, rows)]),
                          "metric": rng.random(rows)})
        name = f"part-{number:05}.parquet"
        pq.write_table(table, path / name)
        low, high = int(ids[0]), int(ids[-1])
        stats = {"numRecords": rows,
                 "minValues": {"id": low, "timestamp": low * 1000},
                 "maxValues": {"id": high, "timestamp": high * 1000},
                 "nullCount": {name: 0 for name in table.column_names}}
        adds.append({"path": name, "partitionValues": {}, "size": (path / name).stat().st_size,
                     "modificationTime": 1, "dataChange": True,
                     "stats": json.dumps(stats, separators=(",", ":"))})
    return adds


def run(program, *words):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def milliseconds(action, times):
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        took.append((time.perf_counter() - begin) * 1e3)
    return took


def report(what, ours, theirs, bar):
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    print(f"{what:44} ours {ours:9.2f} ms  deltalake {theirs:9.2f} ms  {theirs / ours:6.2f}x"
          f"  bar {bar}x", flush=True)


def many_files(build, folder):
    program = build / "benchmarks/delta_table"
    big, commits = folder / "root/big", folder / "commits"
    adds = write_files(big, FILES, ROWS_PER_FILE)
    write_log(big, adds, 1)
    write_log(commits, adds, 1000)
    deltalake.DeltaTable(big).create_checkpoint()
    for what, path in (("snapshot, checkpoint of 10,000 files", big),
                       ("snapshot, 1,000 commits of 10 files", commits)):
        theirs = milliseconds(lambda path=path: deltalake.DeltaTable(path), 5)
        report(what, run(program, "load", path, 6)["ms"][1:], theirs[1:], 2)
    pruned(program, big)
    appends(build, folder, big)


def pruned(program, big):
    where = "id BETWEEN 5000500 AND 5001499"
    ours = run(program, "query", big.parent, 6, f"SELECT sum(value) FROM delta.big WHERE {where}")

    def by_sql(table):
        deltalake.QueryBuilder().register("big", table).execute(
            f"SELECT sum(value) FROM big WHERE {where}").read_all()

    def by_dataset(table):
        import pyarrow.dataset as ds
        wanted = (ds.field("id") >= 5000500) & (ds.field("id") <= 5001499)
        table.to_pyarrow_dataset().to_table(columns=["value"], filter=wanted)["value"].combine_chunks()

    kept = deltalake.DeltaTable(big)
    theirs = min((milliseconds(lambda way=way: way(kept), 6)[1:] for way in (by_sql, by_dataset)),
                 key=statistics.median)
    report("pruned query, snapshot kept", ours["second_ms"][1:], theirs, 2)
    theirs = min((milliseconds(lambda way=way: way(deltalake.DeltaTable(big)), 6)[1:]
                  for way in (by_sql, by_dataset)), key=statistics.median)
    report("pruned query, snapshot read", ours["first_ms"][1:], theirs, 2)


def appends(build, folder, big):
    """Appends of 1,000 rows, nothing synced: what a table's size costs shows best."""
    stream = folder / "small.arrows"
    table = documented(1000)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    took = {"empty": [], "big": []}
    for number in range(6):
        for kind in ("empty", "big") if number % 2 else ("big", "empty"):
            path = big if kind == "big" else folder / f"empty_{number}"
            # The first appends make the table, or read it.
            took[kind].append(statistics.median(
                run(build / "benchmarks/delta_write", stream, path, "--repeat", 150)["ms"][10:]))
    empty, full = (statistics.median(took[kind][1:]) for kind in ("empty", "big"))
    print(f"{'append of 1,000 rows':44} to an empty table {empty:.3f} ms, to 10,000 files "
          f"{full:.3f} ms  {full / empty:.2f}x  bar at most 1.3x", flush=True)


def peak_bytes():
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", text)[1]) * 1024


def peer_optimize(path, columns, target, answers):
    table = deltalake.DeltaTable(path)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_bytes()
    begin = time.perf_counter()
    if columns:
        table.optimize.z_order(columns, target_size=target)
    else:
        table.optimize.compact(target_size=target)
    took = (time.perf_counter() - begin) * 1e3
    answers.put((took, peak_bytes() - before))


def optimize(build, folder, rows, columns, rounds):
    source = folder / "source"
    if not source.exists():
        files = 400
        write_log(source, write_files(source, files, rows // files), 1)
    size = sum(file.stat().st_size for file in source.glob("*.parquet"))
    target = 128 << 20
    took = {"ours": [], "deltalake": []}
    grown = {"ours": [], "deltalake": []}
    for number in range(rounds):
        for kind in ("ours", "deltalake") if number % 2 else ("deltalake", "ours"):
            path = folder / "copy"
            subprocess.run(["cp", "-al", source, path], check=True)
            if kind == "ours":
                found = run(build / "benchmarks/delta_table", "optimize", path, size // 10, target,
                            *columns)
                took[kind].append(found["ms"])
                grown[kind].append(found["grown_bytes"])
            else:
                context = multiprocessing.get_context("spawn")
                answers = context.Queue()
                peer = context.Process(target=peer_optimize, args=(path, columns, target, answers))
                peer.start()
                for into, value in zip((took, grown), answers.get(), strict=True):
                    into[kind].append(value)
                peer.join()
            shutil.rmtree(path)
    what = f"z-order by {', '.join(columns)}" if columns else "compaction"
    report(f"{what}, {rows // 10**6} M rows in 400 files", took["ours"], took["deltalake"], 1)
    print(f"{'':44} table {size >> 20} MiB, budget {size // 10 >> 20} MiB; grown by: ours "
          f"{max(grown['ours']) >> 20} MiB, deltalake {max(grown['deltalake']) >> 20} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--folder")
    parser.add_argument("--only", choices=("files", "compact", "order"))
    parser.add_argument("--rows", type=int, default=40_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        if options.only in (None, "files"):
            many_files(options.build, folder)
        if options.only in (None, "compact"):
            optimize(options.build, folder, options.rows, [], options.rounds)
        if options.only in (None, "order"):
            optimize(options.build, folder, options.rows, ["value", "metric"], options.rounds)


if __name__ == "__main__":
    main()
