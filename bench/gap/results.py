"""The results of a gap benchmark, and the files that show them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robatch.bench.common import rows as rows_
from robatch.bench.common.rows import COLUMNS, Row
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
        """Sum up each solver under each cost model, see `robatch.bench.common.rows.summary`."""
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
        return csv_text(COLUMNS, self.rows)

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
        from robatch.bench.gap.plots import gap_plot, runtime_plot
        from robatch.bench.gap.report import page

        plots = {"gap.png": gap_plot(self.rows), "runtime.png": runtime_plot(self.rows)}
        return write_files(folder, {"results.csv": self.csv(), **plots, "report.html": page(self, plots)})


def csv_text(columns: Sequence[str], rows: Iterable[Any]) -> str:
    """Return some fields of rows as CSV; lists and dicts as JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        values = (getattr(row, name) for name in columns)
        writer.writerow([json.dumps(value) if isinstance(value, list | dict) else value for value in values])
    return text.getvalue()


def measured_on(settings: Mapping[str, Any], machine: Mapping[str, Any]) -> list[str]:
    """Return the machine, the software with its commit, and the solvers as lines of a list in Markdown."""
    packages = machine["packages"]
    sources = f"robatch {packages.get('robatch', 'unknown')}"
    if settings["commit"]:
        sources += f", commit {settings['commit']}"
    system, *_, hardware = machine["system"].split()
    memory = "" if machine["memory_gib"] is None else f", {machine['memory_gib']} GiB of memory"
    solvers = ", ".join(f"{name} {version or 'not installed'}" for name, version in settings["solvers"].items())
    return [
        f"- Machine: {machine['cpu']}, {machine['cores']} cores{memory}, {system} {hardware}",
        f"- Software: {sources}; {machine['python']}, NumPy {packages.get('numpy')}, Numba {packages.get('numba')}",
        f"- Solvers: {solvers}",
    ]


def write_files(folder: str | os.PathLike[str], contents: Mapping[str, str | bytes]) -> list[Path]:
    """Write files to a folder, which is made if it does not exist; each whole or not at all.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {str(folder)!r}: {error.strerror or error}") from None
    for name, content in contents.items():
        if isinstance(content, str):
            write_text(Path(folder) / name, content)
        else:
            with replacing(Path(folder) / name) as temporary:
                temporary.write_bytes(content)
    return [Path(folder) / name for name in contents]
