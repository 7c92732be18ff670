"""The results of a scaling benchmark, and the files that show them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from robatch.bench.gap.results import csv_text, measured_on, write_files
from robatch.bench.scale import rows as scale_rows
from robatch.bench.scale.rows import COLUMNS, ScaleRow
from robatch.bench.scale.tables import markdown

FILES = ("results.csv", "time.png", "gap.png", "scale.md")

READING = """\
*Time* is the solver's median time, divided by the median time of one pass over the utilities as a dense array: a
compiled loop on one thread that finds the greatest utility of every query, run between the solver's runs in the same
process. Arrays of few queries stay in the processor's caches, where a pass is fast. †: stopped by its time limit.
*Gap* is to the least bound that any solver proved on the same problem; 0 is a proof, to a relative 1e-9. *Memory* is
the peak of the whole call beyond what was in use before it, measured in a process of its own. A solver that stopped at
its time limit is not run at larger sizes; – stands for not run or not known. `python-heap` is the scheduler `pareto`,
the paper's as reconstructed from its abstract, in plain Python.
"""  # noqa: RUF001 (a dash for a missing figure)


@dataclass(frozen=True)
class ScaleResults:
    """What a scaling benchmark measured.

    Attributes
    ----------
    settings
        Series, sizes, budget fraction, solvers with their versions, limits, seed and the commit of the sources.
    machine
        CPU, cores, memory, system, Python and package versions.
    rows
        One row a cell and solver.
    command
        The command that repeats it, None if it was not started by one.
    """

    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    rows: tuple[ScaleRow, ...]
    command: str | None = None

    def contradictions(self) -> list[str]:
        """Say where one solver's bound lies below a utility that another one reached."""
        return scale_rows.contradictions(self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "command": self.command,
            "settings": dict(self.settings),
            "machine": dict(self.machine),
            "contradictions": self.contradictions(),
            "rows": [asdict(row) for row in self.rows],
        }

    def csv(self) -> str:
        """Return the rows as CSV, figures with all digits, empty where there is none."""
        return csv_text(COLUMNS, self.rows)

    def markdown(self) -> str:
        """Return the tables with the machine, the commit, the date and the command, as a page of Markdown."""
        settings, machine = self.settings, self.machine
        facts = [
            *measured_on(settings, machine),
            f"- Budget fraction {settings['budget_fraction']:g}, amortized cost, time limit "
            f"{settings['time_limit']:g} s a run, at least {settings['repeats']} runs, seed {settings['seed']}",
            f"- Date: {datetime.now(UTC):%Y-%m-%d}",
        ]
        if self.command:
            facts.append(f"- Command: `{self.command}`")
        plots = "![time against the number of queries](time.png)\n\n![gap against the number of queries](gap.png)"
        head = ["# How solvers scale", "", *facts, "", READING, plots, ""]
        return "\n".join([*head, markdown(self.rows)]).rstrip() + "\n"

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the table, the plots and the page to a folder, each file whole or not at all.

        Parameters
        ----------
        folder
            Made if it does not exist.

        Returns
        -------
        list of Path
            ``results.csv``, ``time.png``, ``gap.png`` and ``scale.md`` in the folder.

        Raises
        ------
        InputError
            If they cannot be written.
        """
        from robatch.bench.scale.plots import gap_plot, time_plot

        plots = {"time.png": time_plot(self.rows), "gap.png": gap_plot(self.rows)}
        return write_files(folder, {"results.csv": self.csv(), **plots, "scale.md": self.markdown()})
