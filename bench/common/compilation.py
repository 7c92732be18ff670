"""Compiling kept out of times: solvers run on small problems until nothing is left to compile. That is timed too."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from robatch.instances.families import generate
from robatch.instances.problem import Problem
from robatch.solvers.plan.plan import Cost
from robatch.solvers.registry import solvers
from robatch.solvers.solve import solve

T = TypeVar("T")

WARM_UP_S = 1.0
"""Time limit of a warm-up."""

SMALL_SIZES = (2, 20, 300)
"""Queries of the warm-ups: 2 are few enough for brute force, 300 take every solver of this library to its search."""

FOREIGN_SIZES = SMALL_SIZES[:2]
"""The same for solvers of other packages, which come compiled."""

HARD = (("adversarial", 60), ("strongly-correlated", 60), ("ties", 300))
"""Generated problems that reach kernels which easy problems do without: the core's search, branching, aggregation."""

MOST_RUNS = 5
"""Runs of one warm-up. Compiling may take all of its time limit, so that later kernels are not reached in one run."""

NOTICEABLE_S = 0.1 * WARM_UP_S
"""Seconds of compiling that may have kept a warm-up from reaching later kernels."""


@contextmanager
def compiling() -> Iterator[list[float]]:
    """Give a list that holds, afterwards, the seconds of compiling and loading kernels; empty if there was none."""
    from numba.core.event import TimingListener, install_listener

    listener = TimingListener()
    found: list[float] = []
    with install_listener("numba:compiler_lock", listener):  # Numba takes this lock for nothing else
        yield found
    if listener.done:
        found.append(listener.duration)


def uncompiled(run: Callable[[], T], tries: int = 3) -> T:
    """Return what a run returns in which nothing was compiled: one in which something was is not measured."""
    for _ in range(tries):
        with compiling() as seconds:
            found = run()
        if not seconds:
            break
    return found


@dataclass(frozen=True)
class Small:
    """Small problems of the kind that a solver is going to be timed on.

    Attributes
    ----------
    kind
        What the problems have in common; those of one kind are needed once.
    make
        Returns a problem of the kind with at most so many queries.
    dtype
        Of dense utilities; None where the problem holds factors.
    solver, cost, threads, seed, time_limit
        As for `solve`.
    """

    kind: Hashable
    make: Callable[[int], Problem]
    dtype: npt.DTypeLike | None
    solver: str
    cost: Cost = "amortized"
    threads: int | None = None
    seed: int = 0
    time_limit: float | None = None

    def solve(self, make: Callable[[], Problem]) -> None:
        """Make a problem and solve it; a failure shows when it counts."""
        limit = WARM_UP_S if self.time_limit is None else min(WARM_UP_S, self.time_limit)
        with suppress(Exception):
            problem = make()
            solve(
                problem, problem.budget_at(0.5), self.solver, self.cost,
                time_limit=limit, seed=self.seed, threads=self.threads,
            )  # fmt: skip


class WarmUp:
    """Runs solvers on small problems before they are timed, each kind once.

    Attributes
    ----------
    seconds
        Spent in compiling and loading kernels so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._done: set[Hashable] = set()

    def run(self, small: Small) -> None:
        """Run a solver on small problems until nothing is left to compile."""
        solver = small.solver, small.cost
        foreign = any(entry.package != "robatch" for entry in solvers() if entry.name == small.solver)
        if self._is_new((small.kind, *solver, small.threads)):
            for size in FOREIGN_SIZES if foreign else SMALL_SIZES:
                self._settle(small, partial(small.make, size))
        if small.dtype is not None and not foreign and self._is_new((np.dtype(small.dtype), *solver)):
            for family, queries in HARD:
                self._settle(small, partial(generate, family, queries, dtype=small.dtype))

    def _settle(self, small: Small, make: Callable[[], Problem]) -> None:
        for _ in range(MOST_RUNS):
            with compiling() as seconds:
                small.solve(make)
            self.seconds += sum(seconds)
            if sum(seconds) < NOTICEABLE_S:
                return

    def _is_new(self, kind: Hashable) -> bool:
        new = kind not in self._done
        self._done.add(kind)
        return new


def structure(problem: Problem) -> Hashable:
    """Return what of a problem decides which kernels run on it: its types, and what it restricts."""
    optional = (problem.utility, problem.groups, problem.forbidden, problem.conflicts, problem.query_ids)
    return problem.dtype, *(part is None for part in optional), problem.all_allowed, repr(problem.constraints)
