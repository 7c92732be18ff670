"""Which queries of a state share a call: policies, as an order in which calls take the queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.model import State
from robatch.instances.scalars import whole

Policy = Literal["order", "length", "similarity", "random"]
POLICIES: tuple[str, ...] = get_args(Policy)


def check(policy: str, lengths: Any, similarity: Any) -> None:
    """Check that a policy is known and has what it needs, and nothing that it does not use.

    Raises
    ------
    InputError
        If not.
    """
    if policy not in POLICIES:
        raise InputError(f"policy is {policy!r}: one of {', '.join(POLICIES)} is needed")
    for name, value, of in (("lengths", lengths, "length"), ("similarity", similarity, "similarity")):
        if policy == of and value is None:
            raise InputError(f"policy {policy!r} needs {name}")
        if policy != of and value is not None:
            raise InputError(f"{name} is given, and policy {policy!r} does not use it: policy {of!r} is needed")


def sequence(
    policy: str, seed: int, assignment: IntArray, states: Sequence[State], lengths: npt.ArrayLike | None
) -> IntArray | None:
    """Return the queries in the order in which calls take them: (N,). None for the order of their positions.

    Raises
    ------
    InputError
        If the seed or the lengths are not allowed.
    """
    seed = whole("seed", seed)
    if policy == "random":
        return np.random.default_rng(seed).permutation(len(assignment))
    if policy == "length":
        return np.argsort(_own_lengths(lengths, assignment, states), kind="stable")
    return None


def _own_lengths(lengths: npt.ArrayLike | None, assignment: IntArray, states: Sequence[State]) -> npt.NDArray[Any]:
    """Return each query's length in the model that answers it: (N,)."""
    models = list(dict.fromkeys(state.model for state in states))
    try:
        array = np.asarray(lengths)
        numeric = array.dtype.kind in "iuf"
    except ValueError:
        numeric = False
    rows = len(assignment)
    if not numeric or array.shape not in ((rows,), (rows, 1), (rows, len(models))):
        shapes = f"{(rows,)}, or {(rows, len(models))} where tokenizers differ"
        raise InputError(f"lengths has to be an array of numbers of shape {shapes}, as a problem's input_tokens are")
    if not np.isfinite(array).all():
        raise InputError("lengths holds a number that is not finite")
    if array.size == rows:
        return array.reshape(rows)
    position = {model: k for k, model in enumerate(models)}
    model = np.array([position[state.model] for state in states], dtype=np.int64)
    lengths_there: npt.NDArray[Any] = array[np.arange(rows), model[assignment]]
    return lengths_there
