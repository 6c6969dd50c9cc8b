#!/usr/bin/env python3
"""Serves a Parquet file, folder or glob as the table `dataset` over Arrow Flight and HTTP."""

import argparse

from _program import run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--host", default="localhost")
parser.add_argument("--port", type=int, default=8815)
parser.add_argument("--parquet-path", required=True)
options = parser.parse_args()
run("serve", "--host", options.host, "--port", str(options.port), "--flight-port", "0",
    "--parquet-path", options.parquet_path, "--db", ":memory:")
