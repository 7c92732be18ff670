"""The search as billed where queries have groups: only the budget joins groups, so at a price each is on its own.

At a price of USD, a small tree finds each group's best assignment, calls included. What these promise at any price is a
bound (Dantzig and Wolfe, Operations Research 8, 1960, without the linear program); the assignments that groups had at
some price are mixed to meet the budget, and the mix is improved by moves.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from robatch.instances.arrays import BoolArray, IntArray
from robatch.solvers.greedy import call_tree_kernels as kernels
from robatch.solvers.greedy.call_tree import Asked, CallTree
from robatch.solvers.greedy.call_tree_kernels import FAR
from robatch.solvers.greedy.leaf_move_kernels import improve
from robatch.solvers.greedy.realized_table import Table

PRICES, MORE_PRICES = 14, 12  # that are tried; and more, as long as none kept the budget
BOXES = 150  # of a group's tree at a price
WORK = 1e8  # units of about a nanosecond, of all trees at a price
CLOSE_PRICES = 1e-3  # relative distance of two prices between which there is nothing to find
MOST_CHANGE = 4.0  # of a price in a step
FEW_GROUPS, MOST_SUMS = 32, 400  # groups up to which sums of options are compared, and how many are kept


@dataclass(slots=True)
class Group:
    """A group's tree, and the assignments that it had: utility, USD and states."""

    rows: IntArray
    table: Table
    tree: CallTree
    first: IntArray
    options: list[tuple[float, float, IntArray]] = field(default_factory=list)

    @classmethod
    def of(cls, table: Table, rows: IntArray, states: IntArray, pairs: BoolArray, price: float) -> Group:
        """Return a group of some rows of a table."""
        part = Table(
            rows, table.utility[rows], table.own[rows], table.price, table.size, table.share,
            np.zeros(len(rows), dtype=np.int64), np.zeros((1, len(table.size)), dtype=np.int64),
        )  # fmt: skip
        asked = Asked(0.0, price, -math.inf, 0.0, 0.0, 0.0, 0)  # bounds without USD: what it is worth
        tree = CallTree.of(part, states[rows], pairs[rows], asked, BOXES + 4)
        return cls(rows, part, tree, tree.core.queries["state"].copy())

    def spent(self, states: IntArray) -> tuple[float, float]:
        """Return utility and USD of an assignment."""
        calls = -(-np.bincount(states, minlength=len(self.table.size)) // self.table.size)
        here = np.arange(len(states))
        usd = float(self.table.own[here, states].sum() + (calls * self.table.price).sum())
        return float(self.table.utility[here, states].sum()), usd

    def at(self, price: float, boxes: int) -> tuple[float, int]:
        """Find the best assignment at a price; return the worth that none exceeds, and which option it is."""
        worth = [utility - price * usd for utility, usd, _ in self.options]
        best = int(np.argmax(worth)) if worth else -1
        tree, core = self.tree, self.tree.core
        now = core.now
        if len(tree.rows) == 0:
            if best < 0:
                self.options.append((*self.spent(tree.states), tree.states))
            return self.options[0][0] - price * self.options[0][1], 0
        now["reached"], now["lost"], now["open"], now["made"], now["work"] = -FAR, -FAR, 0, 0, 0.0
        if best >= 0:
            now["reached"] = worth[best]
        now["tolerance"] = 1e-12
        core.queries["state"] = self.first
        core.cells["low"] = -(-core.cells["fixed"] // core.cells["places"])
        core.cells["high"] = self.high
        tree.tree.nodes["order"] = np.arange(len(tree.tree.nodes))
        why, place, _ = kernels.grow(-1, -1, 0, price, core, tree.tree, 0, math.inf)
        if why in (kernels.NO_ROOM, kernels.ROUNDED):
            return math.inf, best
        self.first = core.queries["state"].copy()
        while True:
            why, place, _ = kernels.grow(place, -1, 0, price, core, tree.tree, boxes, math.inf)
            if why != kernels.LEAF:
                break
            slot = tree.tree.nodes["order"][place]
            states = tree.states.copy()
            states[tree.rows] = tree.used[tree.tree.states[slot]]
            self.options.append((*self.spent(states), states))
            best = len(self.options) - 1
            now["reached"] = max(float(tree.tree.nodes["bound"][slot]) - 1e-12, float(now["reached"][0]))
            now["lost"] = max(float(tree.tree.nodes["bound"][slot]), float(now["lost"][0]))
        open_ = tree.tree.nodes["bound"][tree.tree.nodes["order"][: now["open"][0]]]
        bound = max(float(now["reached"][0]), float(now["lost"][0]), *open_.tolist(), -FAR)
        return bound, best

    @property
    def high(self) -> IntArray:
        """Return the most calls of each cell."""
        core = self.tree.core
        places = np.repeat(core.queries["first"], core.queries["end"] - core.queries["begin"]) + core.options
        most = core.cells["fixed"] + np.bincount(places, minlength=len(core.cells))
        high: IntArray = -(-most // core.cells["places"])
        return high


@dataclass(slots=True)
class Mixed:
    """The best mix of the groups' assignments (N,) or None, its utility, and the bound but for rounding."""

    states: IntArray | None
    utility: float
    bound: float
    price: float  # of the bound, in utility per USD


def decomposed(table: Table, states: IntArray, pairs: BoolArray, budget: float, price: float, deadline: float) -> Mixed:
    """Search the price at which groups, each at its best, meet the budget; mix what they had, and improve it."""
    order = np.argsort(table.group, kind="stable")
    ends = np.cumsum(np.bincount(table.group, minlength=len(table.fixed)))
    groups = [Group.of(table, rows, states, pairs, price) for rows in np.split(order, ends[:-1]) if len(rows)]
    bound, low, high = math.inf, 0.0, math.inf
    low_over = high_over = 0.0
    kept: list[int] | None = None
    kept_price, bound_price, reached = price, price, -math.inf
    work = sum(len(group.tree.core.options) for group in groups) * 20.0
    boxes = int(min(max(WORK / max(work, 1.0), 8), BOXES))
    for number in range(PRICES + MORE_PRICES):
        if number >= PRICES and kept is not None:
            break
        outcome = [group.at(price, boxes) for group in groups]
        now_bound = price * budget + math.fsum(one for one, _ in outcome)
        if now_bound < bound:
            bound, bound_price = now_bound, price
        chosen = [best for _, best in outcome]
        if min(chosen) < 0:
            over = math.inf
        else:
            over = sum(group.options[best][1] for group, best in zip(groups, chosen, strict=True)) - budget
            utility = sum(group.options[best][0] for group, best in zip(groups, chosen, strict=True))
            if over <= 0.0 and utility > reached:
                kept, kept_price, reached = chosen, price, utility
        if over > 0.0:
            low, low_over = price, over
        else:
            high, high_over = price, over
        if (
            bound < 0.0
            or time.perf_counter() > deadline
            or over == 0.0
            or high - low < CLOSE_PRICES * high
            or (over < 0 and price < 1e-9)
        ):
            break
        if high == math.inf:
            price *= 1.0 + min(max(2.0 * over / budget, 0.05 * 2.0**number), MOST_CHANGE)
        elif low == 0.0:
            price *= max(1.0 + 2.0 * over / budget, 0.5)
        else:
            part = low_over / (low_over - high_over) if low_over < math.inf else 0.5
            price = low + min(max(part, 0.2), 0.8) * (high - low)
    if kept is None:
        return Mixed(None, -math.inf, bound, bound_price)
    plan = mixed(table, groups, kept, states, pairs, budget, kept_price, bound)
    return Mixed(plan, float(table.utility[np.arange(len(plan)), plan].sum()), bound, bound_price)


def mixed(  # wide: what is mixed, and the budget
    table: Table, groups: list[Group], kept: list[int], states: IntArray, pairs: BoolArray, budget: float,
    price: float, bound: float,
) -> IntArray:  # fmt: skip
    """Mix what groups had: the best of few groups, else better options, most utility per USD first; then make moves."""
    if len(groups) <= FEW_GROUPS:
        kept = best_mix(groups, kept, budget)
    else:
        take_better(groups, kept, budget)
    plan = states.copy()
    for group, best in zip(groups, kept, strict=True):
        plan[group.rows] = group.options[best][2]
    pairs = pairs.copy()
    pairs[np.arange(len(plan)), plan] = True
    whole = CallTree.of(table, plan, pairs, Asked(budget, price, -math.inf, 0.0, 0.0, 2.0 / budget, 0), 4)
    top = -FAR
    if len(whole.rows):
        top = improve(price, bound, whole.core, whole.pool, whole.best, top)
    if top > -FAR:
        plan[whole.rows] = whole.used[whole.best]
    return plan


def take_better(groups: list[Group], kept: list[int], budget: float) -> None:
    """Take better options of groups, most utility per USD first, while they fit."""
    left = budget - sum(group.options[best][1] for group, best in zip(groups, kept, strict=True))
    for _ in range(3):
        steps = []
        for number, group in enumerate(groups):
            utility, usd, _ = group.options[kept[number]]
            for option, (other, more, _) in enumerate(group.options):
                if other > utility and more - usd <= left:
                    steps.append(((other - utility) / max(more - usd, 1e-300), number, option))
        taken: set[int] = set()
        for _, number, option in sorted(steps, reverse=True):
            more = groups[number].options[option][1] - groups[number].options[kept[number]][1]
            if number not in taken and more <= left:
                taken.add(number)
                kept[number] = option
                left -= more
        if not taken:
            break


def best_mix(groups: list[Group], kept: list[int], budget: float) -> list[int]:
    """Return options of most utility within the budget: group by group, only sums that no cheaper one reaches go on.

    Where there are too many sums, some are left out (Nemhauser and Ullmann, Management Science 15, 1969).
    """
    tables = [np.array([[utility, usd] for utility, usd, _ in group.options]) for group in groups]
    least = [table[:, 1].min() for table in tables]
    later = budget - (np.cumsum(least[::-1])[::-1] - least)  # what is left for the groups so far
    sums, steps = np.zeros((1, 2)), []
    for table, limit in zip(tables, later, strict=True):
        both = (sums[:, None] + table).reshape(-1, 2)
        fits = np.flatnonzero(both[:, 1] <= limit)
        fits = fits[np.lexsort((-both[fits, 0], both[fits, 1]))]
        best = np.maximum.accumulate(both[fits, 0])
        front = fits[np.flatnonzero(np.diff(best, prepend=-math.inf) > 0.0)]
        if len(front) == 0:  # but for rounding, what was kept fits
            return kept
        front = front[np.unique(np.linspace(0, len(front) - 1, MOST_SUMS).astype(np.int64))]
        steps.append((front, len(table)))
        sums = both[front]
    chosen, at = [], len(sums) - 1
    for front, width in reversed(steps):
        at, option = divmod(int(front[at]), width)
        chosen.append(option)
    mix = chosen[::-1]
    utility = [sum(group.options[one][0] for group, one in zip(groups, part, strict=True)) for part in (mix, kept)]
    return mix if utility[0] > utility[1] else kept
