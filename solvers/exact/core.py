"""The core at one shadow price: its classes, its costs as whole numbers where they are, and the search of it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.kernels import Flat
from robatch.instances.money import Money, Whole
from robatch.solvers.bounds.relaxation import EDGE
from robatch.solvers.exact import core_kernels as core
from robatch.solvers.exact.item_aggregation import bundle
from robatch.solvers.search_limits import Work

Items = tuple[IntArray, FloatArray, FloatArray, FloatArray]

PARTS = (1, 4096)  # of a unit of money in which costs are counted: tokens may be whole, or halves, quarters ...
EXACT = 2.0**52  # up to here, sums of whole numbers are exact in float64
PATIENCE = 3 * core.WORK  # list entries looked at before other ways are tried
SMALLEST_LIST, LARGEST_LIST = 1 << 10, 1 << 20  # partial plans in a list
MOST_NODES = 1 << 26  # steps of partial plans that are kept to tell which items a plan takes: 512 MiB


class Core:
    """The core at one shadow price.

    Parameters
    ----------
    flat, money
        The problem, and its prices as whole numbers.
    columns
        Query, state, loss, USD and utility of each state, as `sweeps.near` finds them.
    price
        The shadow price.
    states, utility, cost
        The assignment that `columns` count from (N,), its utility, and its cost in units of `money`.
    most
        The budget in units.
    cut
        The loss above which states are left out.
    work
        Limits and counts.

    Attributes
    ----------
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

    def __init__(
        self,
        flat: Flat,
        money: Money,
        columns: list[npt.NDArray[Any]],
        price: float,
        states: IntArray,
        utility: float,
        cost: Whole,
        most: Whole,
        cut: float,
        work: Work,
    ) -> None:
        self.query, self.base, self.least, self.first, self.state, self.extra, self.gain, shift, worth = core.classes(
            *columns
        )
        self.work, self.states = work, states
        self.utility = utility + worth
        self.found: list[int] = []
        self.incomplete = False
        self.price = price
        self.room = money.usd(most - cost) - shift
        self.linear_bound = self.bound = self.utility + price * self.room
        self.left_out = self.linear_bound - cut  # bounds every plan with a state that is not in the core
        self.edge = EDGE * money.usd(most)
        self.in_grains = self._count_in_grains(flat, money, cost, most)
        if not self.in_grains:
            self.room += self.edge
        work.add(core_queries=len(self.least), core_states=len(self.extra))

    def _count_in_grains(self, flat: Flat, money: Money, cost: Whole, most: Whole) -> bool:
        """Where all costs are whole multiples of a grain, count in grains: less than one of them buys nothing."""
        if not len(self.extra):
            return False
        owner = np.repeat(np.arange(len(self.query)), np.diff(self.first))
        pairs = ((self.query, self.base), (self.query[owner], self.state), (self.query, self.states[self.query]))
        for parts in PARTS:
            bases, items, paid = (_units(flat, money, *pair, parts) for pair in pairs)
            if bases is not None and items is not None and paid is not None:
                break
        else:
            return False
        extra = items - bases[owner]
        grain = int(np.gcd.reduce(extra.astype(np.int64)))
        if grain == 0:
            return False
        room = math.floor(parts * (most - cost) - int(np.sum(bases - paid))) // grain
        if abs(room) > EXACT or float(np.abs(extra).sum()) > EXACT:
            return False
        self.extra, self.room = extra / grain, float(room)
        self.price *= money.usd(Fraction(grain, parts))
        return True

    @property
    def top(self) -> float:
        """The linear bound."""
        return float(self.utility + self.price * self.room)

    @property
    def arrays(self) -> Items:
        """First item of each class, least loss of its items, and cost and utility of each item."""
        return self.first, self.least, self.extra, self.gain

    def lower_room(self) -> None:
        """Leave out the plans at the very edge of the budget."""
        self.room -= 1.0 if self.in_grains else 2 * self.edge
        self.found = []

    def search(self, incumbent: float, tolerance: float) -> bool:
        """Search for a while; return whether nothing is left that is better by more than the tolerance."""
        out = self.top - self.left_out if self.left_out < self.top else math.inf
        self.run = run = Run(self, self.arrays, self.top - incumbent, tolerance, out)
        run.go(PATIENCE)
        self.found = run.items()
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

    def _enter(self, run: Run) -> None:
        before = run.shortfall
        run.go()
        self.found = run.items() if run.shortfall < before else self.found

    def _collapse(self, run: Run) -> None:
        """Collapse items that are alike to counts, for a bound, and for a plan if it takes one item a class."""
        if not self.in_grains:
            return
        bundles = bundle(self.price, run.shortfall, self.extra, self.gain)
        arrays = np.arange(len(bundles.least) + 1), bundles.least, bundles.extra, bundles.gain
        alike = Run(self, arrays, run.shortfall, run.tolerance, run.out)
        alike.go()
        found = bundles.items(alike.items(), np.repeat(np.arange(len(self.query)), np.diff(self.first)))
        if found:
            self.found, run.shortfall = found, alike.shortfall
        run.least_shortfall = alike.least_shortfall

    def _look_near(self, run: Run) -> None:
        """Look for a better plan among partial plans that stay near the bases: their lists are short."""
        window = 2 * float(np.abs(self.extra).max()) + abs(self.room)
        near = Run(self, self.arrays, run.shortfall, run.tolerance, run.out, window)
        near.least_shortfall = run.least_shortfall
        near.go()
        if near.shortfall < run.shortfall:
            self.found, run.shortfall = near.items(), near.shortfall

    def apply(self) -> IntArray:
        """Return the assignment with the bases and the items that were found."""
        changed = self.states.copy()
        changed[self.query] = self.base
        for j in self.found:
            changed[self.query[np.searchsorted(self.first, j, side="right") - 1]] = self.state[j]
        return changed


