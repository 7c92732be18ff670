"""The greedy scheduler under realized cost where queries have groups: each group sends its own calls.

The amortized relaxation gives a price and a bound. At that price most queries have one state that is clearly best;
the others, the core, can move between states at little loss. They are packed into whole calls by a search over call
counts, see `call_count_kernels`, and, where there are few, by annealing, see `annealing_kernels`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.problem import Problem
from robatch.instances.problem_costs import Evaluation
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.bounds.relaxation import DIRECT, EDGE, Relaxer, find_steps
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.greedy.last_calls import shrunk
from robatch.solvers.greedy.realized_core import Prices, core_of, search
from robatch.solvers.greedy.realized_table import closest, keep_apart
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import OPTIMAL_GAP
from robatch.solvers.registry import Answer, Request

CORE_QUERIES, CORE_QUERIES_PER_GROUP, MAX_CORE_QUERIES = 1_000, 32, 50_000
OVERBILLED = 1.1  # times the budget: from there on, a USD is worth more than the relaxation says
MAX_FITS, MAX_FITS_WITH_CONFLICTS = 6, 16  # searches until a plan keeps the budget: at its very edge, or with conflicts
SECOND_PRICE = 1.4  # times the first, which leaves no slack for what whole calls cost more
MAX_SECOND_PRICE_QUERIES = 300
MAX_LAST_CALL_QUERIES = 100_000  # later, single last calls hardly matter
MAX_DUAL_CANDIDATES = 500_000  # queries times states for which the bound looks at whole calls too
CLOSE = 0.5 * OPTIMAL_GAP  # relative gap at which nothing more is tried


class Start(NamedTuple):
    """The assignment (N,) that is best at the relaxation's price, and what it is worth and costs."""

    states: IntArray
    evaluation: Evaluation


def run(request: Request) -> Answer:
    """Schedule under realized cost: relaxation, core, search over call counts.

    The bound is the relaxation's, in which each query pays its share of a call that is as full as it can be; for
    problems that are not large, the lower one of the dual of whole calls.
    """
    problem, budget = request.problem, request.budget
    bounds = Bounds.of(request)
    relaxer, relaxation = bounds.tightened, bounds.realized(budget)
    if relaxation.steps.cost > budget * (1 + 1e-9):  # even if all calls were full
        return Answer(infeasible=True)
    price, found = relaxation.price, Incumbent(bound=relaxation.bound)
    shared = bool(((problem.call_price > 0.0) & (problem.state_batch_size > 1)).any())
    searched = shared and price < math.inf
    if problem.n_queries <= DIRECT or not searched:  # cheap, or all that there is to do
        found = within(request, relaxer.schedule).bounded(relaxation.bound)
    if searched and not found.proven(CLOSE):
        states = relaxation.break_solution()
        start = Start(states, problem.evaluate(states))
        for prices in _prices(problem, relaxer, start.evaluation, budget, price):
            if found.proven(CLOSE):
                break
            found = _improve(request, relaxer, found, start if prices.cost == price else None, prices)
    if found.assignment is None:
        found = within(request, relaxer.schedule).bounded(relaxation.bound)
    if found.assignment is not None and found.evaluation is not None and problem.n_queries <= MAX_LAST_CALL_QUERIES:
        states, end = shrunk(problem, found.assignment, found.evaluation, budget)
        found = found.offered(states, end.utility, end.realized_cost, ties=True, evaluation=end)
    looked_at = (
        searched and found.assignment is not None and problem.n_queries * problem.n_states <= MAX_DUAL_CANDIDATES
    )
    if looked_at and not found.proven(CLOSE):
        found = found.bounded(bounds.whole_calls(budget, price, found.utility).bound)
    missing = "no plan was found that keeps the budget as billed; 'exact' can tell if one is"
    return Answer.of(found, missing, shadow_price=price)


def _prices(problem: Problem, relaxer: Relaxer, start: Evaluation, budget: float, price: float) -> list[Prices]:
    """Return the prices at which to pack queries.

    Where the assignment that is best at the relaxation's price bills far more than it costs on paper, USD are worth
    more than that: as much as they are on paper with a budget that is smaller in the same proportion.
    """
    prices = [Prices(price, price)] if price > 0.0 else []
    if price > 0.0 and problem.n_queries <= MAX_SECOND_PRICE_QUERIES:
        prices.append(Prices(SECOND_PRICE * price, price))
    billed = start.realized_cost
    if billed > OVERBILLED * budget or (price == 0.0 and billed > budget):
        higher = relaxer.at(start.amortized_cost * budget / billed).price
        if not price < higher < math.inf and not prices:
            higher = start.utility / budget  # what a USD buys on average
        if price < higher < math.inf:
            prices.append(Prices(higher, higher))
    return prices


def _improve(request: Request, relaxer: Relaxer, found: Incumbent, start: Start | None, prices: Prices) -> Incumbent:
    """Search for a better plan around the assignment that is best at a price, which `start` gives if it is known."""
    problem, budget = request.problem, request.budget
    if start is None:
        states = find_steps(relaxer.flat, prices.cost, prices.cost * (1 - 1e-9), relaxer.threads).states
        states = states.astype(np.int64)
        start = Start(states, problem.evaluate(states))
    states = start.states
    size = min(max(CORE_QUERIES, CORE_QUERIES_PER_GROUP * problem.n_groups), MAX_CORE_QUERIES)
    rows = closest(relaxer, states, prices.cost, size)
    core = core_of(problem, relaxer.flat, states, start.evaluation, rows)
    rng = np.random.default_rng(request.seed)
    cap = budget * (1 + EDGE)
    for _ in range(MAX_FITS if problem.conflicts is None else MAX_FITS_WITH_CONFLICTS):
        moved = search(core, states[core.rows], cap, prices, found, rng)
        if moved is None:
            break
        plan = states.copy()
        plan[core.rows] = moved
        end = problem.evaluate(plan)
        if end.realized_cost <= budget:
            return found.evaluated(plan, end, "realized", budget)
        if problem.conflicts is None or not keep_apart(problem, core, plan, end):
            # the last digits, or calls that conflicts make necessary
            cap -= 1.01 * (end.realized_cost - budget) + EDGE * budget
    return found
