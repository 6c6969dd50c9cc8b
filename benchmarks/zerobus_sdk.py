#!/usr/bin/env python3
"""The official Zerobus SDK against ours, same emulator, same rows, interleaved.

  zerobus_sdk.py BUILD_FOLDER --sdk-python PYTHON [--rounds N] [--validate full|none] [--mode M]

PYTHON has databricks-zerobus-ingest-sdk[arrow]==1.10.0, protobuf and pyarrow; ours runs from
BUILD_FOLDER/python in this interpreter. Every contender is a process of its own and gets the same
Arrow batches. The SDK is used as its documentation says: its batch calls, one flush at the end. It
is measured twice: with records made of the batches on the way (what landing Arrow costs), and with
records made beforehand, outside the measured time (which no user of Arrow has)."""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLE = "main.bench.events"
CLIENT = ("emulator", "emulator")
COLUMNS = [("id", "LONG", "long"), ("timestamp", "LONG", "long"), ("value", "DOUBLE", "double"),
           ("category", "STRING", "string"), ("metric", "DOUBLE", "double")]
ROWS = 10_000  # of a batch
BATCHES = {"proto": 60, "json": 30, "flight": 400}
LATENCY_ROWS = 1_000
LATENCY_BATCHES = 150


def make_batch(rows):
    import pyarrow as pa
    return pa.record_batch({
        "id": pa.array(range(rows), pa.int64()),
        "timestamp": pa.array([1700000000000000 + i for i in range(rows)], pa.int64()),
        "value": pa.array([i * 0.37 for i in range(rows)], pa.float64()),
        "category": pa.array(["ABCD"[i * 7 % 4] for i in range(rows)], pa.large_string()),
        "metric": pa.array([i % 1000 * 1.25 for i in range(rows)], pa.float64())})


# --- Contenders: each runs in a process of its own and prints one JSON object. ---


