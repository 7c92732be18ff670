"""The results of the benchmark of realized cost, and the files that show them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from robatch.bench.common.results import Results
from robatch.bench.common.sheets import Sheet
from robatch.bench.realized.rows import RealizedRow, contradictions
from robatch.bench.realized.sheets import sheets
from robatch.bench.realized.sums import against_backends, losses, overspends, times
from robatch.bench.realized.tables import COLUMNS
from robatch.instances.display import wording

PLOTS = {
    "overspend.png": "How often and how far the bill of the amortized optimum exceeds its budget, by size",
    "loss.png": "Utility lost by each solver under realized cost, by size, a panel for each budget",
    "time.png": "Time of each solver under realized cost, by size, a panel for each family",
}


@dataclass(frozen=True)
class RealizedResults(Results[RealizedRow]):
    """What a benchmark of realized cost measured.

    Attributes
    ----------
    settings
        Instances with their seeds and hashes, fractions, solvers with their versions, those that were left out, the
        time limit and the commit of the sources.
    rows
        One row a cell and solver; the amortized optimum first in each cell.
    machine, command, compiled_s
        See `robatch.bench.common.results.Results`.
    """

    FILES = ("report.html", "realized.md", "results.csv", *PLOTS)

    def contradictions(self) -> list[str]:
        """Say where one solver's proof is against a plan of another."""
        return contradictions(self.rows)

    def sheets(self) -> list[Sheet]:
        """Return the sums as tables of words and figures."""
        return sheets(self.rows, self.settings["backends"])

    def left_out(self) -> list[str]:
        """Say which solvers were left out, and why."""
        return [f"{name} was left out: {reason}" for name, reason in self.settings["left_out"].items()]

    def notes(self) -> list[str]:
        """Say which solvers were left out, and why."""
        return self.left_out()

    def sums(self) -> dict[str, Any]:
        """Return the sums by size and budget, as plain values for JSON."""
        by = ("queries", "budget_fraction")
        lost = {name: losses(self.rows, name, *by) for name in self.settings["solvers"]}
        return {
            "overspend": overspends(self.rows, *by),
            "loss": [{"solver": name, **record} for name, records in lost.items() for record in records],
            "times": times(self.rows, "queries"),
            "against_backends": against_backends(self.rows, self.settings["backends"]),
        }

    def markdown(self) -> str:
        """Return the tables with the machine, the commit, the date and the command, as a page of Markdown."""
        facts = [f"- {fact}" for fact in (*self.measured_on(), *self._facts())]
        plots = [f"![{text}]({name})\n" for name, text in PLOTS.items()]
        tables: list[str] = []
        for note, group in groupby(self.sheets(), key=lambda sheet: sheet.note):
            for i, sheet in enumerate(group):  # the note once, above those that share it
                tables += [f"## {sheet.title}\n", *([f"{note}\n"] if i == 0 else []), sheet.markdown()]
        return "\n".join(["# What the realized cost changes", "", *facts, "", *plots, *tables]).rstrip() + "\n"

    def _facts(self) -> list[str]:
        settings = self.settings
        fractions = ", ".join(wording.fraction(fraction) for fraction in settings["fractions"])
        seeds = ", ".join(str(seed) for seed in sorted({about["seed"] for about in settings["instances"].values()}))
        threads = "each solver's default" if settings["threads"] is None else settings["threads"]
        solved = (
            f"{len(settings['instances'])} problems, budgets at {fractions} between the cheapest and the dearest plan, "
            f"time limit {settings['time_limit']:g} s a run, threads: {threads}, seeds of problems and solvers: {seeds}"
        )
        return [solved, *self.left_out(), *self.made_by()]

    def contents(self) -> dict[str, str | bytes]:
        """Return the tables, the plots and the page by the names of their files."""
        from robatch.bench.common.report import page, panels
        from robatch.bench.realized.plots import loss_plot, overspend_plot, time_plot

        drawn = (overspend_plot(self.rows), loss_plot(self.rows), time_plot(self.rows))
        plots = dict(zip(PLOTS, drawn, strict=True))
        report = page(
            "realized/page.html.jinja",
            self,
            plots,
            sheets=self.sheets(),
            facts=self._facts(),
            alt=PLOTS,
            panels=panels(self.rows, COLUMNS, lambda row: row.instance),
            columns=COLUMNS,
            verdict="loss",
        )
        return {"results.csv": self.csv(), "realized.md": self.markdown(), **plots, "report.html": report}
