"""A problem that the exact solver closes, and an assignment that its core counts from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul
from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import IntArray, read_only
from robatch.instances.kernels import Flat, tally
from robatch.instances.money import Money, Whole, times
from robatch.solvers.bounds.relaxation import EDGE, Relaxation, at_budget
from robatch.solvers.search_limits import Work

PROVEN = 0.99  # part of the gap at which a search stops, so that rounding does not take the proof away again


class Base(NamedTuple):
    """An assignment (N,) that is best at a shadow price, its utility, and its cost in units of money."""

    states: IntArray
    utility: float
    cost: Whole


@dataclass(frozen=True, slots=True)
class Node:
    """A problem to close: the whole one, or what is left of it when some queries are fixed.

    Attributes
    ----------
    flat, money
        The queries that are not fixed, and the prices.
    budget, most
        What is left of the budget, in USD and in units of `money`.
    fixed
        Utility of the fixed queries.
    gap
        Relative gap at which to stop, of the utility of all queries.
    work
        Limits and counts.
    depth
        Number of fixed queries.
    """

    flat: Flat
    money: Money
    budget: float
    most: Whole
    fixed: float
    gap: float
    work: Work
    depth: int = 0

    def evaluate(self, states: IntArray) -> Base:
        """Return an assignment with its utility and its amortized cost."""
        queries = np.zeros((1, len(self.flat.share)), dtype=np.int64)
        _, utility, sent, received = tally(read_only(states), np.empty(0, dtype=np.int64), queries, self.flat)
        own = times(self.money.price_in, sent.tolist()) + times(self.money.price_out, received.tolist())
        return Base(states, utility, own + sum(map(mul, self.money.share, queries[0].tolist())))

    def greedy(self, relaxation: Relaxation) -> tuple[IntArray, float]:
        """Return the greedy assignment and its utility; -inf if it does not keep the budget."""
        for budget in (self.budget, self.budget * (1 - 3 * EDGE)):  # a plan may exceed it by `EDGE`
            states, utility, cost = at_budget(relaxation.steps, budget).plan()
            if cost <= self.budget * (1 - EDGE):  # clear of the edge, sums of floating-point numbers will do
                return states, utility
            _, utility, units = self.evaluate(states)
            if units <= self.most:
                return states, utility
        return states, -math.inf

    def tolerance(self, utility: float, margin: float) -> float:
        """Return the distance between a plan's utility and the bound at which the node is closed."""
        return max(PROVEN * self.gap * (self.fixed + utility), 4 * margin)
