"""What a problem's constraints ask of an assignment, in float64: the rule that every solver keeps."""

from __future__ import annotations

from dataclasses import dataclass
from operator import mul
from typing import Literal

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.money import times
from robatch.instances.problem import Problem
from robatch.instances.problem_costs import Evaluation
from robatch.solvers.plan.plan import Cost

Kind = Literal["max_queries", "max_calls", "max_cost", "min_group_utility", "group_budget"]
KINDS: tuple[Kind, ...] = ("max_queries", "max_calls", "max_cost", "min_group_utility", "group_budget")
OF_GROUPS = ("min_group_utility", "group_budget")
OF_MONEY = ("max_cost", "group_budget")

MEAN_ROUNDING = 1e-12  # relative: sums of utilities in another order; whole numbers and money are exact


@dataclass(frozen=True, slots=True)
class Entry:
    """One limit of a problem's constraints.

    Attributes
    ----------
    kind
        The field of `Constraints` that holds it.
    label
        The model's name or the group's label.
    place
        Number of the model, or of the group.
    limit
        The number that must not be exceeded, or for `min_group_utility` must be reached.
    """

    kind: Kind
    label: str | int
    place: int
    limit: float


def entries(problem: Problem) -> list[Entry]:
    """Return every limit of a problem's constraints, kind by kind."""
    if problem.constraints is None:
        return []
    models = {model.name: k for k, model in enumerate(problem.models)}
    groups = {label: g for g, label in enumerate(problem.group_labels)}
    return [
        Entry(kind, label, (groups if kind in OF_GROUPS else models)[label], limit)
        for kind in KINDS
        for label, limit in getattr(problem.constraints, kind).items()
    ]


def one_cost(problem: Problem) -> bool:
    """Whether both cost models are the same: no state has a call that several queries could share, and no write."""
    return not (((problem.call_price > 0.0) & (problem.state_batch_size > 1)).any() or problem.write_charge.any())


def needs(problem: Problem, cost: Cost) -> list[str]:
    """Return what a solver must be able to keep beside the budget: kinds of constraints, ``"conflicts"``, ``"costs"``.

    Conflicts only change how many calls are needed: without calls that are billed or limited they bind no one. Costs of
    one's own are as any other without calls that several queries share, and without constraints.
    """
    asked: list[str] = [kind for kind in KINDS if problem.constraints and getattr(problem.constraints, kind)]
    if problem.conflicts is not None and cost == "realized":
        asked.append("conflicts")
    if problem.costs is not None and (asked or (cost == "realized" and not one_cost(problem))):
        asked.append("costs")
    return asked


def amounts(problem: Problem, assignment: IntArray, cost: Cost, known: Evaluation | None = None) -> list[float]:
    """Return how much an assignment (N,) uses of each of `entries`: queries, calls, USD, or mean utility.

    Here and below, `known` is what `Problem.evaluate` says of the assignment, where that was asked already.
    """
    asked = entries(problem)
    if not asked:
        return []
    calls = (known or problem.evaluate(assignment)).calls
    model = problem.state_model[assignment]
    found: list[float] = []
    for entry in asked:
        if entry.kind == "max_queries":
            found.append(int(np.count_nonzero(model == entry.place)))
        elif entry.kind == "max_calls":
            found.append(int(calls[:, problem.state_model == entry.place].sum()))
        elif entry.kind == "min_group_utility":
            rows = np.flatnonzero(problem.group_codes == entry.place)
            found.append(float(np.mean(_chosen_utilities(problem, assignment, rows))))
        elif entry.kind == "max_cost":
            billed = calls * (problem.state_model == entry.place)
            found.append(_usd(problem, assignment, np.flatnonzero(model == entry.place), billed, cost))
        else:
            rows = np.flatnonzero(problem.group_codes == entry.place)
            found.append(_usd(problem, assignment, rows, calls[entry.place : entry.place + 1], cost))
    return found


def excess(problem: Problem, assignment: IntArray, cost: Cost, known: Evaluation | None = None) -> float:
    """Return by how much, relative to its limit, an assignment (N,) breaks the constraint that it breaks most.

    0 if it keeps all of them; of a limit of 0 the amount itself counts.
    """
    return max((over for _, over in broken(problem, assignment, cost, known)), default=0.0)


def broken(
    problem: Problem, assignment: IntArray, cost: Cost, known: Evaluation | None = None
) -> list[tuple[Entry, float]]:
    """Return the limits that an assignment (N,) breaks, and by how much, relative to each as for `excess`."""
    found = []
    for entry, amount in zip(entries(problem), amounts(problem, assignment, cost, known), strict=True):
        over = amount - entry.limit
        if entry.kind == "min_group_utility":
            over = entry.limit * (1 - MEAN_ROUNDING) - amount
        if over > 0.0:
            found.append((entry, over / entry.limit if entry.limit > 0 else over))
    return found


def legal(problem: Problem, assignment: IntArray, budget: float, cost: Cost, known: Evaluation | None = None) -> bool:
    """Return whether an assignment (N,) keeps the budget and all constraints."""
    known = known or problem.evaluate(assignment)
    return known.cost(cost) <= budget and excess(problem, assignment, cost, known) <= 0.0


def _chosen_utilities(problem: Problem, assignment: IntArray, rows: IntArray) -> FloatArray:
    """Return the utilities of some queries in the states that an assignment gives them."""
    states = assignment[rows]
    if problem.utility is not None:
        return problem.utility[rows, states].astype(np.float64)
    assert problem.base_utility is not None
    assert problem.retention is not None
    kept = problem.retention[0, states] if len(problem.retention) == 1 else problem.retention[rows, states]
    product = problem.base_utility[rows, problem.state_model[states]] * kept
    return np.minimum(product, 1.0, dtype=product.dtype).astype(np.float64)


def _usd(problem: Problem, assignment: IntArray, rows: IntArray, calls: IntArray, cost: Cost) -> float:
    """Return what some queries cost, and the calls (groups, S) that bill for them, to the last digit."""
    money, states = problem.money, assignment[rows]
    charges = problem.charges
    column = charges.column[states]
    tokens = []
    for array in (charges.inputs, charges.outputs):
        sent = array[rows, column if array.shape[1] > 1 else 0].astype(np.float64)
        tokens.append(np.bincount(column, sent, minlength=charges.prices.shape[1]).astype(np.float64).tolist())
    total = times(money.price_in, tokens[0]) + times(money.price_out, tokens[1])
    if cost == "amortized":
        prompts = zip(money.share, np.bincount(states, minlength=problem.n_states).tolist(), strict=True)
    else:
        prompts = zip(money.call, calls.sum(axis=0).tolist(), strict=True)
        total += sum(map(mul, money.write, problem.writes(calls).sum(axis=0).tolist()))
    return money.usd(total + sum(price * number for price, number in prompts))
