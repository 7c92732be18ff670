"""The results of a gap benchmark, and the files that show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from robatch.bench.common import measure
from robatch.bench.common.results import Results
from robatch.bench.common.rows import Row
from robatch.bench.gap.rows import summary
from robatch.bench.gap.tables import COLUMNS, summary_sheet


@dataclass(frozen=True)
class GapResults(Results[Row]):
    """What a gap benchmark measured.

    Attributes
    ----------
    settings
        Instances with their hashes, fractions, cost models, solvers with their versions, limits and seed.
    machine, rows, command, compiled_s
        See `robatch.bench.common.results.Results`.
    """

    FILES = ("report.html", "results.csv", "gap.png", "runtime.png")

    def summary(self) -> list[dict[str, Any]]:
        """Sum up each solver under each cost model, see `robatch.bench.gap.rows.summary`."""
        return summary(self.rows)

    def sums(self) -> dict[str, Any]:
        """Return the summary, as plain values for JSON."""
        return {"summary": self.summary()}

    def contents(self) -> dict[str, str | bytes]:
        """Return the table, the plots and the page by the names of their files."""
        from robatch.bench.common.report import page, panels
        from robatch.bench.gap.plots import gap_plot, runtime_plot

        plots = {"gap.png": gap_plot(self.rows), "runtime.png": runtime_plot(self.rows)}
        report = page(
            "gap/page.html.jinja",
            self,
            plots,
            summary=summary_sheet(self.rows),
            panels=panels(self.rows, COLUMNS, lambda row: f"{row.instance} · {row.cost} cost"),
            columns=COLUMNS,
            verdict="gap",
            enough_ms=round(1000 * measure.ENOUGH_S),
            most_repeats=measure.MOST_REPEATS,
        )
        return {"results.csv": self.csv(), **plots, "report.html": report}
