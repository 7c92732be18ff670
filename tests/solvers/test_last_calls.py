"""Last calls at another batch size: never less utility, never over the budget, and the moves that are worth it."""

from __future__ import annotations

import numpy as np
import pytest

from robatch.instances import Constraints, Model, Problem, generate
from robatch.solvers.greedy import last_calls

PROMPT = 1000 * 1e-6  # USD of a call's shared prompt


def shrunk(problem, states, budget):
    """Return where last calls move to; without a budget, what the assignment bills may be spent."""
    start = problem.evaluate(states)
    moved, end = last_calls.shrunk(problem, states, start, start.realized_cost if budget is None else budget)
    assert end.utility == problem.total_utility(moved)
    return moved


def one_model(n, batch_sizes, utility, **changes):
    model = Model("m", 1, 1, 1000, batch_sizes=batch_sizes)
    return Problem([model], [10] * n, [1] * n, utility=[list(utility)] * n, **changes)


def test_a_smaller_batch_that_holds_the_last_call_is_free():
    problem = one_model(11, (2, 4, 8), (0.9, 0.8, 0.5))
    states = np.full(11, 2)  # calls of 8 and 3
    moved = shrunk(problem, states, None)
    assert np.bincount(moved, minlength=3).tolist() == [0, 3, 8]
    assert problem.realized_cost(moved) == problem.realized_cost(states)
    assert states.tolist() == [2] * 11


def test_with_room_the_last_call_is_split():
    problem = one_model(11, (2, 4, 8), (0.9, 0.8, 0.5))
    states = np.full(11, 2)
    bill = problem.realized_cost(states)
    moved = shrunk(problem, states, bill + 1.5 * PROMPT)
    # three go to batches of four for nothing, then to two calls of two for one more prompt
    assert np.bincount(moved, minlength=3).tolist() == [3, 0, 8]
    assert problem.realized_cost(moved) <= bill + 1.5 * PROMPT
    assert np.bincount(shrunk(problem, states, bill + 0.5 * PROMPT)).tolist() == [0, 3, 8]


def test_the_queries_that_gain_most_are_the_last():
    utility = np.tile([0.5, 0.5], (5, 1))
    utility[1], utility[3] = (0.9, 0.2), (0.8, 0.3)
    problem = Problem([Model("m", 1, 1, 1000, batch_sizes=(2, 3))], [10] * 5, [1] * 5, utility=utility)
    assert shrunk(problem, np.ones(5, dtype=int), None).tolist() == [1, 0, 1, 0, 1]


def test_last_calls_merge_where_another_has_seats():
    problem = one_model(6, (4, 8), (0.8, 0.5))
    states = np.array([0, 0, 0, 1, 1, 1])  # three of four seats, and three that do not fit beside them
    assert shrunk(problem, states, None).tolist() == [0] * 6  # two calls before and after
    problem = one_model(4, (4, 8), (0.8, 0.5))
    moved = shrunk(problem, np.array([0, 0, 0, 1]), None)
    assert problem.call_counts(moved).tolist() == [[1, 0]]  # one call fewer, and more utility


def test_what_is_not_allowed_or_not_worth_it_stays():
    worse = one_model(3, (2, 4), (0.3, 0.5))
    states = np.ones(3, dtype=int)
    assert np.array_equal(shrunk(worse, states, 1.0), states)
    better = one_model(2, (2, 4), (0.8, 0.5))
    one_forbidden = better.restrict(forbidden=[(0, 0)])
    assert shrunk(better, np.ones(2, dtype=int), None).tolist() == [0, 0]
    assert shrunk(one_forbidden, np.ones(2, dtype=int), None).tolist() == [1, 1]
    constrained = better.replace(constraints=Constraints(max_calls={"m": 1}))
    assert shrunk(constrained, np.ones(2, dtype=int), None).tolist() == [1, 1]


def test_groups_have_last_calls_of_their_own():
    problem = one_model(6, (2, 4), (0.8, 0.5), groups=[0, 0, 1, 1, 1, 1])
    assert shrunk(problem, np.ones(6, dtype=int), None).tolist() == [0, 0, 1, 1, 1, 1]


def make_case(seed):
    """Return a random problem, with groups, windows, forbidden pairs and conflicts or none, and an assignment."""
    rng = np.random.default_rng(seed)
    family = ("realistic", "ties", "strongly-correlated")[seed % 3]
    n = int(rng.integers(2, 80))
    problem = generate(family, queries=n, models=2, batch_sizes=(1, 2, 3, 5, 8), seed=seed,
                       dtype="float32" if seed % 5 == 0 else "float64")  # fmt: skip
    if seed % 2:
        problem = problem.replace(groups=rng.integers(0, 3, n))
    if seed % 4 > 1:
        ends = rng.integers(0, n, (n // 2, 2))
        problem = problem.replace(conflicts=ends[ends[:, 0] != ends[:, 1]])
    if seed % 7 < 2:
        mask = rng.random((n, problem.n_states)) < 0.3
        mask[:, 0] = False
        problem = problem.replace(forbidden=mask)
    few = rng.choice(problem.n_states, 3, replace=False)
    states = [rng.choice([s for s in np.flatnonzero(row) if s in few] or np.flatnonzero(row)) for row in
              problem.allowed()]  # fmt: skip
    return problem, np.array(states), rng


@pytest.mark.parametrize("seed", range(40))
def test_never_less_utility_and_never_over_the_budget(seed):
    problem, states, rng = make_case(seed)
    before, kept = problem.evaluate(states), states.copy()
    spent = problem.realized_cost(states)
    for budget in (None, spent * 0.9, spent, spent * (1 + rng.random()), 1e9):
        moved = shrunk(problem, states, budget)
        after = problem.evaluate(problem.check_assignment(moved))
        assert after.utility >= before.utility
        assert problem.realized_cost(moved) <= max(spent, budget or 0.0)
        assert np.array_equal(problem.state_model[moved], problem.state_model[states])
        assert np.array_equal(moved, shrunk(problem, states, budget))
        assert np.array_equal(states, kept)
        if budget == 1e9:
            assert_nothing_is_left(problem, moved)


def assert_nothing_is_left(problem, states):
    """Check that no last call gains anywhere, if its queries that may move gain most: a plain loop over all cells."""
    utilities, allowed = problem.utilities().astype(np.float64), problem.allowed()
    tied = set() if problem.conflicts is None else set(problem.conflicts.ravel().tolist())
    for group in range(problem.n_groups):
        for s in range(problem.n_states):
            members = np.flatnonzero((problem.group_codes == group) & (states == s))
            fill = len(members) % problem.state_batch_size[s]
            for t in np.flatnonzero(problem.state_model == problem.state_model[s]):
                free = [i for i in members if allowed[i, t] and i not in tied]
                gains = sorted((utilities[i, t] - utilities[i, s] for i in free), reverse=True)
                if t != s and fill > 0 and len(free) >= fill:
                    assert sum(gains[:fill]) <= 1e-9
