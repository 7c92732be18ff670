"""The results of a gap benchmark, and the files that show them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robatch.bench import rows as rows_
from robatch.bench.rows import COLUMNS, Row
from robatch.instances.errors import InputError
from robatch.instances.files import replacing, write_text

FILES = ("results.csv", "gap.png", "runtime.png", "report.html")


@dataclass(frozen=True)
class GapResults:
    """What a gap benchmark measured.

    Attributes
    ----------
    settings
        Instances with their hashes, fractions, cost models, solvers with their versions, limits and seed.
    machine
        CPU, cores, memory, system, Python and package versions.
    rows
        One row a cell and solver.
    """

    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    rows: tuple[Row, ...]

    def summary(self) -> list[dict[str, Any]]:
        """Sum up each solver under each cost model, see `robatch.bench.rows.summary`."""
        return rows_.summary(self.rows)

    def contradictions(self) -> list[str]:
        """Say where one solver's bound lies below a utility that another one reached."""
        return rows_.contradictions(self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "settings": dict(self.settings),
            "machine": dict(self.machine),
            "summary": self.summary(),
            "contradictions": self.contradictions(),
            "rows": [asdict(row) for row in self.rows],
        }

    def csv(self) -> str:
        """Return the rows as CSV, figures with all digits, empty where there is none."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([getattr(row, name) for name in COLUMNS] for row in self.rows)
        return text.getvalue()

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the table, the plots and the page to a folder, each file whole or not at all.

        Parameters
        ----------
        folder
            Made if it does not exist.

        Returns
        -------
        list of Path
            ``results.csv``, ``gap.png``, ``runtime.png`` and ``report.html`` in the folder.

        Raises
        ------
        InputError
            If they cannot be written.
        """
        from robatch.bench.plots import gap_plot, runtime_plot
        from robatch.bench.report import page

        paths = [Path(folder) / name for name in FILES]
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {str(folder)!r}: {error.strerror or error}") from None
        plots = {"gap.png": gap_plot(self.rows), "runtime.png": runtime_plot(self.rows)}
        write_text(paths[0], self.csv())
        for path, image in zip(paths[1:3], plots.values(), strict=True):
            with replacing(path) as temporary:
                temporary.write_bytes(image)
        write_text(paths[3], page(self, plots))
        return paths
