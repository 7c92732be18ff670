"""Calls: every query once, in its state, with its group, as few as possible."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from robatch.instances import State
from robatch.solvers.packing import pack

STATES = (State("a", 1), State("a", 3), State("b", 2))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_calls_are_legal_and_as_few_as_possible(queries):
    assignment = np.array([state for state, _ in queries])
    groups = np.array([group for _, group in queries])
    calls = pack(assignment, STATES, groups)
    assert sorted(query for call in calls for query in call.queries.tolist()) == list(range(len(queries)))
    for call in calls:
        assert 0 < len(call.queries) <= call.state.batch_size
        assert {STATES[assignment[query]] for query in call.queries} == {call.state}
        assert len({groups[query] for query in call.queries}) == 1
        assert list(call.queries) == sorted(call.queries)
    cells = dict.fromkeys(queries, 0)
    for cell in queries:
        cells[cell] += 1
    assert len(calls) == sum(-(-count // STATES[s].batch_size) for (s, _), count in cells.items())


def test_without_groups_all_share():
    calls = pack(np.array([1, 1, 1, 1]), STATES, None)
    assert [call.queries.tolist() for call in calls] == [[0, 1, 2], [3]]
