"""The mixed-integer program of a problem: one formulation for each cost model, shared by all backends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import BoolArray, FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.solvers.limits import OF_MONEY, Entry
from robatch.solvers.mip.constraints import conflict_rows, constraint_rows, money_row, utility_row
from robatch.solvers.mip.variables import Columns, call_entries, make_columns, write_entries
from robatch.solvers.plan.plan import Cost

SLACK = 1e-11  # relative: soft rows let rounding pass; what exceeds a limit in fact is rejected later


@dataclass(frozen=True, eq=False)
class MipModel:
    """``maximize objective x`` subject to ``row_lower <= A x <= row_upper``, ``0 <= x <= upper``, x whole.

    Columns are first the candidates, by query: x[i, s] = 1 if query i is answered in state s, for each state that is
    allowed for the query. The calls follow where they matter, under realized cost and for models
    whose calls are limited: y[g, s] calls of state s in group g, where batch size and the group's number of
    queries are above 1 and calls have a price or are limited. Then, under realized cost, the writes: w[g, k] = 1 if
    group g writes the shared prompt of model k to a cache, where that has a price.

    Rows are first the queries (each has one state), then the calls (as many as their queries need), then the writes
    (each query that is answered by the model needs it), then the budget row and the floor row, if there are such,
    then the problem's constraints and conflicts, then rows that were added to cut off what is not allowed in float64.

    Attributes
    ----------
    columns
        What the columns stand for.
    cost, budget, floor
        What is modelled; `budget` is None in the program of least cost, `floor` is the least total utility or None.
    objective
        Coefficient of each column: utility times `objective_scale`, a power of two that brings the greatest
        one close to 1; in the program of least cost the negative USD times `objective_scale`.
    upper
        Upper bound of each column; lower bounds are 0.
    starts, index, value
        Rows of A, compressed: row r holds the entries from ``starts[r]`` to ``starts[r + 1]``.
    row_lower, row_upper
        Bounds of the rows. Rows of money and utility are scaled to a right-hand side of the number of queries,
        so that coefficients are near 1 and solvers' absolute tolerances mean little.
    right
        Right-hand sides of soft rows without the slack, nan for the others; of the rows that `build` made.
    budget_row
        Position of the budget row, or None.
    names
        Names of the rows that `build` made, after the calls.
    """

    columns: Columns
    cost: Cost
    budget: float | None
    floor: float | None
    objective: FloatArray
    objective_scale: float
    upper: FloatArray
    starts: npt.NDArray[np.int32]
    index: npt.NDArray[np.int32]
    value: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    right: FloatArray
    budget_row: int | None
    names: tuple[str, ...]

    @property
    def problem(self) -> Problem:
        """The problem that is modelled."""
        return self.columns.problem

    @property
    def query(self) -> IntArray:
        """Query of each candidate."""
        return self.columns.query

    @property
    def state(self) -> IntArray:
        """State of each candidate."""
        return self.columns.state

    @property
    def n_candidates(self) -> int:
        """Number of x columns, the first ones."""
        return len(self.query)

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.objective)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.row_upper)

    def rows(self) -> Iterator[tuple[list[int], FloatArray, float, float]]:
        """Yield the columns and values of each row, its lower and its upper bound."""
        bounds = zip(self.row_lower.tolist(), self.row_upper.tolist(), strict=True)
        for (begin, end), (lower, upper) in zip(pairwise(self.starts), bounds, strict=True):
            yield self.index[begin:end].tolist(), self.value[begin:end], lower, upper

    def to_assignment(self, values: npt.ArrayLike) -> IntArray:
        """Return the assignment (N,) of a solver's values: each query's state of greatest x."""
        shape = (self.problem.n_queries, self.problem.n_states)
        dense = np.full(shape, -np.inf)
        dense[self.query, self.state] = np.asarray(values)[: self.n_candidates]
        return np.asarray(dense.argmax(axis=1), dtype=np.int64)

    def chosen(self, assignment: IntArray) -> BoolArray:
        """Return whether an assignment (N,) chooses each candidate."""
        return np.asarray(assignment[self.query] == self.state)

    def to_values(self, assignment: IntArray) -> FloatArray:
        """Return the value of every column under an assignment (N,)."""
        columns, counts = self.columns, self.problem.call_counts(assignment)
        writes = self.problem.writes(counts)[columns.write_group, columns.write_model]
        calls = counts[columns.call_group, columns.call_state]
        return np.asarray(np.concatenate([self.chosen(assignment), calls, writes]), dtype=np.float64)

    def tightened(self, factor: float) -> MipModel:
        """Return the model with the right-hand sides of soft rows brought in by a factor a little below 1."""
        row_upper, soft = self.row_upper.copy(), np.flatnonzero(~np.isnan(self.right))
        row_upper[soft] = self.right[soft] - np.abs(self.right[soft]) * (1.0 - factor)
        return replace(self, row_upper=row_upper)

    def excluding(self, assignment: IntArray, others: Literal["dearer", "worse"] | None = None) -> MipModel:
        """Return the model without an assignment.

        All others go with it that are amortized no cheaper in any query, if it is `others` that are dearer than one
        over an amortized budget, or no better in any query, if `others` are worse than one below a least utility.
        """
        chosen, queries = self.chosen(assignment), np.arange(len(assignment))
        if others == "dearer":
            costs = self.problem.amortized_costs()
            least = costs[queries, assignment] * (1 + 1e-12)
            chosen |= costs[self.query, self.state] > least[self.query]
        elif others == "worse":
            utilities = self.problem.utilities()
            chosen |= utilities[self.query, self.state] <= utilities[queries, assignment][self.query]
        entries = np.flatnonzero(chosen)
        return self._with(entries, np.ones(len(entries)), self.problem.n_queries - 1.0)

    def covering(self, assignment: IntArray, entry: Entry) -> MipModel:
        """Return the model without the assignments that use as much of a limit as one that breaks it, query by query.

        What is left out uses at least as much: more queries in a model or a group never cost less.
        """
        problem, chosen = self.problem, self.chosen(assignment)
        concerned = self.columns.concerned(entry)[: self.n_candidates]
        candidates = chosen & concerned
        queries = np.count_nonzero(candidates)
        if entry.kind == "min_group_utility":
            utility = problem.utilities()[self.query, self.state].astype(np.float64)
            candidates = concerned & (utility <= _of_chosen(utility, self.query, candidates, -np.inf))
        elif self.cost == "amortized" and entry.kind in OF_MONEY:
            usd = self.columns.usd[: self.n_candidates]
            candidates |= concerned & (usd > _of_chosen(usd, self.query, candidates, np.inf) * (1 + 1e-12))
        entries = np.flatnonzero(candidates)
        return self._with(entries, np.ones(len(entries)), queries - 1.0)

    def counting(self, call: int, queries: IntArray, needed: int) -> MipModel:
        """Return the model that knows how many calls some queries need together.

        Each query less saves at most one call, and each query more saves none.

        Parameters
        ----------
        call
            Position of a y column among those of calls.
        queries
            Queries of its group.
        needed
            Calls that they need in its state, all together.
        """
        candidates = np.flatnonzero((self.state == self.columns.call_state[call]) & np.isin(self.query, queries))
        values = np.append(np.ones(len(candidates)), -1.0)
        return self._with(np.append(candidates, self.n_candidates + call), values, float(len(queries) - needed))

    def _with(self, columns: IntArray, values: FloatArray, right: float) -> MipModel:
        """Return the model with one row more: ``values x[columns] <= right``."""
        return replace(
            self,
            starts=np.append(self.starts, np.int32(self.starts[-1] + len(columns))),
            index=np.concatenate([self.index, columns.astype(np.int32)]),
            value=np.concatenate([self.value, values]),
            row_lower=np.append(self.row_lower, -np.inf),
            row_upper=np.append(self.row_upper, right),
        )

    def column_names(self) -> list[str]:
        """Return ``x_<query>_<state>``, ``y_<group>_<state>`` and ``w_<group>_<model>``, by position."""
        candidates = zip(self.query.tolist(), self.state.tolist(), strict=True)
        writes = zip(self.columns.write_group.tolist(), self.columns.write_model.tolist(), strict=True)
        calls = [f"y_{g}_{s}" for g, s in self._call_cells()]
        return [f"x_{i}_{s}" for i, s in candidates] + calls + [f"w_{g}_{k}" for g, k in writes]

    def row_names(self) -> list[str]:
        """Return ``query_<i>``, ``calls_<group>_<state>``, ``write_<number>``, ``budget``, and the rest by kind."""
        names = [f"query_{i}" for i in range(self.problem.n_queries)]
        names += [f"calls_{g}_{s}" for g, s in self._call_cells()] + list(self.names)
        return names + [f"excluded_{number}" for number in range(self.n_rows - len(names))]

    def _call_cells(self) -> list[tuple[int, int]]:
        return list(zip(self.columns.call_group.tolist(), self.columns.call_state.tolist(), strict=True))


def build(
    problem: Problem,
    budget: float | None,
    cost: Cost,
    kept: BoolArray | None = None,
    floor: float | None = None,
    scaled: bool = True,
) -> MipModel:
    """Build the mixed-integer program of greatest utility within a budget, or of least cost.

    Parameters
    ----------
    problem
        Queries, models, utilities and constraints.
    budget
        USD; None for the program that minimizes cost instead.
    cost
        The cost model.
    kept
        The candidates that the program may choose, of those that are allowed: (N, S); None for all.
    floor
        Least total utility, or None.
    scaled
        Whether objective and soft rows are scaled, as solvers' absolute tolerances want it; else they are in utility
        and USD.
    """
    allowed = problem.allowed()
    query, state = np.nonzero(allowed if kept is None else allowed & kept)
    columns = make_columns(problem, query, state, cost)
    n, n_candidates, n_calls = problem.n_queries, len(query), len(columns.call_group)
    n_writes = len(columns.write_group)
    usd, utility = columns.usd, problem.utilities()[query, state].astype(np.float64)
    if budget is None:
        scale = 1.0 / float(usd.max()) if usd.max() > 0 else 1.0
        objective = -usd * scale
    else:
        scale = float(2.0 ** -np.ceil(np.log2(utility.max()))) if scaled and utility.max() > 0 else 1.0
        objective = np.concatenate([utility * scale, np.zeros(n_calls + n_writes)])
    to = n if scaled else None
    more = [] if budget is None else [money_row("budget", np.arange(len(usd)), usd, budget, to)]
    more += [utility_row("floor", np.arange(n_candidates), utility, floor, to)] if floor else []
    more += [*constraint_rows(columns, scaled), *conflict_rows(columns)]
    call_row, call_candidate, size = call_entries(columns)
    write_row, write_candidate, write = write_entries(columns)
    first = n + n_calls + len(write)
    row = [query, n + call_row, n + np.arange(n_calls), n + n_calls + write_row, n + n_calls + np.arange(len(write))]
    index = np.concatenate([
        np.arange(n_candidates), call_candidate, n_candidates + np.arange(n_calls),
        write_candidate, n_candidates + n_calls + write,
    ])  # fmt: skip
    ones = [np.ones(len(entries)) for entries in (query, call_candidate, write_candidate)]
    value = np.concatenate([*ones[:2], -size.astype(np.float64), ones[2], np.full(len(write), -1.0)])
    row = np.concatenate(row)
    order = np.argsort(row, kind="stable")
    lengths = np.concatenate([np.bincount(row, minlength=first), [len(one.columns) for one in more]])
    right = np.array([one.right for one in more], dtype=np.float64)
    soft, slack = np.array([one.soft for one in more], dtype=np.bool_), SLACK if scaled else 0.0
    return MipModel(
        columns=columns,
        cost=cost,
        budget=budget,
        floor=floor or None,
        objective=objective,
        objective_scale=scale,
        upper=np.concatenate([np.ones(n_candidates), columns.most.astype(np.float64), np.ones(n_writes)]),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        index=np.concatenate([index[order], *(one.columns for one in more)]).astype(np.int32),
        value=np.concatenate([value[order], *(one.values for one in more)]),
        row_lower=np.concatenate([np.ones(n), np.full(first - n + len(more), -np.inf)]),
        row_upper=np.concatenate([np.ones(n), np.zeros(first - n), right + np.where(soft, slack * np.abs(right), 0.0)]),
        right=np.concatenate([np.full(first, np.nan), np.where(soft, right, np.nan)]),
        budget_row=None if budget is None else first,
        names=(*(f"write_{number}" for number in range(len(write))), *(one.name for one in more)),
    )


def _of_chosen(values: FloatArray, query: IntArray, chosen: BoolArray, other: float) -> FloatArray:
    """Return for each candidate the value of the one that is chosen for its query, `other` where none is."""
    found = np.full(int(query.max()) + 1, other)
    found[query[chosen]] = values[chosen]
    of_pairs: FloatArray = found[query]
    return of_pairs
