"""The raw record of a benchmark: one line a row, kept whatever happens to the process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, Generic, Protocol, TypeVar

from robatch.instances.errors import InputError
from robatch.instances.files import lock

FILE = "rows.jsonl"


class Recorded(Protocol):
    """A row that can be kept: built from its measured fields, told apart by its key."""

    BENCHMARK: ClassVar[str]
    """Name of the benchmark that makes such rows."""

    MEASURED: ClassVar[tuple[str, ...]]
    """The fields that are kept, plain values for JSON."""

    def __init__(self, **fields: Any) -> None: ...

    @property
    def key(self) -> tuple[Any, ...]:
        """What the row is about; one row a key."""


R = TypeVar("R", bound=Recorded)


class Record(Generic[R]):
    """The file ``rows.jsonl`` of an output folder, bound to one set of settings.

    Its first line holds the settings and the machine, every further line one measured row. Lines are flushed
    one by one; a torn last line, left by a process that was killed, is dropped when the file is opened again.

    Parameters
    ----------
    folder
        The output folder; made if it does not exist.
    row
        The class of the rows, which names the benchmark.
    settings
        Everything that the rows depend on, as plain values for JSON.
    machine
        What it runs on. Rows are continued only on the same CPU, Python and versions.
    resume
        Whether to keep the rows that are there.

    Attributes
    ----------
    rows
        The rows by key.

    Raises
    ------
    InputError
        If the folder cannot be written, or holds rows that were measured with other settings.
    """

    def __init__(
        self,
        folder: Path,
        row: type[R],
        settings: Mapping[str, Any],
        machine: Mapping[str, Any],
        resume: bool = True,
    ) -> None:
        self.path = folder / FILE
        self.rows: dict[tuple[Any, ...], R] = {}
        self._row = row
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mode = "r+b" if self.path.exists() else "x+b"
            self._file: IO[bytes] = open(self.path, mode)  # noqa: SIM115 (kept open, see close)
        except OSError as error:
            raise InputError(f"cannot write {str(self.path)!r}: {error.strerror or error}") from None
        head = {"benchmark": row.BENCHMARK, "version": 1, "settings": dict(settings), "machine": dict(machine)}
        try:
            lock(self._file, self.path, "the benchmark")
            self._load(json.loads(json.dumps(head)), resume)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file; nothing more is written."""
        self._file.close()

    def append(self, row: R) -> None:
        """Write a measured row."""
        self._write({"row": {name: getattr(row, name) for name in self._row.MEASURED}})
        self.rows[row.key] = row

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise InputError(f"cannot write {str(self.path)!r}: {error.strerror or error}") from None

    def _load(self, head: dict[str, Any], resume: bool) -> None:
        lines, whole = self._lines() if resume else ([], 0)
        if lines:
            self._check(lines[0], head)
            for line in lines[1:]:
                row = self._row(**line["row"])
                self.rows[row.key] = row
        elif resume and self._file.seek(0, os.SEEK_END) > 0 and not self._is_torn():
            raise self._foreign()
        self._file.truncate(whole)
        self._file.seek(whole)
        if not lines:
            self._write(head)

    def _lines(self) -> tuple[list[dict[str, Any]], int]:
        """Return the whole lines and their length in bytes."""
        self._file.seek(0)
        lines: list[dict[str, Any]] = []
        whole = 0
        for raw in self._file:
            if not raw.endswith(b"\n"):
                break
            try:
                line = json.loads(raw)
            except ValueError:
                raise self._foreign() from None
            if not isinstance(line, dict) or (lines and not self._holds_row(line)):
                raise self._foreign()
            lines.append(line)
            whole += len(raw)
        return lines, whole

    def _holds_row(self, line: Mapping[str, Any]) -> bool:
        row = line.get("row")
        return isinstance(row, dict) and set(row) == set(self._row.MEASURED)

    def _foreign(self) -> InputError:
        return InputError(f"{str(self.path)!r} is no record of a benchmark: choose another folder")

    def _is_torn(self) -> bool:
        self._file.seek(0)
        start = json.dumps({"benchmark": self._row.BENCHMARK}).encode()[:-1]
        return start.startswith(self._file.read(len(start)))

    def _check(self, there: dict[str, Any], head: dict[str, Any]) -> None:
        if there.get("benchmark") != self._row.BENCHMARK or there.get("version") != 1:
            raise self._foreign()
        changed = _difference(there["settings"], head["settings"], "")
        changed = changed or _difference(_essence(there["machine"]), _essence(head["machine"]), "")
        if changed:
            raise InputError(
                f"{str(self.path)!r} holds rows of other settings ({changed}): "
                "choose another folder (-o), or start afresh (--fresh, in Python resume=False)"
            )


def _essence(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a machine decides the runtimes; versions of the solvers stand in the settings."""
    packages = {name: machine["packages"].get(name) for name in ("robatch", "numba", "numpy")}
    return {
        "cpu": machine["cpu"],
        "cores": machine["cores"],
        "python": machine["python"],
        "packages": packages,
    }


def _difference(there: Any, here: Any, name: str) -> str | None:
    """Say which setting differs first."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*there, *here]):
            inner = f"{name}.{key}" if name else str(key)
            if key not in there or key not in here:
                return f"{inner} is only in {'the new' if key in here else 'the old'} ones"
            changed = _difference(there[key], here[key], inner)
            if changed:
                return changed
        return None
    return None if there == here else f"{name} was {_short(there)}, and is {_short(here)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
