"""Seating, fitting and annealing: optimal transportation, exact bookkeeping, budgets kept, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from robatch.solvers.greedy import annealing_kernels as shuffle
from robatch.solvers.greedy import call_count_kernels as seats
from robatch.solvers.greedy.call_count_kernels import Assigned, Queries, Terms

NEVER = -1e9  # stands for a pair that is not allowed


class Room:
    """The arrays of a random group and its assignment."""

    def __init__(self, rng, most=14, widest=6, ties=False) -> None:
        n, width = int(rng.integers(1, most + 1)), int(rng.integers(2, widest + 1))
        self.n, self.width = n, width
        self.utility, self.own = rng.random((n, width)), rng.random((n, width)) * 0.1
        if ties:
            self.utility, self.own = np.rint(self.utility * 2) / 2, np.rint(self.own * 20) / 200
        closed = rng.random((n, width)) < 0.2
        closed[np.arange(n), rng.integers(0, width, n)] = False
        self.utility[closed] = -1.0
        self.price = float(rng.random() * 3)
        self.value = np.where(closed, -np.inf, self.utility - self.price * self.own)
        self.size, self.prompt = rng.integers(1, 5, width), rng.random(width) * 0.1
        self.fixed = rng.integers(0, 4, width) * (rng.random() < 0.5)
        self.share = self.prompt / self.size
        self.states = (self.value - self.price * self.share).argmax(axis=1)

    @property
    def queries(self):
        start, group = np.array([0, self.n]), np.zeros(self.n, dtype=np.int64)
        return Queries(start, group, self.value, self.utility, self.own, self.prompt, self.size)

    @property
    def held(self):
        return self.fixed + np.bincount(self.states, minlength=self.width)

    @property
    def total(self):
        here = np.arange(self.n)
        return np.array([self.utility[here, self.states].sum(), self.own[here, self.states].sum()])

    def prompts(self, held) -> float:
        return float((-(-held // self.size) * self.prompt).sum())

    def best_value(self, free) -> float:
        """Return the greatest value of seating all queries on free seats of each state, below 0 if there is none."""
        columns = np.repeat(np.arange(self.width), np.minimum(free, self.n))
        if len(columns) < self.n:
            return NEVER
        value = np.where(np.isfinite(self.value), self.value, NEVER)[:, columns]
        return float(value[linear_sum_assignment(value, maximize=True)].sum())


class Work:
    """The arrays in which `settle` works."""

    def __init__(self, width: int) -> None:
        self.arc, self.mover = np.empty((width, width)), np.empty((width, width), dtype=np.int64)
        self.live, self.following = np.empty(width, dtype=np.int64), np.empty(width, dtype=np.int64)
        self.distance = np.empty(width)

    def settle(self, room: Room, states, held, free, total) -> bool:
        now = Assigned(states, held[None], total)
        return seats.reassign(0, room.queries, now, self.paths(free))

    def paths(self, free=None):
        return seats.Paths(self.arc, self.mover, self.live, self.distance, self.following, free)


@pytest.mark.parametrize("ties", [False, True])
def test_settle_is_the_best_transportation(ties):
    rng = np.random.default_rng(17)
    settled = failed = 0
    for _ in range(400):
        room = Room(rng, ties=ties)
        work = Work(room.width)
        states, held, total = room.states.copy(), room.held, room.total
        for s in range(room.width):
            seats.arcs(s, 0, room.queries, states, work.paths(room.fixed))
        # all states at their best value for some shares: an assignment that no exchange improves
        for _ in range(6):
            before = states.copy(), held.copy(), total.copy(), work.arc.copy(), work.mover.copy()
            free = room.fixed + rng.integers(0, room.n + 2, room.width)
            done = work.settle(room, states, held, free, total)
            best = room.best_value(free - room.fixed)
            assert done == (best > NEVER / 2)
            if not done:
                failed += 1
                states, held, total, work.arc, work.mover = before
                continue
            settled += 1
            here = np.arange(room.n)
            assert (held <= free).all()
            assert np.array_equal(held, room.fixed + np.bincount(states, minlength=room.width))
            assert room.value[here, states].sum() == pytest.approx(best, abs=1e-10)
            assert total[0] == pytest.approx(room.utility[here, states].sum(), abs=1e-12)
            assert total[1] == pytest.approx(room.own[here, states].sum(), abs=1e-12)
            for s in range(room.width):  # arcs are kept up to date
                for t in range(room.width):
                    losses = [room.value[i, s] - room.value[i, t] for i in np.flatnonzero(states == s)]
                    true = min((x for x in losses if np.isfinite(x)), default=seats.FAR) if s != t else seats.FAR
                    assert work.arc[s, t] == true
    assert settled > 500
    assert failed > 100


def test_fit_keeps_within_and_never_loses_there():
    rng = np.random.default_rng(18)
    improved = mended = 0
    for number in range(1_500):
        room = Room(rng, ties=number % 5 == 0)
        states, held, total = room.states.copy(), room.held, room.total
        prompts = room.prompts(held)
        budget = (total[1] + prompts) * float(rng.uniform(0.7, 1.3))
        for _ in range(12):
            within, utility, bill = total[1] + prompts <= budget, total[0], total[1] + prompts
            now = Assigned(states, held[None], total)
            prompts = seats.fit(0, room.queries, now, prompts, budget, 1)
            here = np.arange(room.n)
            assert np.array_equal(held, room.fixed + np.bincount(states, minlength=room.width))
            assert prompts == pytest.approx(room.prompts(held), abs=1e-12)
            assert total[0] == pytest.approx(room.utility[here, states].sum(), abs=1e-12)
            assert total[1] == pytest.approx(room.own[here, states].sum(), abs=1e-12)
            assert (room.utility[here, states] >= 0.0).all()
            if within:
                assert total[1] + prompts <= budget * (1 + 1e-12)
                assert total[0] >= utility
                improved += total[0] > utility
            else:
                assert total[1] + prompts <= bill
                mended += total[1] + prompts <= budget
    assert improved > 100
    assert mended > 100


def groups_of(rng, groups=3):
    """Return the arrays of some groups, sorted, and their best assignment at a price."""
    n, width = int(rng.integers(groups, 24)), int(rng.integers(2, 6))
    start = np.concatenate([[0], np.sort(rng.integers(0, n + 1, groups - 1)), [n]])
    group = np.repeat(np.arange(groups), np.diff(start))
    utility, own = rng.random((n, width)), rng.random((n, width)) * 0.1
    closed = rng.random((n, width)) < 0.15
    closed[np.arange(n), rng.integers(0, width, n)] = False
    utility[closed] = -1.0
    price = float(rng.random() * 3 + 0.1)
    value = np.where(closed, -np.inf, utility - price * own)
    size, prompt = rng.integers(1, 6, width), rng.random(width) * 0.2
    fixed = rng.integers(0, 3, (groups, width)) * int(rng.random() < 0.5)
    states = (value - price * prompt / size).argmax(axis=1)
    return n, width, start, group, utility, own, price, value, size, prompt, fixed, states


def counted(states, group, fixed):
    held = fixed.copy()
    np.add.at(held, (group, states), 1)
    return held


@pytest.mark.parametrize("groups", [1, 4])
def test_search_reaches_what_it_says(groups):
    rng = np.random.default_rng(19)
    found = 0
    for number in range(150):
        n, width, start, group, utility, own, price, value, size, prompt, fixed, states = groups_of(rng, groups)
        here, held = np.arange(n), counted(states, group, fixed)
        bill = own[here, states].sum() + (-(-held // size) * prompt).sum()
        budget = bill * float(rng.uniform(0.5, 1.2))
        likely = np.tile(rng.permutation(width), (groups, 1))
        outcomes = []
        for _ in range(2):
            best, moving, total = (
                np.full(n, -1),
                states.copy(),
                np.array([utility[here, states].sum(), own[here, states].sum()]),
            )
            least = float(rng.random() * 0.3) if number % 3 == 0 and not outcomes else -np.inf
            least = outcomes[0][2] if outcomes else least
            queries = Queries(start, group, value, utility, own, prompt, size)
            now = Assigned(moving, counted(states, group, fixed), total)
            terms = Terms(budget, price, 0.8 * price, 1.3 * price, 400, 0.1, 0.01)
            reached = seats.search(queries, now, likely, terms, 20, np.random.default_rng(number), best, least)
            outcomes.append((reached, best, least))
        (reached, best, least), (again, best_again, _) = outcomes
        assert reached == again
        assert np.array_equal(best, best_again)
        if reached == least:
            assert (best == -1).all()
            continue
        found += 1
        held = counted(best, group, fixed)
        assert reached > least
        assert reached == pytest.approx(utility[here, best].sum(), abs=1e-10)
        assert (utility[here, best] >= 0.0).all()
        assert own[here, best].sum() + (-(-held // size) * prompt).sum() <= budget * (1 + 1e-12)
    assert found > 80


@pytest.mark.parametrize("groups", [1, 4])
def test_anneal_reaches_what_it_says(groups):
    rng = np.random.default_rng(20)
    found = 0
    for number in range(150):
        n, _, start, group, utility, own, price, value, size, prompt, fixed, states = groups_of(rng, groups)
        here, held = np.arange(n), counted(states, group, fixed)
        bill = own[here, states].sum() + (-(-held // size) * prompt).sum()
        budget = bill * float(rng.uniform(0.5, 1.2))
        ranked = np.argsort(-value, axis=1)
        outcomes = []
        for _ in range(2):
            best, total = np.full(n, -1), np.array([utility[here, states].sum(), bill])
            moving, held = states.copy(), counted(states, group, fixed)
            queries = Queries(start, group, value, utility, own, prompt, size)
            now = Assigned(moving, held, total)
            terms = Terms(budget, price, 0.2 * price, 4.0 * price, 3_000, 0.1, 0.001)
            reached = shuffle.anneal(queries, now, ranked, terms, np.random.default_rng(number), best, -np.inf)
            assert np.array_equal(held, counted(moving, group, fixed))  # the books are in order at the end
            assert total[0] == pytest.approx(utility[here, moving].sum(), abs=1e-9)
            assert total[1] == pytest.approx(own[here, moving].sum() + (-(-held // size) * prompt).sum(), abs=1e-9)
            outcomes.append((reached, best))
        (reached, best), (again, best_again) = outcomes
        assert reached == again
        assert np.array_equal(best, best_again)
        if reached == -np.inf:
            continue
        found += 1
        assert reached == pytest.approx(utility[here, best].sum(), abs=1e-9)
        assert (utility[here, best] >= 0.0).all()
        held = counted(best, group, fixed)
        assert own[here, best].sum() + (-(-held // size) * prompt).sum() <= budget * (1 + 1e-11)
    assert found > 50


def test_propose_leaves_seats_for_all():
    rng = np.random.default_rng(21)
    for number in range(3_000):
        width = int(rng.integers(1, 6))
        size, calls = rng.integers(1, 9, width), rng.integers(0, 4, width)
        calls[int(rng.integers(width))] += 1
        room = int((calls * size).sum())
        queries = int(rng.integers(1, room + 1))
        likely = rng.permutation(width)[: int(rng.integers(1, width + 1))]
        before = calls.copy()
        changed = seats.propose(calls, room - queries, size, likely, np.random.default_rng(number))
        assert (calls >= 0).all()
        assert (calls * size).sum() >= queries
        assert changed or np.array_equal(calls, before)
