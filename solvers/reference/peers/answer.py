"""What the peers share: a schedule for a budget becomes the answer of a solver."""

from __future__ import annotations

from robatch.solvers.bounds.fit_to_budget import Scheduler, within
from robatch.solvers.bounds.relaxation import EDGE
from robatch.solvers.registry import Answer, Request


def answered(request: Request, schedule: Scheduler, missing: str) -> Answer:
    """Return the best plan of a schedule that keeps the budget; `missing` says that there is none.

    The schedule may spend a little more than is checked, so that what just fits does not fail by rounding.
    """
    return Answer.of(within(request, lambda budget: schedule(budget * (1 + EDGE))), missing)
