#!/usr/bin/env bash
# pyarrow 26.0.1 compares a float32 column with 0.7 in double precision, polars 2.1.0 and DuckDB 2.0.1 in single: rows
# of a stored utility of 0.7 are not at least 0.7 for pyarrow, and are for the two others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q duckdb==2.0.1 pyarrow==26.0.1 polars==2.1.0 numpy==2.3.5
venv/bin/python -I - <<'PYTHON'
import sys

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq

pq.write_table(pa.table({"utility": np.array([0.1, 0.7, 0.9], dtype=np.float32)}), "utility.parquet")
seen = {
    "pyarrow": pq.read_table("utility.parquet", filters=[("utility", ">=", 0.7)]).num_rows,
    "polars": polars.scan_parquet("utility.parquet").filter(polars.col("utility") >= 0.7).collect().height,
    "DuckDB": len(duckdb.sql("select * from 'utility.parquet' where utility >= 0.7").fetchall()),
    "numpy": int((np.array([0.1, 0.7, 0.9], dtype=np.float32) >= 0.7).sum()),
}
print("rows of at least 0.7 among 0.1, 0.7 and 0.9:", seen)
if seen != {"pyarrow": 1, "polars": 2, "DuckDB": 2, "numpy": 2}:
    sys.exit("pyarrow is no longer the only one to compare float32 with a number in double precision")
PYTHON
