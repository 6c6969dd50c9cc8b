#!/usr/bin/env python3
"""Lands 3 M real US flights in a running Arrowport three ways and queries them back three ways.

    python examples/flights_demo.py --arrowport build/release/arrowport [--rows N]

Starts its own server on a free port with a database in a temporary folder, prints counts and
rates, and fails when any count differs.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.flight as flight
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

DATA = Path(__file__).resolve().parent.parent / ".deps/data/flights-3m.parquet"


def start_server(program, folder, dataset):
    ready = folder / "ready.json"
    process = subprocess.Popen(
        [program, "serve", "--port", "0", "--flight-port", "0", "--db", folder / "demo.duckdb",
         "--parquet-path", dataset, "--ready-file", ready],
        stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("the server did not start")
        time.sleep(0.02)
    return process, json.loads(ready.read_text())


def report(what, rows, seconds):
    print(f"  {what:<28} {rows:>10,} rows  {seconds:6.2f} s  {rows / seconds / 1e6:6.2f} Mrow/s",
          flush=True)


def check(what, got, expected):
    if got != expected:
        sys.exit(f"{what}: {got} rows, expected {expected}")


def land_http(port, path, rows):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    start = time.monotonic()
    with open(path, "rb") as body:
        connection.request("POST", "/ingest/flights_http", body, {
            "Content-Type": "application/vnd.apache.parquet",
            "Content-Length": str(os.path.getsize(path))})
        reply = json.loads(connection.getresponse().read())
    seconds = time.monotonic() - start
    check("POST /ingest", reply.get("rows_processed"), rows)
    report("POST /ingest (Parquet)", rows, seconds)


def land_flight(client, table):
    start = time.monotonic()
    descriptor = flight.FlightDescriptor.for_command(json.dumps({"stream_name": "flights_flight"}))
    writer, reader = client.do_put(descriptor, table.schema)
    writer.write_table(table, max_chunksize=122_880)
    writer.done_writing()
    summary = {}
    while (message := reader.read()) is not None:
        summary = json.loads(message.to_pybytes())
    writer.close()
    check("Flight DoPut", summary.get("rows_processed"), table.num_rows)
    report("Flight DoPut", table.num_rows, time.monotonic() - start)


def land_cli(program, port, path, rows):
    start = time.monotonic()
    done = subprocess.run([program, "ingest", "flights_cli", path, "--json",
                           "--url", f"http://127.0.0.1:{port}"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"arrowport ingest failed: {done.stdout}{done.stderr}")
    report("arrowport ingest (Parquet)", rows, time.monotonic() - start)


def query_back(client, port, rows):
    sql = "SELECT * FROM flights_flight"
    start = time.monotonic()
    got = client.do_get(flight.Ticket(sql.encode())).read_all().num_rows
    check("Flight DoGet", got, rows)
    report("Flight DoGet, every row", got, time.monotonic() - start)

    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/query", sql.replace("_flight", "_http"),
                       {"Content-Type": "text/plain"})
    got = sum(batch.num_rows for batch in ipc.open_stream(connection.getresponse()))
    check("POST /query", got, rows)
    report("POST /query, every row", got, time.monotonic() - start)

    for table in ("flights_http", "flights_flight", "flights_cli", "dataset"):
        counted = client.do_get(flight.Ticket(f"SELECT count(*) FROM {table}".encode())).read_all()
        check(f"count of {table}", counted.column(0)[0].as_py(), rows)
    print(f"  all three tables and the Parquet data set hold {rows:,} rows")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arrowport", default="arrowport", help="the program")
    parser.add_argument("--rows", type=int, help="only the first N flights")
    options = parser.parse_args()
    program = str(Path(options.arrowport).resolve())

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        table = pq.read_table(DATA)
        path = DATA
        if options.rows:
            table = table.slice(0, options.rows)
            path = folder / "flights.parquet"
            pq.write_table(table, path)
        process, ports = start_server(program, folder, path)
        try:
            client = flight.connect(f"grpc://127.0.0.1:{ports['flight'][-1]}")
            port = ports["http"][0]
            print(f"{table.num_rows:,} flights, {table.nbytes / 1e6:.0f} MB as Arrow, durable in a "
                  "DuckDB file")
            land_http(port, path, table.num_rows)
            land_flight(client, table)
            land_cli(program, port, path, table.num_rows)
            query_back(client, port, table.num_rows)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


if __name__ == "__main__":
    main()
