#!/usr/bin/env bash
# DuckDB 2.0.1: a single Parquet file in a folder named model=a is read with 'a' in every row of its column model,
# whatever the file holds. pyarrow 26.0.1 and polars 2.1.0 give what the file holds.
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

os.mkdir("model=a")
path = "model=a/answers.parquet"
pq.write_table(pa.table({"query": [1, 2], "model": ["small", "large"]}), path)
seen = {
    "pyarrow": pq.read_table(path)["model"].to_pylist(),
    "polars": polars.read_parquet(path)["model"].to_list(),
    "DuckDB": [row[0] for row in duckdb.sql(f"select model from '{path}' order by query").fetchall()],
    "DuckDB, hive_partitioning=false": [
        row[0]
        for row in duckdb.sql(
            f"select model from read_parquet('{path}', hive_partitioning=false) order by query"
        ).fetchall()
    ],
}
for reader, column in seen.items():
    print(reader, column)
if seen.pop("DuckDB") != ["a", "a"] or any(column != ["small", "large"] for column in seen.values()):
    sys.exit("DuckDB no longer puts the folder's name in the place of a file's own column, or others do too")
PYTHON
