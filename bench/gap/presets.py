"""Which instances and solvers the gap benchmark takes unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from robatch.bench.common.presets import installed
from robatch.instances.families import FAMILIES
from robatch.solvers.plan.plan import Cost

ALL = (
    "greedy", "exact", "pareto", "highs", "cpsat", "scip", "cbc", "pulp-highs", "lp", "router-only", "batch-only",
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """Settings of a gap benchmark, see `gap_benchmark`; instances as `parse_instance` reads them.

    Both presets compare schedulers on the paper's problem, whose cost is amortized.
    """

    instances: tuple[str, ...]
    fractions: tuple[float, ...]
    solvers: tuple[str, ...]
    time_limit: float
    costs: tuple[Cost, ...]


def quick_preset() -> Preset:
    """Return what ends within a minute on two cores besides compiling.

    Of `adversarial`, exactly 0.6 of the budget pays for the giant upgrade up to a rounding: 0.7 is clear of it.
    """
    return Preset(
        instances=("measured", "realistic:300", "strongly-correlated:100", "ties:200", "adversarial:60"),
        fractions=(0.1, 0.3, 0.7),
        solvers=("greedy", "exact", "pareto", "highs", "cpsat", "router-only", "batch-only"),
        time_limit=1.5,
        costs=("amortized",),
    )


def default_preset() -> Preset:
    """Return the bundled problem, every family, and every installed solver for problems of this size."""
    return Preset(
        instances=("measured", "realistic:10000", *(f"{family}:1000" for family in FAMILIES)),
        fractions=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
        solvers=installed(ALL),
        time_limit=30.0,
        costs=("amortized",),
    )
