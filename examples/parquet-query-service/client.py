#!/usr/bin/env python3
"""Runs one SQL query against a server and writes the result to a file or the terminal."""

import argparse

from _program import run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--host", default="localhost")
parser.add_argument("--port", type=int, default=8815)
parser.add_argument("--query", required=True)
parser.add_argument("--output-format", default="display",
                    choices=["csv", "parquet", "display", "arrow", "json"])
parser.add_argument("--output-path")
options = parser.parse_args()
output = ["--output-path", options.output_path] if options.output_path else []
run("query", "--host", options.host, "--port", str(options.port), "--query", options.query,
    "--output-format", options.output_format, *output)
