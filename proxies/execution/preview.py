"""The dry run of an execution: what would be sent, and what it may cost."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

import numpy as np

from robatch.proxies.execution.dispatch import Dispatcher
from robatch.proxies.execution.meter import Charge
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.replay import replay
from robatch.proxies.execution.run import journal_path, prepare
from robatch.proxies.execution.sending import PLANNED_AGAIN, Sending
from robatch.proxies.execution.state import Execution


def dry_run(
    plan: RoutedPlan | str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    budget: float | None = None,
    overrun: float = 0.0,
    lost: Charge = "worst",
    key_variables: Collection[str] = (),
    grader: str | None = None,
) -> list[dict[str, Any]]:
    """Return the calls of a plan by state, with the USD expected and those that they cannot exceed; nothing is sent.

    Arguments and errors are those of `execute`, but for what only models can tell. Calls that were answered in `output`
    are counted as ``done``, and those that wait are the others: where a run that ended has more to spend now, those of
    the rest as it would be planned.
    """
    return preview(plan, output, Sending(budget, overrun, lost), key_variables, grader)[0]


def preview(
    plan: RoutedPlan | str | os.PathLike[str],
    output: str | os.PathLike[str] | None,
    sending: Sending,
    key_variables: Collection[str],
    grader: str | None,
) -> tuple[list[dict[str, Any]], float, float]:
    """Return what `dry_run` does, the budget, and what is left of it, in USD."""
    routed, queries, _ = prepare(plan, output, key_variables, grader)
    state = Execution.begin(routed)
    if output is not None and journal_path(output).exists():
        replay(state, journal_path(output))
    dispatcher = Dispatcher(routed, queries, state)
    kinds = set[str]()
    for event in sending.resumption(state):
        state.apply(event)
        kinds.add(event["event"])
    if not kinds.isdisjoint(PLANNED_AGAIN):
        state.apply(dispatcher.replan())
    rows: dict[int, dict[str, Any]] = {}

    def row_of(column: int) -> dict[str, Any]:
        name, size = routed.problem.states[column]
        zero = {"done": 0, "queries": 0, "calls": 0, "expected": 0.0, "worst": 0.0}
        return rows.setdefault(column, {"model": name, "batch_size": size, **zero})

    for column in np.flatnonzero(state.done.calls).tolist():
        row_of(column)["done"] = int(state.done.calls[column])
    for call in state.queue.values():
        row, ready = row_of(call.column), dispatcher.ready(call)
        row["queries"] += len(call.queries)
        row["calls"] += 1
        model = dispatcher.model_of(call)
        row["expected"] += routed.pool[model].cost(*state.expected(call)) + routed.bills[model].extra()
        row["worst"] += ready.worst
    return [rows[column] for column in sorted(rows)], state.meter.budget, state.meter.left
