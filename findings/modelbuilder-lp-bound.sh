#!/usr/bin/env bash
# OR-Tools 9.15.6755, ModelBuilder with GLOP and PDLP: the best objective bound of a linear program that was solved to
# the optimum is 0, which no bound of a maximum of 110 can be. With HiGHS, SCIP and CP-SAT it is the optimum.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q ortools==9.15.6755
venv/bin/python -I - <<'PYTHON'
import sys

from ortools.linear_solver.python import model_builder

seen = {}
for name in ("glop", "pdlp", "scip", "sat", "highs"):
    model = model_builder.Model()
    x, y = model.new_num_var(0, 10, "x"), model.new_num_var(0, 10, "y")
    model.add(x + y <= 4)
    model.add(x - y == 0)
    model.maximize(3 * x + 2 * y + 100)
    solver = model_builder.Solver(name)
    status = solver.solve(model).name
    seen[name] = (status, round(solver.objective_value, 6), round(solver.best_objective_bound, 6))
    print(name, *seen[name])
none, right = ("OPTIMAL", 110.0, 0.0), ("OPTIMAL", 110.0, 110.0)
if seen != {"glop": none, "pdlp": none, "scip": right, "sat": right, "highs": right}:
    sys.exit("ModelBuilder's bound of a solved linear program is no longer 0 with GLOP and PDLP alone")
PYTHON
