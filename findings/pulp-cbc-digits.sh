#!/usr/bin/env bash
# PuLP 3.3.2 with the CBC that it brings: values of columns have 8 digits, so that a row that is met exactly is missed
# by 1e-8 of its size. With highspy 1.16.0 they are whole doubles.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q pulp==3.3.2 highspy==1.16.0
venv/bin/python -I - <<'PYTHON'
import sys

import pulp


def solved(solver):
    problem = pulp.LpProblem("p", pulp.LpMaximize)
    x = pulp.LpVariable("x", 0)
    problem += x
    problem += 3 * x <= 100_000, "budget"
    problem.solve(solver)
    return x.value()


cbc, highs = solved(pulp.PULP_CBC_CMD(msg=False)), solved(pulp.HiGHS(msg=False))
print("CBC  ", cbc)
print("HiGHS", highs)
if cbc != 33333.333 or abs(highs - 100_000 / 3) > 1e-10:
    sys.exit("CBC's values no longer reach PuLP with 8 digits")
PYTHON
