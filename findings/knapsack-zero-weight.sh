#!/usr/bin/env bash
# OR-Tools 9.15.6755, KnapsackSolver by dynamic programming: items of weight 0 may be left out, so that the value
# called best is not. The seven other kinds of solver that come with the package take them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q ortools==9.15.6755
venv/bin/python -I - <<'PYTHON'
import random
import sys

from ortools.algorithms.python import knapsack_solver

kinds = knapsack_solver.SolverType
names = ("64ITEMS", "BRUTE_FORCE", "DIVIDE_AND_CONQUER", "DYNAMIC_PROGRAMMING")
names += tuple(f"MULTIDIMENSION_{name}" for name in ("BRANCH_AND_BOUND", "CBC_MIP", "CP_SAT", "SCIP_MIP"))


def best(name, profits, weights, capacity):
    kind = getattr(kinds, f"KNAPSACK_{name}_SOLVER")
    solver = knapsack_solver.KnapsackSolver(kind, "knapsack")
    solver.init(profits, [weights], [capacity])
    return solver.solve()


wrong = {least: dict.fromkeys(names, 0) for least in (0, 1)}
for least in wrong:
    for seed in range(40):
        rng = random.Random(seed)
        count = rng.randint(2, 10)
        weights = [rng.choice([least, least, rng.randint(1, 20)]) for _ in range(count)]
        profits = [rng.randint(1, 30) for _ in range(count)]
        capacity = rng.randint(0, 40)
        subsets = ([i for i in range(count) if chosen >> i & 1] for chosen in range(1 << count))
        fitting = (subset for subset in subsets if sum(weights[i] for i in subset) <= capacity)
        optimum = max(sum(profits[i] for i in subset) for subset in fitting)
        for name in names:
            wrong[least][name] += best(name, profits, weights, capacity) != optimum
for least, counts in wrong.items():
    print(f"weights from {least}: problems of 40 that end below the optimum:", counts)
lost = wrong[0].pop("DYNAMIC_PROGRAMMING")
if lost == 0 or any(wrong[0].values()) or any(wrong[1].values()):
    sys.exit("items of weight 0 are no longer lost by dynamic programming alone")
PYTHON
