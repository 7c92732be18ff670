#!/usr/bin/env bash
# PySCIPOpt 6.3.0 (SCIP 10.0): the dual of a maximization is that of the minimization inside, of the opposite sign:
# more of a scarce row, which raises the maximum, has a negative dual.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q pyscipopt==6.3.0
venv/bin/python -I - <<'PYTHON'
import sys

import pyscipopt


def dual(sense, sign):
    model = pyscipopt.Model()
    model.hideOutput()
    model.setPresolve(pyscipopt.SCIP_PARAMSETTING.OFF)
    model.setHeuristics(pyscipopt.SCIP_PARAMSETTING.OFF)
    model.disablePropagation()
    x, y = model.addVar(lb=0, ub=10), model.addVar(lb=0, ub=10)
    row = model.addCons(x + y <= 4)
    model.addCons(x - y == 0)
    model.setObjective(sign * (3 * x + 2 * y), sense)
    model.optimize()
    return model.getStatus(), model.getObjVal(), model.getDualsolLinear(row)


most, least = dual("maximize", 1), dual("minimize", -1)
print("maximize  3x + 2y:", *most)
print("minimize -3x - 2y:", *least)
if most != ("optimal", 10.0, -2.5) or least != ("optimal", -10.0, -2.5):
    sys.exit("PySCIPOpt's dual of a maximization no longer has the sign of the minimization")
PYTHON