def measure(send, flush, send_and_wait, batch, small, batches):
    """Throughput of `batches` sends and a flush; latency of one durable small batch."""
    send(batch)
    flush()
    began = time.perf_counter()
    cpu = time.process_time()
    for _ in range(batches):
        send(batch)
    flush()
    seconds = time.perf_counter() - began
    cpu = time.process_time() - cpu
    times = []
    for _ in range(LATENCY_BATCHES):
        began = time.perf_counter()
        send_and_wait(small)
        times.append((time.perf_counter() - began) * 1e3)
    times.sort()
    return {"rows_per_second": batches * ROWS / seconds, "cores": cpu / seconds,
            "p50": times[len(times) // 2], "p95": times[int(len(times) * 0.95)]}


def message_class():
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    kinds = descriptor_pb2.FieldDescriptorProto
    types = {"LONG": kinds.TYPE_INT64, "DOUBLE": kinds.TYPE_DOUBLE, "STRING": kinds.TYPE_STRING}
    event = descriptor_pb2.DescriptorProto(name="Event")
    for number, (name, kind, _) in enumerate(COLUMNS, 1):
        event.field.add(name=name, number=number, type=types[kind], label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto(name="event.proto", syntax="proto2",
                                                message_type=[event]))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Event"))


def run_sdk(mode, grpc, http, ready_made, compressed):
    import zerobus
    sdk = zerobus.ZerobusSdk(grpc, http)
    batch, small = make_batch(ROWS), make_batch(LATENCY_ROWS)
    if mode == "flight":
        settings = zerobus.ArrowStreamConfigurationOptions(
            ipc_compression=zerobus.IPCCompression.ZSTD if compressed else zerobus.IPCCompression.NONE)
        stream = sdk.create_arrow_stream(TABLE, batch.schema, *CLIENT, settings)
        found = measure(stream.ingest_batch, stream.flush,
                        lambda b: stream.wait_for_offset(stream.ingest_batch(b)), batch, small,
                        BATCHES[mode])
        stream.close()
        return found
    if mode == "proto":
        event = message_class()
        properties = zerobus.TableProperties(TABLE, event.DESCRIPTOR)
        kind = zerobus.RecordType.PROTO

        def records(b):
            return [event(**row).SerializeToString() for row in b.to_pylist()]
    else:
        properties = zerobus.TableProperties(TABLE)
        kind = zerobus.RecordType.JSON

        def records(b):
            return [json.dumps(row) for row in b.to_pylist()]
    stream = sdk.create_stream(*CLIENT, properties,
                               zerobus.StreamConfigurationOptions(record_type=kind))
    make = (lambda prepared: prepared) if ready_made else records
    if ready_made:
        batch, small = records(batch), records(small)
    found = measure(
        lambda b: stream.ingest_records_offset(make(b)), stream.flush,
        lambda b: stream.wait_for_offset(stream.ingest_records_offset(make(b))), batch, small,
        BATCHES[mode])
    stream.close()
    return found


def run_ours(mode, grpc, http, compression):
    from arrowport import zerobus
    writer = zerobus.Writer(endpoint(zerobus, mode, grpc, http, compression))

    def send_and_wait(batch):
        result = writer.send_batch(batch)
        assert result.success, result.error

    found = measure(writer.submit, writer.flush, send_and_wait, make_batch(ROWS),
                    make_batch(LATENCY_ROWS), BATCHES[mode])
    writer.shutdown()
    return found


def endpoint(zerobus, mode, grpc, http, compression):
    return zerobus.Options(endpoint=grpc, table=TABLE, mode=mode, unity_catalog_url=http,
                           client_id=CLIENT[0], client_secret=CLIENT[1], workspace_id="1",
                           ipc_compression=compression)


# --- The run ---


@contextlib.contextmanager
def emulator(program, folder, validate):
    columns = [{"name": name, "type_name": kind, "type_text": text, "type_json": json.dumps(text),
                "nullable": True, "position": i} for i, (name, kind, text) in enumerate(COLUMNS)]
    (folder / "tables.json").write_text(json.dumps({TABLE: {"columns": columns}}))
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen([program, "zerobus", "emulate", "--tables", folder / "tables.json",
                                "--ready-file", ready, "--validate", validate],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists() or not ready.read_text():
            assert process.poll() is None and time.monotonic() < deadline, "no emulator"
            time.sleep(0.01)
        ports = json.loads(ready.read_text())
        yield f"http://127.0.0.1:{ports['grpc']}", f"http://127.0.0.1:{ports['http']}"
    finally:
        process.terminate()
        process.wait(20)


def contender(name, mode, urls, options):
    python = options.sdk_python if name.startswith("SDK") else sys.executable
    environment = dict(os.environ, PYTHONPATH=str(Path(options.build) / "python"), no_proxy="*")
    if name.startswith("SDK"):
        environment.pop("PYTHONPATH")
    words = [python, __file__, "--contender", name, "--mode", mode, "--urls", *urls, options.build]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
    return json.loads(done.stdout.splitlines()[-1])


def cpp(mode, urls, options, compression):
    done = subprocess.run(
        [Path(options.build) / "benchmarks/zerobus_send", "--grpc", urls[0], "--http", urls[1],
         "--mode", mode, "--compression", compression, "--batch-bytes", str(ROWS * 37),
         "--size", str(LATENCY_ROWS * 37), "--producers", "1", "--seconds", "0.7"],
        capture_output=True, text=True, check=True)
    rate = float(re.search(r"([\d.]+) Mrows/s", done.stdout)[1]) * 1e6
    p50, p95 = map(float, re.search(r"p50 +([\d.]+) +p95 +([\d.]+)", done.stdout).groups())
    return {"rows_per_second": rate, "p50": p50, "p95": p95,
            "cores": float(re.search(r"client ([\d.]+)", done.stdout)[1])}


def contenders(mode):
    if mode == "flight":
        return ["SDK, uncompressed", "SDK, zstd", "ours, uncompressed", "ours, zstd", "C++, uncompressed", "C++, zstd"]
    return ["SDK, records ready made", "SDK, from Arrow", "ours", "C++"]


def compare(options, folder, mode):
    found = {name: [] for name in contenders(mode)}
    for turn in range(options.rounds):
        order = list(found) if turn % 2 == 0 else list(reversed(found))
        with emulator(Path(options.build) / "arrowport", folder, options.validate) as urls:
            for name in order:
                found[name].append(
                    cpp(mode, urls, options, "none" if "uncompressed" in name else "zstd")
                    if name.startswith("C++") else contender(name, mode, urls, options))
    middle = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
              for name, runs in found.items()}
    base = middle[contenders(mode)[0]]
    for name, figures in middle.items():
        print(f"{mode:7} {name:24} {figures['rows_per_second'] / 1e6:7.3f} Mrows/s "
              f"{figures['rows_per_second'] * 37 / 1e6:8.1f} MB/s"
              f"  {figures['rows_per_second'] / base['rows_per_second']:6.2f}x"
              f"  p50 {figures['p50']:7.2f}  p95 {figures['p95']:7.2f} ms"
              f"  {base['p50'] / figures['p50']:5.2f}x  cores {figures['cores']:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--sdk-python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--validate", default="none", choices=["full", "none"])
    parser.add_argument("--mode", action="append", choices=list(BATCHES))
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--urls", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        name, mode = options.contender, options.mode[0]
        found = (run_sdk(mode, *options.urls, "ready made" in name, "zstd" in name)
                 if name.startswith("SDK")
                 else run_ours(mode, *options.urls,
                               "none" if "uncompressed" in name else "zstd"))
        print(json.dumps(found), flush=True)
        os._exit(0)  # the SDK's threads may bring the interpreter down while it shuts down
    print(f"{ROWS:,} rows a batch, rounds {options.rounds}, validate {options.validate}; latency of"
          f" {LATENCY_ROWS:,} rows")
    with tempfile.TemporaryDirectory() as folder:
        for mode in options.mode or list(BATCHES):
            compare(options, Path(folder), mode)


if __name__ == "__main__":
    main()
