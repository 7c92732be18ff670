#!/usr/bin/env bash
# OR-Tools 9.15.6755, ModelBuilder with HiGHS: the dual values of a linear program are the activities of its rows, and
# all reduced costs are 0. GLOP and PDLP give the duals.
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
for name in ("glop", "pdlp", "highs"):
    model = model_builder.Model()
    x, y, z = (model.new_num_var(0, most, label) for most, label in ((10, "x"), (10, "y"), (5, "z")))
    rows = [model.add(x + y <= 4), model.add(x + 3 * y <= 9)]
    model.maximize(3 * x + 2 * y - z)
    solver = model_builder.Solver(name)
    status = solver.solve(model).name
    duals = [round(solver.dual_value(row), 6) + 0.0 for row in rows]
    reduced = [round(solver.reduced_cost(column), 6) + 0.0 for column in (x, y, z)]
    seen[name] = (status, duals, reduced)
    print(name, *seen[name], [solver.value(column) for column in (x, y, z)])
right = ("OPTIMAL", [3.0, 0.0], [0.0, -1.0, -1.0])  # one more unit of the first row is one more x, worth 3
activities = ("OPTIMAL", [4.0, 4.0], [0.0, 0.0, 0.0])
if seen != {"glop": right, "pdlp": right, "highs": activities}:
    sys.exit("ModelBuilder's duals are no longer the activities of the rows with HiGHS alone")
PYTHON
