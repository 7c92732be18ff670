"""How far solvers are from the proven optimum: every solver on every instance, budget and cost model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any, get_args

from robatch.bench.common import machine
from robatch.bench.common.record import Record
from robatch.bench.common.rows import Key, Row, compare
from robatch.bench.gap.results import GapResults
from robatch.bench.gap.tables import Terminal
from robatch.instances.display import wording
from robatch.instances.display.terminal import Display, Silent
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import number, whole
from robatch.solvers.plan.plan import Cost, Plan
from robatch.solvers.registry import get
from robatch.solvers.solve import solve

ENOUGH_S = 0.05  # a solver is run again until its runs in a cell took this long together ...
MOST_REPEATS = 15  # ... or there are this many
WARM_UP_QUERIES = 2  # few enough for brute force


def gap_benchmark(
    instances: Mapping[str, Problem],
    fractions: Sequence[float] = (0.1, 0.3, 0.7),
    solvers: Sequence[str] = ("greedy", "pareto", "highs", "cpsat"),
    costs: Sequence[Cost] = ("amortized",),
    time_limit: float | None = None,
    output: str | Path | None = None,
    seed: int = 0,
    threads: int | None = None,
    repeats: int = 1,
    resume: bool = True,
    progress: bool | Display[Row] = False,
    sources: Mapping[str, str] | None = None,
) -> GapResults:
    """Run every solver on every instance, budget fraction and cost model, side by side.

    Before anything is timed, every solver runs once, uncounted, on two queries of the instance, so that
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
        Cost models to hold against the budget: ``"amortized"``, ``"realized"``.
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

    Returns
    -------
    GapResults
        One row a cell and solver, with the settings and the machine.

    Raises
    ------
    InputError
        If an argument is not allowed, or `output` cannot be written or holds rows of other settings.
    """
    settings = _settings(instances, fractions, solvers, costs, time_limit, seed, threads, repeats, sources or {})
    described = machine.describe()
    display: Display[Row] = progress if not isinstance(progress, bool) else Terminal() if progress else Silent()
    record = None if output is None else Record(Path(output), Row, settings, described, resume)
    rows: dict[Key, Row] = {} if record is None else record.rows
    try:
        with display:
            display.begin(len(_keys(settings)), len(rows))
            for name, problem in instances.items():
                for row in _instance(name, problem, settings, dict(rows), display):
                    rows[row.key] = row
                    if record is not None:
                        record.append(row)
            results = GapResults(settings, described, tuple(compare(rows[key] for key in _keys(settings))))
            display.end(results.rows)
        if output is not None:
            results.write(output)
    finally:
        if record is not None:
            record.close()
    return results


def _settings(
    instances: Mapping[str, Problem],
    fractions: Sequence[float],
    solvers: Sequence[str],
    costs: Sequence[Cost],
    time_limit: float | None,
    seed: int,
    threads: int | None,
    repeats: int,
    sources: Mapping[str, str],
) -> dict[str, Any]:
    """Check the arguments, and return all that the rows depend on as plain values for JSON."""
    for name, values in (
        ("instances", instances),
        ("fractions", fractions),
        ("solvers", solvers),
        ("costs", costs),
    ):
        if isinstance(values, str) or not len(values):
            raise InputError(f"{name} is {values!r}: at least one entry is needed")
        if len(set(values)) < len(values):
            raise InputError(f"{name} is {list(values)!r}: each entry may stand only once")
    for cost in costs:
        if cost not in get_args(Cost):
            raise InputError(f"cost is {cost!r}: 'amortized' or 'realized' is needed")
        if not any(cost in get(name).costs for name in solvers):
            raise InputError(f"solvers is {list(solvers)!r}: none of them can keep a budget of {cost} cost")
    if time_limit is not None:
        time_limit = number("time_limit", time_limit, above=True, needed="a number of seconds above 0")
    return {
        "instances": {
            name: {"source": sources.get(name, "given"), "sha256": fingerprint(problem), **sizes(problem)}
            for name, problem in instances.items()
        },
        "fractions": [number("budget fraction", fraction, 0.0, 1.0) for fraction in fractions],
        "costs": list(costs),
        "solvers": {name: get(name).version for name in solvers},
        "time_limit": time_limit,
        "seed": whole("seed", seed),
        "threads": None if threads is None else whole("threads", threads, 1),
        "repeats": whole("repeats", repeats, 1),
    }


def sizes(problem: Problem) -> dict[str, int]:
    """Return the numbers of queries, models and states."""
    return {"queries": problem.n_queries, "models": problem.n_models, "states": problem.n_states}


def fingerprint(problem: Problem) -> str:
    """Return a SHA-256 of everything in a problem."""
    digest = hashlib.sha256(repr([asdict(model) for model in problem.models]).encode())
    for name in (
        "input_tokens",
        "output_tokens",
        "utility",
        "base_utility",
        "retention",
        "query_ids",
        "groups",
        "forbidden",
        "conflicts",
    ):
        array = getattr(problem, name)
        digest.update(f"{name} {None if array is None else (array.shape, array.dtype.str)}".encode())
        if array is not None:
            digest.update(array.tobytes())
    digest.update(repr((problem.constraints, problem.window_margin)).encode())
    return digest.hexdigest()


def _keys(settings: Mapping[str, Any], instance: str | None = None) -> list[Key]:
    """Return the keys of all rows in the order in which they are made: solver by solver within a cell.

    A solver has none under a cost model whose budget it cannot keep.
    """
    return [
        (name, cost, fraction, solver)
        for name in ([instance] if instance is not None else settings["instances"])
        for cost in settings["costs"]
        for fraction in settings["fractions"]
        for solver in settings["solvers"]
        if cost in get(solver).costs
    ]


def _instance(
    name: str, problem: Problem, settings: Mapping[str, Any], kept: Mapping[Key, Row], display: Display[Row]
) -> Iterator[Row]:
    """Yield the missing rows of an instance, and show all of its cells."""
    warm: set[tuple[str, str]] = set()
    cell: list[Row] = []
    keys = _keys(settings, name)
    for key, after in zip_longest(keys, keys[1:]):
        _, cost, fraction, solver = key
        row = kept.get(key)
        if row is None:
            display.working(f"{name} · {cost} · {wording.fraction(fraction)} · {solver}")
            if (cost, solver) not in warm:
                warm_up(problem, solver, cost, settings)
                warm.add((cost, solver))
            row = measure(key, problem, settings)
            yield row
        cell.append(row)
        display.made(compare(cell), row.key in kept)
        if after is None or after[:3] != key[:3]:
            display.cell(compare(cell))
            cell = []


def warm_up(
    problem: Problem, solver: str, cost: Cost, settings: Mapping[str, Any], queries: int = WARM_UP_QUERIES
) -> None:
    """Run a solver once on the first queries, so that nothing is compiled or imported while it is timed."""
    with suppress(Exception):  # a failure shows when it counts
        few = problem.take(range(min(queries, problem.n_queries)))
        _solve(few, few.budget_at(0.5), solver, cost, settings)


def _solve(problem: Problem, budget: float, solver: str, cost: Cost, settings: Mapping[str, Any]) -> Plan:
    seed, threads, limit = settings["seed"], settings["threads"], settings["time_limit"]
    return solve(problem, budget, solver, cost, time_limit=limit, seed=seed, threads=threads)


def measure(key: Key, problem: Problem, settings: Mapping[str, Any]) -> Row:
    """Run a solver in a cell, quick ones several times, and return its row; a failure is a row too."""
    name, cost, fraction, solver = key
    budget = problem.budget_at(fraction)
    facts = {
        "instance": name,
        "source": settings["instances"][name]["source"],
        **sizes(problem),
        "budget_fraction": fraction,
        "budget": budget,
        "cost": cost,
        "solver": solver,
        "solver_version": settings["solvers"][solver] or "not installed",
    }
    times: list[float] = []
    try:
        plan = _solve(problem, budget, solver, cost, settings)
        times.append(plan.runtime)
        while len(times) < settings["repeats"] or (sum(times) < ENOUGH_S and len(times) < MOST_REPEATS):
            times.append(_solve(problem, budget, solver, cost, settings).runtime)
    except Exception as error:  # one solver's failure must not end the run
        return Row(**facts, status="error", message=wording.failure(error))
    return Row(
        **facts,
        status=plan.status,
        limit=plan.limit,
        utility=plan.utility,
        amortized_cost=plan.amortized_cost,
        realized_cost=plan.realized_cost,
        bound=plan.bound if plan.bound is None or math.isfinite(plan.bound) else None,
        own_gap=plan.gap,
        runtime_s=median(times),
        repeats=len(times),
        message=plan.message,
    )