def _units(flat: Flat, money: Money, queries: IntArray, states: IntArray, parts: int) -> FloatArray | None:
    """Return the amortized cost of queries in states in parts of a unit, None where tokens or sums are not whole."""
    models = flat.state_model[states]
    sent = flat.inputs[queries, models if flat.inputs.shape[1] > 1 else 0].astype(np.float64) * parts
    received = flat.outputs[queries, models if flat.outputs.shape[1] > 1 else 0].astype(np.float64) * parts
    price_in, price_out, share = money.arrays
    units: FloatArray = sent * price_in[models] + received * price_out[models] + share[states] * parts
    whole = (sent == np.rint(sent)).all() and (received == np.rint(received)).all()
    return units if whole and units.max() < EXACT else None


class Run:
    """A search that can be interrupted.

    Parameters
    ----------
    of
        The core.
    arrays
        First item of each class, least loss of its items, and cost and utility of each item, see `core.search`.
    shortfall
        What the plan to beat falls short of the linear bound.
    tolerance
        By how much a plan has to be better.
    out
        Least loss of a plan with an item that is not there.
    window
        How far from the bases partial plans may be: if it is finite, nothing is proven.

    Attributes
    ----------
    least_shortfall
        What every plan falls short of the linear bound at least, as far as proven.
    """

    def __init__(
        self, of: Core, arrays: Items, shortfall: float, tolerance: float, out: float, window: float = math.inf
    ) -> None:
        self.of, self.arrays, self.tolerance, self.out, self.window = of, arrays, tolerance, out, window
        self.least_shortfall = 0.0
        self.lists = _Lists(SMALLEST_LIST)
        self.whole, self.real = np.zeros(7, dtype=np.int64), np.zeros(7)
        self.whole[[core.SIZE_A, core.SIZE_B, core.NODES]] = 1
        self.whole[[core.BEST_A, core.BEST_B]] = -1
        self.real[[core.SHORTFALL, core.TOLERANCE, core.CUT]] = shortfall, tolerance, out

    @property
    def shortfall(self) -> float:
        """What the best plan falls short of the linear bound."""
        return float(self.real[core.SHORTFALL])

    @shortfall.setter
    def shortfall(self, value: float) -> None:
        self.real[core.SHORTFALL] = value

    @property
    def ended(self) -> bool:
        """Whether nothing is left to find among the items that are there, or time is up."""
        return self.least_shortfall >= min(self.shortfall - self.tolerance, self.out) or self.of.work.late

    def go(self, patience: float = math.inf) -> None:
        """Search until it has ended, lists are full, or the patience, in list entries, is over."""
        lists, code, dropped = self.lists, core.BUSY, False
        price, room = self.of.price, self.of.room
        while code != core.DONE and patience > 0.0 and not self.ended:
            code = core.search(price, room, self.window, *self.arrays, *lists.arrays, self.whole, self.real)
            if code == core.NODES_FULL and len(lists.parent) < MOST_NODES:
                lists.grow(nodes=True)
            elif code == core.NODES_FULL:
                break
            elif code == core.LISTS_FULL and lists.capacity < LARGEST_LIST:
                lists.grow()
            elif code in (core.LISTS_FULL, core.TOO_LONG) and not dropped and patience == math.inf:
                dropped = True  # go on with the best of them for a while, to find a better incumbent
                core.drop_worst(lists.capacity // 8, price, *lists.arrays[:3], self.whole, self.real)
            elif code in (core.LISTS_FULL, core.TOO_LONG):
                break
            patience -= core.WORK if code == core.BUSY else 0.0
        self.of.work.add(nodes=int(self.whole[core.NODES]), longest_list=int(self.whole[core.LARGEST]))
        if code == core.DONE and self.window == math.inf:
            reached = min(max(self.shortfall - self.tolerance, 0.0), float(self.real[core.CUT]))
            self.least_shortfall = max(self.least_shortfall, reached)

    def items(self) -> list[int]:
        """Return the items of the best plan found, none if none was found."""
        if self.whole[core.BEST_A] < 0:
            return []
        return self.lists.items(int(self.whole[core.BEST_A])) + self.lists.items(int(self.whole[core.BEST_B]))


class _Lists:
    """The arrays of a search: four lists of partial plans, and their nodes."""

    def __init__(self, capacity: int, nodes: int = 0) -> None:
        self.capacity = capacity
        self.cost, self.worth = np.zeros((4, capacity)), np.zeros((4, capacity))
        self.node, self.item = np.zeros((4, capacity), dtype=np.int64), np.zeros((4, capacity), dtype=np.int64)
        nodes = max(nodes, 4 * capacity)
        self.parent, self.taken = np.zeros(nodes, dtype=np.int32), np.zeros(nodes, dtype=np.int32)

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """The arrays in the order of `core.search`."""
        return self.cost, self.worth, self.node, self.item, self.parent, self.taken

    def grow(self, nodes: bool = False) -> None:
        """Make room for four times as many partial plans in a list, or nodes."""
        bigger = _Lists(self.capacity, 4 * len(self.parent)) if nodes else _Lists(4 * self.capacity, len(self.parent))
        for mine, theirs in zip(self.arrays, bigger.arrays, strict=True):
            theirs[..., : mine.shape[-1]] = mine
        self.__dict__.update(bigger.__dict__)

    def items(self, node: int) -> list[int]:
        """Return the items that lead to a node."""
        items = []
        while node > 0:
            items.append(int(self.taken[node]))
            node = int(self.parent[node])
        return items
