"""The core at one shadow price: its classes, its costs as whole numbers where they are, and the search of it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.solvers.bounds.relaxation import EDGE
from robatch.solvers.exact import core_kernels
from robatch.solvers.exact.core_kernels import Items
from robatch.solvers.exact.core_search import Line, Search
from robatch.solvers.exact.item_aggregation import bundle
from robatch.solvers.exact.node import Base, Node

PARTS = (1, 4096)  # of a unit of money in which costs are counted: tokens may be whole, or halves, quarters and so on
LARGEST_EXACT = 2.0**52  # up to here, sums of whole numbers are exact in float64
PATIENCE = 3 * core_kernels.WORK  # list entries looked at before other ways are tried


class Core:
    """The core at one shadow price.

    Parameters
    ----------
    node
        The problem, and its budget.
    columns
        Query, state, loss, USD and utility of each state, as `relaxation_kernels.near` finds them.
    price
        The shadow price.
    base
        The assignment that `columns` count from.
    cut
        The loss above which states are left out.

    Attributes
    ----------
    items
        The classes, each a query with the states that it may have instead of its base.
    slack
        USD, or grains, between the bases and the budget.
    linear_bound
        The Lagrangian bound at the price, but for rounding.
    bound
        Upper bound on utility that the search proved, but for rounding.
    found
        The items of the best assignment found, empty if none is better than the incumbent.
    incomplete
        Whether the search was ended for want of space.
    in_grains
        Whether costs are counted as whole numbers of a grain.
    """

    def __init__(self, node: Node, columns: list[npt.NDArray[Any]], price: float, base: Base, cut: float) -> None:
        self.query, self.base, least, first, self.state, cost, utility, shift, gained = core_kernels.classes(*columns)
        self.items = Items(first, least, cost, utility)
        self.work, self.states = node.work, base.states
        self.utility = base.utility + gained
        self.found: list[int] = []
        self.incomplete = False
        self.price = price
        self.slack = node.money.usd(node.most - base.cost) - shift
        self.linear_bound = self.bound = self.utility + price * self.slack
        self.left_out = self.linear_bound - cut  # bounds every plan with a state that is not in the core
        self.edge = EDGE * node.money.usd(node.most)
        self.in_grains = self._count_in_grains(node, base)
        if not self.in_grains:
            self.slack += self.edge
        self.work.add(core_queries=len(least), core_states=len(cost))

    def _count_in_grains(self, node: Node, base: Base) -> bool:
        """Where all costs are whole multiples of a grain, count in grains: less than one of them buys nothing."""
        if not len(self.state):
            return False
        owner = self.items.owner
        pairs = ((self.query, self.base), (self.query[owner], self.state), (self.query, self.states[self.query]))
        for parts in PARTS:
            bases, items, paid = (_units(node, *pair, parts) for pair in pairs)
            if bases is not None and items is not None and paid is not None:
                break
        else:
            return False
        extra = items - bases[owner]
        grain = int(np.gcd.reduce(extra.astype(np.int64)))
        if grain == 0:
            return False
        slack = math.floor(parts * (node.most - base.cost) - int(np.sum(bases - paid))) // grain
        if abs(slack) > LARGEST_EXACT or float(np.abs(extra).sum()) > LARGEST_EXACT:
            return False
        self.items, self.slack = self.items._replace(cost=extra / grain), float(slack)
        self.price *= node.money.usd(Fraction(grain, parts))
        return True

    @property
    def top(self) -> float:
        """The linear bound."""
        return float(self.utility + self.price * self.slack)

    def lower_slack(self) -> None:
        """Leave out the plans at the very edge of the budget."""
        self.slack -= 1.0 if self.in_grains else 2 * self.edge
        self.found = []

    def search(self, incumbent: float, tolerance: float) -> bool:
        """Search for a while; return whether nothing is left that is better by more than the tolerance."""
        out = self.top - self.left_out if self.left_out < self.top else math.inf
        line = Line(self.price, self.slack)
        self.run = run = Search(self.items, line, self.work, self.top - incumbent, tolerance, out)
        run.go(PATIENCE)
        self.found = run.found()
        return self._conclude()

    def persist(self) -> None:
        """Search on until it is done, or a limit is reached.

        Before classes go on to enter one by one, there are two other ways: items that are alike, collapsed to counts,
        for a bound; and partial plans near the bases only, for a better plan.
        """
        run = self.run
        for way in (self._collapse, self._look_near, self._enter):
            if not self._conclude():
                way(run)
        self._conclude()

    def _conclude(self) -> bool:
        self.incomplete = not self.run.ended
        self.bound = max(self.top - self.run.least_shortfall, self.left_out)
        return not self.incomplete

    def _enter(self, run: Search) -> None:
        before = run.shortfall
        run.go()
        self.found = run.found() if run.shortfall < before else self.found

    def _collapse(self, run: Search) -> None:
        """Collapse items that are alike to counts, for a bound, and for a plan if it takes one item a class."""
        if not self.in_grains:
            return
        bundles = bundle(self.price, run.shortfall, self.items.cost, self.items.utility)
        items = Items(np.arange(len(bundles.least) + 1), bundles.least, bundles.cost, bundles.utility)
        alike = Search(items, run.line, self.work, run.shortfall, run.tolerance, run.out)
        alike.go()
        found = bundles.items(alike.found(), self.items.owner)
        if found:
            self.found, run.shortfall = found, alike.shortfall
        run.least_shortfall = alike.least_shortfall

    def _look_near(self, run: Search) -> None:
        """Look for a better plan among partial plans that stay near the bases: their lists are short."""
        window = 2 * float(np.abs(self.items.cost).max()) + abs(self.slack)
        near = Search(self.items, run.line, self.work, run.shortfall, run.tolerance, run.out, window)
        near.least_shortfall = run.least_shortfall
        near.go()
        if near.shortfall < run.shortfall:
            self.found, run.shortfall = near.found(), near.shortfall

    def apply(self) -> IntArray:
        """Return the assignment with the bases and the items that were found."""
        changed = self.states.copy()
        changed[self.query] = self.base
        for j in self.found:
            changed[self.query[np.searchsorted(self.items.first, j, side="right") - 1]] = self.state[j]
        return changed


def _units(node: Node, queries: IntArray, states: IntArray, parts: int) -> FloatArray | None:
    """Return the amortized cost of queries in states in parts of a unit, None where tokens or sums are not whole."""
    flat = node.flat
    models = flat.state_model[states]
    sent = flat.inputs[queries, models if flat.inputs.shape[1] > 1 else 0].astype(np.float64) * parts
    received = flat.outputs[queries, models if flat.outputs.shape[1] > 1 else 0].astype(np.float64) * parts
    price_in, price_out, share = node.money.arrays
    units: FloatArray = sent * price_in[models] + received * price_out[models] + share[states] * parts
    whole = (sent == np.rint(sent)).all() and (received == np.rint(received)).all()
    return units if whole and units.max() < LARGEST_EXACT else None
