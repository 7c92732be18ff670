"""A model of the pool, and a state: a model with a batch size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

from robatch.instances.errors import InputError


class State(NamedTuple):
    """A model with a batch size."""

    model: str
    batch_size: int

    def __str__(self) -> str:
        return f"{self.model} x {self.batch_size}"


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the pool.

    Parameters
    ----------
    name
        Unique in the pool; without the character ``|``.
    price_in, price_out
        USD per million input and output tokens, not negative.
    shared_tokens
        Tokens of the shared prompt, which every call pays once.
    context_window
        Most tokens of one call (shared prompt, inputs and outputs together); None if unlimited.
    batch_sizes
        Allowed batch sizes, at least one; kept in ascending order.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: str
    price_in: float
    price_out: float
    shared_tokens: float = 0.0
    context_window: int | None = None
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32)

    def __post_init__(self) -> None:
        name = self.name
        if not isinstance(name, str) or not name.strip() or "|" in name:
            raise InputError(f"model name is {name!r}: a non-empty string without '|' is needed")
        for field in ("price_in", "price_out", "shared_tokens"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < math.inf:
                raise InputError(
                    f"{field} of model {name!r} is {value!r}: a finite number of at least 0 is needed"
                )
            object.__setattr__(self, field, float(value))
        window = self.context_window
        if window is not None:
            if isinstance(window, bool) or not isinstance(window, Integral) or window < 1:
                raise InputError(
                    f"context_window of model {name!r} is {window!r}: "
                    "a whole number of at least 1, or None, is needed"
                )
            object.__setattr__(self, "context_window", int(window))
        sizes = tuple(self.batch_sizes)
        if not sizes:
            raise InputError(f"batch_sizes of model {name!r} is empty: at least one batch size is needed")
        for size in sizes:
            if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
                raise InputError(
                    f"batch_sizes of model {name!r} holds {size!r}: whole numbers of at least 1 are needed"
                )
        if len(set(sizes)) < len(sizes):
            raise InputError(f"batch_sizes of model {name!r} is {sizes}: each batch size may stand only once")
        object.__setattr__(self, "batch_sizes", tuple(sorted(int(size) for size in sizes)))

    @property
    def call_price(self) -> float:
        """USD that every call pays for the shared prompt."""
        return self.price_in * self.shared_tokens * 1e-6

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return replace(self, **changes)
