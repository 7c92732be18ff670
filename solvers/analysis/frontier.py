"""The frontier: the best utility at every budget at once, under either cost model."""

from __future__ import annotations

from typing import Literal, get_args, overload

import numpy.typing as npt

from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import whole
from robatch.solvers.analysis.amortized_frontier import Frontier, amortized_frontier
from robatch.solvers.analysis.realized_frontier import RealizedFrontier
from robatch.solvers.plan.plan import Cost


@overload
def frontier(
    problem: Problem,
    resolution: None = None,
    threads: int | None = None,
    cost: Literal["realized"] = "realized",
    budgets: npt.ArrayLike | None = None,
) -> RealizedFrontier: ...


@overload
def frontier(
    problem: Problem,
    resolution: float | None = None,
    threads: int | None = None,
    *,
    cost: Literal["amortized"],
    budgets: None = None,
) -> Frontier: ...


@overload
def frontier(
    problem: Problem,
    resolution: float | None = None,
    threads: int | None = None,
    *,
    cost: Cost,
    budgets: npt.ArrayLike | None = None,
) -> Frontier | RealizedFrontier: ...


def frontier(
    problem: Problem,
    resolution: float | None = None,
    threads: int | None = None,
    cost: Cost = "realized",
    budgets: npt.ArrayLike | None = None,
) -> Frontier | RealizedFrontier:
    """Return the best utility at every budget at once.

    Parameters
    ----------
    problem
        Queries, models and utilities.
    resolution
        With amortized cost only: greatest error in utility, relative to the greatest utility, as far as a million
        classes of slopes allow; `Frontier.error` says what was reached. 0 keeps every breakpoint: a step of the concave
        hull of every query, about 60 bytes each. Above 0, steps of nearly equal slope are counted together. None: 0 up
        to 100,000 queries, 1e-8 beyond.
    threads
        Threads to use; None for as many as there are cores. The result is the same for any number.
    cost
        ``"realized"``: the best plan known at every budget as it is billed, and a bound. ``"amortized"``: the curve of
        the linear relaxation, which every plan stays below and the best ones nearly reach, as if every call were full.
    budgets
        With realized cost only: the budgets in USD at which plans are searched; None for some 200 that are spread over
        the frontier. Between them, too, it says what is known. Where constraints or conflicts couple queries, prompts
        are written to a cache, or there are more than 32 groups, ``greedy`` is asked at each budget, which takes
        longer: None stands for 40 then.

    Returns
    -------
    RealizedFrontier or Frontier
        By the cost model.

    Raises
    ------
    InputError
        If an argument is not allowed; or under amortized cost, if the problem has constraints that couple queries.
    """
    from robatch.solvers.bounds.threads import thread_count

    if cost not in get_args(Cost):
        raise InputError(f"cost is {cost!r}: 'amortized' or 'realized' is needed")
    count = thread_count(None if threads is None else whole("threads", threads, 1, most=1024))
    if cost == "amortized":
        if budgets is not None:
            raise InputError("budgets are given: they are for cost='realized', since an amortized frontier holds all")
        return amortized_frontier(problem, resolution, count)
    if resolution is not None:
        raise InputError(f"resolution is {resolution}: it is for cost='amortized'")
    from robatch.solvers.analysis.realized_search import realized_frontier

    return realized_frontier(problem, budgets, count)
