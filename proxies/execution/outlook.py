"""What a plan is worth as it is executed: the states in which queries were asked in the end, or will be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.proxies.execution.calls import Event
from robatch.proxies.execution.finished import NOT_ASKED
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.state import Execution


class TooMuchLoss(InputError):  # noqa: N818 (a run that stops, and no mistake of its input)
    """A run stopped: as it would go on, it would lose more of the predicted utility than is allowed."""


@dataclass(frozen=True)
class Outlook:
    """What an execution is predicted to be worth, against what was planned.

    Attributes
    ----------
    planned
        Utility as predicted for the plan.
    utility, low, high
        As executed: predicted, and the 90 % interval where the plan has one. The part of its width that all queries
        share grows with the utility, the part of chance with the spread of right and wrong; the larger factor counts.
    cheaper, dearer, resized, not_asked
        Queries that moved to a cheaper model, to a dearer one, to another batch size alone, and those without a call.
    """

    planned: float
    utility: float
    low: float | None
    high: float | None
    cheaper: int
    dearer: int
    resized: int
    not_asked: int

    @property
    def loss(self) -> float:
        """The part of the planned utility that is lost, at least 0."""
        return max(0.0, 1.0 - self.utility / self.planned) if self.planned > 0.0 else 0.0

    def moves(self) -> str:
        """Say which queries are not asked as planned; nothing where all are."""
        counts = (
            (self.cheaper, "moved to a cheaper model"),
            (self.dearer, "moved to a dearer model"),
            (self.resized, "moved to another batch size"),
            (self.not_asked, "not sent"),
        )
        return ", ".join(f"{count} {'query' if count == 1 else 'queries'} {what}" for count, what in counts if count)

    def to_dict(self) -> dict[str, float | None]:
        """Give the outlook as plain values for JSON."""
        return asdict(self)


def last_states(state: Execution, replanned: Event | None = None) -> IntArray:
    """Return the state in which each query was asked last, or will be, after planning again too: (N,)."""
    columns = state.final.columns.copy()
    for call in chain(state.queue.values(), state.flying.values()):
        if replanned is None or call.again:
            columns[list(call.queries)] = call.column
    for column, queries in () if replanned is None else replanned["calls"]:
        columns[queries] = column
    return columns


def outlook(routed: RoutedPlan, columns: IntArray) -> Outlook:
    """Return what a plan is worth where its queries are asked in these states, `NOT_ASKED` for those without one."""
    problem, rows = routed.problem, np.arange(len(columns))
    before, utilities = np.asarray(routed.plan.assignment), problem.utilities()
    asked = columns != NOT_ASKED
    planned, now = utilities[rows, before], np.where(asked, utilities[rows, np.maximum(columns, 0)], 0.0)
    total, low, high = (routed.predicted.get(name) for name in ("utility", "low", "high"))
    total = float(planned.sum(dtype=float)) if total is None else total
    share = float(now.sum(dtype=float)) / max(float(planned.sum(dtype=float)), 1e-300)
    if low is not None and high is not None:
        chance = [float((part * (1.0 - part)).sum(dtype=float)) for part in (now, planned)]
        width = max(share, (chance[0] / chance[1]) ** 0.5 if chance[1] > 0.0 else 0.0)
        low, high = max(0.0, total * share - (total - low) * width), total * share + (high - total) * width
        high = min(high, float(asked.sum()))
    costs = problem.query_costs()
    models = problem.state_model
    change = costs[rows, models[np.maximum(columns, 0)]] - costs[rows, models[before]]
    return Outlook(
        planned=total,
        utility=total * share,
        low=low,
        high=high,
        cheaper=int((asked & (change < 0.0)).sum()),
        dearer=int((asked & (change > 0.0)).sum()),
        resized=int((asked & (change == 0.0) & (columns != before)).sum()),
        not_asked=int((~asked).sum()),
    )
