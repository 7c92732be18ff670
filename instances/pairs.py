"""Pairs that a problem restricts: (query, state) pairs, and pairs of queries that may not share a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import BoolArray, IntArray, RealArray, read_only
from robatch.instances.errors import InputError
from robatch.instances.model import Model, State
from robatch.instances.scalars import shown, whole

if TYPE_CHECKING:
    from robatch.instances.problem import Problem


class Names:
    """Finds queries by id (by position where they have none) and states by position or (model, batch size)."""

    def __init__(self, query_ids: npt.NDArray[Any] | None, rows: int) -> None:
        self.rows = rows
        self.places = None if query_ids is None else {label: i for i, label in enumerate(query_ids.tolist())}

    def query(self, name: str, label: Any) -> int:
        """Return the position of a query, or say that there is none of that name."""
        plain = label.item() if hasattr(label, "item") else label
        if self.places is not None:
            if plain in self.places:
                return self.places[plain]
            raise InputError(f"{name} names the query {shown(plain)}: the problem has no query of that id")
        if isinstance(plain, bool) or not isinstance(plain, int) or not 0 <= plain < self.rows:
            raise InputError(f"{name} names the query {shown(plain)}: positions from 0 to {self.rows - 1} are needed")
        return plain


def conflicts(value: Any, query_ids: npt.NDArray[Any] | None, rows: int) -> IntArray | None:
    """Return conflicting queries as sorted, different positions (E, 2), the lower one first; None if there are none.

    Parameters
    ----------
    value
        A networkx graph whose nodes are queries, or pairs of queries, by id (by position without ids); or an
        array of positions (E, 2).
    query_ids, rows
        Ids of the queries, or None, and their number.
    """
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        query_ids = None
        value = value.tolist()
    graph = hasattr(value, "edges") and hasattr(value, "nodes")
    names, found = Names(query_ids, rows), set()
    try:
        pairs = [tuple(edge)[:2] for edge in value.edges()] if graph else list(value)
    except TypeError:
        raise InputError(f"conflicts is {value!r}: a networkx graph or pairs of queries are needed") from None
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"conflicts holds {pair!r}: pairs of queries are needed")
        one, other = (names.query("conflicts", label) for label in pair)
        if one == other:
            raise InputError(f"conflicts holds {pair!r}: a query cannot conflict with itself")
        found.add((min(one, other), max(one, other)))
    if not found:
        return None
    return read_only(np.array(sorted(found), dtype=np.int64))


def taken(edges: IntArray | None, rows: IntArray) -> IntArray | None:
    """Return the conflicts (E, 2) among some of the queries, given by their positions, in their new positions."""
    if edges is None:
        return None
    places: dict[int, list[int]] = {}
    for new, old in enumerate(rows.tolist()):
        places.setdefault(old, []).append(new)
    found = [(a, b) for one, other in edges.tolist() for a in places.get(one, ()) for b in places.get(other, ())]
    return np.array(found, dtype=np.int64).reshape(-1, 2) if found else None


def forbidden(value: npt.ArrayLike | None, rows: int, n_states: int) -> BoolArray | None:
    """Check a mask of forbidden pairs: (N, S) booleans; None if it forbids nothing."""
    if value is None:
        return None
    mask = np.asarray(value)
    if mask.dtype != np.bool_ or mask.shape != (rows, n_states):
        needed = f"booleans of shape {(rows, n_states)} are needed"
        raise InputError(f"forbidden has shape {mask.shape} and type {mask.dtype}: {needed}")
    return read_only(mask) if mask.any() else None


def restricted(
    problem: Problem,
    forbid: Iterable[tuple[Any, Any]],
    force: Iterable[tuple[Any, Any]],
    min_utility: npt.ArrayLike | None,
) -> BoolArray:
    """Return the mask of a problem's forbidden pairs with more of them, see `Problem.restrict`."""
    shape = (problem.n_queries, problem.n_states)
    mask = np.zeros(shape, dtype=np.bool_) if problem.forbidden is None else problem.forbidden.copy()
    ids = None if problem.query_ids is None else problem.query_ids
    names = Names(ids, problem.n_queries)
    for query, state in forbid:
        mask[names.query("forbidden", query), _state(problem, "forbidden", state)] = True
    chosen: dict[int, int] = {}
    for query, state in force:
        i, s = names.query("forced", query), _state(problem, "forced", state)
        if chosen.setdefault(i, s) != s:
            raise InputError(f"forced holds query {problem.query_name(i)} twice, in different states")
        if not problem.allowed(slice(i, i + 1))[0, s] or mask[i, s]:
            raise InputError(
                f"forced holds query {problem.query_name(i)} in {problem.states[s]}: that state is not allowed for it"
            )
        mask[i] = True
        mask[i, s] = False
    if min_utility is not None:
        least = np.asarray(min_utility, dtype=np.float64)
        if least.shape not in ((), (problem.n_queries,)) or not ((least >= 0.0) & (least <= 1.0)).all():
            raise InputError(f"min_utility is {min_utility!r}: a number from 0 to 1 is needed, or one for each query")
        _forbid_below(problem, mask, np.broadcast_to(least, problem.n_queries))
    return mask


def _forbid_below(problem: Problem, mask: BoolArray, least: RealArray) -> None:
    """Add the pairs of too little utility to a mask, or name the query that falls short by most."""
    worst, short = -1, 0.0
    # compared as the problem holds utilities: a float32 of 0.7 is below the double 0.7, and is meant by it
    least = least.astype(problem.dtype)
    best = np.full(problem.n_queries, -np.inf, dtype=problem.dtype)
    for rows in problem.blocks():
        utilities = problem.utilities(rows)
        np.max(utilities, axis=1, out=best[rows], initial=-np.inf, where=problem.allowed(rows) & ~mask[rows])
        mask[rows] |= utilities < least[rows, None]
        gaps = np.where(np.isinf(best[rows]), 0.0, least[rows] - best[rows])  # no state at all: said elsewhere
        if gaps.max() > short:
            worst, short = rows.start + int(np.argmax(gaps)), float(gaps.max())
    if worst >= 0:
        raise InputError(
            f"min_utility is {least[worst]!s} for query {problem.query_name(worst)}: at most "
            f"{best[worst]!s} is possible, its best utility in a state that it is allowed in"
        )


def known_states(models: Sequence[Model], name: str) -> str:
    """Return what to choose from instead of a state that there is not: batch sizes of its model, or the models."""
    for model in models:
        if model.name == name:
            return f"the batch sizes of {name!r} are {', '.join(map(str, model.batch_sizes))}"
    more = ", ..." if len(models) > 20 else ""
    return f"the problem's models are {', '.join(repr(model.name) for model in models[:20])}{more}"


def _state(problem: Problem, name: str, state: Any) -> int:
    if isinstance(state, tuple | list | State) and len(state) == 2:
        asked = State(str(state[0]), whole(f"a batch size that {name} names", state[1], 1))
        if asked not in problem.states:
            raise InputError(f"{name} names the state {asked}: {known_states(problem.models, asked.model)}")
        return problem.states.index(asked)
    plain = state.item() if hasattr(state, "item") else state
    if isinstance(plain, bool) or not isinstance(plain, int) or not 0 <= plain < problem.n_states:
        needed = f"a state from 0 to {problem.n_states - 1}, or (model, batch size), is needed"
        raise InputError(f"{name} names the state {plain!r}: {needed}")
    return plain
