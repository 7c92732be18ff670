"""Generated problems: one function, `generate`, and the families it knows.

Every family is fully determined by its sizes and its seed. What a family imitates, and where that
comes from, stands in the docstring of its maker: `realistic`, `correlated`, `hard_cases`, `knapsack`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from robatch.instances import checks, correlated, hard_cases, knapsack, multiple_choice, realistic, scalars
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.sizes import Sizes

_MAKERS: dict[str, Callable[[Sizes, np.random.Generator], Problem]] = {
    "realistic": realistic.realistic,
    "uncorrelated": correlated.uncorrelated,
    "weakly-correlated": correlated.weakly_correlated,
    "strongly-correlated": correlated.strongly_correlated,
    "subset-sum": correlated.subset_sum,
    "ties": hard_cases.ties,
    "adversarial": hard_cases.adversarial,
    "from-knapsack": knapsack.random_problem,
}
FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "realistic": "prices, token lengths, accuracies and loss with batch size like those published for real pools",
        "uncorrelated": "random utilities that have nothing to do with cost (Pisinger 1995)",
        "weakly-correlated": "utility is cost, give or take a tenth of the cost range (Pisinger 1995)",
        "strongly-correlated": (
            "utility is cost plus a constant for every step up in cost: none dominates (Pisinger 1995)"
        ),
        "subset-sum": "utility is proportional to cost (Pisinger 1995)",
        "ties": "0/1 correctness, few distinct costs, equal prices",
        "adversarial": "the greedy gap is large by construction: one giant upgrade that greedy reaches too late",
        "from-knapsack": "a random 0-1 knapsack; always 2 models ('skip' and 'take') of batch size 1",
    }
)
"""Names of the families of `generate`, with a short description of each."""


def generate(
    family: str = "realistic",
    queries: int = 1000,
    models: int = 4,
    batch_sizes: Sequence[int] = (1, 2, 4, 8, 16, 32),
    seed: int = 0,
    dtype: npt.DTypeLike = "float64",
    factored: bool | None = None,
    largest: int = multiple_choice.LARGEST,
) -> Problem:
    """Generate a problem.

    Parameters
    ----------
    family
        One of `FAMILIES`, or of `KNAPSACK_FAMILIES`: multiple-choice knapsacks of `queries` classes and `models` items
        in each, with their capacity.
    queries
        Number of queries, N, at least 1; `adversarial` needs 2.
    models
        Number of models, K, at least 1; `adversarial` needs 2, `from-knapsack` always has 2.
    batch_sizes
        Batch sizes of every model, different whole numbers of at least 1; `from-knapsack` has only 1.
    seed
        Whole number of at least 0. The same arguments give the same problem.
    dtype
        float64 or float32.
    factored
        Whether utilities are held as base utility times retention. Only `realistic` can; it does
        unless this is False. Both forms hold the same utilities.
    largest
        R of the knapsacks, the largest profit and weight of an item; of no use to other families.

    Returns
    -------
    Problem
        Without ids, groups or context windows: every query is allowed in every state.

    Raises
    ------
    InputError
        If the family is unknown or a size is not allowed.

    Examples
    --------
    >>> generate("ties", queries=5, models=2, batch_sizes=(1, 4), seed=3)
    Problem(5 queries, 2 models, 4 states, dense float64 utilities)
    """
    if family in multiple_choice.KNAPSACK_FAMILIES:
        return _knapsack(family, queries, models, seed, dtype, factored, largest)
    if family not in _MAKERS:
        known = ", ".join([*_MAKERS, *multiple_choice.KNAPSACK_FAMILIES])
        raise InputError(f"family is {family!r}: one of {known} is needed")
    least = 2 if family == "adversarial" else 1
    needed = f"a whole number of at least {least} for the family {family!r}"
    if factored and family != "realistic":
        raise InputError(f"factored is True for family {family!r}: only 'realistic' has factored utilities")
    sizes = Sizes(
        queries=scalars.whole("queries", queries, least, needed),
        models=scalars.whole("models", models, least, needed),
        batch_sizes=scalars.batch_sizes(batch_sizes),
        dtype=checks.floating(dtype),
        factored=factored is not False,
    )
    rng = np.random.default_rng(scalars.whole("seed", seed, most=2**63 - 1))
    return _MAKERS[family](sizes, rng)


def _knapsack(
    family: str, classes: int, items: int, seed: int, dtype: npt.DTypeLike, factored: bool | None, largest: int
) -> Problem:
    """Make a problem of one of Pisinger's random classes."""
    if checks.floating(dtype) != np.float64 or factored:
        form = "factored is True" if factored else f"dtype is {np.dtype(dtype).name!r}"
        raise InputError(f"{form} for family {family!r}: its problems are dense and float64")
    k, n, r = (
        scalars.whole(name, value, 1) for name, value in (("queries", classes), ("models", items), ("largest", largest))
    )
    rng = np.random.default_rng(scalars.whole("seed", seed, most=2**63 - 1))
    return Problem.from_mckp(*multiple_choice.random_classes(family, k, n, rng, r))
