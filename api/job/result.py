"""What a job comes to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from robatch.proxies.execution.report import ExecutionReport
from robatch.solvers.cheapest.curve import CurvePoint


@dataclass(frozen=True, eq=False)
class JobResult:
    """What `run` returns.

    Attributes
    ----------
    table
        The rows of the input in their order, with the columns of the answers: a `pyarrow.Table`.
    statuses
        How many rows were answered, unread, unanswered and empty.
    spent
        USD by kind of step, over all runs of this job.
    total
        USD of all steps, with what tries of unknown bill were charged.
    lost
        The part of `total` whose bill is not known.
    notes
        What was said on the way.
    curve
        The least cost, as predicted, of shares of the best model's utility; empty where nothing was routed.
    report
        Of the last execution; None where every answer was known.
    judge
        Whose answers the measured ones were compared with where no true answers were given, else None: all utilities
        are then agreement with this model.
    source
        The kind of table that was given, for `frame`.
    """

    table: Any
    statuses: dict[str, int]
    spent: dict[str, float]
    total: float
    lost: float
    budget: float
    notes: tuple[str, ...]
    curve: tuple[CurvePoint, ...]
    report: ExecutionReport | None
    judge: str | None
    folder: Path
    source: str

    @property
    def complete(self) -> bool:
        """Whether every row with a text was asked."""
        return "unanswered" not in self.statuses

    @cached_property
    def frame(self) -> Any:
        """The table as a frame of the library that the input was of: pandas, polars, or else Arrow."""
        if self.source == "pandas":
            return self.table.to_pandas()
        if self.source == "polars":
            import polars

            return polars.from_arrow(self.table)
        return self.table

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the table."""
        return {
            "rows": self.table.num_rows, "statuses": self.statuses, "spent": self.spent, "total": self.total,
            "lost": self.lost, "budget": self.budget, "notes": list(self.notes), "complete": self.complete,
            "curve": [point.to_dict() for point in self.curve], "judge": self.judge, "folder": str(self.folder),
            "report": None if self.report is None else self.report.to_dict(),
        }  # fmt: skip
