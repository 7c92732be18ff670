#!/usr/bin/env bash
# pyarrow 26.0.1, polars 2.1.0 and DuckDB 2.0.1 make three things of one folder's name: of k=007 the numbers 7 and 7
# and the text 007, of k=0x10 the number 16, a text and the number 16, of k=1e5 a text, a number and a text.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q duckdb==2.0.1 pyarrow==26.0.1 polars==2.1.0
venv/bin/python -I - <<'PYTHON'
import os
import sys

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

seen = {}
for value in ("007", "0x10", "1e5", "4"):
    os.makedirs(f"{value}/k={value}")
    pq.write_table(pa.table({"query": [1]}), f"{value}/k={value}/part.parquet")
    in_duckdb = duckdb.sql(f"select k from read_parquet('{value}/*/*.parquet', hive_partitioning=true)")
    seen[value] = (
        pq.read_table(value)["k"].to_pylist()[0],
        polars.read_parquet(value)["k"].to_list()[0],
        in_duckdb.fetchall()[0][0],
    )
    print(value, "-> pyarrow {!r}, polars {!r}, DuckDB {!r}".format(*seen[value]))
expected = {"007": (7, 7, "007"), "0x10": (16, "0x10", 16), "1e5": ("1e5", 100000.0, "1e5"), "4": (4, 4, 4)}
if seen != expected:
    sys.exit("the three readers no longer read names of folders in these three ways")
PYTHON
