"""The mixed-integer program of a problem: one formulation for each cost model, shared by all backends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.problem import BoolArray, IntArray, Problem
from robatch.solvers.plan import Cost

FloatArray = npt.NDArray[np.float64]

SLACK = 1e-11  # relative: the budget row lets rounding pass; what exceeds the budget in fact is rejected later
TOO_DEAR = 100.0  # times the budget: coefficients are cut there, which allows no plan more


@dataclass(frozen=True, eq=False)
class MipModel:
    """``maximize objective x`` subject to ``row_lower <= A x <= row_upper``, ``0 <= x <= upper``, x whole.

    Columns are first the pairs: x[i, s] = 1 if query i is answered in state s, one for each state that is
    allowed for the query, by query. Under realized cost the calls follow: y[g, s] calls of state s in
    group g, where batch size and the group's number of queries are above 1 and calls have a price.

    Rows are first the queries (each has one state), then the calls (as many as their queries need), then
    the budget row, if there is one, then rows that exclude assignments.

    Attributes
    ----------
    problem, cost, budget
        What is modelled; `budget` is None in the program of least cost.
    query, state
        Query and state of each pair.
    call_group, call_state
        Group and state of each y.
    objective
        Coefficient of each column: utility times `objective_scale`, a power of two that brings the greatest
        one close to 1; in the program of least cost the negative USD times `objective_scale`.
    upper
        Upper bound of each column; lower bounds are 0.
    starts, index, value
        Rows of A, compressed: row r holds the entries from ``starts[r]`` to ``starts[r + 1]``.
    row_lower, row_upper
        Bounds of the rows. The budget row is scaled to a right-hand side of N, so that coefficients are
        near 1 and solvers' absolute tolerances mean little.
    budget_row
        Position of the budget row, or None.
    """

    problem: Problem
    cost: Cost
    budget: float | None
    query: IntArray
    state: IntArray
    call_group: IntArray
    call_state: IntArray
    objective: FloatArray
    objective_scale: float
    upper: FloatArray
    starts: npt.NDArray[np.int32]
    index: npt.NDArray[np.int32]
    value: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    budget_row: int | None

    @property
    def n_pairs(self) -> int:
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

    def to_assignment(self, values: npt.ArrayLike) -> IntArray:
        """Return the assignment (N,) of a solver's values: each query's state of greatest x."""
        shape = (self.problem.n_queries, self.problem.n_states)
        dense = np.full(shape, -np.inf)
        dense[self.query, self.state] = np.asarray(values)[: self.n_pairs]
        return np.asarray(dense.argmax(axis=1), dtype=np.int64)

    def to_values(self, assignment: IntArray) -> FloatArray:
        """Return the value of every column under an assignment (N,)."""
        chosen = assignment[self.query] == self.state
        calls = self.problem.call_counts(assignment)[self.call_group, self.call_state]
        return np.asarray(np.concatenate([chosen, calls]), dtype=np.float64)

    def with_budget(self, factor: float) -> MipModel:
        """Return the model with its budget times a factor close to 1."""
        assert self.budget_row is not None
        row_upper = self.row_upper.copy()
        row_upper[self.budget_row] = self.problem.n_queries * factor
        return replace(self, row_upper=row_upper)

    def excluding(self, assignment: IntArray) -> MipModel:
        """Return the model without an assignment that exceeds the budget.

        Under amortized cost all assignments that are no cheaper in any query go with it.
        """
        chosen = assignment[self.query] == self.state
        if self.cost == "amortized":
            costs = self.problem.amortized_costs()
            least = costs[np.arange(len(assignment)), assignment] * (1 + 1e-12)
            chosen |= costs[self.query, self.state] > least[self.query]
        entries = np.flatnonzero(chosen).astype(np.int32)
        return replace(
            self,
            starts=np.append(self.starts, np.int32(self.starts[-1] + len(entries))),
            index=np.concatenate([self.index, entries]),
            value=np.concatenate([self.value, np.ones(len(entries))]),
            row_lower=np.append(self.row_lower, -np.inf),
            row_upper=np.append(self.row_upper, self.problem.n_queries - 1.0),
        )

    def column_names(self) -> list[str]:
        """Return ``x_<query>_<state>`` and ``y_<group>_<state>``, by position."""
        pairs = zip(self.query.tolist(), self.state.tolist(), strict=True)
        calls = zip(self.call_group.tolist(), self.call_state.tolist(), strict=True)
        return [f"x_{i}_{s}" for i, s in pairs] + [f"y_{g}_{s}" for g, s in calls]

    def row_names(self) -> list[str]:
        """Return ``query_<i>``, ``calls_<group>_<state>`` and ``budget``."""
        calls = zip(self.call_group.tolist(), self.call_state.tolist(), strict=True)
        names = [f"query_{i}" for i in range(self.problem.n_queries)] + [f"calls_{g}_{s}" for g, s in calls]
        names += ["budget"] if self.budget_row is not None else []
        return names + [f"excluded_{number}" for number in range(self.n_rows - len(names))]


def build(
    problem: Problem, budget: float | None, cost: Cost, slack: float = SLACK, kept: BoolArray | None = None
) -> MipModel:
    """Build the mixed-integer program of greatest utility within a budget, or of least cost.

    Parameters
    ----------
    problem
        Queries, models and utilities.
    budget
        USD; None for the program that minimizes cost instead.
    cost
        The cost model.
    slack
        Relative amount by which the budget row exceeds the budget.
    kept
        The pairs that the program may choose, of those that are allowed: (N, S); None for all.
    """
    allowed = problem.allowed()
    query, state = np.nonzero(allowed if kept is None else allowed & kept)
    if cost == "amortized":
        pair_cost = problem.amortized_costs()[query, state]
        cell = np.zeros(0, dtype=np.int64)
        calls: dict[str, Any] = {"cells": cell, "pairs": cell, "row": cell, "size": cell, "most": cell}
    else:
        pair_cost, calls = _calls(problem, query, state)
    call_group, call_state = np.divmod(calls["cells"], problem.n_states)
    usd = np.concatenate([pair_cost, problem.call_price[call_state]])
    n, pairs, n_calls = problem.n_queries, len(query), len(call_group)
    rows = [query, n + calls["row"], n + np.arange(n_calls)]
    columns = [np.arange(pairs), calls["pairs"], pairs + np.arange(n_calls)]
    values = [np.ones(pairs), np.ones(len(calls["pairs"])), -calls["size"].astype(np.float64)]
    row_lower = np.concatenate([np.ones(n), np.full(n_calls, -np.inf)])
    row_upper = np.concatenate([np.ones(n), np.zeros(n_calls)])
    if budget is None:
        scale = 1.0 / float(usd.max()) if usd.max() > 0 else 1.0
        objective, budget_row = -usd * scale, None
    else:
        utility = problem.utilities()[query, state].astype(np.float64)
        scale = float(2.0 ** -np.ceil(np.log2(utility.max()))) if utility.max() > 0 else 1.0
        objective, budget_row = np.concatenate([utility * scale, np.zeros(n_calls)]), n + n_calls
        rows.append(np.full(len(usd), budget_row))
        columns.append(np.arange(len(usd)))
        values.append(np.minimum(usd / budget, TOO_DEAR) * n)
        row_lower, row_upper = np.append(row_lower, -np.inf), np.append(row_upper, n * (1 + slack))
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(row_upper)))])
    return MipModel(
        problem=problem,
        cost=cost,
        budget=budget,
        query=query,
        state=state,
        call_group=call_group,
        call_state=call_state,
        objective=objective,
        objective_scale=scale,
        upper=np.concatenate([np.ones(pairs), calls["most"].astype(np.float64)]),
        starts=starts.astype(np.int32),
        index=np.concatenate(columns)[order].astype(np.int32),
        value=np.concatenate(values)[order],
        row_lower=row_lower,
        row_upper=row_upper,
        budget_row=budget_row,
    )


def _calls(problem: Problem, query: IntArray, state: IntArray) -> tuple[FloatArray, dict[str, IntArray]]:
    """Return the USD of every pair under realized cost, and the y columns with their rows."""
    cell = problem.group_codes[query] * problem.n_states + state
    queries = np.bincount(cell, minlength=problem.n_groups * problem.n_states)
    batch = np.tile(problem.state_batch_size, problem.n_groups)
    size = np.minimum(batch, queries)  # no call of this group and state can hold more
    price = np.tile(problem.call_price, problem.n_groups)
    cells = np.flatnonzero((size > 1) & (price > 0))
    position = np.full(len(queries), -1)
    position[cells] = np.arange(len(cells))
    own = problem.query_costs()[query, problem.state_model[state]]
    alone = size[cell] == 1  # a call for each query: its price is the query's
    shared = np.flatnonzero(position[cell] >= 0)
    calls = {
        "cells": cells,
        "pairs": shared,
        "row": position[cell[shared]],
        "size": size[cells],
        "most": -(-queries[cells] // batch[cells]),
    }
    return own + np.where(alone, problem.call_price[state], 0.0), calls
