"""Independent check of a plan's calls, one by one, and their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robatch.instances.arrays import IntArray, read_only
from robatch.instances.problem import Problem
from robatch.solvers.check.raw import NO_CODES, VerificationError, states_of
from robatch.solvers.plan.packing import Call, Calls
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
    from robatch.solvers.check.kernels import inspect  # here, as it loads numba

    calls = plan.calls()
    order, starts, columns = _arrays(calls, plan)
    what, place, counts, call_of = inspect(order, starts, columns, states, groups, n_groups, states_of(problem).size)
    if what == "size":
        raise VerificationError(f"a call of {calls[place].state} holds {len(calls[place].queries)} queries")
    if what == "query":
        raise VerificationError(f"a call holds a query outside 0 to {len(states) - 1}")
    if what in ("state", "group"):
        held = "a query of another state" if what == "state" else "queries of different groups"
        raise VerificationError(f"a call of {calls[place].state} holds {held}")
    if what:
        raise VerificationError(f"query {place} is in {np.count_nonzero(order == place)} calls, not in one")
    if problem.conflicts is not None:
        one, other = problem.conflicts.T
        together = call_of[one] == call_of[other]
        if together.any():
            pair = int(np.argmax(together))
            raise VerificationError(f"the conflicting queries {one[pair]} and {other[pair]} share a call")
    found: IntArray = counts
    return found


def _arrays(calls: Sequence[Call], plan: Plan) -> tuple[IntArray, IntArray, IntArray]:
    """Return the queries call by call, where each call begins and ends, and its state's position, -1 if unknown."""
    column_of = {state: column for column, state in enumerate(plan.states)}
    if isinstance(calls, Calls):
        known = np.array([column_of.get(state, -1) for state in calls.states], dtype=np.int64)
        return calls.order, calls.starts, read_only(known[calls.columns])
    return (
        read_only(np.concatenate([NO_CODES, *(call.queries for call in calls)])),
        read_only(np.cumsum([0, *(len(call.queries) for call in calls)])),
        read_only(np.array([column_of.get(call.state, -1) for call in calls], dtype=np.int64)),
    )
