"""Baselines that fix the model, the batch size, or both."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.kernels import flat
from robatch.instances.problem import Problem
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.bounds.relaxation import Relaxer
from robatch.solvers.bounds.threads import thread_count
from robatch.solvers.plan.incumbent import Incumbent
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
    """Choose one model and one batch size for all queries: the best state that keeps the budget.

    A query that is not allowed in that state goes to the largest smaller batch size of the model.
    """
    best = Incumbent()
    for state in range(request.problem.n_states):
        states = uniform(request.problem, state)
        if states is not None:
            best = best.evaluated(states, request.problem.evaluate(states), request.cost, request.budget)
    return Answer.of(best, "no single model and batch size keeps the budget")


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
    problem, states = request.problem, request.problem.cheapest_assignment
    evaluation = problem.evaluate(states)
    if request.cost == "realized" and evaluation.realized_cost > request.budget:
        states = cheapest_realized_assignment(problem)
        evaluation = problem.evaluate(states)
    found = Incumbent().evaluated(states, evaluation, request.cost, request.budget)
    return Answer.of(found, "the cheapest plan known exceeds the budget")


def run_best(request: Request) -> Answer:
    """Return the plan of greatest utility, if the budget pays for it; its utility bounds every plan."""
    states = request.problem.best_assignment
    evaluation = request.problem.evaluate(states)
    found = Incumbent(bound=evaluation.utility).evaluated(states, evaluation, request.cost, request.budget)
    spent = evaluation.cost(request.cost)
    return Answer.of(found, f"the plan of greatest utility costs {spent:.9g} USD, over the budget")
