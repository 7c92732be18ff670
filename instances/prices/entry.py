"""What one price table says of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

UNIT = "USD per million tokens"


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices of tokens, in USD per million; None where the table does not say.

    Attributes
    ----------
    price_in, price_out
        Input tokens that no cache holds, and output tokens.
    cache_read
        Input tokens that are found in the provider's cache.
    cache_write, cache_write_1h
        Input tokens that are written to it, for its usual lifetime and for one hour.
    reasoning
        Hidden reasoning, where it is not billed as other output.
    """

    price_in: float | None = None
    price_out: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    reasoning: float | None = None

    def stated(self) -> dict[str, float]:
        """Return the prices that are known, by name."""
        return {name: value for name in RATES if (value := getattr(self, name)) is not None}


RATES = tuple(item.name for item in fields(Rates))


@dataclass(frozen=True, slots=True)
class PriceTier:
    """Prices of all tokens of a call with more than `above` input tokens."""

    above: int
    rates: Rates
    batch: Rates = Rates()


@dataclass(frozen=True, slots=True)
class PriceEntry:  # the fields are also the columns of our own tables
    """What one price table says of one model: USD per million tokens, None where it does not say.

    Attributes
    ----------
    name
        Unique in its table.
    rates
        What a call pays that is answered at once.
    provider
        Who sells the model.
    batch
        What it pays through the provider's batch API.
    tiers
        Prices of long calls, by rising thresholds.
    cache_min_tokens
        Tokens below which no prompt is cached.
    call_fee
        USD for every call, beside its tokens.
    context_window
        Most tokens of a call: where a table gives the most input tokens instead, those, which is on the safe side.
    max_output_tokens
        Most output tokens of a call.
    source
        The table, with its version where it has one.
    date
        Of the prices, as YYYY-MM-DD: no later than the table says, or its file was written here. None if unknown.
    notes
        What else is to be known, one sentence each.
    """

    name: str
    rates: Rates
    provider: str | None = None
    batch: Rates = Rates()
    tiers: tuple[PriceTier, ...] = ()
    cache_min_tokens: int | None = None
    call_fee: float | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    source: str = ""
    date: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def price_in(self) -> float:
        """USD per million input tokens."""
        assert self.rates.price_in is not None  # an entry without is left out of its table
        return self.rates.price_in

    @property
    def price_out(self) -> float:
        """USD per million output tokens."""
        assert self.rates.price_out is not None
        return self.rates.price_out

    @property
    def origin(self) -> str:
        """Its name, its table and the day, as plans and problems keep them."""
        return f"{self.name} in {self.source}" + (f", {self.date}" if self.date else "")

    @property
    def bill(self) -> tuple[Any, ...]:
        """All that a bill depends on: equal where two entries charge the same."""
        return self.rates, self.batch, self.tiers, self.call_fee or 0.0, self.cache_min_tokens

    @property
    def unbilled(self) -> tuple[str, ...]:
        """What of its prices plans do not count yet."""
        found = {
            "cache": any(name.startswith("cache") for name in self.rates.stated()),
            "batch": bool(self.batch.stated()),
            "tier": bool(self.tiers),
            "reasoning": self.rates.reasoning not in (None, self.rates.price_out),
            "call fee": bool(self.call_fee),
        }
        return tuple(name for name, has in found.items() if has)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as plain values for JSON."""
        return asdict(self) | {
            "unit": UNIT,
            "tiers": [asdict(tier) for tier in self.tiers],
            "notes": list(self.notes),
            "unbilled": list(self.unbilled),
            "origin": self.origin,
        }


def origin_of(model: Mapping[str, Any]) -> str | None:
    """Return where the prices of a recorded model are from; None where they were given."""
    prices = model.get("prices")
    found = prices.get("origin") if isinstance(prices, Mapping) else None
    return found if isinstance(found, str) else None


def age(day: str, today: date | None = None) -> int:
    """Return the days since a date of prices, as YYYY-MM-DD."""
    return ((today or date.today()) - date.fromisoformat(day)).days
