"""A model of the pool, and a state: a model with a batch size."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Protocol, Self

from robatch.instances.errors import InputError, InputWarning
from robatch.instances.scalars import batch_sizes, number, shown, whole

MOST = 1e12  # of prices and tokens: what is beyond is a mistake, and its products would overflow

LEAST_SOLD, MOST_SOLD = 1e-4, 1e4  # USD per million tokens: beyond, no model is sold


class Priced(Protocol):
    """What has a name and prices."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def price_in(self) -> float:
        """USD per million input tokens."""

    @property
    def price_out(self) -> float:
        """USD per million output tokens."""


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
    priced
        Where its prices are from, if they were found by a name: this name, the table and the day. Models that differ in
        this alone are equal.

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
    priced: str | None = dataclasses.field(default=None, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        name = self.name
        if not isinstance(name, str) or not name.strip() or "|" in name:
            raise InputError(f"model name is {name!r}: a non-empty string without '|' is needed")
        for field in ("price_in", "price_out", "shared_tokens"):
            object.__setattr__(self, field, number(f"{field} of model {name!r}", getattr(self, field), most=MOST))
        if self.context_window is not None:
            needed = "a whole number of at least 1, or None,"
            window = whole(f"context_window of model {name!r}", self.context_window, 1, needed)
            object.__setattr__(self, "context_window", window)
        if self.priced is not None and not isinstance(self.priced, str):
            raise InputError(f"priced of model {name!r} is {shown(self.priced)}: a text, or None, is needed")
        object.__setattr__(self, "batch_sizes", batch_sizes(self.batch_sizes, f" of model {name!r}"))

    @property
    def call_price(self) -> float:
        """USD that every call pays for the shared prompt."""
        return self.price_in * self.shared_tokens * 1e-6

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name; ``priced``, which older files do not have, only where it says something."""
        return {name: value for name, value in asdict(self).items() if name != "priced" or value is not None}

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return replace(self, **changes)


def warn_of_units(models: Iterable[Priced], where: str) -> None:
    """Warn once, with an `InputWarning`, of prices that look like those of another unit; `where` they stand."""
    prices = [(model.name, field, getattr(model, field)) for model in models for field in ("price_in", "price_out")]
    found = [(*price, price[2] > MOST_SOLD) for price in prices if price[2] > MOST_SOLD or 0 < price[2] < LEAST_SOLD]
    if not found:
        return
    name, field, price, dear = found[0]
    unit = "billion tokens, to be divided by 1,000" if dear else "token, to be multiplied by 1,000,000"
    more = f" (with {len(found) - 1} more prices like it)" if len(found) > 1 else ""
    warnings.warn(
        f"{field} of model {name!r} in {where} is {price:g}: prices are USD per million tokens, and this one looks "
        f"like USD per {unit}{more}",
        InputWarning,
        stacklevel=2,
    )
