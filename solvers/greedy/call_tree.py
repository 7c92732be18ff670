"""A best-first tree over call counts: the most utility within a budget as billed, and a bound.

Every node is a box of call counts with a price of its own, see `call_tree_kernels`. A leaf, in which all calls that are
paid are full or counted, is priced so that its bill meets the budget; its assignments are improved by moves and, where
its bound still promises more, searched: by their losses, then by prices of their own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import Array, BoolArray, FloatArray, IntArray
from robatch.solvers.greedy import call_tree_kernels as kernels
from robatch.solvers.greedy.call_tree_kernels import BOX, CELL, FAR, NODE, NOW, PAIR, QUERY, STEP, Core, Tree, records
from robatch.solvers.greedy.leaf_move_kernels import MOVE, RANK, Pool, improve
from robatch.solvers.greedy.leaf_search_kernels import search
from robatch.solvers.greedy.realized_table import Table

PRICES, MORE_PRICES = 8, 24  # at which a leaf is priced, at most; and where its bound promises a better plan
DEEP_STEPS = 60_000  # of the longer search of a leaf
DEPTH = 200  # of a leaf's search by prices
POOL = 1000  # moves that are compared at a time
MOST_MEMORY = 20_000_000  # numbers that open boxes may take
LEAST_PART, MOST_TIMES = 0.05, 5.0  # range of a leaf's price
LEAF_WORK = 100_000.0  # of a leaf, besides its moves and steps, in units of about a nanosecond
WIDER = 5  # times the limits, where the gap is wide
MOST_FINISHED = 10_000  # queries in all leaves that are left, which another solver closes
ROUNDING = 1e-12  # relative, of a sum
SLICE = 2e7  # work between two looks at the clock
MORE_LEAVES, MORE_WORK, DEEP_WORK = 10, 5.0, 1.3  # times the limit: as long as there is no plan; for leaves left open


class Places(NamedTuple):
    """What a leaf leaves open: each query takes one of its candidates, within the places and USD that calls leave.

    Attributes
    ----------
    query, cell
        Of each candidate, queries in order: (P,).
    utility, usd
        What it is worth and costs besides its call: (P,).
    free
        Places of each cell.
    room
        USD.
    gap
        Utility by which the bound may exceed the best plan.
    """

    query: IntArray
    cell: IntArray
    utility: FloatArray
    usd: FloatArray
    free: IntArray
    room: float
    gap: float


Close = Callable[[Places], tuple[float, IntArray | None]]  # returns a bound, and the candidates of a plan or None


class Limits(NamedTuple):
    """What a tree may do."""

    boxes: int
    leaves: int
    work: float  # units of about a nanosecond
    steps: int  # of the search of a leaf
    deep: float  # times the work up to then, up to which leaves that are left open are searched; 0 for none
    stall: float = math.inf  # units without a better plan, once there is one
    wide: float = math.inf  # relative gap that is too wide to end at a limit: it is raised once
    deadline: float = math.inf  # of `time.perf_counter`
    close: Close | None = None  # what closes the last leaves, where nothing else is open

    def raised(self) -> Limits:
        """Return limits of a tree whose gap is wide."""
        return self._replace(
            boxes=WIDER * self.boxes, leaves=WIDER * self.leaves, work=WIDER * self.work, stall=math.inf, wide=math.inf
        )


class Asked(NamedTuple):
    """What is asked of a tree."""

    budget: float  # USD
    price: float  # utility per USD to begin with
    reached: float  # utility of the best plan that is known, -inf if there is none
    tolerance: float  # relative utility by which a plan has to be better
    grade: float  # utility by which plans differ at least, 0 if that is not known
    curve: float  # relative change of price a USD, as it is thought to be
    changes: int  # of the price in a box, at most

    def now(self, constant: float, spent: float, top: float) -> Array:
        """Return the record of the kernels, given what the queries that cannot move are worth and spend: (1,)."""
        now = records(1, NOW)
        now["budget"], now["fixed"], now["floor"] = self.budget - spent, constant, top
        now["tolerance"] = max(self.tolerance * top, 1e-13, 0.999 * self.grade)
        now["least_price"] = 1e-3 * max(top, 1.0) / self.budget if self.budget > 0.0 else 0.0
        now["first_curve"] = now["curve"] = self.curve
        now["changes"] = self.changes
        now["reached"] = max(self.reached, -FAR)
        now["lost"] = -FAR
        return now


@dataclass(slots=True)
class Leaf:
    """Calls that were looked at, the price and what places are worth at the lowest bound, and that bound."""

    calls: IntArray
    price: float
    low_price: float
    rates: FloatArray
    bound: float


@dataclass(slots=True)
class Grown:
    """What a tree found: the best assignment (N,) or None, its utility, the bound, and the work."""

    states: IntArray | None
    utility: float
    bound: float
    work: float = 0.0
    boxes: int = 0
    leaves: int = 0


@dataclass(slots=True)
class CallTree:
    """A tree over the call counts of a table, in which some pairs of query and state are open.

    Attributes
    ----------
    states
        An assignment that is best at the price if calls are full: (N,).
    rows, used
        Queries that can move, sorted by group, and states that they can move to: (M,), (S,).
    core, tree, pool
        The arrays of the kernels.
    best, within, above
        Assignments of the queries that can move: the best one, and two of a leaf: (M,).
    price
        Utility per USD to begin with.
    improved, progress
        Whether a better plan was found than was known, and the work until the last one.
    leaves, ended
        Leaves by their calls; and those that hold no others, each with its box's bound.
    """

    states: IntArray
    rows: IntArray
    used: IntArray
    core: Core
    tree: Tree
    pool: Pool
    best: IntArray
    within: IntArray
    above: IntArray
    price: float
    improved: bool = False
    progress: float = 0.0
    leaves: dict[bytes, Leaf] = field(default_factory=dict)
    ended: list[tuple[Leaf, float]] = field(default_factory=list)

    @classmethod
    def of(cls, table: Table, states: IntArray, pairs: BoolArray, asked: Asked, slots: int) -> CallTree:
        """Return a tree that is not grown yet.

        Parameters
        ----------
        table
            All queries and states.
        states
            An assignment that is best at the price if calls are full: (N,).
        pairs
            Pairs that are open, those of the assignment included: (N, S).
        asked
            What is asked.
        slots
            Boxes that may be open at a time.
        """
        moving = pairs.sum(axis=1) > 1
        rows, rest = np.flatnonzero(moving), np.flatnonzero(~moving)
        rows = rows[np.argsort(table.group[rows], kind="stable")]
        used = np.flatnonzero(pairs[rows].any(axis=0))
        part = pairs[np.ix_(rows, used)]
        groups, code = np.unique(table.group[rows], return_inverse=True)
        held = table.fixed.copy()
        np.add.at(held, (table.group[rest], states[rest]), 1)
        queries, options = _queries(part, code * len(used), np.searchsorted(used, states[rows]))
        open_pairs = records(part.shape, PAIR)
        open_pairs["utility"], open_pairs["own"] = table.utility[np.ix_(rows, used)], table.own[np.ix_(rows, used)]
        value = np.full(part.shape, -FAR)
        cells = _cells(held[np.ix_(groups, used)], table.size[used], table.price[used], queries, options)
        constant = table.fixed_utility + float(table.utility[rest, states[rest]].sum())
        spent = table.fixed_own + float(table.own[rest, states[rest]].sum())
        still = held.copy()  # calls that are the same in all plans
        still[np.ix_(groups, used)] = 0
        spent += float((-(-still // table.size) * table.price).sum())
        top = constant + float(np.where(part, open_pairs["utility"], 0.0).max(axis=1, initial=0.0).sum())
        slots = max(min(slots, MOST_MEMORY // (2 * len(cells) + len(rows) + 1)), 4)
        tree = Tree(
            records(slots, NODE),
            records((slots, len(cells)), BOX),
            np.empty((slots, len(rows)), dtype=np.int16),
        )
        tree.nodes["order"] = np.arange(slots)
        loss, mover = np.empty((len(cells), len(used))), np.empty((len(cells), len(used)), dtype=np.int64)
        spare = np.zeros((3, len(used)), dtype=np.int64)
        core = Core(
            queries, options, open_pairs, value, cells, np.empty(len(cells)), loss, mover, spare[:2], spare[2],
            asked.now(constant, spent, top),
        )  # fmt: skip
        pool = Pool(records(POOL, MOVE), records(POOL, RANK))
        best, within, above = np.zeros((3, len(rows)), dtype=np.int64)
        return cls(states, rows, used, core, tree, pool, best, within, above, asked.price)

    @property
    def reached(self) -> float:
        """Utility of the best plan that is known."""
        return float(self.core.now["reached"][0])

    @property
    def open(self) -> bool:
        """Whether there are boxes that are not closed."""
        return bool(self.core.now["open"][0] > 0)

    @property
    def work(self) -> float:
        """Work up to now."""
        return float(self.core.now["work"][0])

    @property
    def bound(self) -> float:
        """Utility that no plan exceeds."""
        nodes, now = self.tree.nodes, self.core.now[0]
        open_ = nodes["bound"][nodes["order"][: now["open"]]]
        bounds = [min(leaf.bound, bound) for leaf, bound in self.ended]
        return float(max([self.reached, now["lost"], *open_.tolist(), *bounds]))

    def grow(self, limits: Limits) -> Grown:
        """Grow the tree to its proof or to a limit."""
        core, tree, now = self.core, self.tree, self.core.now
        if len(self.rows) == 0:  # one plan
            if now["budget"][0] >= 0.0:
                self.offer(float(now["fixed"][0]), self.best)
            return self.result()
        after = first = (-1, -1, 0, self.price)
        while True:
            work = MORE_WORK * limits.work if self.reached == -FAR else min(limits.work, self.progress + limits.stall)
            part = min(float(now["work"][0]) + SLICE, work)
            why, place, cell = kernels.grow(*after, core, tree, limits.boxes, part)
            after = first
            if why == kernels.ROUNDED:
                return Grown(None, self.reached, math.inf)
            if why in (kernels.DONE, kernels.NO_ROOM) or time.perf_counter() > limits.deadline:
                break
            if why == kernels.LIMIT and part < now["work"][0] <= work and now["made"][0] < limits.boxes:
                continue
            leaf = None if why == kernels.LIMIT else self.leaf(place, cell, limits)
            if leaf is not None:
                after = (place, cell, 0 if cell < 0 else int(leaf.calls[cell]), leaf.price)
            elif limits.wide == math.inf or self.bound <= self.reached * (1 + limits.wide):
                break
            else:
                limits = limits.raised()
        if limits.deep > 0:
            self.deepen(limits, work)
            if limits.close is not None:
                self.finish(limits.close)
        return self.result()

    def leaf(self, place: int, cell: int, limits: Limits) -> Leaf | None:
        """Return the leaf at a place, closed, which holds others but for `cell` -1; None if there may be no more."""
        slot, key = int(self.tree.nodes["order"][place]), self.core.cells["calls"].tobytes()
        leaf = self.leaves.get(key)
        if leaf is None:
            if len(self.leaves) >= limits.leaves * (MORE_LEAVES if self.reached == -FAR else 1):
                return None
            leaf = self.leaves[key] = self.close(slot, limits.steps)
        if cell < 0:
            self.ended.append((leaf, float(self.tree.nodes["bound"][slot])))
        return leaf

    def close(self, slot: int, steps: int) -> Leaf:
        """Price a leaf, and find its best assignment or come close; the better plan is kept."""
        core, tree, now = self.core, self.tree, self.core.now
        core.queries["state"] = tree.states[slot]
        calls, out = core.cells["calls"].copy(), np.empty(6)
        kernels.reprice(float(tree.nodes["price"][slot]), PRICES, MORE_PRICES, core, self.within, self.above, out)
        top, bound, low_price, high, low, last = out.tolist()
        rates, tolerance = core.cells["rate"].copy(), float(now["tolerance"][0])
        for price, start in ((high, self.within), (low, self.above)):
            if price >= 0.0 and bound > max(self.reached, top) + tolerance:
                core.queries["state"] = start
                top = improve(price, bound, core, self.pool, self.within, top)
        last = min(max(last, LEAST_PART * self.price), MOST_TIMES * self.price)
        leaf = Leaf(calls, last, low_price, rates, bound)
        self.offer(top, self.within)
        now["work"] += 25.0 * len(core.options) + LEAF_WORK
        if steps > 0:
            self.search(leaf, steps)
        return leaf

    def search(self, leaf: Leaf, steps: int) -> None:
        """Search a leaf's assignments where its bound promises a better plan."""
        core, now = self.core, self.core.now
        if leaf.bound == FAR or leaf.bound <= self.reached + now["tolerance"][0]:
            return
        core.cells["calls"], core.cells["rate"] = leaf.calls, leaf.rates
        room = float(now["budget"][0] - (leaf.calls * core.cells["price"]).sum())
        utility, bound, made = search(leaf.low_price, room, self.reached, steps, core, self.above)
        now["work"] += 15.0 * made
        self.offer(utility, self.above)
        leaf.bound = min(leaf.bound, bound)

    def offer(self, utility: float, states: IntArray) -> None:
        """Keep an assignment if it is better."""
        if utility > self.reached:
            self.core.now["reached"], self.improved, self.progress = utility, True, float(self.core.now["work"][0])
            self.best[:] = states

    def deepen(self, limits: Limits, work: float) -> None:
        """Search the leaves that were left open for longer, then by prices, the one of highest bound first."""
        core, now, most = self.core, self.core.now, min(DEEP_WORK * work, limits.deep * self.work)
        for leaf in sorted(self.leaves.values(), key=lambda one: -one.bound):
            left = 1e9 * (limits.deadline - time.perf_counter())
            if self.work > most or left < 0.0:
                return
            self.search(leaf, DEEP_STEPS)
            if leaf.bound == FAR or leaf.bound <= self.reached + now["tolerance"][0]:
                continue
            core.cells["calls"], core.cells["rate"] = leaf.calls, leaf.rates
            spaces = self.within, self.above, self.best, np.empty((DEPTH, len(self.rows)), dtype=np.int16)
            end = min(most, self.work + left)
            utility, bound, _ = kernels.branch(leaf.low_price, end, core, *spaces, records(DEPTH, STEP))
            self.offer(utility, self.best)
            leaf.bound = min(leaf.bound, bound)

    def finish(self, close: Close) -> None:
        """Close the leaves that are the only ones left, the one of highest bound first, as long as each can be."""
        nodes, now, ended = self.tree.nodes, self.core.now[0], self.ended
        boxes = nodes["bound"][nodes["order"][: now["open"]]].max(initial=-FAR)
        left = [leaf for leaf, bound in ended if min(leaf.bound, bound) > self.reached + now["tolerance"]]
        if boxes > self.reached + now["tolerance"] or len(left) * len(self.rows) > MOST_FINISHED:
            return
        for leaf in sorted(left, key=lambda one: -one.bound):
            if leaf.bound > self.reached + now["tolerance"]:
                self.fill(leaf, close)
                if leaf.bound > self.reached + now["tolerance"]:
                    return

    def fill(self, leaf: Leaf, close: Close) -> None:
        """Close a leaf by its candidates that a better plan may hold: those of little loss at its price and rates."""
        core, now = self.core, self.core.now[0]
        queries, cells, option = core.queries, core.cells, core.options
        query = np.repeat(np.arange(len(queries)), queries["end"] - queries["begin"])
        cell, pair = queries["first"][query] + option, core.pairs[query, option]
        free = leaf.calls * cells["places"] - cells["fixed"]
        rate = np.where((free > 0) & (leaf.rates < FAR), np.maximum(leaf.rates, 0.0), 0.0)
        room = float(now["budget"] - (leaf.calls * cells["price"]).sum())
        net = np.where(free[cell] > 0, pair["utility"] - leaf.low_price * pair["own"] - rate[cell], -np.inf)
        best = np.maximum.reduceat(net, queries["begin"])
        terms = np.concatenate([[now["fixed"], leaf.low_price * room], best, rate * free])
        bound = float(terms.sum() + ROUNDING * np.abs(terms).sum())
        kept = np.flatnonzero((best[query] - net <= bound - self.reached) & (net > -np.inf))
        if bound <= self.reached or len(kept) == 0:
            leaf.bound = min(leaf.bound, max(bound, self.reached))
            return
        utility, usd = pair["utility"][kept], pair["own"][kept]
        gap = 0.5 * float(now["tolerance"])
        most, chosen = close(Places(query[kept], cell[kept], utility, usd, free, room, gap))
        now["work"] += LEAF_WORK
        if chosen is not None and len(chosen) == len(queries) and np.all(np.diff(query[kept[chosen]]) == 1):
            counts = np.bincount(cell[kept[chosen]], minlength=len(free))
            if np.all(counts <= free) and usd[chosen].sum() <= room:
                self.offer(float(now["fixed"] + utility[chosen].sum()), option[kept[chosen]])
        leaf.bound = min(leaf.bound, max(float(now["fixed"]) + most, self.reached))

    def result(self) -> Grown:
        """Return the best plan, if it is a new one, and the bound."""
        now, states = self.core.now[0], None
        if self.improved:
            states = self.states.copy()
            states[self.rows] = self.used[self.best]
        return Grown(states, self.reached, self.bound, float(now["work"]), int(now["made"]), len(self.leaves))


def _queries(part: BoolArray, base: IntArray, states: IntArray) -> tuple[Array, IntArray]:
    """Return the queries that can move, and the states of their candidates: (M,), (P,)."""
    queries = records(len(part), QUERY)
    end = np.cumsum(part.sum(axis=1))
    queries["state"], queries["first"] = states, base
    queries["end"], queries["begin"][1:] = end, end[:-1]
    return queries, np.nonzero(part)[1].astype(np.int64)


def _cells(fixed: IntArray, size: IntArray, price: FloatArray, queries: Array, options: IntArray) -> Array:
    """Return the cells of the groups and states in which queries can move: (groups * S,)."""
    cells = records(fixed.size, CELL)
    fixed = fixed.ravel()
    places = np.repeat(queries["first"], queries["end"] - queries["begin"]) + options
    most = fixed + np.bincount(places, minlength=len(cells))
    size = np.minimum(np.tile(size, len(cells) // len(size)), np.maximum(most, 1)) if len(cells) else fixed
    cells["fixed"], cells["places"], cells["price"] = fixed, size, np.tile(price, len(cells) // max(len(price), 1))
    cells["low"], cells["high"], cells["most"] = -(-fixed // size), -(-most // size), fixed.sum() + len(queries)
    return cells
