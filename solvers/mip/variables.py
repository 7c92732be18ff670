"""Columns of the mixed-integer program: candidates, which are pairs of a query and a state, calls, and writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import BoolArray, FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.solvers.limits import OF_GROUPS, Entry
from robatch.solvers.plan.plan import Cost


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a program: candidates (query, state), then calls (group, state), then writes (group, model).

    Attributes
    ----------
    problem
        What is modelled.
    query, state
        Query and state of each candidate.
    call_group, call_state
        Group and state of each call column.
    alone
        Whether a candidate is a call by itself: no call of its group and state can hold more.
    usd
        What each column costs.
    most
        Upper bound of each call column.
    write_group, write_model
        Group and model of each column that says whether the model's shared prompt is written to a cache for the group.
    """

    problem: Problem
    query: IntArray
    state: IntArray
    call_group: IntArray
    call_state: IntArray
    alone: BoolArray
    usd: FloatArray
    most: IntArray
    write_group: IntArray
    write_model: IntArray

    def concerned(self, entry: Entry) -> BoolArray:
        """Return whether each column is of the model or the group of a limit."""
        if entry.kind in OF_GROUPS:
            places = np.concatenate([self.problem.group_codes[self.query], self.call_group, self.write_group])
        else:
            places = self.problem.state_model[np.concatenate([self.state, self.call_state])]
            places = np.concatenate([places, self.write_model])
        return np.asarray(places == entry.place)


def make_columns(problem: Problem, query: IntArray, state: IntArray, cost: Cost) -> Columns:
    """Return the columns: candidates and, where calls are billed or limited and can be shared, calls."""
    realized = cost == "realized"
    limited = np.zeros(problem.n_models, dtype=np.bool_)
    if problem.constraints is not None:
        limited = np.array([model.name in problem.constraints.max_calls for model in problem.models])
    cell = problem.group_codes[query] * problem.n_states + state
    queries = np.bincount(cell, minlength=problem.n_groups * problem.n_states)
    batch = np.tile(problem.state_batch_size, problem.n_groups)
    size = np.minimum(batch, queries)  # no call of this group and state can hold more
    matters = limited[problem.state_model] | (problem.call_price > 0 if realized else False)
    cells = np.flatnonzero((size > 1) & np.tile(matters, problem.n_groups))
    call_group, call_state = np.divmod(cells, problem.n_states)
    alone = size[cell] == 1
    if realized:
        tokens = problem.own_costs()[query, state]
        usd = tokens + np.where(alone, problem.call_price[state], 0.0)
    else:
        usd = problem.amortized_costs()[query, state]
    used = np.zeros(problem.n_groups * problem.n_models, dtype=np.bool_)
    used[problem.group_codes[query] * problem.n_models + problem.state_model[state]] = True
    paid = used & np.tile((problem.write_charge > 0.0) & realized, problem.n_groups)
    write_group, write_model = np.divmod(np.flatnonzero(paid), problem.n_models)
    calls = problem.call_price[call_state] if realized else np.zeros(len(cells))
    apart = np.isin(call_group, problem.group_codes[conflicts_within_groups(problem)[:, 0]])
    return Columns(
        problem=problem,
        query=query,
        state=state,
        call_group=call_group,
        call_state=call_state,
        alone=alone,
        usd=np.concatenate([usd, calls, problem.write_charge[write_model]]),
        most=np.where(apart, queries[cells], -(-queries[cells] // batch[cells])),
        write_group=write_group,
        write_model=write_model,
    )


def call_entries(columns: Columns) -> tuple[IntArray, IntArray, IntArray]:
    """Return the call column that counts a candidate, the candidate, and the size of each column's calls."""
    problem, n_states = columns.problem, columns.problem.n_states
    cells = columns.call_group * n_states + columns.call_state
    position = np.full(problem.n_groups * n_states, -1)
    position[cells] = np.arange(len(cells))
    row = position[problem.group_codes[columns.query] * n_states + columns.state]
    candidates = np.flatnonzero(row >= 0)
    size = np.minimum(problem.state_batch_size[columns.call_state], np.bincount(row[candidates], minlength=len(cells)))
    return row[candidates], candidates, size


def write_entries(columns: Columns) -> tuple[IntArray, IntArray, IntArray]:
    """Return the rows in which a query needs a write, as (row, candidate) entries, and the write column of each row.

    A row stands for a query and a model: the query's candidates in the model's states are at most the write.
    """
    problem, models = columns.problem, columns.problem.n_models
    position = np.full(problem.n_groups * models, -1)
    position[columns.write_group * models + columns.write_model] = np.arange(len(columns.write_group))
    model = problem.state_model[columns.state]
    write = position[problem.group_codes[columns.query] * models + model]
    candidates = np.flatnonzero(write >= 0)
    pairs, row = np.unique(columns.query[candidates] * models + model[candidates], return_inverse=True)
    of_row = np.empty(len(pairs), dtype=np.int64)
    of_row[row] = write[candidates]
    return row, candidates, of_row


def conflicts_within_groups(problem: Problem) -> IntArray:
    """Return the conflicts (E, 2) of queries that could share a call otherwise."""
    if problem.conflicts is None:
        return np.zeros((0, 2), dtype=np.int64)
    codes = problem.group_codes[problem.conflicts]
    kept: IntArray = problem.conflicts[codes[:, 0] == codes[:, 1]]
    return kept
