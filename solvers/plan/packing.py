"""From an assignment to the calls that are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from robatch.instances.arrays import IntArray, read_only
from robatch.instances.conflicts import conflict_calls
from robatch.instances.display import html
from robatch.instances.display.frames import Library, frame
from robatch.instances.errors import InputError
from robatch.instances.model import State

MAX_CELLS_PER_QUERY = 8  # beyond, queries are sorted instead of counted by group and state
Arrange = Callable[[IntArray, int], IntArray]  # from a cell's queries and its batch size to another order of them


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation of a model.

    Attributes
    ----------
    state
        The model, and the batch size that the plan chose; the call may hold fewer queries.
    queries
        Positions of the queries that it answers, at most ``state.batch_size`` of them.
    """

    state: State
    queries: IntArray


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Calls(Sequence[Call]):
    """The calls of a plan as a sequence: arrays that make each `Call` when it is asked for.

    Attributes
    ----------
    states
        The (model, batch size) of each state.
    order
        The queries, call by call: (N,).
    starts
        Where each call begins in `order`, and N: (calls + 1,).
    columns
        State of each call, as a position in `states`: (calls,).
    """

    states: tuple[State, ...]
    order: IntArray
    starts: IntArray
    columns: IntArray

    def __len__(self) -> int:
        return len(self.columns)

    @overload
    def __getitem__(self, index: int) -> Call: ...

    @overload
    def __getitem__(self, index: slice) -> list[Call]: ...

    def __getitem__(self, index: int | slice) -> Call | list[Call]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        state = self.states[self.columns[number]]
        return Call(state, self.order[self.starts[number] : self.starts[number + 1]])

    def __iter__(self) -> Iterator[Call]:
        ends = self.starts.tolist()
        for column, start, end in zip(self.columns.tolist(), ends, ends[1:], strict=False):
            yield Call(self.states[column], self.order[start:end])

    def __repr__(self) -> str:
        return f"Calls({len(self)} calls of {len(self.order)} queries)"

    def to_frame(self, library: Library = "pandas") -> Any:
        """Return one row a call: its number, model, batch size, number of queries, and their positions as a list."""
        import pyarrow as pa

        columns = {
            "call": np.arange(len(self)),
            "model": [self.states[column].model for column in self.columns.tolist()],
            "batch_size": [self.states[column].batch_size for column in self.columns.tolist()],
            "size": self.sizes,
            "queries": pa.LargeListArray.from_arrays(self.starts, self.order),
        }
        return frame(columns, library)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows of `to_frame` to any library that takes Arrow."""
        return self.to_frame("pyarrow").__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        rows = [(number, str(call.state), len(call.queries)) for number, call in enumerate(self[: html.MOST_ROWS])]
        more = f"<p>and {len(self) - len(rows):,} more</p>" if len(self) > len(rows) else ""
        return html.facts(repr(self), {}) + html.table(("call", "state", "queries"), rows) + more

    @property
    def sizes(self) -> IntArray:
        """Number of queries of each call: (calls,)."""
        return np.diff(self.starts)

    @property
    def number(self) -> IntArray:
        """Number of the call that holds each query: (N,)."""
        number = np.empty(len(self.order), dtype=np.int64)
        number[self.order] = np.repeat(np.arange(len(self)), self.sizes)
        return number


def pack(
    assignment: IntArray,
    states: Sequence[State],
    group_codes: IntArray | None,
    conflicts: IntArray | None = None,
    sequence: IntArray | None = None,
    arrange: Arrange | None = None,
) -> Calls:
    """Form the calls of each group and state (a cell), as many as `Problem.call_counts` says.

    Without conflicts these are ``ceil(queries / b)`` calls, only the last partly filled. In a cell with conflicts
    each query goes to the first call that can take it; where that needs another number of calls than counted, the
    packing that the count comes from is taken, with the queries that have no conflict in its free places.

    Parameters
    ----------
    assignment
        State of each query: (N,).
    states
        The (model, batch size) of each state: S of them.
    group_codes
        Group of each query: (N,), or None if all queries share one.
    conflicts
        Pairs of queries that may not share a call: (E, 2), or None.
    sequence
        The queries in the order in which calls take them: (N,). None for the order of their positions.
    arrange
        Puts the queries of a cell in another order; None to leave them as they are.

    Raises
    ------
    InputError
        If a state is unknown, or the groups are not one for each query.
    """
    batch_sizes = np.array([state.batch_size for state in states], dtype=np.int64)
    assignment, groups = _codes(assignment, group_codes, len(states))
    order, ends, cells = _by_cell(assignment, groups, len(states), sequence)
    state, queries = cells % len(states), np.diff(ends)
    size = batch_sizes[state]
    if arrange is not None:
        for cell in np.flatnonzero((queries > size) & (size > 1)):
            span = slice(ends[cell], ends[cell + 1])
            order[span] = arrange(order[span], int(size[cell]))
    calls = -(-queries // size)
    found = None
    if conflicts is not None:
        counts = np.zeros((int(groups.max(initial=0)) + 1, len(states)), dtype=np.int64)
        counts.reshape(-1)[cells] = queries
        found = conflict_calls(conflicts, assignment, groups if len(groups) else None, batch_sizes, counts)
    if found is not None:
        place = np.zeros(counts.size, dtype=np.int64)
        place[cells] = np.arange(len(cells))
        apart = place[found.groups * len(states) + found.states]
        calls[apart] = found.calls
    first = np.cumsum(calls) - calls
    cell_of = np.repeat(np.arange(len(calls)), calls)
    filled = np.minimum(size[cell_of], queries[cell_of] - (np.arange(len(cell_of)) - first[cell_of]) * size[cell_of])
    if found is not None:
        from robatch.instances.conflict_kernels import arrange as arrange_all

        node_of = np.full(len(assignment), -1, dtype=np.int64)
        node_of[found.queries] = np.arange(len(found.queries))
        arrange_all(order, ends[apart], ends[apart + 1], node_of, found, filled, first[apart])
    starts = np.concatenate([[0], np.cumsum(filled)])
    columns = state[cell_of]
    for array in (order, starts, columns):
        array.flags.writeable = False
    return Calls(tuple(states), order, starts, columns)


def _codes(assignment: IntArray, group_codes: IntArray | None, n_states: int) -> tuple[IntArray, IntArray]:
    """Return states and groups (empty: all share one) as kernels take them: known states, small numbers of groups."""
    states = np.ascontiguousarray(assignment, dtype=np.int64)
    if states.min(initial=0) < 0 or states.max(initial=0) >= n_states:
        raise InputError(f"the assignment holds a state outside 0 to {n_states - 1}")
    if group_codes is None:
        return states, np.empty(0, dtype=np.int64)
    groups = np.ascontiguousarray(group_codes, dtype=np.int64)
    if groups.shape != states.shape:
        raise InputError(f"group_codes has shape {groups.shape}: one for each of the {len(states)} queries is needed")
    if groups.min(initial=0) < 0 or groups.max(initial=0) >= len(groups):
        groups = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return states, groups


def _by_cell(
    states: IntArray, groups: IntArray, n_states: int, sequence: IntArray | None
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the queries by state, group and sequence; where each cell begins, and N; its ``group * S + state``."""
    n_groups = int(groups.max(initial=0)) + 1
    if len(groups) and n_groups * n_states > MAX_CELLS_PER_QUERY * len(states):  # too many cells to count in each
        where = np.arange(len(states)) if sequence is None else sequence
        order = where[np.lexsort((groups[where], states[where]))]
        found = groups[order] * n_states + states[order]
        begins = np.flatnonzero(np.diff(found, prepend=-1))
        return order, np.append(begins, len(order)), found[begins]
    from robatch.solvers.plan.packing_kernels import by_cell  # here, as it loads numba

    given = np.empty(0, dtype=np.int64) if sequence is None else sequence
    order, ends = by_cell(*(read_only(array) for array in (states, groups)), n_groups, n_states, read_only(given))
    cells = np.flatnonzero(np.diff(ends))
    return order, np.append(ends[cells], len(order)), cells % n_groups * n_states + cells // n_groups
