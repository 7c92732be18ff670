"""Proven optima of problems whose utilities are multiples of one number and whose costs are whole numbers of a unit.

Such a problem is a multiple-choice knapsack of whole numbers, as of Pisinger's classes, or of 0 and 1 for answers and
whole tokens at decimal prices. Its relaxation and the bound of its lattice, see `chord_kernels`, often prove the first
plan; else the core is searched by lists of partial plans, and by a table over weight where weights are few. What stays
open, or is not such a problem, is searched as any other, from the plan and the bound found here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import Array, BoolArray, FloatArray, IntArray
from robatch.instances.kernels import Flat
from robatch.instances.money import Money, Whole
from robatch.solvers.exact import chord_kernels as chords
from robatch.solvers.exact import list_kernels as lists
from robatch.solvers.search_limits import Work

MOST_PARTS = 1 << 20  # of 1, that utilities are multiples of
MOST_CELLS = 12_000_000  # queries times states: profits and weights are kept turned, 16 bytes a cell
LARGEST_PRICE = 2**52  # in units
FEW = 96  # classes in the core from which on a part of it is searched first
SPREAD = 24  # classes of least loss in that part, and at least as many more
SHORT, LONG = 4096, 1 << 22  # entries of a list
QUICK = 150_000  # list entries after which a table is tried
TWO_LISTS = 1000  # entries up to which a second list grows
SPARSE = 64  # cells of the table for each entry of a list, at most
CELLS = 100.0  # of the table, for one list entry
ENTRIES = 4e9  # list entries looked at in all
A_SECOND = 2e7  # about so many list entries
TABLE_BYTES = 1 << 29
NO_PAIRS: BoolArray = np.zeros((0, 0), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Knapsack:
    """A problem as a multiple-choice knapsack of whole numbers.

    Attributes
    ----------
    profit, weight
        (S, N): utilities in `parts` of 1, and costs in units of money times `unit`.
    capacity, parts, unit
        The budget in the same units, and what they are.
    banned
        Pairs that are not allowed, which stand as copies of others: (N, S) or (0, 0).
    """

    profit: FloatArray
    weight: FloatArray
    capacity: float
    parts: int
    unit: int
    banned: BoolArray

    @classmethod
    def of(cls, flat: Flat, money: Money, most: Whole) -> Knapsack | None:
        """Return a problem and its budget, in units of money, as such a knapsack; None if it is none."""
        utility = flat.dense
        n, width = utility.shape
        if n == 0 or n * width > MOST_CELLS or utility.dtype != np.float64:
            return None
        parts = chords.find_parts(utility, MOST_PARTS)
        if parts == 0:
            return None
        unit = math.gcd(*money.price_in, *money.price_out, *money.share)
        if unit == 0 or max(*money.price_in, *money.price_out, *money.share) // unit > LARGEST_PRICE:
            return None
        prices = np.array([money.price_in, money.price_out], dtype=object) // unit
        share = np.array([one // unit for one in money.share], dtype=np.float64)
        capacity = math.floor(most) // unit
        if capacity > chords.LARGEST * n:
            return None
        profit, weight, banned = np.empty((width, n)), np.empty((width, n)), _banned(flat)
        whole = chords.load(
            utility, banned, flat.inputs, flat.outputs, flat.state_model, prices.astype(np.float64), share, parts,
            profit, weight,
        )  # fmt: skip
        if not whole:
            return None
        return cls(profit, weight, float(capacity), parts, unit, banned)

    def solve(self, work: Work, gap: float = 0.0) -> Closed:
        """Return the best plan found, and the bound proven; a plan within a relative gap of it will do."""
        n = self.profit.shape[1]
        base, plan, figures = np.empty((4, n)), np.empty((2, n)), np.zeros(10)
        code = chords.relax(self.profit, self.weight, self.capacity, base, plan, figures)
        proven = code == chords.OPTIMAL
        if code == chords.INFEASIBLE:
            return Closed(None, 0.0, 0.0, 0.0)
        above = min(figures[chords.TARGET], figures[chords.BOUND] + figures[chords.SLACK])
        if not proven and above - figures[chords.PLAN_P] > gap * above:
            proven = _Search(self, base, plan, figures, work).run()
        choice = np.zeros(n, dtype=np.int64)
        chords.choose(self.profit, self.weight, plan, self.banned, choice)
        reached = figures[chords.PLAN_P]
        bound = reached if proven else above
        return Closed(choice, reached / self.parts, bound / self.parts, figures[chords.PRICE] / self.parts)


@dataclass(frozen=True, slots=True)
class Closed:
    """A plan (N,), None without one, its utility, the bound, and the shadow price in utility per unit of weight."""

    choice: IntArray | None
    utility: float
    bound: float
    price: float


def _banned(flat: Flat) -> BoolArray:
    """Return the pairs that are not allowed, (0, 0) if all are."""
    banned: BoolArray = NO_PAIRS
    if np.isfinite(flat.limit).any():
        model = flat.state_model
        tokens = [array if array.shape[1] == 1 else array[:, model] for array in (flat.inputs, flat.outputs)]
        banned = tokens[0].astype(np.float64) + tokens[1] > flat.limit
    if flat.dense.min() < 0.0:
        banned = (flat.dense < 0.0) | (banned if len(banned) else False)
    return banned if banned.any() else NO_PAIRS


class _Search:
    """The search of the core, in stages: a part of it, all of it for a while, and then by a table or to the end."""

    def __init__(self, knapsack: Knapsack, base: Array, plan: Array, figures: Array, work: Work) -> None:
        self.knapsack, self.base, self.plan, self.figures, self.work = knapsack, base, plan, figures, work
        self.price, self.bound, base_p, base_w, capacity = figures[:5].tolist()
        self.room, self.top, self.base_p = capacity - base_w, self.bound - base_p, base_p
        self.target, self.gain = figures[chords.TARGET] - base_p, figures[chords.PLAN_P] - base_p
        self.grain, self.step = figures[chords.GRAIN], figures[chords.UNIT] - figures[chords.SLACK]
        seconds = work.left
        self.most_work = ENTRIES if seconds is None else min(ENTRIES, A_SECOND * seconds)

    def run(self) -> bool:
        """Search; return whether the plan is proven best."""
        loss = self.base[3]
        rows = np.flatnonzero(loss <= self.top - self.gain - self.step)
        stage, sparse = 0 if len(rows) > FEW else 1, 0.0
        while True:
            rows = rows[loss[rows] <= self.top - self.gain - self.step]
            if len(rows) == 0:
                return True
            core = _Core.of(self, _few(rows, loss) if stage == 0 else rows)
            proven = False
            if stage == 2 and sparse <= SPARSE * self.grain:
                proven = self._by_table(core)
            if not proven:
                entries = (self.most_work, min(QUICK, self.most_work), self.most_work)[stage]
                proven, sparse = self._by_lists(
                    core, SHORT if stage == 0 else LONG, entries, TWO_LISTS if stage < 2 else 1
                )
            if self.gain >= self.target or (stage > 0 and proven):
                return True
            if stage == 2 or self.work.late:
                return False
            stage += 1

    def _by_lists(self, core: _Core, cap: int, entries: float, one_list: int) -> tuple[bool, float]:
        """Search by lists; return whether nothing better is left, and the weight for each entry of the longer one."""
        found, figures = np.zeros(len(core.item), dtype=np.int8), np.zeros(4)
        gain = lists.search(
            self.price, self.room, self.gain, self.target, self.top, self.step, core.first, core.weight, core.profit,
            core.edge, core.up, core.down, cap, entries, one_list, found, figures,
        )  # fmt: skip
        self._take(core, gain, found)
        self.work.add(nodes=int(figures[1]), longest_list=int(figures[2]))
        return bool(figures[0]), float(figures[3])

    def _by_table(self, core: _Core) -> bool:
        """Search by a table over weight, for the profit, and once more for the plan; return whether it is proven."""
        from robatch.solvers.exact import table_kernels as tables

        found, figures, grain = np.zeros(len(core.item), dtype=np.int8), np.zeros(3), self.grain
        edge = core.edge * np.array([[grain], [1 / grain], [grain], [1 / grain], [1.0], [1.0]])
        weight, least, enough = core.weight / grain, self.gain, self.target
        for keep_bytes in (0, TABLE_BYTES):
            gain = tables.table(
                self.price * grain, self.room / grain, least, enough, self.top, self.step, core.first, weight,
                core.profit, edge, core.up, core.down, CELLS * self.most_work, keep_bytes, found, figures,
            )  # fmt: skip
            self.work.add(nodes=int(figures[1]))
            if figures[0] != tables.FOUND:
                break
            least, enough = gain - self.step - 1e-9, gain
        if figures[0] == tables.PROVEN:
            self._take(core, gain, found)
        return bool(figures[0] == tables.PROVEN)

    def _take(self, core: _Core, gain: float, found: Array) -> None:
        """Keep a better plan."""
        if gain <= self.gain or not found.any():
            return
        self.gain, self.figures[chords.PLAN_P] = gain, gain + self.base_p
        self.plan[:] = self.base[1:3]
        items = np.flatnonzero(found)
        classes = core.rows[np.searchsorted(core.first, items, side="right") - 1]
        for one, array in enumerate((self.knapsack.profit, self.knapsack.weight)):
            self.plan[one, classes] = array[core.item[items], classes]


@dataclass(frozen=True, slots=True)
class _Core:
    """Classes, their items, and their order by slopes, as the kernels take them."""

    rows: IntArray
    first: IntArray
    weight: FloatArray
    profit: FloatArray
    item: IntArray
    edge: FloatArray
    up: IntArray
    down: IntArray

    @classmethod
    def of(cls, search: _Search, rows: IntArray) -> _Core:
        """Gather the items of some classes that may be in a better plan."""
        knapsack, m = search.knapsack, len(rows)
        size = m * knapsack.profit.shape[0]
        first, edge = np.empty(m + 1, dtype=np.int64), np.empty((6, m))
        weight, profit, item = np.empty(size), np.empty(size), np.empty(size, dtype=np.int64)
        limit = search.top - search.gain - search.step
        count = lists.gather(
            knapsack.profit, knapsack.weight, rows, search.price, limit, search.base[1], search.base[2],
            first, weight, profit, item, edge,
        )  # fmt: skip
        up, down = np.argsort(-edge[0], kind="stable"), np.argsort(edge[2], kind="stable")
        return cls(rows, first, weight[:count], profit[:count], item[:count], edge, up, down)


def _few(rows: IntArray, loss: Array) -> IntArray:
    """Return the classes of least loss, and some more at equal distances."""
    near = rows[np.argpartition(loss[rows], SPREAD)[:SPREAD]]
    return np.union1d(near, rows[:: max(len(rows) // SPREAD, 1)])
