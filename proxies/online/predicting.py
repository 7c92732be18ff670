"""What an online router asks of a proxy: the vectors of one query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.model import Model
from robatch.instances.problem import Problem


class Predicts(Protocol):
    """What is needed of a proxy: `robatch.proxies.UtilityProxy` does it.

    One that has `UtilityProxy.vectors`, too, is asked for those.
    """

    def pool(self) -> Sequence[Model]:
        """Return the models, as the problems have them."""
        ...

    def to_problem(self, queries: Sequence[Any]) -> Problem:
        """Return the problem of some queries: utilities and tokens."""
        ...


def predicted(proxy: Any, query: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Predict utilities (S,), -inf where a state is forbidden, and input and output tokens of a query."""
    if hasattr(proxy, "vectors"):  # a problem of one query takes longer than the decision
        utility, inputs, outputs = proxy.vectors([query])
        return utility[0], inputs[0], outputs[0]
    problem = proxy.to_problem([query])
    utilities = np.where(problem.allowed()[0], problem.utilities()[0].astype(np.float64), -np.inf)
    return utilities, problem.input_tokens[0], problem.output_tokens[0]


def output_limit_of(proxy: Any) -> FloatArray | None:
    """Return the most output tokens of the proxy's task, where it is known."""
    facts = getattr(proxy, "facts_", None)
    limit = None if facts is None else facts.task.get("max_output_tokens")
    return None if limit is None else np.array([float(limit)])
