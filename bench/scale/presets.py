"""Which series, sizes and solvers the scaling benchmark takes unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace

from robatch.bench.common.heap_baseline import NAME as PYTHON_HEAP
from robatch.bench.common.presets import installed
from robatch.bench.scale.cells import Series, series_of, sizes_of

HARD = ("ties", "strongly-correlated", "subset-sum")

ALL = (
    "exact", "greedy", "pareto", PYTHON_HEAP, "lp", "highs", "cpsat", "scip", "cbc", "pulp-highs", "router-only",
    "batch-only",
)  # fmt: skip


@dataclass(frozen=True)
class ScalePreset:
    """Settings of a scaling benchmark, see `scale_benchmark`."""

    series: tuple[Series, ...]
    sizes: tuple[int, ...]
    solvers: tuple[str, ...]
    time_limit: float


def quick_scale_preset() -> ScalePreset:
    """Return what ends within about a minute on two cores besides compiling."""
    return ScalePreset(
        series=(*series_of(forms=("dense", "factored")), *series_of(HARD[1:])),
        sizes=sizes_of(100, 10_000),
        solvers=installed(("exact", "greedy", "pareto", PYTHON_HEAP, "highs"), [PYTHON_HEAP]),
        time_limit=2.0,
    )


def default_scale_preset() -> ScalePreset:
    """Return up to a million queries, every solver: one series as it is, and one for each thing that is varied."""
    series = (Series(), *_varied(Series(threads=2)))
    solvers = installed(ALL, [PYTHON_HEAP])
    return ScalePreset(series=series, sizes=sizes_of(100, 1_000_000), solvers=solvers, time_limit=60.0)


def full_scale_preset() -> ScalePreset:
    """Return the default up to ten million queries, and also with 12 models of 8 batch sizes."""
    preset = default_scale_preset()
    large = _varied(Series(models=12, batch_sizes=8, threads=2))
    return replace(preset, series=(*preset.series, *large), sizes=sizes_of(100, 10_000_000))


def _varied(series: Series) -> tuple[Series, ...]:
    """Return a series as it is, and one for each thing that is varied."""
    families = (replace(series, family=family) for family in HARD)
    return series, replace(series, dtype="float32"), replace(series, form="factored"), *families
