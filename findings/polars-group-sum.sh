#!/usr/bin/env bash
# polars 2.1.0: a sum of float32 by group is accumulated in single precision, row by row: five million utilities of
# 0.7 in one group are 3,571,325 in place of 3,500,000, while the sum of the same column without groups is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q polars==2.1.0 numpy==2.3.5
venv/bin/python -I - <<'PYTHON'
import sys

import numpy as np
import polars

rows = 5_000_000
frame = polars.DataFrame({"model": np.zeros(rows, np.int8), "utility": np.full(rows, 0.7, np.float32)})
column = polars.col("utility")
plain = frame.select(column.sum()).item()
grouped = frame.group_by("model").agg(column.sum())["utility"][0]
mean = frame.group_by("model").agg(column.mean())["utility"][0]
double = frame.group_by("model").agg(column.cast(polars.Float64).sum())["utility"][0]
print("sum", plain, "by group", grouped, "as float64 by group", double, "mean by group", mean)
if abs(plain - 3.5e6) > 10 or abs(double - 3.5e6) > 10 or abs(mean - 0.7) > 1e-6:
    sys.exit("polars' other sums and means are no longer right")
if abs(grouped - 3.5e6) < 10_000:
    sys.exit("polars' sum of float32 by group is no longer far off")
PYTHON
