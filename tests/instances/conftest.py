"""Problems that the tests of `robatch.instances` share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from robatch.instances import Model, Problem


def make_small(**changes: Any) -> Problem:
    """Two models (three states), four queries, numbers that can be followed by hand."""
    fields: dict[str, Any] = {
        "models": [
            Model("weak", 1.0, 2.0, shared_tokens=100, batch_sizes=(1, 4)),
            Model("strong", 10.0, 30.0, shared_tokens=200, batch_sizes=(2,)),
        ],
        "input_tokens": [10, 20, 30, 40],
        "output_tokens": [[1, 2], [3, 4], [5, 6], [7, 8]],
        "utility": [[0.5, 0.4, 0.9], [0.6, 0.5, 0.8], [0.1, 0.1, 1.0], [0.3, 0.3, 0.2]],
    }
    return Problem(**{**fields, **changes})


@pytest.fixture
def problem() -> Problem:
    return make_small()


def make_random(rng: np.random.Generator, factored: bool = False) -> Problem:
    """A random problem with groups, context windows, and tokens given in either shape."""
    n, k = int(rng.integers(1, 12)), int(rng.integers(1, 4))
    sizes = [tuple(sorted(rng.choice([1, 2, 3, 4, 8], rng.integers(1, 4), replace=False))) for _ in range(k)]
    models = [
        Model(f"m{j}", *rng.uniform(0, 5, 2), shared_tokens=int(rng.integers(0, 500)), batch_sizes=sizes[j])
        for j in range(k)
    ]
    # The last model's window holds any one query, not every batch.
    largest = max(sizes[-1])
    models[-1] = models[-1].replace(
        context_window=500 + 100 * largest, batch_sizes=sorted({1, *sizes[-1]}), shared_tokens=400
    )
    states = sum(len(model.batch_sizes) for model in models)
    shape = [(n,), (n, k)][int(rng.integers(2))]
    utilities: dict[str, Any] = {"utility": rng.random((n, states))}
    if factored:
        rows = [(states,), (n, states)][int(rng.integers(2))]
        utilities = {"base_utility": rng.random((n, k)), "retention": rng.random(rows)}
    return Problem(
        models,
        rng.integers(0, 80, shape),
        rng.integers(0, 80, n),
        groups=rng.choice(["a", "b", "c"], n),
        **utilities,
    )


@pytest.fixture(scope="session")
def small() -> Callable[..., Problem]:
    """Maker of the small problem with some fields changed."""
    return make_small


@pytest.fixture(scope="session")
def random_problem() -> Callable[..., Problem]:
    """Maker of a random problem from a generator; `factored` or dense."""
    return make_random
