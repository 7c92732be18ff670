#!/usr/bin/env bash
# pyarrow 26.0.1: a safe cast of 1e300 to float32 gives infinity without an error. A safe cast of 300 to int8 is
# refused, and so is one of 1e300 to int64.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q pyarrow==26.0.1
venv/bin/python -I - <<'PYTHON'
import sys

import pyarrow as pa

seen = pa.array([1e300]).cast(pa.float32(), safe=True).to_pylist()
print("1e300 as float32:", seen)
refused = []
for value, kind in ((300, pa.int8()), (1e300, pa.int64())):
    try:
        pa.array([value]).cast(kind, safe=True)
    except pa.ArrowInvalid as error:
        refused.append(str(kind))
        print(value, "as", kind, "is refused:", error)
if seen != [float("inf")] or refused != ["int8", "int64"]:
    sys.exit("a safe cast to float32 is no longer the one that overflows without an error")
PYTHON
