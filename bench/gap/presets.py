"""Which instances and solvers the benchmark takes unless told otherwise, and how users name instances."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from robatch.instances.bundled import BUNDLED, load
from robatch.instances.errors import InputError
from robatch.instances.families import FAMILIES, generate
from robatch.instances.problem import Problem
from robatch.instances.problem_file import read
from robatch.solvers.registry import solvers


@dataclass(frozen=True)
class Preset:
    """Instances and settings of a gap benchmark.

    Attributes
    ----------
    instances
        As `parse_instance` reads them.
    fractions
        Budget fractions.
    solvers
        Names of solvers.
    time_limit
        Seconds for each run of a solver.
    """

    instances: tuple[str, ...]
    fractions: tuple[float, ...]
    solvers: tuple[str, ...]
    time_limit: float


def quick_preset() -> Preset:
    """Return what ends within a minute on two cores.

    Of `adversarial`, exactly 0.6 of the budget pays for the giant upgrade up to a rounding: 0.7 is clear of it.
    """
    return Preset(
        instances=("measured", "realistic:300", "strongly-correlated:100", "ties:200", "adversarial:60"),
        fractions=(0.1, 0.3, 0.7),
        solvers=("greedy", "exact", "pareto", "highs", "cpsat", "router-only", "batch-only"),
        time_limit=1.5,
    )


def default_preset() -> Preset:
    """Return the bundled problem, every family, and every installed solver for problems of this size."""
    names = (
        "greedy",
        "exact",
        "pareto",
        "highs",
        "cpsat",
        "scip",
        "cbc",
        "pulp-highs",
        "lp",
        "router-only",
        "batch-only",
    )
    installed = {solver.name for solver in solvers() if solver.installed}
    return Preset(
        instances=("measured", "realistic:10000", *(f"{family}:1000" for family in FAMILIES)),
        fractions=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
        solvers=tuple(name for name in names if name in installed),
        time_limit=30.0,
    )


def parse_instance(text: str, seed: int = 0) -> tuple[str, str, Problem]:
    """Return the problem that a user named.

    Parameters
    ----------
    text
        The name of a bundled problem (``measured``), the path of a problem file, or ``family:queries`` for a
        generated one.
    seed
        Seed of a generated problem.

    Returns
    -------
    tuple of str, str and Problem
        Its name, where it comes from, and the problem.

    Raises
    ------
    InputError
        If there is no such problem.
    """
    if text in BUNDLED:
        return text, f"bundled: {BUNDLED[text]}", load(text)
    family, colon, queries = text.rpartition(":")
    if colon and family in FAMILIES:
        if not queries.isascii() or not queries.isdigit():
            raise InputError(f"instance is {text!r}: a number of queries is needed after the colon")
        count = int(queries)
        return (
            f"{family}-{count}",
            f"generated: {FAMILIES[family]}, seed {seed}",
            generate(family, count, seed=seed),
        )
    if not os.path.exists(text):  # false for a name too long, where Path.exists raises
        raise InputError(
            f"instance is {text!r}: there is no such file, and it is neither {' nor '.join(BUNDLED)} "
            f"nor FAMILY:QUERIES with a family of {', '.join(FAMILIES)}"
        )
    return Path(text).stem, f"file {Path(text).name}", read(text)
