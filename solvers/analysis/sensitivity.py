"""The sensitivity of a plan: what the next dollar buys, and how far each query is from another state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import whole
from robatch.solvers.choice import check_constraints
from robatch.solvers.limits import needs
from robatch.solvers.plan.plan import Plan
from robatch.solvers.writes import as_billed


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How a plan depends on the budget and on the utilities.

    Attributes
    ----------
    shadow_price
        Utility that the next dollar buys.
    margin
        Utility by which each query's state is better than its next best one, its amortized cost counted at the shadow
        price: (N,). Its utility may fall, or that of any other state rise, by less, and the state stays the
        best for the query; inf where it has no other. Below 0 for the few queries whose state is not the best
        at that price, but fills the budget.
    next_state
        The next best state of each query, as a column of the problem, -1 where there is none: (N,).
    """

    shadow_price: float
    margin: npt.NDArray[np.float64]
    next_state: IntArray


def sensitivity(problem: Problem, plan: Plan, threads: int | None = None) -> Sensitivity:
    """Return what the next dollar buys, and by how much a query's utility must change to change its state.

    Parameters
    ----------
    problem, plan
        A problem, and a plan of it that has a shadow price: from ``exact`` or ``greedy``, under either cost model. The
        price is that of the linear relaxation, in which calls are as full as they can be.
    threads
        Threads to use; None for as many as there are cores.

    Raises
    ------
    InputError
        If the plan has no assignment or no shadow price, or is of another problem, or `threads` is not allowed, or
        the problem has constraints that couple queries: their prices are not known.
    """
    from robatch.instances.kernels import flat
    from robatch.solvers.bounds import relaxation_kernels
    from robatch.solvers.bounds.threads import over_chunks, thread_count

    check_constraints("sensitivity", frozenset(), needs(problem, "amortized"), "amortized")
    if plan.assignment is None or plan.shadow_price is None or not np.isfinite(plan.shadow_price):
        raise InputError(
            f"the plan of {plan.solver!r} has status {plan.status!r} and shadow price {plan.shadow_price}: "
            "an assignment and a shadow price are needed, as 'exact' and 'greedy' give them"
        )
    mine, theirs = problem.query_ids, plan.query_ids
    same = mine is theirs or (mine is not None and theirs is not None and np.array_equal(mine, theirs))
    if plan.states != problem.states or not same:
        raise InputError("the plan's states or query ids are not those of the problem: it was made for another one")
    count = thread_count(None if threads is None else whole("threads", threads, 1, most=1024))
    price, states = plan.shadow_price, problem.check_assignment(plan.assignment)
    margin = np.empty(problem.n_queries)
    other = np.empty(problem.n_queries, dtype=np.int64)
    arrays = flat(problem if plan.cost == "amortized" else as_billed(problem))
    over_chunks(
        lambda begin, end: relaxation_kernels.margins(begin, end, price, states, margin, other, arrays),
        problem.n_queries,
        count,
    )
    return Sensitivity(price, margin, other)
