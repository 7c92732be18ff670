"""Baselines that fix the model, the batch size, or both."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.kernels import flat
from robatch.instances.problem import Problem
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.bounds.relaxation import Relaxer, thread_count
from robatch.solvers.registry import Answer, Request


def run_router_only(request: Request) -> Answer:
    """Choose models only: the greedy scheduler with every model at its smallest batch size."""
    problem = request.problem
    smallest = np.diff(problem.state_model, prepend=-1) > 0
    if not all((problem.allowed(rows) & smallest).any(axis=1).all() for rows in problem.blocks()):
        return Answer(message="some query fits no model at its smallest batch size")
    relaxer = Relaxer(flat(problem, smallest), thread_count(request.threads))
    if problem.amortized_cost(relaxer.schedule(0.0)) > request.budget:
        return Answer(message="without batching, even the cheapest models exceed the budget")
    return Answer.of(
        within(request, relaxer.schedule, mixed=False), missing="no plan without batching keeps the budget"
    )


def run_batch_only(request: Request) -> Answer:
    """Choose one model and one batch size for all queries: the best pair that keeps the budget.

    A query that is not allowed in that state goes to the largest smaller batch size of the model.
    """
    problem = request.problem
    best: IntArray | None = None
    for state in range(problem.n_states):
        states = uniform(problem, state)
        if states is None or problem.cost(states, request.cost) > request.budget:
            continue
        if best is None or problem.total_utility(states) > problem.total_utility(best):
            best = states
    return Answer(best, message=None if best is not None else "no single model and batch size keeps the budget")


def uniform(problem: Problem, state: int) -> IntArray | None:
    """Return the assignment of all queries to one state, or None if a query does not fit its model."""
    states = np.full(problem.n_queries, state, dtype=np.int64)
    if problem.all_allowed:
        return states
    for rows in problem.blocks():
        allowed = problem.allowed(rows)
        left = ~allowed[np.arange(len(allowed)), states[rows]]
        for smaller in range(state - 1, -1, -1):
            if not left.any() or problem.state_model[smaller] != problem.state_model[state]:
                break
            move = left & allowed[:, smaller]
            states[rows] = np.where(move, smaller, states[rows])
            left &= ~move
        if left.any():
            return None
    return states


def run_cheapest(request: Request) -> Answer:
    """Return the plan of least amortized cost, or the cheapest known one under realized cost."""
    problem = request.problem
    states = problem.cheapest_assignment
    if request.cost == "realized" and problem.realized_cost(states) > request.budget:
        states = cheapest_realized_assignment(problem)
    if problem.cost(states, request.cost) > request.budget:
        return Answer(message="the cheapest plan known exceeds the budget")
    return Answer(states)


def run_best(request: Request) -> Answer:
    """Return the plan of greatest utility, if the budget pays for it; its utility bounds every plan."""
    problem = request.problem
    states = problem.best_assignment
    bound = problem.total_utility(states)
    cost = problem.cost(states, request.cost)
    if cost > request.budget:
        return Answer(bound=bound, message=f"the plan of greatest utility costs {cost:.9g} USD, over the budget")
    return Answer(states, bound=bound)
