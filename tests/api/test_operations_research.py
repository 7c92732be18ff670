"""The operations researcher's way, by commands alone: a knapsack as text, an own solver, MPS out, a solution back."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import highspy
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import robatch
from robatch.cli import main

KNAPSACK = "4\n2 10 3 20 7\n3 5 1 12 4 15 6\n2 8 2 30 9\n1 4 1\n{capacity}\n"  # classes, each with its items
OWN = '''
"""A solver of one's own, in twelve lines."""
import numpy as np
from robatch import Answer

__version__ = "2.1"


def density(request):
    """Upgrades by utility per USD, one after the other."""
    problem = request.problem
    states, utility, cost = problem.cheapest_assignment.copy(), problem.utilities(), problem.amortized_costs()
    best = np.where(problem.allowed(), utility, -np.inf).argmax(axis=1)
    rows = np.arange(len(states))
    gain = (utility[rows, best] - utility[rows, states]) / np.maximum(cost[rows, best] - cost[rows, states], 1e-300)
    for query in np.argsort(-gain, kind="stable"):
        tried = states.copy()
        tried[query] = best[query]
        if problem.amortized_cost(tried) <= request.budget:
            states = tried
    return Answer(states)
'''


def run(*words: object) -> Result:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("suffix", ["mps", "lp"])
def test_a_knapsack_goes_out_and_a_checked_plan_comes_back(suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("knapsack.txt").write_text(KNAPSACK.format(capacity=14))
    Path("mine.py").write_text(OWN)
    run("import", "knapsack.txt", "--format", "mckp", "-o", "knapsack.parquet")
    words = ["--budgets", "14,11", "--solvers", "exact,density", "--register", "mine.py:density", "--cost", "amortized"]
    told = json.loads(run("bench", "gap", "--instance", "knapsack.parquet", *words, "-o", "gap", "--json").stdout)
    rows = {(row["solver"], row["budget"]): row for row in told["rows"]}
    assert rows["density", 14.0]["solver_version"] == "2.1"
    assert rows["exact", 14.0]["gap"] == 0.0 <= rows["density", 14.0]["gap"]
    assert {"gap.png", "report.html", "results.csv"} <= {path.name for path in Path("gap").iterdir()}
    assert len(pd.read_csv("gap/results.csv")) == 4
    model = f"knapsack.{suffix}"
    words = ["--budget", 14, "--cost", "amortized"]
    own = json.loads(run("solve", "knapsack.parquet", *words, "--write-model", model, "--json").stdout)
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.readModel(model)
    worker = threading.Thread(target=highs.run)
    worker.start()
    worker.join()
    highs.writeSolution("highs.sol", 0)
    run("plan-from", "knapsack.parquet", "highs.sol", *words, "--bound", own["utility"], "-o", "plan.parquet")
    assert "verified: optimal" in run("verify", "knapsack.parquet", "plan.parquet").output
    problem, plan = robatch.read("knapsack.parquet"), robatch.Plan.read("plan.parquet")
    frame = plan.to_frame(problem)
    assert frame["utility"].sum() == pytest.approx(own["utility"])
    assert frame["amortized_cost"].sum() <= 14.0
    assert robatch.verify(problem, plan.assignment, budget=14.0, cost="amortized").utility == plan.utility
