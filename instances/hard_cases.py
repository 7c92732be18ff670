"""Families that are hard in a known way: `ties` and `adversarial`. Both are this project's own."""

from __future__ import annotations

import numpy as np

from robatch.instances.problem import Problem
from robatch.instances.sizes import Sizes

TIE_PRICES = (0.2, 0.2, 0.6, 0.9)  # USD per million tokens; the first two models cost the same
TIE_ACCURACIES = (0.4, 0.5, 0.65, 0.8)
TIE_SHARED_TOKENS = 800


def ties(sizes: Sizes, rng: np.random.Generator) -> Problem:
    """Make a problem of 0/1 correctness with few distinct costs, so that very many plans are equally good.

    Each model answers a query right up to some batch size and wrong beyond it: correctness never grows
    with batch size. Queries come from six classes of token counts, models from up to three prices.
    """
    n, k, b = sizes.queries, sizes.models, len(sizes.batch_sizes)
    pool = sizes.pool(shared_tokens=TIE_SHARED_TOKENS)
    prices = np.resize(TIE_PRICES, k).tolist()
    models = [model.replace(price_in=price, price_out=price) for model, price in zip(pool, prices, strict=True)]
    accuracy = np.resize(TIE_ACCURACIES, k)
    right = rng.random((n, k)) < accuracy
    # Number of batch sizes, from the smallest, at which a query is answered right: 1 to b, or none.
    reach = np.where(right, rng.integers(1, b, size=(n, k), endpoint=True), 0)
    utilities = (np.arange(b) < reach[:, :, None]).reshape(n, k * b)
    inputs = rng.choice([50.0, 100.0, 200.0], size=n)
    outputs = rng.choice([50.0, 100.0], size=n)
    return Problem(models, inputs, outputs, utility=utilities.astype(sizes.dtype))


GIANT_SHARE = 0.6  # the giant's part of all upgrade costs
TINY_EDGE = 1.02  # the slope of tiny upgrades over that of the giant
TRAP_EDGE = 1.3  # the slope of trapped upgrades over that of the giant
POOR_UTILITY = 0.2  # part of a trap's utility that its first step, half of its cost, brings
TINY_TOKENS = (900, 1100)
BASE_TOKENS = 100


def adversarial(sizes: Sizes, rng: np.random.Generator) -> Problem:
    """Make a problem on which greedy schedulers lose much, for every N and K of at least 2.

    All prices are 1 USD per million tokens and there is no shared prompt, so that amortized and realized
    cost agree and only output tokens differ. Every query has a free state (model 1) of utility 0.

    (a) The giant. One query's only upgrade (to model 2) costs 60 % of all upgrades together and has utility
    1. The upgrades of all other queries are tiny and have a slope (utility per dollar) 2 % or 30 % above
    the giant's. Greedy on concave hulls takes steps in the order of slopes: the tiny ones first, 40 % of
    the cost. At a budget fraction f of 0.6 to 1 (exclusive) the giant no longer fits: greedy ends with
    a utility of about 0.77, where the giant and f - 0.6 of the best tiny upgrades reach at least 1.

    (b) The trap. With three models or more, half of the other queries (those with a slope 30 % above the
    giant's) have a poor first step to model 3: half of the cost for a fifth of the utility. The concave
    hull skips it. A scheduler that looks only at the next step of the raw Pareto frontier sees its bad
    slope, prefers every other query, and does without the best upgrades while money is short.

    Of each model, only the state of the largest batch size is of use. All other states have utility 0 and
    cost no less than the free one.
    """
    n, k, b = sizes.queries, sizes.models, len(sizes.batch_sizes)
    queries = rng.permutation(n)
    giant, others = queries[0], queries[1:]
    trapped = others[: len(others) // 2]

    tokens = np.zeros(n)
    tokens[others] = 2 * (rng.integers(*TINY_TOKENS, size=n - 1, endpoint=True) // 2)  # halves are whole
    tokens[giant] = np.rint(tokens.sum() * GIANT_SHARE / (1 - GIANT_SHARE))
    slope = np.full(n, TINY_EDGE)
    slope[trapped] = TRAP_EDGE
    slope[giant] = 1.0

    last = np.arange(k) * b + b - 1  # column of each model's largest batch size
    utilities = np.zeros((n, k * b))
    utilities[:, last[1]] = slope * tokens / tokens[giant]
    outputs = np.repeat(tokens[:, None], k, axis=1)
    outputs[:, 0] = 0.0
    if k > 2:
        outputs[trapped, 2] = tokens[trapped] / 2
        utilities[trapped, last[2]] = POOR_UTILITY * utilities[trapped, last[1]]
    return Problem(
        sizes.pool(),
        np.full(n, float(BASE_TOKENS)),
        outputs,
        utility=utilities.astype(sizes.dtype, copy=False),
    )
