"""Every kernel compiled ahead, by small problems of every kind: for images, for CI, and for who dislikes to wait.

``python -m robatch.bench.common.warm_up NUMBER`` solves the problems of one task; each runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from robatch.instances import Constraints, Problem, compilation, generate
from robatch.instances.errors import InputError
from robatch.proxies import UtilityProxy
from robatch.solvers import cheapest, explain, frontier, solve, solvers, verify
from robatch.solvers.plan.plan import Cost


@dataclass(frozen=True)
class WarmedUp:
    """What a warm-up did.

    Attributes
    ----------
    kernels
        How many compiled kernels are kept now.
    folder
        Where they are, None if they could be kept nowhere.
    seconds
        It took.
    """

    kernels: int
    folder: str | None
    seconds: float


def warm_up(jobs: int | None = None, done: Callable[[], object] | None = None) -> WarmedUp:
    """Compile all kernels into the cache.

    Parameters
    ----------
    jobs
        Processes at a time, at least 1; None for as many as this process has cores.
    done
        Called after each of `task_count()` tasks.

    Raises
    ------
    InputError
        If `jobs` is not allowed.
    RuntimeError
        If a process fails.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs is {jobs}: at least 1 is needed")
    jobs = jobs or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    begin = time.perf_counter()

    def run(number: int) -> dict[str, str | None]:
        command = [sys.executable, "-P", "-m", "robatch.bench.common.warm_up", str(number)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise RuntimeError(f"warm-up task {number} failed: {made.stderr.strip()}")
        if done is not None:
            done()
        found: dict[str, str | None] = json.loads(made.stdout.splitlines()[-1])
        return found

    with ThreadPoolExecutor(jobs) as pool:
        kept = {name: folder for part in pool.map(run, range(task_count())) for name, folder in part.items()}
    folders = [folder for folder in kept.values() if folder is not None]
    common = os.path.commonpath(folders) if folders else None
    return WarmedUp(len(folders), common, time.perf_counter() - begin)


def task_count() -> int:
    """Return how many tasks there are."""
    return len(tasks())


def small(dtype: str = "float64") -> Problem:
    """Return a small problem."""
    return generate("uncorrelated", queries=6, models=2, batch_sizes=(1, 3), seed=1, dtype=dtype)


def solved(problem: Problem, solver: str, cost: Cost) -> None:
    """Solve a problem, and check the plan once more."""
    verify(problem, solve(problem, problem.budget_at(0.5), solver, cost=cost))


def all_solved(problem: Problem, ways: list[tuple[str, Cost]]) -> None:
    """Solve a problem by several solvers."""
    for solver, cost in ways:
        solved(problem, solver, cost)


def with_conflicts() -> None:
    """Keep queries apart."""
    problem = small().replace(conflicts=[(0, 1), (1, 2), (2, 4)], groups=[0, 0, 0, 0, 0, 1])
    for solver in ("greedy", "brute-force"):
        solved(problem, solver, "realized")
    solve(problem, 1.0, "greedy", cost="realized").calls()


def with_limits() -> None:
    """Keep constraints."""
    problem = small().replace(groups=[0, 0, 0, 0, 0, 1])
    problem = problem.replace(constraints=Constraints(max_queries={problem.models[0].name: 3}))
    for cost in ("amortized", "realized"):
        solved(problem, "greedy", cost)
    explain(problem, problem.budget_at(0.1), cost="amortized")


def at_least_cost() -> None:
    """Find the least cost of a utility."""
    for cost in ("amortized", "realized"):
        for solver in ("greedy", "exact"):
            cheapest(small(), mean=0.5, solver=solver, cost=cost)


def predicted() -> None:
    """Count the words of texts."""
    UtilityProxy(router="constant").fit(["one text", "another"], [[0.0], [1.0]])


def tasks() -> list[Callable[[], object]]:
    """Return what compiles, the longest first."""
    rest = [(e.name, cost) for e in solvers() for cost in e.costs if e.name not in ("exact", "greedy")]
    return [
        lambda: solved(small(), "exact", "amortized"),
        lambda: solved(small(), "exact", "realized"),
        with_conflicts,
        with_limits,
        lambda: solved(small("float32"), "exact", "amortized"),
        at_least_cost,
        lambda: [frontier(small(), resolution, cost="amortized") for resolution in (0.0, 0.01)],
        lambda: solved(small("float32"), "greedy", "realized"),
        predicted,
        lambda: all_solved(small(), rest),
        lambda: all_solved(small("float32"), rest),
        lambda: solved(generate("realistic", queries=6, models=2, seed=1, factored=True), "exact", "amortized"),
    ]


if __name__ == "__main__":
    with compilation.at_once():
        tasks()[int(sys.argv[1])]()
    print(json.dumps({kernel.name: kernel.stats.cache_path for kernel in compilation.kernels if kernel.overloads}))
