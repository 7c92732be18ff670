"""The results of a benchmark as data and as files: the rows as CSV, plots, and what they were measured on."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from robatch.bench.common import rows as shared
from robatch.bench.common.rows import BenchmarkRow
from robatch.instances.display import html, wording
from robatch.instances.display.frames import Library, frame
from robatch.instances.errors import InputError
from robatch.instances.files import replacing, write_text

R = TypeVar("R", bound=BenchmarkRow)


@dataclass(frozen=True)
class Results(Generic[R]):
    """What a benchmark measured.

    Attributes
    ----------
    settings
        All that the rows depend on: what was solved, solvers with their versions, limits and seeds.
    machine
        CPU, cores, memory, system, Python and package versions.
    rows
        One row a cell and solver.
    command
        The command that repeats it, None if it was not started by one.
    compiled_s
        Seconds spent in compiling kernels before anything was timed, of the run that ended the benchmark.
    """

    FILES: ClassVar[tuple[str, ...]]
    """The files that `write` makes, the one to look at first in front."""

    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    rows: tuple[R, ...]
    command: str | None = None
    compiled_s: float = field(default=0.0, compare=False)

    def contradictions(self) -> list[str]:
        """Say where one solver's bound or proof is against what another one reached."""
        return shared.contradictions(self.rows)

    def notes(self) -> list[str]:
        """Say what a user should know besides the rows."""
        return []

    def sums(self) -> dict[str, Any]:
        """Return what the rows sum up to, by name, as plain values for JSON."""
        return {}

    def contents(self) -> dict[str, str | bytes]:
        """Return the contents of the `FILES` by name."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "command": self.command,
            "settings": dict(self.settings),
            "machine": dict(self.machine),
            "compiled_s": self.compiled_s,
            **self.sums(),
            "contradictions": self.contradictions(),
            "rows": [asdict(row) for row in self.rows],
        }

    def to_frame(self, library: Library = "pandas") -> Any:
        """Return the rows as a table of pandas, polars or pyarrow; lists and dicts as JSON."""
        columns = self.rows[0].COLUMNS
        return frame({name: [_plain(getattr(row, name)) for row in self.rows] for name in columns}, library)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows of `to_frame` to any library that takes Arrow."""
        return self.to_frame("pyarrow").__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        lines = [
            (row.place, row.solver, row.status, wording.utility(row.utility), wording.utility(row.bound),
             wording.gap(row.gap), wording.seconds(row.runtime_s))
            for row in self.rows
        ]  # fmt: skip
        return html.table(("cell", "solver", "status", "utility", "bound", "gap", "time"), lines)

    def csv(self) -> str:
        """Return the rows as CSV, figures with all digits, empty where there is none."""
        return csv_text(self.rows[0].COLUMNS, self.rows)

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the `FILES`, tables, plots and a page, to a folder, each file whole or not at all.

        Parameters
        ----------
        folder
            Made if it does not exist.

        Raises
        ------
        InputError
            If they cannot be written.
        """
        return write_files(folder, self.contents())

    def measured_on(self) -> list[str]:
        """Return the machine, the software with its commit, and the solvers as sentences."""
        machine, packages = self.machine, self.machine["packages"]
        sources = f"robatch {packages.get('robatch', 'unknown')}"
        if self.settings["commit"]:
            sources += f", commit {self.settings['commit']}"
        system, *_, hardware = machine["system"].split()
        memory = "" if machine["memory_gib"] is None else f", {machine['memory_gib']} GiB of memory"
        solvers = ", ".join(
            f"{name} {version or 'not installed'}" for name, version in self.settings["solvers"].items()
        )
        return [
            f"Machine: {machine['cpu']}, {machine['cores']} cores{memory}, {system} {hardware}",
            f"Software: {sources}; {machine['python']}, NumPy {packages.get('numpy')}, Numba {packages.get('numba')}",
            f"Solvers: {solvers}",
        ]

    def made_by(self) -> list[str]:
        """Return the time of compiling if anything was, the date and the command as sentences."""
        facts = [f"Date: {datetime.now(UTC):%Y-%m-%d}"]
        if self.compiled_s:
            facts.insert(0, f"Compiling: {wording.seconds(self.compiled_s)}, before anything was timed")
        return [*facts, f"Command: `{self.command}`"] if self.command else facts


def csv_text(columns: Sequence[str], rows: Iterable[Any]) -> str:
    """Return some fields of rows as CSV; lists and dicts as JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_plain(getattr(row, name)) for name in columns])
    return text.getvalue()


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


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
