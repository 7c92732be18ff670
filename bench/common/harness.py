"""The harness under every benchmark: it warms solvers up, measures the rows that are missing, keeps and shows them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Generic, TypeVar

from robatch.bench.common import machine
from robatch.bench.common.compilation import Small, WarmUp
from robatch.bench.common.record import Record
from robatch.bench.common.results import Results
from robatch.bench.common.rows import BenchmarkRow
from robatch.bench.common.terminal import LiveTerminal
from robatch.instances.errors import InputError
from robatch.instances.scalars import number

R = TypeVar("R", bound=BenchmarkRow)
S = TypeVar("S", bound=Results[Any])
Key = tuple[Any, ...]


class Benchmark(ABC, Generic[R, S]):
    """What a benchmark gives the harness: its cells, how to measure one, its rows, its table, its results.

    Parameters
    ----------
    settings
        All that the rows depend on, as plain values for JSON. Rows are continued only under the same ones.

    Attributes
    ----------
    row, terminal, results
        The classes of its rows, of what shows them, and of what is made of them.
    """

    row: type[R]
    terminal: type[LiveTerminal[R]]
    results: type[S]

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    @abstractmethod
    def cells(self) -> Sequence[Sequence[Key]]:
        """Return the keys of the rows of each cell, in the order in which they are measured."""

    @abstractmethod
    def small(self, key: Key) -> Small:
        """Return small problems of the kind that a row is measured on."""

    def refusal(self, key: Key, rows: Mapping[Key, R]) -> str | None:
        """Say why a row is not measured, as far as the rows so far tell; None if it is."""
        return None

    @abstractmethod
    def measure(self, keys: Sequence[Key], rows: Mapping[Key, R], working: Callable[[str], None]) -> Iterator[R]:
        """Measure the missing rows of a cell.

        Parameters
        ----------
        keys
            Of the missing rows, which are yielded in this order.
        rows
            All rows so far.
        working
            Announces what is measured next.
        """

    @abstractmethod
    def compare(self, rows: Iterable[R]) -> list[R]:
        """Return rows with the fields filled in that follow from all of them, in the same order."""

    def run(
        self,
        output: str | Path | None,
        resume: bool = True,
        progress: bool | LiveTerminal[R] = False,
        command: str | None = None,
    ) -> S:
        """Measure every row that is not there yet, and return the results, written to `output`.

        Raises
        ------
        InputError
            If `output` cannot be written or holds rows of other settings.
        """
        described = machine.describe()
        cells = self.cells()
        with ExitStack() as stack:
            record = None
            if output is not None:
                record = stack.enter_context(closing(Record(Path(output), self.row, self.settings, described, resume)))
            rows = {} if record is None else dict(record.rows)
            display = self.terminal(quiet=not progress) if isinstance(progress, bool) else progress
            stack.enter_context(display)
            display.begin(sum(len(keys) for keys in cells), len(rows))
            compiled = self._warm_up([key for keys in cells for key in keys if key not in rows], rows, display)
            for keys in cells:
                self._cell(keys, rows, record, display)
            made = self.compare(rows[key] for keys in cells for key in keys)
            found = self.results(self.settings, described, tuple(made), command, compiled)
            display.end(found.rows)
            if output is not None:
                found.write(output)
        return found

    def _warm_up(self, missing: Sequence[Key], rows: Mapping[Key, R], display: LiveTerminal[R]) -> float:
        """Let everything compile that will be timed, and return the seconds that it took."""
        warm_up = WarmUp()
        kinds: dict[Hashable, Small] = {}
        for key in missing:
            if self.refusal(key, rows) is None:
                small = self.small(key)
                kinds.setdefault(small.key, small)
        for small in kinds.values():
            display.working(f"warming up {small.solver}")
            warm_up.run(small)
        if missing:
            display.compiled(warm_up.seconds)
        return warm_up.seconds

    def _cell(
        self, keys: Sequence[Key], rows: dict[Key, R], record: Record[R] | None, display: LiveTerminal[R]
    ) -> None:
        """Measure the missing rows of a cell, and show all of them."""
        measured = self.measure([key for key in keys if key not in rows], rows, display.working)
        cell: list[R] = []
        for key in keys:
            kept = key in rows
            if not kept:
                rows[key] = next(measured)
                if record is not None:
                    record.append(rows[key])
            cell.append(rows[key])
            display.made(self.compare(cell), kept)
        display.cell(self.compare(cell))


def check_entries(**lists: Collection[Any]) -> None:
    """Refuse lists, by their names, that are empty or hold an entry twice.

    Raises
    ------
    InputError
        Naming the list.
    """
    for name, values in lists.items():
        if isinstance(values, str) or not len(values):
            raise InputError(f"{name} is {values!r}: at least one entry is needed")
        if len(set(values)) < len(values):
            raise InputError(f"{name} is {list(values)!r}: each entry may stand only once")


def check_seconds(time_limit: float) -> float:
    """Return a time limit, if it is one."""
    return number("time_limit", time_limit, above=True, needed="a number of seconds above 0")
