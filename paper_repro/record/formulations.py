"""Measure formulations of the realized program on three backends, side by side; print Markdown.

usage: python -m paper_repro.record.formulations [SIZES [SEEDS [TIME_LIMIT]]]     (default: 20,50,100 3 60)

All begin with the greedy plan. "all pairs" is the program with whole numbers of calls, aggregated by state; "linear
fixing" leaves out the pairs whose reduced cost in the linear relaxation reaches the distance from plan to bound;
"whole calls" those whose loss against the bound of `robatch.solvers.bounds.whole_call_dual` does, too; "and linked"
adds a row for each pair that is left, x <= y: no answer without a call.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from dataclasses import replace

import numpy as np

import robatch
from paper_repro.common import markdown
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.mip import cpsat, highs, scip
from robatch.solvers.mip.formulation import MipModel, build
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Request

BACKENDS = {"highs": highs.run_once, "scip": scip.run_once, "cpsat": cpsat.run_once}
FORMS = ("all pairs", "linear fixing", "whole calls", "and linked")
FRACTION = 0.1  # tight budgets are the hard ones
GAP = 5e-10


def linked(model: MipModel) -> MipModel:
    """Return a model with x <= y for every pair that shares its calls."""
    cells = zip(model.columns.call_group.tolist(), model.columns.call_state.tolist(), strict=True)
    place = {cell: model.n_candidates + j for j, cell in enumerate(cells)}
    groups = model.problem.group_codes[model.query].tolist()
    ends = [place.get(cell) for cell in zip(groups, model.state.tolist(), strict=True)]
    pairs = [(pair, end) for pair, end in enumerate(ends) if end is not None]
    return replace(
        model,
        starts=np.append(model.starts, model.starts[-1] + 2 * np.arange(1, len(pairs) + 1)).astype(np.int32),
        index=np.append(model.index, np.array(pairs, dtype=np.int32).ravel()).astype(np.int32),
        value=np.append(model.value, np.tile([1.0, -1.0], len(pairs))),
        row_lower=np.append(model.row_lower, np.full(len(pairs), -np.inf)),
        row_upper=np.append(model.row_upper, np.zeros(len(pairs))),
    )


def models(problem: robatch.Problem, budget: float, plan: robatch.Plan) -> list[MipModel]:
    """Return the program in each form."""
    assert plan.assignment is not None
    assert plan.utility is not None
    bounds = Bounds.of(Request(problem, budget, "realized"))
    fixing = bounds.fixing(budget, bounds.realized(budget).price, plan.utility)
    linear = fixing.linear_reduced_cost <= (fixing.linear_bound - plan.utility) * (1 + 1e-9) + 1e-9
    linear[np.arange(problem.n_queries), plan.assignment] = True
    both = fixing.kept(Incumbent(plan.assignment, plan.utility))
    forms = [build(problem, budget, "realized", kept=kept) for kept in (None, linear, both)]
    return [*forms, linked(forms[-1])]


def table(sizes: list[int], seeds: int, time_limit: float) -> str:
    """Return the measurement as Markdown."""
    lines = []
    for size in sizes:
        pairs: dict[str, list[int]] = {form: [] for form in FORMS}
        runs: dict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)  # seconds, and whether proven
        for seed in range(seeds):
            problem = robatch.generate("realistic", queries=size, models=4, batch_sizes=(1, 2, 4, 8, 16, 32), seed=seed)
            budget = problem.budget_at(FRACTION)
            plan = robatch.solve(problem, budget, "greedy", cost="realized")
            assert plan.assignment is not None
            request = Request(problem, budget, "realized", time_limit, GAP, threads=1)
            for form, model in zip(FORMS, models(problem, budget, plan), strict=True):
                pairs[form].append(model.n_candidates)
                for name, run in BACKENDS.items():
                    begin = time.perf_counter()
                    outcome = run(model, request, model.to_values(plan.assignment))
                    runs[name, form].append((time.perf_counter() - begin, outcome.limit is None))
        lines.append([str(size), "pairs", *(f"{statistics.median(pairs[form]):.0f}" for form in FORMS)])
        for name in BACKENDS:
            columns = [list(zip(*runs[name, form], strict=True)) for form in FORMS]
            cells = (f"{statistics.median(times):.2f}, {sum(proven)} of {seeds}" for times, proven in columns)
            lines.append([str(size), name, *cells])
    return markdown.table(["queries", "backend", *(f"{form}: seconds, proven" for form in FORMS)], lines, left=2)


if __name__ == "__main__":
    given = sys.argv[1:] + ["20,50,100", "3", "60"][len(sys.argv) - 1 :]
    print(table([int(size) for size in given[0].split(",")], int(given[1]), float(given[2])))
