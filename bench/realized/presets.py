"""Which problems and solvers the benchmark of realized cost takes unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from robatch.bench.common.presets import installed
from robatch.bench.realized.reduced_budget import NAME as REDUCED_BUDGET
from robatch.instances.bundled import BUNDLED
from robatch.instances.families import FAMILIES

ALL = ("greedy", "exact", REDUCED_BUDGET, "highs", "scip", "cpsat")

ONE_COST = ("from-knapsack",)
"""Families with batch size 1 alone: both cost models are the same, and nothing is ever billed beyond the budget."""


@dataclass(frozen=True)
class RealizedPreset:
    """Settings of a benchmark of realized cost, see `instances_of` and `realized_benchmark`."""

    families: tuple[str, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    fractions: tuple[float, ...]
    solvers: tuple[str, ...]
    time_limit: float


def quick_realized_preset() -> RealizedPreset:
    """Return what ends within a minute on two cores besides compiling."""
    return RealizedPreset(
        families=("realistic", "ties", "measured"),
        sizes=(20, 50),
        seeds=(0,),
        fractions=(0.1, 0.3, 0.6),
        solvers=installed(ALL, [REDUCED_BUDGET]),
        time_limit=0.6,
    )


def default_realized_preset() -> RealizedPreset:
    """Return 20 to 1,000 queries, three seeds, and every family in which the cost models differ: hours."""
    return RealizedPreset(
        families=(*(name for name in FAMILIES if name not in ONE_COST), *BUNDLED),
        sizes=(20, 50, 100, 200, 500, 1_000),
        seeds=(0, 1, 2),
        fractions=(0.1, 0.3, 0.6),
        solvers=installed(ALL, [REDUCED_BUDGET]),
        time_limit=60.0,
    )
