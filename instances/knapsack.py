"""The 0-1 knapsack problem as a special case: why Route with Batching is NP-hard."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.instances.sizes import Sizes

SKIP, TAKE = 0, 1  # states of `from_knapsack`


@dataclass(frozen=True, slots=True)
class Knapsack:
    """A 0-1 knapsack: choose items of greatest total profit whose total weight is within the capacity.

    Parameters
    ----------
    profits, weights
        One number an item, finite and not negative; at least one item. At least one profit is positive.
    capacity
        Finite, not negative.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    profits: tuple[float, ...]
    weights: tuple[float, ...]
    capacity: float

    def __post_init__(self) -> None:
        for field in ("profits", "weights"):
            values = getattr(self, field)
            if not isinstance(values, Iterable):
                raise InputError(f"{field} is {values!r}: a sequence of numbers is needed")
            checked = tuple(number(f"{field}[{item}]", value) for item, value in enumerate(values))
            object.__setattr__(self, field, checked)
        object.__setattr__(self, "capacity", number("capacity", self.capacity))
        if len(self.profits) != len(self.weights):
            raise InputError(
                f"profits has {len(self.profits)} entries and weights has {len(self.weights)}: "
                "one of each is needed for every item"
            )
        if not self.profits:
            raise InputError("profits is empty: a knapsack needs at least one item")
        if max(self.profits) == 0:
            raise InputError("profits are all 0: at least one positive profit is needed")

    def profit(self, items: Sequence[int] | npt.NDArray[np.int64]) -> float:
        """Return the total profit of some items, given by their positions."""
        return math.fsum(self.profits[item] for item in items)

    def weight(self, items: Sequence[int] | npt.NDArray[np.int64]) -> float:
        """Return the total weight of some items, given by their positions."""
        return math.fsum(self.weights[item] for item in items)


def from_knapsack(knapsack: Knapsack) -> tuple[Problem, float]:
    """Reduce a 0-1 knapsack to Route with Batching.

    Parameters
    ----------
    knapsack
        With items j = 1..n, profits p, weights w and capacity W.

    Returns
    -------
    problem : Problem
        One query an item with w[j] input tokens, and two states: model ``skip``, free and of utility 0,
        and model ``take``, at 1 USD a token and of utility ``p[j] / max(p)``. No shared prompt, no output,
        batch size 1.
    budget : float
        W, in USD.

    Notes
    -----
    Proof that Route with Batching is NP-hard. The construction takes time linear in n. Let x be any choice
    of items and send query j to ``take`` exactly if j is in x: a bijection between choices and assignments.
    Query j costs ``1 * (0 / 1 + w[j]) = w[j]`` in ``take`` and 0 in ``skip``, so the plan's cost is the
    weight of x; with batch size 1 and no shared prompt this is its realized cost as well as its amortized
    cost. Hence x fits the knapsack if and only if the plan meets the budget W. The plan's utility is the
    profit of x over the constant ``max(p)``. So x is an optimal choice if and only if the plan is an optimal
    plan, and "is there a profit of at least P?" becomes "is there a utility of at least P / max(p)?". As the
    decision version of 0-1 knapsack is NP-complete (Karp 1972), the problem is NP-hard under both cost
    models, even with two models and without batches. `items` is the map back.
    """
    largest = max(knapsack.profits)
    profits = np.array(knapsack.profits) / largest
    problem = Problem(
        # 1e6 USD per million tokens are exactly 1 USD a token.
        models=[Model("skip", 0.0, 0.0, batch_sizes=(1,)), Model("take", 1e6, 0.0, batch_sizes=(1,))],
        input_tokens=np.array(knapsack.weights),
        output_tokens=np.zeros(len(profits)),
        utility=np.column_stack([np.zeros_like(profits), profits]),
    )
    return problem, knapsack.capacity


def items(problem: Problem, assignment: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the positions of the items that an assignment (n,) of a `from_knapsack` problem takes, ascending.

    Raises
    ------
    InputError
        If the problem is not a reduced knapsack, or the assignment does not fit it.
    """
    if problem.states != (("skip", 1), ("take", 1)):
        raise InputError(f"{problem!r} was not made by from_knapsack: the states 'skip x 1' and 'take x 1' are needed")
    return np.flatnonzero(problem.check_assignment(assignment) == TAKE)


def random_knapsack(n_items: int, rng: np.random.Generator) -> Knapsack:
    """Return a knapsack of whole profits and weights from 1 to 1000 that half of the weight fits."""
    profits = rng.integers(1, 1000, size=n_items, endpoint=True)
    weights = rng.integers(1, 1000, size=n_items, endpoint=True)
    return Knapsack(tuple(profits.tolist()), tuple(weights.tolist()), float(weights.sum() // 2))


def random_problem(sizes: Sizes, rng: np.random.Generator) -> Problem:
    """Make a problem from a random 0-1 knapsack of N items; its models and batch sizes are fixed.

    Profits and weights are random whole numbers from 1 to 1000, Pisinger's uncorrelated class. The capacity
    is left out: every budget makes a knapsack of it.
    """
    problem, _ = from_knapsack(random_knapsack(sizes.queries, rng))
    assert problem.utility is not None  # made so above
    return problem.replace(utility=problem.utility.astype(sizes.dtype))
