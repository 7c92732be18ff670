"""The figures of the ratios benchmark, and the files that show them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from robatch.bench.common.results import csv_text, write_files
from robatch.instances.display import wording

FILES = ("ratios.csv", "ratios.md")

UNITS = """\
*pass*: the time of one pass over the dense utilities by a compiled loop on one thread that finds the greatest utility
of every query. *max*: the same by a loop that finds the greatest of all, each step of which waits for the one before.
Times are medians, of the solver alone unless "call" says that evaluation and check are in them too. Problems are solved
under amortized cost, unless a row says realized.
"""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure.

    Attributes
    ----------
    work, unit
        What was measured, and in what.
    value
        The figure, None if it could not be measured.
    target
        What was aimed at, as text; empty if nothing was.
    reached
        Whether it was reached; None without one.
    note
        What else there is to say.
    """

    work: str
    unit: str
    value: float | None
    target: str = ""
    reached: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class Ratios:
    """All figures, with the machine that they were measured on.

    Attributes
    ----------
    rows
        The figures.
    machine
        CPU, cores, memory, system, Python and package versions.
    commit
        Of the sources, None if unknown.
    command
        The command that repeats the measurement.
    compiled_s
        Seconds spent in compiling kernels before anything was timed.
    """

    rows: tuple[Ratio, ...]
    machine: dict[str, Any]
    commit: str | None
    command: str | None
    compiled_s: float = 0.0

    def markdown(self) -> str:
        """Return the page: a table, and what it was measured on."""
        lines = ["# Ratios", "", UNITS, "| work | measured | target | reached | |", "| --- | ---: | ---: | --- | --- |"]
        for row in self.rows:
            reached = {True: "yes", False: "**no**", None: ""}[row.reached]
            lines.append(f"| {row.work} | {figure(row)} | {row.target} | {reached} | {row.note} |")
        where = f"{self.machine['cpu']}, {self.machine['cores']} cores, {self.machine['python']}"
        how = f", by `{self.command}`" if self.command else ""
        compiled = f"Kernels were compiled or loaded in {wording.seconds(self.compiled_s)}, before anything was timed."
        return "\n".join([*lines, "", f"Measured on {where}, commit {self.commit or 'unknown'}{how}. {compiled}", ""])

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return asdict(self)

    def write(self, folder: str | Path) -> None:
        """Write ratios.csv and ratios.md into a folder.

        Raises
        ------
        InputError
            If a file cannot be written.
        """
        names = tuple(each.name for each in fields(Ratio))
        texts = (csv_text(names, self.rows), self.markdown())
        write_files(folder, {name: text.encode() for name, text in zip(FILES, texts, strict=True)})


def figure(row: Ratio) -> str:
    """Write a figure with its unit."""
    if row.value is None:
        return wording.NONE
    if row.unit == "s":
        return wording.seconds(row.value)
    return f"{wording.ratio(row.value)} {row.unit}"
