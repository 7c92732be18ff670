"""How time, memory and gap of the solvers grow with the number of queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robatch.bench.common import heap_baseline as oracle
from robatch.bench.common import machine
from robatch.bench.common.record import Record
from robatch.bench.common.subprocess_runner import OverranError, SolverDiedError, measure_apart
from robatch.bench.scale.cells import Series, sizes_of
from robatch.bench.scale.measure import Bench, warm_up
from robatch.bench.scale.memory_limit import APART_FROM, Room, is_foreign, refusal
from robatch.bench.scale.results import ScaleResults
from robatch.bench.scale.rows import Key, ScaleRow, compare
from robatch.bench.scale.tables import ScaleTerminal
from robatch.instances.display import wording
from robatch.instances.display.terminal import Display, Silent
from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole
from robatch.solvers.registry import get

MEMORY_FROM = 100_000  # queries: below, what Python itself takes would count


def scale_benchmark(
    series: Sequence[Series] = (Series(),),
    sizes: Sequence[int] = sizes_of(100, 100_000),
    solvers: Sequence[str] = ("greedy", "pareto", oracle.NAME, "highs"),
    fraction: float = 0.3,
    time_limit: float = 60.0,
    repeats: int = 3,
    seed: int = 0,
    memory_from: int | None = MEMORY_FROM,
    output: str | Path | None = None,
    resume: bool = True,
    progress: bool | Display[ScaleRow] = False,
    command: str | None = None,
) -> ScaleResults:
    """Run every solver on problems of growing size, each until it reaches its time limit.

    A cell is a series at a number of queries. In every cell a solver runs several times, and between its runs one
    pass over the utilities as a dense array is timed in the same process: times are reported as multiples of
    it. Before anything is timed, the solver runs once on a small problem of the series, so that compilation and
    imports are not measured. A solver that stopped at its time limit, or failed, is not run at larger sizes of the
    series; that, and what does not fit the memory, is recorded as a row of status ``"skipped"``.

    Parameters
    ----------
    series
        Kinds of generated problems, see `Series` and `series_of`.
    sizes
        Numbers of queries.
    solvers
        Names from `robatch.solvers.solvers`, and ``"python-heap"``, the scheduler ``pareto`` in plain Python.
    fraction
        Budget, as a fraction between the cheapest and the dearest, see `Problem.budget_at`.
    time_limit
        Seconds for each run of a solver.
    repeats
        Least number of runs of each solver in each cell, while they take less than the time limit together.
    seed
        Seed of the problems and the solvers.
    memory_from
        Number of queries from which peak memory is measured too, by another run in a process of its own; None to
        measure none.
    output
        Folder for the raw rows, which are written as they are made, and for tables and plots, which are written
        at the end; made if it does not exist. None to write nothing.
    resume
        Whether to keep the rows that an earlier run with the same settings left in `output`. False starts afresh.
    progress
        Whether to show a table while it runs, or an object that shows it.
    command
        The command that repeats the benchmark, for the written table.

    Returns
    -------
    ScaleResults
        One row a cell and solver, with the settings and the machine.

    Raises
    ------
    InputError
        If an argument is not allowed, or `output` cannot be written or holds rows of other settings.
    """
    with oracle.registered():
        settings = _settings(series, sizes, solvers, fraction, time_limit, repeats, seed, memory_from)
        described = machine.describe()
        display: Display[ScaleRow] = progress if not isinstance(progress, bool) else _display(progress)
        record = None if output is None else Record(Path(output), ScaleRow, settings, described, resume)
        rows: dict[tuple[Any, ...], ScaleRow] = {} if record is None else dict(record.rows)
        run = _Run(settings, rows, display)
        try:
            with display:
                display.begin(len(series) * len(sizes) * len(solvers), len(rows))
                for one in series:
                    for row in run.measure(one):
                        if record is not None:
                            record.append(row)
                keys = [key for one in series for key in run.keys(one)]
                results = ScaleResults(settings, described, tuple(compare(rows[key] for key in keys)), command)
                display.end(results.rows)
            if output is not None:
                results.write(output)
        finally:
            if record is not None:
                record.close()
    return results


def _display(shown: bool) -> Display[ScaleRow]:
    return ScaleTerminal() if shown else Silent()


def _settings(
    series: Sequence[Series],
    sizes: Sequence[int],
    solvers: Sequence[str],
    fraction: float,
    time_limit: float,
    repeats: int,
    seed: int,
    memory_from: int | None,
) -> dict[str, Any]:
    """Check the arguments, and return all that the rows depend on as plain values for JSON."""
    for name, values in (("series", series), ("sizes", sizes), ("solvers", solvers)):
        if isinstance(values, str) or not len(values):
            raise InputError(f"{name} is {values!r}: at least one entry is needed")
        if len(set(values)) < len(values):
            raise InputError(f"{name} is {list(values)!r}: each entry may stand only once")
    least = 2 if any(one.family == "adversarial" for one in series) else 1
    return {
        "series": [asdict(one) for one in series],
        "sizes": sorted(whole("size", size, least, most=10**9) for size in sizes),
        "budget_fraction": number("budget fraction", fraction, 0.0, 1.0),
        "solvers": {name: get(name).version for name in solvers},
        "time_limit": number("time_limit", time_limit, above=True, needed="a number of seconds above 0"),
        "repeats": whole("repeats", repeats, 1),
        "seed": whole("seed", seed, most=2**63 - 1),
        "memory_from": None if memory_from is None else whole("memory_from", memory_from, 1),
        "commit": machine.commit(),
    }


class _Run:
    """The rows of a benchmark as they are made.

    Parameters
    ----------
    settings
        Of the benchmark.
    rows
        Rows that are there already; new ones are added.
    display
        What shows them.
    """

    def __init__(
        self, settings: Mapping[str, Any], rows: dict[tuple[Any, ...], ScaleRow], display: Display[ScaleRow]
    ) -> None:
        self._settings, self._rows, self._display = settings, rows, display
        self._room = Room(machine.available_bytes())

    def keys(self, series: Series) -> list[Key]:
        """Return the keys of a series in the order in which rows are made: solver by solver within a cell."""
        return [(series, queries, name) for queries in self._settings["sizes"] for name in self._settings["solvers"]]

    def measure(self, series: Series) -> Iterator[ScaleRow]:
        """Yield the missing rows of a series, and show all."""
        warm: set[str] = set()
        for queries in self._settings["sizes"]:
            decided, memory = self._prepare(series, queries)
            bench: Bench | None = None
            cell: list[ScaleRow] = []
            for name in self._settings["solvers"]:
                key = (series, queries, name)
                kept = key in self._rows
                if not kept:
                    row = decided.get(name)
                    if row is None:
                        self._working(series, queries, name)
                        if name not in warm:
                            warm_up(series, queries, name, self._settings["seed"])
                            warm.add(name)
                        bench = bench or Bench(series, queries, self._settings, self._room)
                        row = self._row(series, queries, name, memory_bytes=memory[name], **bench.measure(name))
                    self._rows[key] = row
                    yield row
                cell.append(self._rows[key])
                self._display.made(compare(cell), kept)
            self._display.cell(compare(cell))

    def _prepare(self, series: Series, queries: int) -> tuple[dict[str, ScaleRow], dict[str, int | None]]:
        """Return the rows of solvers that are not to be run in this process, and the peak memory of the others.

        What is measured in other processes is measured before this one makes the cell's problem, so that only one
        process at a time holds it.
        """
        decided: dict[str, ScaleRow] = {}
        memory: dict[str, int | None] = {}
        settings = self._settings
        for name in settings["solvers"]:
            if (series, queries, name) in self._rows:
                continue
            smaller = [self._rows[series, size, name] for size in settings["sizes"] if size < queries]
            reason = refusal(series, queries, name, smaller, settings["time_limit"], self._room)
            if reason is not None:
                decided[name] = self._row(series, queries, name, status="skipped", message=reason)
                continue
            memory[name] = None
            foreign = is_foreign(name) and queries >= APART_FROM
            if foreign or (settings["memory_from"] is not None and queries >= settings["memory_from"]):
                self._working(series, queries, name if foreign else f"{name}, memory")
                try:
                    measured = measure_apart(series, queries, name, settings, self._room, memory_only=not foreign)
                except OverranError as error:
                    measured = {"status": "no_solution", "limit": "time", "message": str(error)}
                except SolverDiedError as error:
                    measured = {"status": "error", "message": str(error)}
                memory[name] = measured.get("memory_bytes")
                if foreign or "runtimes" not in measured:
                    decided[name] = self._row(series, queries, name, **measured)
        return decided, memory

    def _row(self, series: Series, queries: int, solver: str, **measured: Any) -> ScaleRow:
        return ScaleRow(
            **asdict(series),
            queries=queries,
            states=series.states,
            budget_fraction=self._settings["budget_fraction"],
            solver=solver,
            solver_version=self._settings["solvers"][solver] or "not installed",
            **measured,
        )

    def _working(self, series: Series, queries: int, text: str) -> None:
        self._display.working(f"{series.title} · {wording.count(queries)} · {text}")
