"""How far solvers are from the proven optimum: every solver on every instance, budget and cost model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from robatch.bench.common.compilation import Small
from robatch.bench.common.harness import Benchmark, check_entries, check_seconds
from robatch.bench.common.instances import about
from robatch.bench.common.measure import measure, small_instance
from robatch.bench.common.rows import Key, Row, compare
from robatch.bench.common.terminal import LiveTerminal
from robatch.bench.gap.results import GapResults
from robatch.bench.gap.tables import Terminal
from robatch.instances.display import wording
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import number, whole
from robatch.solvers.plan.plan import Cost
from robatch.solvers.registry import get


def gap_benchmark(  # wide: one parameter for each setting
    instances: Mapping[str, Problem],
    fractions: Sequence[float] = (0.1, 0.3, 0.7),
    solvers: Sequence[str] = ("greedy", "pareto", "highs", "cpsat"),
    costs: Sequence[Cost] = ("realized",),
    time_limit: float | None = None,
    output: str | Path | None = None,
    seed: int = 0,
    threads: int | None = None,
    repeats: int = 1,
    resume: bool = True,
    progress: bool | LiveTerminal[Row] = False,
    sources: Mapping[str, str] | None = None,
    budgets: Sequence[float] = (),
) -> GapResults:
    """Run every solver on every instance, budget fraction and cost model, side by side.

    Before anything is timed, every solver runs, uncounted, on small problems of the same kind, so that
    compilation and imports are not measured. A solver that is done quickly then runs several times, until
    its runs took 0.05 s together, and the median counts. A solver that fails is recorded as a row of status
    ``"error"``, and the others go on.

    Parameters
    ----------
    instances
        Problems by name.
    fractions
        Budgets, as fractions between the cheapest and the dearest, see `Problem.budget_at`.
    solvers
        Names from `robatch.solvers.solvers`.
    costs
        Cost models to hold against the budget: ``"realized"``, what is billed; ``"amortized"``, the paper's.
    time_limit
        Seconds for each run of a solver; None for no limit.
    output
        Folder for the raw rows, which are written as they are made, and for the tables, plots and page,
        which are written at the end; made if it does not exist. None to write nothing.
    seed, threads
        Handed to every solver.
    repeats
        Least number of runs of each solver in each cell; the median of their runtimes counts.
    resume
        Whether to keep the rows that an earlier run with the same settings left in `output`. False starts
        afresh.
    progress
        Whether to show a table while it runs, or an object that shows it.
    sources
        Where each instance comes from, for the record.
    budgets
        Further budgets, in USD; with them, `fractions` may be empty.

    Returns
    -------
    GapResults
        One row a cell and solver, with the settings and the machine.

    Raises
    ------
    InputError
        If an argument is not allowed, or `output` cannot be written or holds rows of other settings.
    """
    check_entries(instances=instances, solvers=solvers, costs=costs)
    check_entries(**({"fractions": fractions} if len(fractions) or not len(budgets) else {}))
    check_entries(**({"budgets": budgets} if len(budgets) else {}))
    for cost in costs:
        if cost not in get_args(Cost):
            raise InputError(f"cost is {cost!r}: 'amortized' or 'realized' is needed")
        if not any(cost in get(name).costs for name in solvers):
            raise InputError(f"solvers is {list(solvers)!r}: none of them can keep a budget of {cost} cost")
    sources = sources or {}
    settings = {
        "instances": {name: {"source": sources.get(name, "given"), **about(each)} for name, each in instances.items()},
        "fractions": [number("budget fraction", fraction, 0.0, 1.0) for fraction in fractions],
        **({"budgets": [number("budget", budget) for budget in budgets]} if len(budgets) else {}),
        "costs": list(costs),
        "solvers": {name: get(name).version for name in solvers},
        "time_limit": None if time_limit is None else check_seconds(time_limit),
        "seed": whole("seed", seed),
        "threads": None if threads is None else whole("threads", threads, 1),
        "repeats": whole("repeats", repeats, 1),
    }
    return GapBenchmark(settings, instances).run(output, resume, progress)


class GapBenchmark(Benchmark[Row, GapResults]):
    """A cell is an instance with a cost model and a budget fraction."""

    row, terminal, results = Row, Terminal, GapResults

    def __init__(self, settings: dict[str, Any], instances: Mapping[str, Problem]) -> None:
        super().__init__(settings)
        self._instances = instances
        self._usd: dict[tuple[str, float], float] = {}  # of budgets that were given in USD
        for name, problem in instances.items():
            for usd in settings.get("budgets", ()):
                fraction = fraction_of(problem, usd)
                if fraction not in settings["fractions"]:
                    self._usd[name, fraction] = usd

    def cells(self) -> list[list[Key]]:
        """Return the keys of each cell; a solver has none under a cost model whose budget it cannot keep."""
        return [
            [(name, cost, fraction, solver) for solver in self.settings["solvers"] if cost in get(solver).costs]
            for name in self.settings["instances"]
            for cost in self.settings["costs"]
            for fraction in (*self.settings["fractions"], *(each for one, each in self._usd if one == name))
        ]

    def small(self, key: Key) -> Small:
        """Return the first queries of the instance."""
        return small_instance(key, self._instances[key[0]], self.settings)

    def measure(self, keys: Sequence[Key], rows: Mapping[Key, Row], working: Callable[[str], None]) -> Iterator[Row]:
        """Measure one solver after the other."""
        for key in keys:
            name, cost, fraction, solver = key
            working(f"{name} · {cost} · {wording.fraction(fraction)} · {solver}")
            yield Row(**measure(key, self._instances[name], self.settings, self._usd.get((name, fraction))))

    def compare(self, rows: Iterable[Row]) -> list[Row]:
        """Compare the solvers of each cell."""
        return compare(rows)


def fraction_of(problem: Problem, budget: float) -> float:
    """Return where a budget in USD lies between the cheapest (0) and the dearest (1) that make sense, or beyond."""
    low, high = problem.cheapest_budget, problem.dearest_budget
    return (budget - low) / ((high - low) or low or 1.0)
