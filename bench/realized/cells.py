"""What the benchmark of realized cost solves: problems of every family at every size, each drawn by several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from robatch.bench.common.harness import check_entries
from robatch.bench.common.instances import parse_instance
from robatch.instances.bundled import BUNDLED, load
from robatch.instances.errors import InputError
from robatch.instances.families import FAMILIES, generate
from robatch.instances.problem import Problem
from robatch.instances.scalars import whole

MODELS = 4
BATCH_SIZES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Instance:
    """A problem of the benchmark.

    Attributes
    ----------
    name
        Different for each.
    family
        The family, or the name of the bundled problem or the file.
    seed
        That it was drawn by; the solvers take it too.
    source
        Where it comes from.
    problem
        The problem.
    """

    name: str
    family: str
    seed: int
    source: str
    problem: Problem


def instances_of(families: Sequence[str], sizes: Sequence[int], seeds: Sequence[int]) -> tuple[Instance, ...]:
    """Return the problems of families at sizes, one a seed, smallest first.

    Parameters
    ----------
    families
        Families of `generate`, made with 4 models of batch sizes 1 to 32 where their shape is free, and
        ``"measured"``: that many of its queries, drawn by the seed; all of them, once, where it has no more.
    sizes
        Numbers of queries.
    seeds
        Seeds.

    Raises
    ------
    InputError
        If a value is not allowed.
    """
    check_entries(families=families, sizes=sizes, seeds=seeds)
    for family in families:
        if family not in FAMILIES and family not in BUNDLED:
            raise InputError(f"family is {family!r}: one of {', '.join([*FAMILIES, *BUNDLED])} is needed")
    sizes = sorted(whole("size", size, 2 if "adversarial" in families else 1, most=10**6) for size in sizes)
    seeds = [whole("seed", seed, most=2**63 - 1) for seed in seeds]
    made: dict[str, Instance] = {}
    for size in sizes:
        for family in families:
            for one in _bundled(family, size, seeds) if family in BUNDLED else _generated(family, size, seeds):
                made.setdefault(one.name, one)  # the whole of a bundled problem stands once
    return tuple(made.values())


def given_instance(text: str, seed: int = 0) -> Instance:
    """Return the problem that a user named, as `parse_instance` reads it.

    Raises
    ------
    InputError
        If there is no such problem.
    """
    name, source, problem = parse_instance(text, seed)
    family = text.rpartition(":")[0]
    return Instance(name, family if family in FAMILIES else name, seed, source, problem)


def _generated(family: str, size: int, seeds: Sequence[int]) -> Iterator[Instance]:
    for seed in seeds:
        problem = generate(family, size, MODELS, BATCH_SIZES, seed)
        yield Instance(f"{family}-{size}-{seed}", family, seed, f"generated: {FAMILIES[family]}, seed {seed}", problem)


def _bundled(name: str, size: int, seeds: Sequence[int]) -> Iterator[Instance]:
    problem = load(name)
    if size >= problem.n_queries:
        yield Instance(name, name, seeds[0], f"bundled: {BUNDLED[name]}", problem)
        return
    for seed in seeds:
        drawn = np.sort(np.random.default_rng(seed).choice(problem.n_queries, size, replace=False))
        source = f"bundled: {BUNDLED[name]}; {size} of its queries, drawn by seed {seed}"
        yield Instance(f"{name}-{size}-{seed}", name, seed, source, problem.take(drawn))
