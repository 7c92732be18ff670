"""Pairs that a problem restricts: forbidden and forced states, least utilities, conflicts, and window margins."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from robatch.instances import InputError, Model, Problem, generate

STATES = [("weak", 1), ("weak", 4), ("strong", 2)]


def test_forbidden_pairs_by_name_and_by_position(small):
    for ids in (None, ["a", "b", "c", "d"], [10, 20, 30, 40]):
        problem = small(query_ids=ids)
        one, two = (1, 3) if ids is None else (ids[1], ids[3])
        limited = problem.restrict(forbidden=[(one, ("weak", 4)), (two, 2), (two, np.int64(0))])
        wanted = np.ones((4, 3), dtype=bool)
        wanted[1, 1] = wanted[3, 2] = wanted[3, 0] = False
        assert np.array_equal(limited.allowed(), wanted)
        assert problem.all_allowed
        assert not limited.all_allowed
        assert np.array_equal(limited.restrict(forbidden=[(one, 0)]).allowed()[1], [False, False, True])


def test_forced_pairs_leave_one_state(small):
    limited = small().restrict(forced=[(2, ("strong", 2)), (0, 1)])
    assert limited.allowed().sum(axis=1).tolist() == [1, 3, 1, 3]
    assert limited.allowed()[[0, 2], [1, 2]].all()
    assert limited.cheapest_assignment[[0, 2]].tolist() == [1, 2]
    assert limited.best_assignment[[0, 2]].tolist() == [1, 2]


def test_least_utilities(small):
    problem = small()
    for least in (0.1, [0.5, 0.1, 0.1, 0.3]):
        limited = problem.restrict(min_utility=least)
        floor = np.broadcast_to(np.reshape(least, (-1, 1)), (4, 1))
        assert np.array_equal(limited.allowed(), problem.utilities() >= floor)
    assert problem.restrict(min_utility=0.0) == problem


@pytest.mark.parametrize("least", [0.7, 0.9, 0.1, 0.3])
@pytest.mark.parametrize("by_query", [False, True])
def test_least_utilities_are_compared_as_they_are_held(small, least, by_query):
    """float32 of 0.7 and 0.9 are below the doubles; pyarrow 26.0.1 leaves them out (findings/float32-filters.sh)."""
    utility = np.full((4, 3), least, dtype=np.float32)
    utility[1, 1] = np.nextafter(np.float32(least), np.float32(0))
    base = small()
    problem = Problem(
        base.models, base.input_tokens.astype(np.float32), base.output_tokens.astype(np.float32), utility=utility
    )
    limited = problem.restrict(min_utility=[least] * 4 if by_query else least)
    assert problem.dtype == np.float32
    assert np.argwhere(~limited.allowed()).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"forbidden": [(9, 0)]}, "forbidden names the query 9: positions from 0 to 3"),
        ({"forbidden": [(True, 0)]}, "forbidden names the query True"),
        ({"forbidden": [(0, 3)]}, "forbidden names the state 3: a state from 0 to 2"),
        ({"forbidden": [(0, ("weak", 2))]}, "forbidden names the state weak x 2: the batch sizes of 'weak' are 1, 4$"),
        ({"forced": [(0, ("medium", 2))]}, "forced names the state medium x 2: the problem's models are 'weak', 'str"),
        ({"forbidden": [(0, state) for state in STATES]}, "query number 0 has no state that is neither forbidden"),
        ({"forced": [(0, 0), (0, 1)]}, "forced holds query number 0 twice, in different states"),
        ({"forced": [(0, 0)], "forbidden": [(0, 0)]}, "forced holds query number 0 in weak x 1: that state is not"),
        ({"min_utility": 1.5}, "min_utility is 1.5"),
        ({"min_utility": [0.1, 0.2]}, "min_utility is"),
        ({"min_utility": 0.95}, r"min_utility is 0.95 for query number 3: at most 0.3 is possible, its best utility"),
        ({"min_utility": [0.5, 0.9, 0.1, 0.3]}, r"min_utility is 0.9 for query number 1: at most 0.8 is possible"),
        ({"min_utility": 0.1, "forbidden": [(1, s) for s in range(3)]}, "query number 1 has no state that is neither"),
    ],
)
def test_what_cannot_be_is_refused(small, arguments, words):
    with pytest.raises(InputError, match=words):
        small().restrict(**arguments)


def test_least_utilities_look_at_allowed_states_only(small):
    limited = small(query_ids=list("abcd")).restrict(forbidden=[("a", ("strong", 2))])
    with pytest.raises(InputError, match=r"min_utility is 0\.6 for query 'a': at most 0\.5 is possible"):
        limited.restrict(min_utility=[0.6, 0.0, 0.0, 0.0])
    with pytest.raises(InputError, match=r"min_utility is 0\.6 for query 'c': at most 0\.1 is possible"):
        limited.restrict(forced=[("c", 0)], min_utility=[0.0, 0.0, 0.6, 0.0])


def test_unknown_ids_are_named(small):
    with pytest.raises(InputError, match="forced names the query 'z': the problem has no query of that id"):
        small(query_ids=list("abcd")).restrict(forced=[("z", 0)])


def test_a_mask_must_fit(small):
    for mask in (np.zeros((4, 2), dtype=bool), np.zeros((4, 3)), [[True] * 3] * 3):
        with pytest.raises(InputError, match="forbidden has shape"):
            small(forbidden=mask)
    assert small(forbidden=np.zeros((4, 3), dtype=bool)).forbidden is None


def test_conflicts_come_from_pairs_and_graphs(small):
    graph = nx.Graph([("c", "a"), ("d", "c"), ("a", "c")])
    for given in (graph, [("c", "a"), ("c", "d"), ("a", "c")], np.array([[2, 0], [2, 3]])):
        problem = small(query_ids=list("abcd"), conflicts=given)
        assert problem.conflicts.tolist() == [[0, 2], [2, 3]]
    assert small(conflicts=[(1, 0)]).conflicts.tolist() == [[0, 1]]
    assert small(conflicts=[]).conflicts is None
    assert small(conflicts=nx.Graph()).conflicts is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([(0, 9)], "conflicts names the query 9"),
        ([(1, 1)], "cannot conflict with itself"),
        ([(1,)], "pairs of queries are needed"),
        (5, "a networkx graph or pairs of queries are needed"),
    ],
)
def test_conflicts_that_cannot_be_are_refused(small, given, words):
    with pytest.raises(InputError, match=words):
        small(conflicts=given)


def test_parts_of_a_problem_keep_what_concerns_them(small):
    problem = small(conflicts=[(0, 1), (1, 3)]).restrict(forbidden=[(1, 2), (3, 0)])
    part = problem.take([3, 1])
    assert part.conflicts.tolist() == [[0, 1]]
    assert part.allowed().tolist() == [[False, True, True], [True, True, False]]
    assert problem.take([0, 2]).conflicts is None
    assert problem.take([0, 2]).forbidden is None


def test_forbidden_pairs_are_refused_in_assignments(small):
    for problem in (small(), small(utility=None, base_utility=[[0.5, 0.9]] * 4, retention=[1.0, 0.5, 1.0])):
        limited = problem.restrict(forbidden=[(2, ("weak", 4))])
        limited.check_assignment([1, 1, 0, 1])
        with pytest.raises(
            InputError, match="assignment of query number 2 is the state weak x 4, which is not allowed"
        ):
            limited.evaluate([1, 1, 1, 1])
        free = np.array([1, 2, 0, 2])
        assert limited.evaluate(free)[:3] == problem.evaluate(free)[:3]


def test_a_margin_leaves_part_of_the_windows_free():
    models = [Model("a", 1, 1, shared_tokens=100, batch_sizes=(1, 2, 4), context_window=500)]
    problem = generate("uncorrelated", queries=3, models=1, batch_sizes=(1, 2, 4), seed=0)
    problem = problem.replace(models=models, input_tokens=[40, 80, 60], output_tokens=[10, 20, 40])
    assert problem.allowed().all(axis=1).tolist() == [True, True, True]
    tight = problem.replace(window_margin=0.2)  # 400 tokens, 300 of them for queries
    assert tight.allowed().tolist() == [[True, True, True], [True, True, False], [True, True, False]]
    for margin in (-0.1, 1.0, float("nan"), "much"):
        with pytest.raises(InputError, match="window_margin is"):
            problem.replace(window_margin=margin)
    with pytest.raises(InputError, match="fits the context window of no model"):
        problem.replace(window_margin=0.75)


@pytest.mark.parametrize("value", [[(0, 1, 2)], np.array([[0, 1, 2]]), ["ab"], [3]])
def test_conflicts_that_are_no_pairs_are_refused(small, value):
    with pytest.raises(InputError, match="pairs of queries are needed"):
        small().replace(conflicts=value)


@pytest.mark.parametrize("size", ["x", None, 1.7])
def test_a_batch_size_that_is_no_whole_number_is_refused(small, size):
    with pytest.raises(InputError, match="a batch size that forbidden names is"):
        small().restrict(forbidden=[(0, ("weak", size))])
