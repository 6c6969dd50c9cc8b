#!/usr/bin/env python3
"""Writes a Parquet file of sample records."""

import argparse

from _program import run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--num-records", type=int, default=100_000)
parser.add_argument("--output-path", default="sample_data.parquet")
parser.add_argument("--seed", type=int)
options = parser.parse_args()
seed = ["--seed", str(options.seed)] if options.seed is not None else []
run("generate", "--num-records", str(options.num_records), "--output-path", options.output_path,
    *seed)
