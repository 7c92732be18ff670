#!/usr/bin/env bash
# pyarrow 26.0.1: a column of a CSV file whose values look like 0x1A is read as the whole numbers 26 and so on, and
# one of +5 as doubles. polars 2.1.0 reads texts and whole numbers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q pyarrow==26.0.1 polars==2.1.0
venv/bin/python -I - <<'PYTHON'
import io
import sys

import polars
import pyarrow.csv as pc

text = b"query_id,tokens\n0x1A,+5\n0x2B,+6\n"
table, frame = pc.read_csv(io.BytesIO(text)), polars.read_csv(text)
print("pyarrow", table.to_pydict(), [str(kind) for kind in table.schema.types])
print("polars ", frame.to_dict(as_series=False), [str(kind) for kind in frame.dtypes])
if table.to_pydict() != {"query_id": [26, 43], "tokens": [5.0, 6.0]} or str(table.schema.types[1]) != "double":
    sys.exit("pyarrow no longer reads 0x1A as 26 and +5 as a double")
if frame["query_id"].to_list() != ["0x1A", "0x2B"]:
    sys.exit("polars no longer reads 0x1A as a text")
PYTHON
