"""What a model's tokens are billed, in USD per million: the prices of the API that its calls go through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

from robatch.instances.errors import InputError
from robatch.instances.prices.entry import RATES, PriceTier, Rates
from robatch.instances.scalars import number, shown, whole


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


def overlaid(below: Rates, above: Rates) -> Rates:
    """Return prices with those in place that a tier states."""
    return replace(below, **above.stated())


def price_tiers(name: str, value: Any) -> tuple[PriceTier, ...]:
    """Return the tiers of a model, checked; `name` them in messages.

    Raises
    ------
    InputError
        If they are not tiers of rising thresholds, or a price is not allowed.
    """
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{name} is {shown(value)}: a list of tiers is needed")
    tiers: list[PriceTier] = []
    for given in value:
        if isinstance(given, Mapping):
            if "above" not in given or set(given) - {"above", "rates", "batch"}:
                raise InputError(f"{name} holds {shown(given)}: above, rates and, if wanted, batch are needed")
            parts = [_rates(f"{part} in {name}", given.get(part) or {}) for part in ("rates", "batch")]
            given = PriceTier(given["above"], *parts)
        if not isinstance(given, PriceTier):
            raise InputError(f"{name} holds {shown(given)}: a tier with above, rates and batch is needed")
        above = whole(f"above in {name}", given.above, 1)
        if tiers and above <= tiers[-1].above:
            raise InputError(f"above in {name} is {above} after {tiers[-1].above}: rising thresholds are needed")
        rates, batch = (_rates(f"{part} in {name}", getattr(given, part)) for part in ("rates", "batch"))
        tiers.append(PriceTier(above, rates, batch))
    return tuple(tiers)


def _rates(name: str, value: Any) -> Rates:
    if isinstance(value, Mapping):
        unknown = sorted(set(map(str, value)) - set(RATES))
        if unknown:
            raise InputError(f"{name} has a field {unknown[0]!r}: {', '.join(RATES)} are known")
        value = Rates(**value)
    if not isinstance(value, Rates):
        raise InputError(f"{name} is {shown(value)}: rates are needed")
    return Rates(**{field: number(f"{field} in {name}", usd) for field, usd in value.stated().items()})


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
    if isinstance(value, Mapping | Rates):
        return _rates(name, value)
    if isinstance(value, str):
        raise InputError(f"{name} is {shown(value)}: a factor from 0 to 1, or rates, are needed")
    return number(name, value, most=1.0, needed="a factor from 0 to 1, or rates,")
