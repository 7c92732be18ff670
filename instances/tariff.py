"""What a model's tokens are billed, in USD per million: the prices of the API that its calls go through."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from robatch.instances.errors import InputError
from robatch.instances.prices.entry import RATES, Rates
from robatch.instances.scalars import number, shown


class Tariff(NamedTuple):
    """USD per million tokens.

    Attributes
    ----------
    price_in, price_out
        Input and output tokens.
    cache_read
        Tokens of a prompt that the cache holds; None where prompts are not cached.
    cache_write
        Tokens of a prompt that the cache does not hold yet.
    """

    price_in: float
    price_out: float
    cache_read: float | None
    cache_write: float


def tariff(
    price_in: float, price_out: float, cache_read: float | None, cache_write: float | None, batch: float | Rates | None
) -> Tariff:
    """Return what is billed at some prices, through a batch API if its factor or prices are given."""
    if isinstance(batch, Rates):
        cache_read, cache_write = batch.cache_read, batch.cache_write
        price_in = price_in if batch.price_in is None else batch.price_in
        price_out = price_out if batch.price_out is None else batch.price_out
    elif batch is not None:
        price_in, price_out = times(price_in, batch), times(price_out, batch)
        cache_read = None if cache_read is None else times(cache_read, batch)
        cache_write = None if cache_write is None else times(cache_write, batch)
    return Tariff(price_in, price_out, cache_read, price_in if cache_write is None else cache_write)


def times(price: float, factor: float) -> float:
    """Return the product of two decimals, as the float next to it."""
    return float(Fraction(repr(price)) * Fraction(repr(factor)))


def batch_rates(name: str, value: Any) -> float | Rates | None:
    """Return the factor or the prices of a batch API, checked; `name` it in messages.

    Raises
    ------
    InputError
        If it is neither, or a price is not allowed.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        unknown = sorted(set(map(str, value)) - set(RATES))
        if unknown:
            raise InputError(f"{name} has a field {unknown[0]!r}: {', '.join(RATES)} are known")
        value = Rates(**value)
    if isinstance(value, Rates):
        return Rates(**{field: number(f"{field} in {name}", usd) for field, usd in value.stated().items()})
    if isinstance(value, str):
        raise InputError(f"{name} is {shown(value)}: a factor from 0 to 1, or rates, are needed")
    return number(name, value, most=1.0, needed="a factor from 0 to 1, or rates,")
