"""Exact sums of money.

Prices are decimals, and costs are sums of whole tokens times prices: as whole numbers of a small unit they add up
without rounding. So plans that cost the same are billed the same to the last digit, whatever the order of the sum,
and whether a plan keeps a budget does not depend on how it was found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.model import Model
from robatch.instances.tariff import Tariff

MILLION = 1_000_000
HAIR = Fraction(1, 2**200)  # of a number that lies in the middle between two floats, and rounds up


Whole = int | Fraction
"""A number of units: whole where all tokens are."""


class Money:
    """Prices of a pool of models in one unit, 1 / `units` USD.

    Attributes
    ----------
    units
        Units a USD.
    price_in, price_out
        Units per input and per output token of each model: (K,).
    call
        Units that one call of each state pays for the shared prompt, found in the cache where there is one, and as a
        fee: (S,).
    share
        Units of that that each query of a full call pays, with its part of the writes that are expected: (S,).
    write
        Units that a group's first call of each model pays more, since it writes the shared prompt to the cache: (K,).

    Where queries have costs of their own, in whole numbers of a `unit` in USD, `price_in` is that of each state: (S,).
    """

    def __init__(self, models: Sequence[Model], unit: Fraction | None = None) -> None:
        charged = [
            _charged(
                model.tariff, model.cached, model.shared_tokens, model.call_fee, model.cache_share, model.batch_sizes
            )
            for model in models
        ]
        price_in, price_out = [one.price_in for one in charged], [one.price_out for one in charged]
        calls = [one.call for one in charged for _ in one.shares]
        shares, writes = [share for one in charged for share in one.shares], [one.write for one in charged]
        if unit is not None:
            price_in, price_out = [unit] * len(calls), [Fraction(0)] * len(calls)
        self.units = math.lcm(*(price.denominator for price in (*price_in, *price_out, *calls, *shares, *writes)))
        self.price_in, self.price_out, self.call, self.share, self.write = (
            [price.numerator * (self.units // price.denominator) for price in prices]
            for prices in (price_in, price_out, calls, shares, writes)
        )

    @cached_property
    def arrays(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`price_in`, `price_out` and `share` as arrays of float64, rounded where they exceed 2**53."""
        prices = (self.price_in, self.price_out, self.share)
        in_, out, share = (np.array([float(min(units, 2**1000)) for units in of]) for of in prices)
        return in_, out, share

    def usd(self, units: Whole) -> float:
        """Return units as USD, rounded once."""
        if isinstance(units, int):
            return units / self.units
        return units.numerator / (units.denominator * self.units)

    def most(self, usd: float) -> Fraction:
        """Return the greatest number of units, but for a hair, that is not above some USD, as `usd` rounds."""
        above = math.nextafter(usd, math.inf)
        middle = (Fraction(usd) + Fraction(above if above < math.inf else usd)) / 2 * self.units
        return middle if self.usd(middle) <= usd else middle * (1 - HAIR)


class _Charged(NamedTuple):
    """What one model charges, in USD: a token in and out, a call, a query of a full call of each size, and a write."""

    price_in: Fraction
    price_out: Fraction
    call: Fraction
    shares: tuple[Fraction, ...]
    write: Fraction


@lru_cache(maxsize=4096)
def _charged(
    bill: Tariff, cached: bool, shared_tokens: float, fee: float, cache_share: float, sizes: tuple[int, ...]
) -> _Charged:
    """Return what a model of some terms charges; problems of the same terms ask for it again and again."""
    price_in, price_out = Fraction(repr(bill.price_in)) / MILLION, Fraction(repr(bill.price_out)) / MILLION
    prompt, read, write = Fraction(shared_tokens), price_in, Fraction(0)
    if cached:
        read = Fraction(repr(bill.cache_read)) / MILLION
        write = (Fraction(repr(bill.cache_write)) / MILLION - read) * prompt
    call = read * prompt + Fraction(repr(fee))
    expected = call + (1 - Fraction(repr(cache_share))) * write
    return _Charged(price_in, price_out, call, tuple(expected / size for size in sizes), write)


def times(prices: Sequence[int], amounts: Sequence[float]) -> Whole:
    """Return the sum of prices times amounts, without rounding."""
    total: Whole = 0
    for price, amount in zip(prices, amounts, strict=True):
        total += price * (int(amount) if amount.is_integer() else Fraction(amount))
    return total
