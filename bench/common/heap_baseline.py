"""The baseline to beat: the paper's scheduler in plain Python with the heap of its library.

The paper's full text was not at hand: like the solver ``pareto``, this is a reconstruction from its abstract. It
shares no code with that solver and takes the same steps.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.solvers import registry
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.registry import Answer, Request, Solver

MOST_QUERIES = 100_000
"""Plain Python takes minutes for more."""

NAME = "python-heap"

Point = tuple[float, float, int]  # USD, utility, state


def run(request: Request) -> Answer:
    """Take the next frontier point of best utility per USD, until the budget is spent; nothing is proven.

    Raises
    ------
    InputError
        If the problem has more than 100,000 queries.
    """
    problem = request.problem
    if problem.n_queries > MOST_QUERIES:
        raise InputError(f"{NAME} is made for up to {MOST_QUERIES:,} queries: the problem has {problem.n_queries:,}")
    frontiers = _frontiers(problem)
    return Answer.of(within(request, lambda budget: _climb(frontiers, budget)))


def _frontiers(problem: Problem) -> list[list[Point]]:
    """Return each query's Pareto frontier, cheapest point first."""
    frontiers = []
    rows = zip(
        problem.amortized_costs().tolist(), problem.utilities().tolist(), problem.allowed().tolist(), strict=True
    )
    for costs, utilities, allowed in rows:
        points = [(costs[s], -utilities[s], s) for s in range(len(costs)) if allowed[s]]
        frontier: list[Point] = []
        for cost, negative, state in sorted(points):
            if not frontier or -negative > frontier[-1][1]:
                frontier.append((cost, -negative, state))
        frontiers.append(frontier)
    return frontiers


def _climb(frontiers: list[list[Point]], budget: float) -> IntArray:
    """Return the state of each query (N,)."""
    place = [0] * len(frontiers)
    spent = sum(frontier[0][0] for frontier in frontiers)
    heap = [(-_slope(frontier, 1), i) for i, frontier in enumerate(frontiers) if len(frontier) > 1]
    heapq.heapify(heap)
    while heap:
        _, i = heapq.heappop(heap)
        frontier, step = frontiers[i], place[i] + 1
        extra = frontier[step][0] - frontier[step - 1][0]
        if spent + extra > budget:
            continue  # this query is done, the others go on
        spent += extra
        place[i] = step
        if step + 1 < len(frontier):
            heapq.heappush(heap, (-_slope(frontier, step + 1), i))
    return np.array([frontier[step][2] for frontier, step in zip(frontiers, place, strict=True)], dtype=np.int64)


def _slope(frontier: list[Point], step: int) -> float:
    """Return utility per USD of a point over the one before it."""
    (cost, utility, _), (next_cost, next_utility, _) = frontier[step - 1], frontier[step]
    return (next_utility - utility) / (next_cost - cost)


SOLVER = Solver(NAME, "the paper's scheduler, reconstructed, in plain Python", run, costs=("amortized",))


@contextmanager
def registered(solver: Solver = SOLVER) -> Iterator[None]:
    """Let `solve` know the baseline for a while: it is a baseline of the benchmark, not a solver of the library.

    Parameters
    ----------
    solver
        Another baseline of a benchmark.
    """
    registry.register(solver, replace=True)
    try:
        yield
    finally:
        registry.unregister(solver.name)
