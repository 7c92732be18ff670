"""Compiling kept out of times: solvers run on small problems until nothing is left to compile. That is timed too."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from robatch.instances.families import generate
from robatch.instances.problem import Problem
from robatch.solvers.plan.plan import Cost, Plan
from robatch.solvers.solve import solve

WARM_UP_S = 1.0
"""Time limit of a warm-up."""

SMALL_SIZES = (2, 20, 300)
"""Queries of the warm-ups: 2 are few enough for brute force, 300 take every solver to its search. Those of other
packages, too, start from plans and bounds of this library."""

HARD = (("adversarial", 60), ("strongly-correlated", 60), ("ties", 300))
"""Generated problems that reach kernels which easy problems do without: the core's search, branching, aggregation."""

MOST_RUNS = 5
"""Runs of one warm-up. Compiling may take all of its time limit, so that later kernels are not reached in one run."""

NOTICEABLE_S = 0.1 * WARM_UP_S
"""Seconds of compiling that may have kept a warm-up from reaching later kernels."""

MOST_TRIES = 3
"""Timed runs of which the last counts, where something was compiled in each."""

NEGLIGIBLE = 0.01
"""Share of a runtime that compiling may take in a run that counts."""


@contextmanager
def compiled_at_once() -> Iterator[None]:
    """Let kernels compile at their first call, so that no time is that of Python."""
    from robatch.instances.compilation import at_once  # here, as it loads numba

    with at_once():
        yield


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


def uncompiled(run: Callable[[], Plan]) -> tuple[Plan, float]:
    """Return the plan of a run, with its runtime, and the seconds of the whole call: both without compiling.

    A run in which compiling took more than a negligible share is repeated, unless its time limit ended it: that would
    take as long again. What compiling took of the run that counts is taken off its times.
    """
    for _ in range(MOST_TRIES):
        begin = time.perf_counter()
        with compiled_at_once(), compiling() as seconds:
            plan = run()
        wall = time.perf_counter() - begin
        if sum(seconds) <= NEGLIGIBLE * plan.runtime or plan.limit == "time":
            break
    share = 1 - sum(seconds) / wall
    return replace(plan, runtime=share * plan.runtime), share * wall


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
    cost: Cost
    threads: int | None = None
    seed: int = 0
    time_limit: float | None = None

    @property
    def key(self) -> Hashable:
        """The kind with the solver and its settings, which together decide which kernels run."""
        return self.kind, self.solver, self.cost, self.threads

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
    """Runs solvers on small problems before they are timed, on the hard ones once for each dtype.

    Attributes
    ----------
    seconds
        Spent in compiling and loading kernels so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._hard: set[Hashable] = set()

    def run(self, small: Small) -> None:
        """Run a solver on small problems until nothing is left to compile."""
        for size in SMALL_SIZES:
            self._settle(small, partial(small.make, size))
        hard = None if small.dtype is None else replace(small, kind=np.dtype(small.dtype)).key
        if hard is not None and hard not in self._hard:
            self._hard.add(hard)
            for family, queries in HARD:
                self._settle(small, partial(generate, family, queries, dtype=small.dtype))

    def _settle(self, small: Small, make: Callable[[], Problem]) -> None:
        for _ in range(MOST_RUNS):
            with compiled_at_once(), compiling() as seconds:
                small.solve(make)
            self.seconds += sum(seconds)
            if sum(seconds) < NOTICEABLE_S:
                return


def structure(problem: Problem) -> Hashable:
    """Return what of a problem decides which kernels run on it: its types, and what it restricts."""
    optional = (problem.utility, problem.groups, problem.forbidden, problem.conflicts, problem.query_ids)
    return problem.dtype, *(part is None for part in optional), problem.all_allowed, repr(problem.constraints)
