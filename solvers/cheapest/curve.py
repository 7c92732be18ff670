"""How little is enough: the least cost of shares of the best model's utility, and what single states cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from robatch.instances.arrays import BoolArray
from robatch.instances.problem import Problem
from robatch.solvers.cheapest.cheapest import cheapest
from robatch.solvers.plan.plan import Plan

SHARES = (0.9, 0.95, 0.97, 0.99, 1.0)


@dataclass(frozen=True)
class CurvePoint:
    """The cheapest plan found with a share of the best model's utility.

    Attributes
    ----------
    of_best
        The share.
    cost
        USD as billed; None where no plan was found.
    mean
        Utility a query; None likewise.
    models
        Queries by the name of each model that is used.
    """

    of_best: float
    cost: float | None
    mean: float | None
    models: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class SingleState:
    """All queries in one state: no routing."""

    model: str
    batch_size: int
    cost: float  # USD as billed
    mean: float  # utility a query


def curve(problem: Problem, shares: Sequence[float] = SHARES, seed: int = 0) -> tuple[CurvePoint, ...]:
    """Return the least cost, as billed, of shares of the best model's utility (see `cheapest` for what is best)."""
    points = []
    for share in shares:
        plan = cheapest(problem, of_best=share, seed=seed).plan
        if plan is None:
            points.append(CurvePoint(share, None, None, {}))
        else:
            assert plan.utility is not None
            mean = plan.utility / problem.n_queries
            points.append(CurvePoint(share, plan.realized_cost, mean, models_used(plan)))
    return tuple(points)


def models_used(plan: Plan) -> dict[str, int]:
    """Return how many queries of a plan go to each model that it uses."""
    counts = np.bincount(np.asarray(plan.assignment), minlength=len(plan.states)).tolist()
    used: dict[str, int] = {}
    for state, count in zip(plan.states, counts, strict=True):
        if count:
            used[state.model] = used.get(state.model, 0) + count
    return used


def single_states(problem: Problem) -> tuple[SingleState, ...]:
    """Return what all queries in one state cost and are worth, for each state that is allowed for all of them."""
    allowed: BoolArray
    allowed, utilities = np.all(problem.allowed(), axis=0), problem.utilities()
    found = []
    for column, (model, size) in enumerate(problem.states):
        if allowed[column]:
            assignment = np.full(problem.n_queries, column, dtype=np.int64)
            cost = problem.cost(assignment, "realized")
            found.append(SingleState(model, size, cost, float(utilities[:, column].mean(dtype=float))))
    return tuple(found)


def best_single(states: Sequence[SingleState]) -> SingleState | None:
    """Return the state of greatest utility, the cheapest of equal ones; None where no state takes all queries."""
    return max(states, key=lambda one: (one.mean, -one.cost), default=None)
