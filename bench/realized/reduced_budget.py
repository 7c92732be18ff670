"""A baseline of the benchmark of realized cost: the amortized greedy plan of a budget that is reduced until it fits.

It knows nothing of calls: what a scheduler for realized cost gains must be seen beside it.
"""

from __future__ import annotations

from dataclasses import replace

from robatch.solvers import registry
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.registry import Answer, Request, Solver

NAME = "reduced-budget"
MOST_BUDGETS = 20
"""Budgets that are tried; each halves what is left of the range."""


def run(request: Request) -> Answer:
    """Return the best amortized greedy plan found, by bisection of the budget, that bills no more than the budget.

    What is billed need not fall with the budget that a plan was made for, so a plan may exist where none is found.
    """
    problem, greedy = request.problem, registry.get("greedy").load()
    amortized = replace(Bounds.carried(request), cost="amortized")
    low, high = problem.cheapest_budget, request.budget
    target, kept, best = high, None, -1.0
    for _ in range(MOST_BUDGETS):
        states = greedy(replace(amortized, budget=target)).assignment
        if states is not None and problem.realized_cost(states) <= request.budget:
            utility = problem.total_utility(states)
            if utility > best:
                kept, best = states, utility
            low = target
            if target >= request.budget:
                break
        else:
            high = target
        target = (low + high) / 2
    return Answer(kept)


SOLVER = Solver(NAME, "the amortized greedy plan of a reduced budget", run, costs=("realized",))
