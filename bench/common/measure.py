"""One solver in one cell: what every row tells of a plan, and how often a solver runs until its time is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from robatch.bench.common.compilation import Small, structure, uncompiled
from robatch.bench.common.instances import sizes
from robatch.bench.common.rows import Key
from robatch.instances.display import wording
from robatch.instances.problem import Problem
from robatch.solvers.plan.plan import Plan
from robatch.solvers.solve import solve

ENOUGH_S = 0.05
"""A solver is run again until its runs in a cell took this long together, but not more than `MOST_REPEATS` times."""

MOST_REPEATS = 15

HOW = ("time_limit", "seed", "threads")
"""The settings that solvers are called with."""


def plan_fields(plan: Plan) -> dict[str, Any]:
    """Return the fields of a row that are as in the plan, as plain values for JSON."""
    return {
        "status": plan.status,
        "limit": plan.limit,
        "utility": plan.utility,
        "bound": plan.bound if plan.bound is None or math.isfinite(plan.bound) else None,
        "own_gap": plan.gap,
        "message": plan.message,
    }


def error_fields(error: Exception) -> dict[str, Any]:
    """Return the fields of a row whose solver failed."""
    return {"status": "error", "message": wording.failure(error)}


def small_instance(key: Key, problem: Problem, settings: Mapping[str, Any]) -> Small:
    """Return small problems of an instance's kind, its first queries, for the solver of a key."""
    _, cost, _, solver = key
    return Small(
        structure(problem),
        lambda queries: problem.take(range(min(queries, problem.n_queries))),
        None if problem.utility is None else problem.dtype,
        solver,
        cost,
        **{name: settings[name] for name in HOW},
    )


def measure(key: Key, problem: Problem, settings: Mapping[str, Any], usd: float | None = None) -> dict[str, Any]:
    """Run a solver on an instance, quick ones several times, and return the fields of its row; a failure is a row too.

    Parameters
    ----------
    key
        Instance, cost model, budget fraction and solver.
    problem
        The instance.
    settings
        Of the benchmark: ``instances``, ``solvers``, ``time_limit``, ``seed``, ``threads``, ``repeats``.
    usd
        The budget, where it was given in USD.
    """
    name, cost, fraction, solver = key
    budget = problem.budget_at(fraction) if usd is None else usd
    facts = {
        "instance": name,
        "source": settings["instances"][name]["source"],
        **sizes(problem),
        "budget_fraction": fraction,
        "budget": budget,
        "cost": cost,
        "solver": solver,
        "solver_version": settings["solvers"][solver] or "not installed",
    }
    how = {name: settings[name] for name in HOW}

    def run() -> Plan:
        return uncompiled(lambda: solve(problem, budget, solver, cost, **how))[0]

    try:
        plan = run()
        times = [plan.runtime]
        while len(times) < settings["repeats"] or (sum(times) < ENOUGH_S and len(times) < MOST_REPEATS):
            times.append(run().runtime)
    except Exception as error:  # one solver's failure must not end the run
        return {**facts, **error_fields(error)}
    costs = {"amortized_cost": plan.amortized_cost, "realized_cost": plan.realized_cost}
    return {**facts, **plan_fields(plan), **costs, "runtime_s": median(times), "repeats": len(times)}
