"""The results of the benchmark of realized cost, and the files that show them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from robatch.bench.gap.report import render
from robatch.bench.gap.results import csv_text, measured_on, write_files
from robatch.bench.realized import rows as realized_rows
from robatch.bench.realized import tables as realized_tables
from robatch.bench.realized.rows import COLUMNS, RealizedRow
from robatch.bench.realized.sheets import Sheet, sheets
from robatch.bench.realized.sums import against_backends, losses, overspends, times
from robatch.instances.display import wording

PLOTS = {
    "overspend.png": "How often and how far the bill of the amortized optimum exceeds its budget, by size",
    "loss.png": "Utility lost by each solver under realized cost, by size, a panel for each budget",
    "time.png": "Time of each solver under realized cost, by size, a panel for each family",
}
FILES = ("results.csv", "realized.md", *PLOTS, "report.html")


@dataclass(frozen=True)
class RealizedResults:
    """What a benchmark of realized cost measured.

    Attributes
    ----------
    settings
        Instances with their seeds and hashes, fractions, solvers with their versions, those that were left out, the
        time limit and the commit of the sources.
    machine
        CPU, cores, memory, system, Python and package versions.
    rows
        One row a cell and solver; the amortized optimum first in each cell.
    command
        The command that repeats it, None if it was not started by one.
    """

    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    rows: tuple[RealizedRow, ...]
    command: str | None = None

    def contradictions(self) -> list[str]:
        """Say where one solver's proof is against a plan of another."""
        return realized_rows.contradictions(self.rows)

    def sheets(self) -> list[Sheet]:
        """Return the sums as tables of words and figures."""
        return sheets(self.rows, self.settings["backends"])

    def left_out(self) -> list[str]:
        """Say which solvers were left out, and why."""
        return [f"{name} was left out: {reason}" for name, reason in self.settings["left_out"].items()]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        by = ("queries", "budget_fraction")
        return {
            "command": self.command,
            "settings": dict(self.settings),
            "machine": dict(self.machine),
            "contradictions": self.contradictions(),
            "overspend": overspends(self.rows, *by),
            "loss": [
                {"solver": name, **record}
                for name in self.settings["solvers"]
                for record in losses(self.rows, name, *by)
            ],
            "times": times(self.rows, "queries"),
            "against_backends": against_backends(self.rows, self.settings["backends"]),
            "rows": [asdict(row) for row in self.rows],
        }

    def csv(self) -> str:
        """Return the rows as CSV, figures with all digits, empty where there is none."""
        return csv_text(COLUMNS, self.rows)

    def markdown(self) -> str:
        """Return the tables with the machine, the commit, the date and the command, as a page of Markdown."""
        facts = [*measured_on(self.settings, self.machine), *(f"- {fact}" for fact in self._facts())]
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
        facts = [
            f"{len(settings['instances'])} problems, budgets at {fractions} between the cheapest and the dearest plan, "
            f"time limit {settings['time_limit']:g} s a run, threads: {threads}, seeds of problems and solvers: "
            f"{seeds}",
            *self.left_out(),
            f"Date: {datetime.now(UTC):%Y-%m-%d}",
        ]
        return [*facts, f"Command: `{self.command}`"] if self.command else facts

    def _cells(self) -> list[dict[str, Any]]:
        """Return one table an instance, each a list of rows of words."""
        tables = []
        for _, group in groupby(self.rows, key=lambda row: row.instance):
            rows = list(group)
            lines = [
                {
                    "cells": realized_tables.cells(row),
                    "first": i == 0 or rows[i - 1].budget_fraction != row.budget_fraction,
                    "kind": realized_tables.kind(row),
                }
                for i, row in enumerate(rows)
            ]
            tables.append({"row": rows[0], "lines": lines})
        return tables

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the tables, the plots and the page to a folder, each file whole or not at all.

        Parameters
        ----------
        folder
            Made if it does not exist.

        Returns
        -------
        list of Path
            The `FILES` in the folder.

        Raises
        ------
        InputError
            If they cannot be written.
        """
        from robatch.bench.realized.plots import loss_plot, overspend_plot, time_plot

        drawn = (overspend_plot(self.rows), loss_plot(self.rows), time_plot(self.rows))
        plots = dict(zip(PLOTS, drawn, strict=True))
        page = render(
            "realized/realized.html.jinja",
            plots,
            results=self,
            sheets=self.sheets(),
            facts=self._facts(),
            alt=PLOTS,
            panels=self._cells(),
            columns=[title for title, _ in realized_tables.COLUMNS],
            words=realized_tables.WORDS,
            messages=[row for row in self.rows if row.message],
        )
        texts = {"results.csv": self.csv(), "realized.md": self.markdown(), "report.html": page}
        return write_files(folder, {**plots, **texts})
