"""Amortized plans that keep a budget as billed, and what they bill, from few looks at all queries."""

from __future__ import annotations

from robatch.solvers.bounds.relaxation import EDGE, Relaxation, Relaxer
from robatch.solvers.greedy.realized_counts import Counts
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Request

FIRST_BUDGETS = 6  # at which amortized plans are tried to begin with


def first_plan(request: Request, relaxer: Relaxer, relaxation: Relaxation) -> Incumbent:
    """Return the best of a few amortized plans of less and less budget that keep it as billed.

    What they bill follows from their amortized cost and their numbers of queries. Where conflicts may take further
    calls, or rounding decides, plans are evaluated.
    """
    problem, budget, counts = request.problem, request.budget, Counts(request.problem)
    found, low, high, target = Incumbent(bound=relaxation.bound), 0.0, budget, budget
    for number in range(FIRST_BUDGETS):
        relaxed = relaxation if number == 0 else relaxer.at(target)
        states, utility, amortized = relaxed.plan()
        queries = counts.of(relaxed.steps, states)
        calls = -(-queries // problem.state_batch_size)
        billed = amortized + float((calls * problem.call_price - queries * relaxer.flat.share).sum())
        if problem.conflicts is not None or abs(billed - budget) <= 4 * EDGE * budget:
            evaluation = problem.evaluate(states)
            billed = evaluation.realized_cost
            found = found.evaluated(states, evaluation, "realized", budget)
        elif billed < budget:
            found = found.offered(states, utility, billed)
        excess = billed - budget
        if excess <= 0.0:
            low = target
            if number == 0 or number >= FIRST_BUDGETS // 2:
                break
        else:
            high = target
        step = high - 1.05 * excess
        target = step if excess > 0.0 and low < step < high else (low + high) / 2
    return found
