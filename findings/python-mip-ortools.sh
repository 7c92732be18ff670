#!/usr/bin/env bash
# python-mip 2.0.0 and OR-Tools 9.15.6755 in one process: the second one fails, as the libraries of one meet the CBC of
# the other. After a model of python-mip, OR-Tools cannot be imported ("undefined symbol"); after an import of OR-Tools,
# python-mip makes no model ("name 'cbclib' is not defined").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q mip==2.0.0 ortools==9.15.6755
venv/bin/python -I - <<'PYTHON'
import sys

import mip

mip.Model(solver_name="CBC")
try:
    from ortools.sat.python import cp_model
except ImportError as error:
    print(error)
    if "undefined symbol" not in str(error):
        sys.exit("OR-Tools fails for another reason after python-mip")
else:
    sys.exit("OR-Tools can be imported after python-mip")
PYTHON
venv/bin/python -I - <<'PYTHON'
from ortools.sat.python import cp_model
import mip

try:
    mip.Model(solver_name="CBC")
except NameError as error:
    print(error)
else:
    raise SystemExit("python-mip makes a model after OR-Tools")
PYTHON
