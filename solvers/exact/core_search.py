"""The search of a core by two lists of partial plans, which can be interrupted and go on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robatch.solvers.exact import core_kernels as kernels
from robatch.solvers.exact.core_kernels import Items, Lists
from robatch.solvers.search_limits import Work

SMALLEST_LIST, LARGEST_LIST = 1 << 10, 1 << 20  # partial plans in a list
MAX_NODES = 1 << 26  # steps of partial plans that are kept to tell which items a plan takes: 512 MiB


class Line(NamedTuple):
    """A shadow price, and the slack that the bases of all classes leave of the budget."""

    price: float
    slack: float


class Search:
    """A search that can be interrupted.

    Parameters
    ----------
    items
        The classes and their items.
    line
        The shadow price, and the slack of the bases.
    work
        Limits and counts.
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
        self, items: Items, line: Line, work: Work, shortfall: float, tolerance: float, out: float,
        window: float = math.inf,
    ) -> None:  # fmt: skip
        self.items, self.line, self.work = items, line, work
        self.tolerance, self.out, self.window = tolerance, out, window
        self.least_shortfall = 0.0
        self.lists = new_lists(SMALLEST_LIST)
        self.whole, self.real = np.zeros(7, dtype=np.int64), np.zeros(7)
        self.whole[[kernels.SIZE_A, kernels.SIZE_B, kernels.NODES]] = 1
        self.whole[[kernels.BEST_A, kernels.BEST_B]] = -1
        self.real[[kernels.SHORTFALL, kernels.TOLERANCE, kernels.CUT]] = shortfall, tolerance, out

    @property
    def shortfall(self) -> float:
        """What the best plan falls short of the linear bound."""
        return float(self.real[kernels.SHORTFALL])

    @shortfall.setter
    def shortfall(self, value: float) -> None:
        self.real[kernels.SHORTFALL] = value

    @property
    def ended(self) -> bool:
        """Whether nothing is left to find among the items that are there, or time is up."""
        return self.least_shortfall >= min(self.shortfall - self.tolerance, self.out) or self.work.late

    def go(self, patience: float = math.inf) -> None:
        """Search until it has ended, lists are full, or the patience, in list entries, is over."""
        code, dropped = kernels.BUSY, False
        while code != kernels.DONE and patience > 0.0 and not self.ended:
            lists = self.lists
            capacity, nodes = lists.cost.shape[1], len(lists.parent)
            code = kernels.search(*self.line, self.window, self.items, lists, self.whole, self.real)
            if code == kernels.NODES_FULL and nodes < MAX_NODES:
                self.lists = copied(lists, new_lists(capacity, 4 * nodes))
            elif code == kernels.NODES_FULL:
                break
            elif code == kernels.LISTS_FULL and capacity < LARGEST_LIST:
                self.lists = copied(lists, new_lists(4 * capacity, nodes))
            elif code in (kernels.LISTS_FULL, kernels.TOO_LONG) and not dropped and patience == math.inf:
                dropped = True  # go on with the best of them for a while, to find a better incumbent
                kernels.drop_worst(capacity // 8, self.line.price, lists, self.whole, self.real)
            elif code in (kernels.LISTS_FULL, kernels.TOO_LONG):
                break
            patience -= kernels.WORK if code == kernels.BUSY else 0.0
        self.work.add(nodes=int(self.whole[kernels.NODES]), longest_list=int(self.whole[kernels.LARGEST]))
        if code == kernels.DONE and self.window == math.inf:
            reached = min(max(self.shortfall - self.tolerance, 0.0), float(self.real[kernels.CUT]))
            self.least_shortfall = max(self.least_shortfall, reached)

    def found(self) -> list[int]:
        """Return the items of the best plan found, none if none was found."""
        items = []
        for node in self.whole[[kernels.BEST_A, kernels.BEST_B]].tolist():
            while node > 0:
                items.append(int(self.lists.taken[node]))
                node = int(self.lists.parent[node])
        return items


def new_lists(capacity: int, nodes: int = 0) -> Lists:
    """Return empty lists with space for so many partial plans, and for so many nodes."""
    cost, utility = np.zeros((4, capacity)), np.zeros((4, capacity))
    node, item = np.zeros((4, capacity), dtype=np.int64), np.zeros((4, capacity), dtype=np.int64)
    nodes = max(nodes, 4 * capacity)
    return Lists(cost, utility, node, item, np.zeros(nodes, dtype=np.int32), np.zeros(nodes, dtype=np.int32))


def copied(lists: Lists, bigger: Lists) -> Lists:
    """Return bigger lists with the same partial plans and nodes."""
    for mine, theirs in zip(lists, bigger, strict=True):
        theirs[..., : mine.shape[-1]] = mine
    return bigger
