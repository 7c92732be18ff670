"""What the realized cost changes: broken budgets, utility lost by schedulers, and how long proofs take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from robatch.bench.common import machine
from robatch.bench.common.compilation import Small
from robatch.bench.common.harness import Benchmark, check_entries, check_seconds
from robatch.bench.common.heap_baseline import registered
from robatch.bench.common.instances import about
from robatch.bench.common.measure import measure, small_instance
from robatch.bench.common.rows import Key
from robatch.bench.common.terminal import LiveTerminal
from robatch.bench.realized import reduced_budget
from robatch.bench.realized.cells import Instance
from robatch.bench.realized.results import RealizedResults
from robatch.bench.realized.rows import RealizedRow, compare
from robatch.bench.realized.tables import RealizedTerminal
from robatch.instances.display import wording
from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole
from robatch.solvers.plan.plan import Cost
from robatch.solvers.registry import get

BILLED: tuple[Cost, str] = ("amortized", "exact")
"""Cost model and solver of the plans that are billed in each cell."""


def realized_benchmark(  # wide: one parameter for each setting
    instances: Sequence[Instance],
    fractions: Sequence[float] = (0.1, 0.3, 0.6),
    solvers: Sequence[str] = ("greedy", reduced_budget.NAME, "highs"),
    time_limit: float = 60.0,
    output: str | Path | None = None,
    threads: int | None = None,
    resume: bool = True,
    progress: bool | LiveTerminal[RealizedRow] = False,
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
    output, resume, progress
        As for `gap_benchmark`.
    threads
        Of every solver; None for its default.
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
    check_entries(instances=[one.name for one in instances], fractions=fractions, solvers=solvers)
    with registered(reduced_budget.SOLVER):
        able = [name for name in solvers if "realized" in get(name).costs]
        if not able:
            raise InputError(f"solvers is {list(solvers)!r}: none of them can keep a budget of realized cost")
        settings = {
            "instances": {
                one.name: {
                    "family": one.family,
                    "seed": whole("seed", one.seed),
                    "source": one.source,
                    **about(one.problem),
                }
                for one in instances
            },
            "fractions": [number("budget fraction", fraction, 0.0, 1.0) for fraction in fractions],
            "solvers": {name: get(name).version for name in able},
            "left_out": {name: "it cannot keep a budget of realized cost" for name in solvers if name not in able},
            "backends": [name for name in able if get(name).proves == "optimum" and get(name).package != "robatch"],
            "billed": {BILLED[1]: get(BILLED[1]).version},
            "time_limit": check_seconds(time_limit),
            "threads": None if threads is None else whole("threads", threads, 1),
            "repeats": 1,
            "commit": machine.commit(),
        }
        return RealizedBenchmark(settings, instances).run(output, resume, progress, command)


class RealizedBenchmark(Benchmark[RealizedRow, RealizedResults]):
    """A cell is an instance with a budget fraction: the amortized optimum first, then solvers under realized cost."""

    row, terminal, results = RealizedRow, RealizedTerminal, RealizedResults

    def __init__(self, settings: dict[str, Any], instances: Sequence[Instance]) -> None:
        super().__init__(settings)
        self._instances = {one.name: one for one in instances}
        self._solvers = {**settings["billed"], **settings["solvers"]}

    def cells(self) -> list[list[Key]]:
        """Return the keys of each cell."""
        asked: list[tuple[Cost, str]] = [BILLED, *(("realized", name) for name in self.settings["solvers"])]
        return [
            [(name, cost, fraction, solver) for cost, solver in asked]
            for name in self._instances
            for fraction in self.settings["fractions"]
        ]

    def small(self, key: Key) -> Small:
        """Return the first queries of the instance."""
        one = self._instances[key[0]]
        return small_instance(key, one.problem, self._settings_of(one))

    def measure(
        self, keys: Sequence[Key], rows: Mapping[Key, RealizedRow], working: Callable[[str], None]
    ) -> Iterator[RealizedRow]:
        """Measure one solver after the other."""
        for key in keys:
            name, _, fraction, solver = key
            working(f"{name} · {wording.fraction(fraction)} · {solver}")
            one = self._instances[name]
            fields = measure(key, one.problem, self._settings_of(one))
            yield RealizedRow(**fields, family=one.family, problem_seed=one.seed)

    def compare(self, rows: Iterable[RealizedRow]) -> list[RealizedRow]:
        """Compare the solvers of each cell with each other and with the amortized optimum."""
        return compare(rows)

    def _settings_of(self, one: Instance) -> dict[str, Any]:
        """Return the settings for an instance: solvers take the seed that it was drawn by."""
        return {**self.settings, "seed": one.seed, "solvers": self._solvers}
