"""What the realized cost changes: broken budgets, utility lost by schedulers, and how long proofs take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from robatch.bench.common import heap_baseline as oracle
from robatch.bench.common import machine
from robatch.bench.common.record import Record
from robatch.bench.common.rows import COLUMNS, Key, Row
from robatch.bench.gap import benchmark as gap
from robatch.bench.realized import repair
from robatch.bench.realized.cells import Instance
from robatch.bench.realized.results import RealizedResults
from robatch.bench.realized.rows import RealizedRow, compare
from robatch.bench.realized.tables import RealizedTerminal
from robatch.instances.display import wording
from robatch.instances.display.terminal import Display, Silent
from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole
from robatch.solvers.plan.plan import Cost
from robatch.solvers.registry import get

BILLED: tuple[Cost, str] = ("amortized", "exact")  # cost model and solver of the plans that are billed in each cell
WARM_UP_QUERIES = 20
WARM_UP_S = 1.0

Rows = dict[tuple[Any, ...], RealizedRow]


def realized_benchmark(
    instances: Sequence[Instance],
    fractions: Sequence[float] = (0.1, 0.3, 0.6),
    solvers: Sequence[str] = ("greedy", repair.NAME, "highs"),
    time_limit: float = 60.0,
    output: str | Path | None = None,
    threads: int | None = None,
    resume: bool = True,
    progress: bool | Display[RealizedRow] = False,
    command: str | None = None,
) -> RealizedResults:
    """Bill the amortized optimum, and run every solver under realized cost, on every instance and budget.

    In every cell ``exact`` finds the amortized optimum, whose bill is held against the budget. Then every solver is
    asked for the most utility that the budget pays for as billed. What a scheduler loses is told against the best
    utility of the cell where it is proven best, else against the least proven bound. Solvers are warmed up and
    repeated as by `gap_benchmark`.

    Parameters
    ----------
    instances
        Problems, see `instances_of`.
    fractions
        Budgets, as fractions between the cheapest and the dearest, see `Problem.budget_at`.
    solvers
        Names from `robatch.solvers.solvers`, and ``"reduced-budget"``, the amortized greedy plan of a budget that is
        reduced until it fits. Those that cannot keep a budget of realized cost are left out, with a note.
    time_limit
        Seconds for each run of a solver.
    output
        Folder for the raw rows, which are written as they are made, and for the tables, plots and page,
        which are written at the end; made if it does not exist. None to write nothing.
    threads
        Of every solver; None for its default.
    resume
        Whether to keep the rows that an earlier run with the same settings left in `output`. False starts afresh.
    progress
        Whether to show a table while it runs, or an object that shows it.
    command
        The command that repeats the benchmark, for the written pages.

    Returns
    -------
    RealizedResults
        One row a cell and solver, with the settings and the machine.

    Raises
    ------
    InputError
        If an argument is not allowed, or `output` cannot be written or holds rows of other settings.
    """
    with oracle.registered(repair.SOLVER):
        settings = _settings(instances, fractions, solvers, time_limit, threads)
        described = machine.describe()
        display: Display[RealizedRow] = _display(progress) if isinstance(progress, bool) else progress
        record = None if output is None else Record(Path(output), RealizedRow, settings, described, resume)
        rows: Rows = {} if record is None else dict(record.rows)
        keys = {one.name: _keys(one.name, settings) for one in instances}
        try:
            with display:
                display.begin(sum(len(each) for each in keys.values()), len(rows))
                warm: set[tuple[str, ...]] = set()
                for one in instances:
                    for row in _instance(one, keys[one.name], settings, rows, warm, display):
                        rows[row.key] = row
                        if record is not None:
                            record.append(row)
                made = compare(rows[key] for each in keys.values() for key in each)
                results = RealizedResults(settings, described, tuple(made), command)
                display.end(results.rows)
            if output is not None:
                results.write(output)
        finally:
            if record is not None:
                record.close()
    return results


def _display(shown: bool) -> Display[RealizedRow]:
    return RealizedTerminal() if shown else Silent()


def _settings(
    instances: Sequence[Instance],
    fractions: Sequence[float],
    solvers: Sequence[str],
    time_limit: float,
    threads: int | None,
) -> dict[str, Any]:
    """Check the arguments, and return all that the rows depend on as plain values for JSON."""
    names = [one.name for one in instances]
    for name, values in (("instances", names), ("fractions", fractions), ("solvers", solvers)):
        if isinstance(values, str) or not len(values):
            raise InputError(f"{name} is {values!r}: at least one entry is needed")
        if len(set(values)) < len(values):
            raise InputError(f"{name} is {list(values)!r}: each entry may stand only once")
    able = [name for name in solvers if "realized" in get(name).costs]
    if not able:
        raise InputError(f"solvers is {list(solvers)!r}: none of them can keep a budget of realized cost")
    return {
        "instances": {
            one.name: {
                "family": one.family,
                "seed": whole("seed", one.seed),
                "source": one.source,
                "sha256": gap.fingerprint(one.problem),
                **gap.sizes(one.problem),
            }
            for one in instances
        },
        "fractions": [number("budget fraction", fraction, 0.0, 1.0) for fraction in fractions],
        "solvers": {name: get(name).version for name in able},
        "left_out": {name: "it cannot keep a budget of realized cost" for name in solvers if name not in able},
        "backends": [name for name in able if get(name).proves == "optimum" and get(name).package != "robatch"],
        "billed": {BILLED[1]: get(BILLED[1]).version},
        "time_limit": number("time_limit", time_limit, above=True, needed="a number of seconds above 0"),
        "threads": None if threads is None else whole("threads", threads, 1),
        "repeats": 1,
        "commit": machine.commit(),
    }


def _keys(instance: str, settings: Mapping[str, Any]) -> list[Key]:
    """Return the keys of an instance in the order in which rows are made: the amortized optimum first in each cell."""
    asked: list[tuple[Cost, str]] = [BILLED, *(("realized", name) for name in settings["solvers"])]
    return [(instance, cost, fraction, solver) for fraction in settings["fractions"] for cost, solver in asked]


def _instance(
    one: Instance,
    keys: Sequence[Key],
    settings: Mapping[str, Any],
    kept: Mapping[tuple[Any, ...], RealizedRow],
    warm: set[tuple[str, ...]],
    display: Display[RealizedRow],
) -> Iterator[RealizedRow]:
    """Yield the missing rows of an instance, and show all of its cells."""
    mine = {**settings, "seed": one.seed, "solvers": {**settings["billed"], **settings["solvers"]}}
    brief = {**mine, "time_limit": min(WARM_UP_S, settings["time_limit"])}
    for _, group in groupby(keys, key=lambda key: key[2]):
        cell: list[RealizedRow] = []
        for key in group:
            _, cost, fraction, solver = key
            row = kept.get(key)
            new = row is None
            if row is None:
                display.working(f"{one.name} · {wording.fraction(fraction)} · {solver}")
                if (one.family, cost, solver) not in warm:
                    gap.warm_up(one.problem, solver, cost, brief, WARM_UP_QUERIES)
                    warm.add((one.family, cost, solver))
                row = _row(gap.measure(key, one.problem, mine), one)
                yield row
            cell.append(row)
            display.made(compare(cell), not new)
        display.cell(compare(cell))


def _row(row: Row, one: Instance) -> RealizedRow:
    facts = {name: value for name, value in asdict(row).items() if name in COLUMNS}
    return RealizedRow(**facts, family=one.family, problem_seed=one.seed)
