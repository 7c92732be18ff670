"""Which series, sizes and solvers the scaling benchmark takes unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace

from robatch.bench.common.heap_baseline import NAME as PYTHON_HEAP
from robatch.bench.scale.cells import Series, series_of, sizes_of
from robatch.solvers.registry import solvers

HARD = ("ties", "strongly-correlated", "subset-sum")

ALL = (
    "exact",
    "greedy",
    "pareto",
    PYTHON_HEAP,
    "lp",
    "highs",
    "cpsat",
    "scip",
    "cbc",
    "pulp-highs",
    "router-only",
    "batch-only",
)


@dataclass(frozen=True)
class ScalePreset:
    """Settings of a scaling benchmark, see `robatch.bench.scale_benchmark`.

    Attributes
    ----------
    series
        Kinds of problems.
    sizes
        Numbers of queries.
    solvers
        Names of solvers.
    time_limit
        Seconds for each run of a solver.
    """

    series: tuple[Series, ...]
    sizes: tuple[int, ...]
    solvers: tuple[str, ...]
    time_limit: float


def quick_scale_preset() -> ScalePreset:
    """Return what ends within about a minute on two cores."""
    return ScalePreset(
        series=(*series_of(forms=("dense", "factored")), *series_of(HARD[1:])),
        sizes=sizes_of(100, 10_000),
        solvers=_known(("exact", "greedy", "pareto", PYTHON_HEAP, "highs")),
        time_limit=2.0,
    )


def default_scale_preset() -> ScalePreset:
    """Return up to a million queries, every solver: one series as it is, and one for each thing that is varied."""
    two = Series(threads=2)
    varied = (
        Series(),
        two,
        replace(two, dtype="float32"),
        replace(two, form="factored"),
        *(replace(two, family=family) for family in HARD),
    )
    return ScalePreset(series=varied, sizes=sizes_of(100, 1_000_000), solvers=_known(ALL), time_limit=60.0)


def full_scale_preset() -> ScalePreset:
    """Return the default up to ten million queries, and also with 12 models of 8 batch sizes."""
    preset = default_scale_preset()
    large = Series(models=12, batch_sizes=8, threads=2)
    more = (
        large,
        replace(large, dtype="float32"),
        replace(large, form="factored"),
        *(replace(large, family=family) for family in HARD),
    )
    return replace(preset, series=(*preset.series, *more), sizes=sizes_of(100, 10_000_000))


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those that are installed here."""
    installed = {solver.name for solver in solvers() if solver.installed}
    return tuple(name for name in names if name in installed or name == PYTHON_HEAP)
