"""Independent check of a plan's calls, one by one, and their number."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.problem import Problem
from robatch.solvers.check.raw import NO_CODES, VerificationError, states_of
from robatch.solvers.plan.plan import Plan


def counted(states: IntArray, groups: IntArray, n_groups: int, n_states: int) -> IntArray:
    """Return the queries of each group in each state: (groups, S); `groups` is empty if all share one."""
    place = (groups if len(groups) else 0) * n_states + states
    return np.bincount(place, minlength=n_groups * n_states).reshape(n_groups, n_states)


def full_calls(problem: Problem, queries: IntArray) -> IntArray:
    """Return the calls of each group and state that full batches of `queries` (groups, S) make."""
    sizes = states_of(problem).size
    return (queries + sizes - 1) // sizes


def check_calls(problem: Problem, plan: Plan, states: IntArray, groups: IntArray, n_groups: int) -> IntArray:
    """Check each call of a plan, and return how many there are of each group in each state: (groups, S).

    Raises
    ------
    VerificationError
        If a call is not legal.
    """
    calls = plan.calls()
    column_of = {state: column for column, state in enumerate(plan.states)}
    column = np.array([column_of.get(call.state, -1) for call in calls], dtype=np.int64)
    size = np.array([len(call.queries) for call in calls], dtype=np.int64)
    limit = np.array([state.batch_size for state in plan.states], dtype=np.int64)[column]
    wrong = (size < 1) | (size > limit)
    if wrong.any():
        call = calls[int(np.argmax(wrong))]
        raise VerificationError(f"a call of {call.state} holds {len(call.queries)} queries")
    queries = np.concatenate([NO_CODES, *(call.queries for call in calls)])
    place = np.repeat(np.arange(len(calls)), size)
    if queries.min(initial=0) < 0 or queries.max(initial=0) >= len(states):
        raise VerificationError(f"a call holds a query outside 0 to {len(states) - 1}")
    first = queries[np.cumsum(size) - size]
    group = groups if len(groups) else np.zeros_like(states)
    for what, wrong in (
        ("a query of another state", states[queries] != column[place]),
        ("queries of different groups", group[queries] != group[first][place]),
    ):
        if wrong.any():
            raise VerificationError(f"a call of {calls[place[np.argmax(wrong)]].state} holds {what}")
    seen = np.bincount(queries, minlength=len(states))
    if (seen != 1).any():
        query = int(np.argmax(seen != 1))
        raise VerificationError(f"query {query} is in {seen[query]} calls, not in one")
    if problem.conflicts is not None:
        call_of = np.empty_like(states)
        call_of[queries] = place
        one, other = problem.conflicts.T
        together = call_of[one] == call_of[other]
        if together.any():
            pair = int(np.argmax(together))
            raise VerificationError(f"the conflicting queries {one[pair]} and {other[pair]} share a call")
    return counted(column, group[first], n_groups, len(plan.states))
