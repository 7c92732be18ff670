#!/usr/bin/env bash
# PuLP 3.3.2 with highspy 1.16.0: the duals of a maximization have the opposite sign of those that PuLP gives with
# CBC, and so has the slack of a row with a lower limit.
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
    x, y = pulp.LpVariable("x", 0, 10), pulp.LpVariable("y", 0, 10)
    problem += 3 * x + 2 * y
    problem += x + y <= 4, "at_most"
    problem += x >= 1, "at_least"
    problem += x - y == 0, "equal"
    problem.solve(solver)
    rows = problem.constraints
    return [rows["at_most"].pi, rows["equal"].pi, rows["at_least"].slack], pulp.value(problem.objective)


cbc, highs = solved(pulp.PULP_CBC_CMD(msg=False)), solved(pulp.HiGHS(msg=False))
print("duals of at_most and equal, slack of at_least, objective")
print("CBC  ", *cbc)
print("HiGHS", *highs)
if cbc != ([2.5, 0.5, -1.0], 10.0) or highs != ([-2.5, -0.5, 1.0], 10.0):
    sys.exit("PuLP's duals and slacks no longer differ in sign between CBC and HiGHS")
PYTHON
