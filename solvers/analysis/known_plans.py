"""The best plans known at several budgets, and what is proven of all plans there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from robatch.instances.arrays import Array, FloatArray, IntArray
from robatch.instances.problem import Problem


class Base(Protocol):
    """States that several plans share: all but those of some queries."""

    def states(self) -> IntArray:
        """Return an assignment (N,), the same one every time."""


@dataclass(frozen=True, eq=False, slots=True)
class KnownPlan:
    """A plan, as what it changes in a base: utility, USD as billed, and positions and states of the changed queries."""

    utility: float
    bill: float
    base: Base
    rows: IntArray
    chosen: Array

    def states(self) -> IntArray:
        """Return its assignment: (N,)."""
        states = self.base.states().copy()
        states[self.rows] = self.chosen
        return states


@dataclass(slots=True)
class KnownPlans:
    """What is known at rising budgets.

    Attributes
    ----------
    problem
        The problem.
    budgets
        USD: (K,).
    utilities, bounds
        Of the best plan known, -inf if there is none; and what no plan exceeds: both rise with the budget: (K,).
    plans
        The best plan at each budget.
    spare
        Plans by the place of a budget that keep it, and were not evaluated yet.
    """

    problem: Problem
    budgets: FloatArray
    utilities: FloatArray = field(init=False)
    bounds: FloatArray = field(init=False)
    plans: list[KnownPlan | None] = field(init=False)
    spare: dict[int, Base] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.utilities = np.full(len(self.budgets), -np.inf)
        self.bounds = np.full(len(self.budgets), np.inf)
        self.plans = [None] * len(self.budgets)

    def offer(self, base: Base, rows: IntArray, chosen: IntArray) -> float:
        """Take a plan wherever it is the best one that a budget pays for; return its USD as billed."""
        states = base.states().copy()
        changed = chosen != states[rows]
        rows, chosen = rows[changed], chosen[changed]
        states[rows] = chosen
        found = self.problem.evaluate(states)
        first = int(np.searchsorted(self.budgets, found.realized_cost))
        last = first + int(np.searchsorted(self.utilities[first:], found.utility))  # where it is not the better one
        if last > first:
            small = np.min_scalar_type(self.problem.n_states)
            plan = KnownPlan(found.utility, found.realized_cost, base, rows, chosen.astype(small))
            self.utilities[first:last], self.plans[first:last] = found.utility, [plan] * (last - first)
        return found.realized_cost

    def fall_back(self, place: int) -> None:
        """Offer the plan that is spare at a budget, if there is one."""
        nobody: IntArray = np.empty(0, dtype=np.int64)
        if place in self.spare:
            self.offer(self.spare.pop(place), nobody, nobody)

    def bounded(self, place: int, bound: float) -> None:
        """Take a bound at a budget, which holds at all that are smaller."""
        np.minimum(self.bounds[: place + 1], bound, out=self.bounds[: place + 1])

    @property
    def gaps(self) -> FloatArray:
        """Utility between plan and bound, inf where there is no plan: (K,)."""
        return np.asarray(self.bounds - self.utilities)
