"""Plans of assignments that come from elsewhere: arrays, tables of models and batch sizes, solution files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray
from robatch.instances.arrow_tables import Table
from robatch.instances.errors import InputError
from robatch.instances.number_text import Quantity
from robatch.instances.problem import Problem
from robatch.instances.routing_table import QUERY_COLUMNS
from robatch.solvers.check.verify import verify
from robatch.solvers.exchange.solution import is_solution, read_solution
from robatch.solvers.plan.given import given_plan
from robatch.solvers.plan.plan import Cost, Plan


def plan_from(
    problem: Problem,
    assignment: Any,
    budget: float | None = None,
    cost: Cost = "realized",
    *,
    bound: float | None = None,
    solver: str = "given",
    solver_version: str = "unknown",
) -> Plan:
    """Make a plan of an assignment that was found elsewhere, and check it.

    Parameters
    ----------
    problem
        The problem.
    assignment
        The state of each query: column numbers (N,), or N pairs of a model and a batch size; a table in memory or a
        file of one, with the columns ``model`` and ``batch_size`` or ``state``, in the order of the queries or with
        their ids as ``query_id``; or the path of a solution file, see `robatch.solvers.read_solution`.
    budget
        USD that the plan keeps; None for what it costs.
    cost
        The cost model of the budget.
    bound
        An upper bound on the utility of any plan within the budget that is said to be proven, or None. Nothing can
        check it but that the utility is not above it.
    solver, solver_version
        Who found it, for the plan to say.

    Returns
    -------
    Plan
        Checked by `verify`; its status is ``"feasible"``, or ``"optimal"`` where the bound says so.

    Raises
    ------
    InputError
        If the assignment is not one of this problem.
    VerificationError
        If it breaks the budget or a constraint, or its utility is above the bound.
    """
    plan = given_plan(problem, states_from(problem, assignment), budget, cost, bound, solver, solver_version)
    verify(problem, plan)
    return plan


def states_from(problem: Problem, assignment: Any) -> npt.ArrayLike:
    """Return the states (N,) of an assignment in any form that `plan_from` takes."""
    if isinstance(assignment, Plan):
        if assignment.assignment is None:
            raise InputError(f"the plan has status {assignment.status!r}: it assigns nothing")
        return assignment.assignment
    if isinstance(assignment, str | os.PathLike):
        if is_solution(assignment):
            return read_solution(problem, assignment)
        return _of_table(problem, assignment)
    if isinstance(assignment, Mapping) or hasattr(assignment, "columns") or hasattr(assignment, "__dataframe__"):
        return _of_table(problem, assignment)
    if isinstance(assignment, list | tuple) and len(assignment):
        if isinstance(assignment[0], Mapping):
            return _of_table(problem, list(assignment))
        if isinstance(assignment[0], tuple | list) and len(assignment[0]) == 2:
            return _of_pairs(problem, assignment)
    states: npt.NDArray[Any] = np.asarray(assignment)
    return states


def _of_pairs(problem: Problem, pairs: Any) -> IntArray:
    known = {tuple(state): column for column, state in enumerate(problem.states)}
    found = np.empty(len(pairs), dtype=np.int64)
    for query, pair in enumerate(pairs):
        try:
            found[query] = known[tuple(pair)]
        except (KeyError, TypeError):
            states = ", ".join(map(str, problem.states[:4])) + (", ..." if problem.n_states > 4 else "")
            raise InputError(f"the state of row {query + 1} is {pair!r}: the problem's are {states}") from None
    return found


def _of_table(problem: Problem, source: Any) -> IntArray:
    """Return the states of a table, in the order of the problem's queries."""
    table = Table.of(source, "assignment")
    if table.has("model") and table.has("batch_size"):
        sizes = _whole(table, "batch_size").tolist()
        codes, labels = table.codes("model", as_text=True)
        states = _of_pairs(problem, list(zip(labels[codes].tolist(), sizes, strict=True)))
    else:
        states = _whole(table, "state")
    ids = np.arange(problem.n_queries) if problem.query_ids is None else problem.query_ids
    column = next((name for name in QUERY_COLUMNS if table.has(name)), None)
    if column is None:
        return states
    codes, labels = table.codes(column, as_text=ids.dtype.kind == "U")
    position = {label: row for row, label in enumerate(labels[codes].tolist())}
    missing = next((one for one in ids.tolist() if one not in position), None)
    if missing is not None or table.rows != len(position):
        what = f"lacks query {missing!r}" if missing is not None else "has queries in more than one row"
        raise InputError(f"{table.name} {what}: one row for each of the problem's queries is needed")
    return states[[position[one] for one in ids.tolist()]]


def _whole(table: Table, column: str) -> IntArray:
    values = table.numbers(column, Quantity(0.0, 2.0**31))
    wrong = values != np.floor(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{column} in {table.row_name(row)} of {table.name} is {values[row]!r}: a whole number is needed"
        )
    return values.astype(np.int64)
