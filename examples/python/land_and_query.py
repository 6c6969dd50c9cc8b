"""Lands a table in an Arrowport server, reads it back, and keeps a stream of batches durable.

Start a server (`arrowport serve`), then: python land_and_query.py [URL]
"""

import sys

import arrowport
import pyarrow as pa

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8888"

with arrowport.Client(url) as client:
    table = pa.table({"id": [1, 2, 3], "value": [0.5, 1.5, 2.5]})
    receipt = client.send("events", table, idempotency_key="load-1")
    print(f"{receipt.rows} rows in {receipt.table}, durable as version {receipt.version}")

    again = client.send("events", table, idempotency_key="load-1")
    print(f"sent again: replay={again.idempotent_replay}")

    with client.open_writer("readings", table.schema) as writer:
        for batch in table.to_batches(max_chunksize=1):
            writer.write(batch)
        writer.flush()
        print(f"batches durable up to offset {writer.acknowledged_offset}")

    print(client.query("SELECT count(*) AS n, sum(value) AS total FROM events").read_all().to_pylist())
