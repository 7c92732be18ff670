"""Compile the kernels into Numba's cache by small problems of every kind that the tests solve.

usage: python tests/compile_kernels.py [PART PARTS]     # one part of so many, which may run side by side
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from robatch.instances import Constraints, Problem, generate
from robatch.proxies import UtilityProxy
from robatch.solvers import cheapest, explain, frontier, solve, solvers, verify


def small(dtype: str = "float64") -> Problem:
    return generate("uncorrelated", queries=6, models=2, batch_sizes=(1, 3), seed=1, dtype=dtype)


def solved(problem: Problem, solver: str, cost: str) -> None:
    verify(problem, solve(problem, problem.budget_at(0.5), solver, cost=cost))  # type: ignore[arg-type]


def with_conflicts() -> None:
    problem = small().replace(conflicts=[(0, 1), (1, 2), (2, 4)], groups=[0, 0, 0, 0, 0, 1])
    for solver in ("greedy", "brute-force"):
        solved(problem, solver, "realized")
    solve(problem, 1.0, "greedy", cost="realized").calls()


def with_limits() -> None:
    problem = small().replace(groups=[0, 0, 0, 0, 0, 1])
    problem = problem.replace(constraints=Constraints(max_queries={problem.models[0].name: 3}))
    for cost in ("amortized", "realized"):
        solved(problem, "greedy", cost)
    explain(problem, problem.budget_at(0.1), cost="amortized")


def at_least_cost() -> None:
    for cost in ("amortized", "realized"):
        for solver in ("greedy", "exact"):
            cheapest(small(), mean=0.5, solver=solver, cost=cost)


def predicted() -> None:
    UtilityProxy(router="constant").fit(["one text", "another"], [[0.0], [1.0]])


def tasks() -> list[Callable[[], object]]:
    """Return what compiles, the longest first."""
    rest = [(e.name, cost) for e in solvers() for cost in e.costs if e.name not in ("exact", "greedy")]
    return [
        lambda: solved(small(), "exact", "amortized"),
        lambda: solved(small(), "exact", "realized"),
        with_conflicts,
        with_limits,
        lambda: solved(small("float32"), "exact", "amortized"),
        at_least_cost,
        lambda: [frontier(small(), resolution, cost="amortized") for resolution in (0.0, 0.01)],
        lambda: solved(small("float32"), "greedy", "realized"),
        predicted,
        lambda: [solved(small(), *one) for one in rest],
        lambda: [solved(small("float32"), *one) for one in rest],
        lambda: solved(generate("realistic", queries=6, models=2, seed=1, factored=True), "exact", "amortized"),
    ]


if __name__ == "__main__":
    part, parts = map(int, sys.argv[1:]) if sys.argv[1:] else (0, 1)
    for task in tasks()[part::parts]:
        task()
