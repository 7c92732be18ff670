"""The kernels of the call tree: optimal transportation, valid boxes and leaves, budgets kept, the same uncompiled."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from robatch.solvers.greedy import call_tree_kernels as kernels
from robatch.solvers.greedy.call_tree import Asked, CallTree, Limits
from robatch.solvers.greedy.leaf_move_kernels import improve
from robatch.solvers.greedy.leaf_search_kernels import search
from robatch.solvers.greedy.realized_table import Table

NEVER = -1e9  # stands for a pair that is not allowed


class Room:
    """A random table of one or more groups, an assignment, and the tree of all its pairs."""

    def __init__(self, rng, most=14, widest=6, groups=1, ties=False) -> None:
        n, width = int(rng.integers(1, most + 1)), int(rng.integers(2, widest + 1))
        utility, own = rng.random((n, width)), rng.random((n, width)) * 0.1
        if ties:
            utility, own = np.rint(utility * 2) / 2, np.rint(own * 20) / 200
        closed = rng.random((n, width)) < 0.2
        closed[np.arange(n), rng.integers(0, width, n)] = False
        utility[closed] = -1.0
        price, size = rng.random(width) * 0.1, rng.integers(1, 5, width)
        fixed = rng.integers(0, 4, (groups, width)) * int(rng.random() < 0.5)
        group = np.sort(rng.integers(0, groups, n))
        self.table = Table(np.arange(n), utility, own, price, size, price / size, group, fixed)
        self.price = float(rng.random() * 3)
        self.states = (utility - self.price * (own + price / size)).argmax(axis=1)
        self.states = np.where(utility[np.arange(n), self.states] >= 0.0, self.states, utility.argmax(axis=1))
        self.rng = rng

    def tree(self, budget: float, slots: int = 50) -> CallTree:
        asked = Asked(budget, self.price, -np.inf, 0.0, 0.0, 2.0 / budget, 1)
        pairs = self.table.utility >= 0.0
        pairs[np.arange(len(self.states)), self.states] = True
        return CallTree.of(self.table, self.states, pairs, asked, slots)

    def spent(self, states) -> tuple[float, float, np.ndarray]:
        """Return utility, bill and calls of an assignment of the table's queries, the fixed ones included."""
        table, here = self.table, np.arange(len(states))
        counts = table.fixed.copy()
        np.add.at(counts, (table.group, states), 1)
        calls = -(-counts // table.size)
        return table.utility[here, states].sum(), table.own[here, states].sum() + (calls * table.price).sum(), calls

    def all(self):
        return map(np.array, itertools.product(*(np.flatnonzero(row >= 0.0) for row in self.table.utility)))


def whole(room: Room, tree: CallTree) -> np.ndarray:
    """Return the assignment that the tree holds, of all queries."""
    states = room.states.copy()
    states[tree.rows] = tree.used[tree.core.queries["state"]]
    return states


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_box_of_fixed_calls_is_the_best_transportation(groups, ties):
    rng = np.random.default_rng(17)
    settled = failed = 0
    for _ in range(150):
        room = Room(rng, groups=groups, ties=ties)
        tree = room.tree(1.0)
        core, cells = tree.core, tree.core.cells
        if len(tree.rows) == 0:
            continue
        part = room.table.utility[np.ix_(tree.rows, tree.used)]
        own = room.table.own[np.ix_(tree.rows, tree.used)]
        base = core.queries["first"]
        for number in range(5):
            price = room.price if number % 2 else room.price * 1.5
            calls = -(-cells["fixed"] // cells["places"]) + rng.integers(0, 4, len(cells))
            cells["low"] = cells["high"] = calls
            before = core.queries["state"].copy()
            done = kernels.solve(price, -1, False, core)
            places = np.minimum(calls * cells["places"] - cells["fixed"], len(base))
            columns = np.repeat(np.arange(len(cells)), places)
            value = np.full((len(base), len(cells)), NEVER)
            for i, first in enumerate(base):
                mine = slice(first, first + len(tree.used))
                value[i, mine] = np.where(part[i] >= 0.0, part[i] - price * own[i], NEVER)
            best = NEVER
            if len(columns) >= len(base):
                chosen = value[:, columns]
                best = chosen[linear_sum_assignment(chosen, maximize=True)].sum()
            assert done == (best > NEVER / 2)
            if not done:
                failed += 1
                core.queries["state"] = before
                continue
            settled += 1
            here, states = np.arange(len(base)), core.queries["state"]
            assert value[here, base + states].sum() == pytest.approx(best, abs=1e-10)
            assert core.now["utility"][0] == pytest.approx(part[here, states].sum(), abs=1e-12)
            assert core.now["own"][0] == pytest.approx(own[here, states].sum(), abs=1e-12)
            counts = cells["fixed"] + np.bincount(base + states, minlength=len(cells))
            assert np.array_equal(cells["count"], counts)
            assert (counts <= calls * cells["places"]).all()
            for c, t in itertools.product(range(len(cells)), range(len(tree.used))):  # ways are kept up to date
                inside = np.flatnonzero(base + states == c)
                losses = [core.value[i, states[i]] - core.value[i, t] for i in inside if part[i, t] >= 0.0]
                true = min(losses, default=kernels.FAR) if c % len(tree.used) != t else kernels.FAR
                assert core.loss[c, t] == true
    assert settled > 150
    assert failed > 50


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_box_solved_at_one_price_is_solved_at_another_as_from_the_start(groups, ties):
    rng = np.random.default_rng(19)
    solved = 0
    for _ in range(100):
        room = Room(rng, most=40, groups=groups, ties=ties)
        tree = room.tree(1.0)
        core, cells = tree.core, tree.core.cells
        cells["low"] = -(-cells["fixed"] // cells["places"]) + rng.integers(0, 2, len(cells))
        cells["high"] = cells["low"] + rng.integers(0, 6, len(cells))
        first = core.queries["state"].copy()
        if kernels.solve(room.price, -1, False, core) < 1:
            continue
        solved += 1
        for price in room.price * np.array([1.3, 0.7, 0.9]):
            assert kernels.solve(price, -1, True, core) == 1
            kernels.judge(price, core)
            warm, states = core.now["bound"][0], core.queries["state"].copy()
            core.queries["state"] = first
            assert kernels.solve(price, -1, False, core) == 1
            kernels.judge(price, core)
            assert warm == pytest.approx(core.now["bound"][0], abs=1e-9)
            core.queries["state"] = states
            assert kernels.solve(price, -1, False, core) == 1
    assert solved > 50


@pytest.mark.parametrize("groups", [1, 2])
def test_boxes_and_leaves_bound_all_that_they_hold(groups):
    rng = np.random.default_rng(18)
    closed = 0
    for number in range(120):
        room = Room(rng, most=4, widest=4, groups=groups, ties=number % 4 == 0)
        every = [room.spent(states) for states in room.all()]
        bills = np.array([bill for _, bill, _ in every])
        budget = float(rng.uniform(bills.min() * 0.9, bills.max() * 1.1))
        tree = room.tree(budget)
        core, cells = tree.core, tree.core.cells
        if len(tree.rows) == 0:
            continue
        kept = [one for one in every if one[1] <= budget]
        for price in (room.price, 3.0 * room.price):
            if kernels.solve(price, -1, False, core) == 1:
                kernels.judge(price, core)
                assert core.now["bound"][0] >= max((one[0] for one in kept), default=-1.0) - 1e-12
        calls = np.maximum(cells["low"], -(-cells["count"] // cells["places"]))
        cells["calls"] = calls
        out, within, above = np.empty(6), tree.within, tree.above
        kernels.reprice(room.price, 8, 24, core, within, above, out)
        here = np.ix_(np.unique(room.table.group[tree.rows]), tree.used)
        paid = calls.reshape(-1, len(tree.used))
        prices = room.table.price[tree.used]
        inside = [  # the leaf's calls are paid for even where they are not needed
            one
            for one in every
            if (one[2][here] <= paid).all() and one[1] + ((paid - one[2][here]) * prices).sum() <= budget
        ]
        best = max((one[0] for one in inside), default=-kernels.FAR)
        assert out[1] >= best - 1e-12
        top = float(out[0])
        for price, start in ((out[3], within.copy()), (out[4], above.copy())):
            if price >= 0.0:
                core.queries["state"] = start
                top = improve(price, out[1], core, tree.pool, within, top)
        if top > -kernels.FAR:
            core.queries["state"] = within
            utility, bill, _ = room.spent(whole(room, tree))
            assert utility == pytest.approx(top, abs=1e-10)
            assert bill <= budget * (1 + 1e-12)
        rates = cells["rate"].copy()
        room_left = float(core.now["budget"][0] - (calls * cells["price"]).sum())
        for rate in (rates, rng.random(len(cells))):  # any worth of places is right
            cells["rate"] = rate
            utility, bound, _ = search(float(out[2]), room_left, -kernels.FAR, 10**6, core, above)
            assert utility == (pytest.approx(best, abs=1e-10) if inside else -kernels.FAR)
            assert utility <= bound <= utility + 1e-12
            near = best - 5e-13  # what is better by less than the search looks for is in its bound
            assert not inside or search(float(out[2]), room_left, near, 10**6, core, above)[1] >= best - 1e-15
            closed += bool(inside)
    assert closed > 60


def test_a_tree_grown_to_its_end_finds_the_best_plan():
    rng = np.random.default_rng(19)
    found = 0
    for number in range(150):
        room = Room(rng, most=4, widest=4, groups=1 + number % 3, ties=number % 4 == 0)
        every = [room.spent(states)[:2] for states in room.all()]
        budget = float(rng.uniform(min(bill for _, bill in every) * 0.95, max(bill for _, bill in every)))
        grown = room.tree(budget).grow(Limits(10**5, 10**5, np.inf, 10**5, 0))
        best = max((utility for utility, bill in every if bill <= budget), default=None)
        if best is None:
            assert grown.states is None
            assert grown.bound < 0.0
            continue
        found += 1
        assert grown.utility == pytest.approx(best, abs=1e-10)
        assert grown.bound == pytest.approx(best, abs=1e-9)
        assert room.spent(grown.states)[1] <= budget * (1 + 1e-12)
    assert found > 80


PLAIN = """
import numpy as np
from robatch.instances import generate
from robatch.solvers import solve
for groups in (1, 2):
    problem = generate("uncorrelated", 5, 2, (1, 4), seed=2).replace(groups=np.arange(5) % groups)
    plan = solve(problem, problem.budget_at(0.45), "greedy", cost="realized", seed=3)
    print(plan.assignment.tolist(), plan.utility)
"""


def test_without_the_compiler_the_plan_is_the_same():
    outputs = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        done = subprocess.run([sys.executable, "-c", PLAIN], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == 2


@pytest.mark.parametrize("groups", [1, 2])
def test_a_search_by_prices_finds_the_best_assignment_of_a_leaf(groups):
    rng = np.random.default_rng(19)
    nodes = []
    for number in range(150):
        room = Room(rng, most=7, widest=3, groups=groups, ties=number % 4 == 0)
        every = [room.spent(states) for states in room.all()]
        tree = room.tree(1.0)
        core, cells = tree.core, tree.core.cells
        if len(tree.rows) == 0:
            continue
        here = np.ix_(np.unique(room.table.group[tree.rows]), tree.used)
        paid = every[int(rng.integers(len(every)))][2]
        spent = np.array(
            [
                bill + ((paid - calls)[here] * room.table.price[tree.used]).sum()
                if (calls[here] <= paid[here]).all()
                else np.inf
                for _, bill, calls in every
            ]
        )  # the leaf's calls are paid for even where they are not needed
        budget = float(np.quantile(spent[np.isfinite(spent)], rng.random())) * (1 + 1e-12)
        best = max((one[0] for one, usd in zip(every, spent, strict=True) if usd <= budget), default=-kernels.FAR)
        core.now["budget"] += budget - 1.0
        cells["calls"] = paid[here].ravel()
        out = np.empty(6)
        kernels.reprice(room.price, 8, number % 3, core, tree.within, tree.above, out)
        rates, ends = cells["rate"].copy(), core.queries["end"].copy()
        for more in (0.0, 3e3, np.inf):
            cells["rate"], saved = rates, np.empty((30, len(tree.rows)), dtype=np.int16)
            spaces = tree.within, tree.above, tree.best, saved, kernels.records(30, kernels.STEP)
            utility, bound, made = kernels.branch(float(out[2]), core.now["work"][0] + more, core, *spaces)
            assert (core.queries["end"] == ends).all()
            assert (cells["least"] == 0).all()
            assert bound >= best - 1e-11  # whether the search came to its end or not
            assert utility <= best + 1e-11
        assert utility == pytest.approx(best, abs=1e-11) or best == -kernels.FAR
        assert bound <= max(utility + 1e-11, 0.0)
        nodes.append(made)
    assert len(nodes) > 100
    assert sum(made > 2 for made in nodes) > 20
