"""A model of the pool, and a state: a model with a batch size."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Protocol, Self

from robatch.instances.errors import InputError, InputWarning
from robatch.instances.prices.entry import PriceTier, Rates
from robatch.instances.scalars import batch_sizes, number, shown, whole
from robatch.instances.tariff import Tariff, batch_rates, overlaid, price_tiers, tariff

MOST = 1e12  # of prices and tokens: what is beyond is a mistake, and its products would overflow

OLDEST = ("name", "price_in", "price_out", "shared_tokens", "context_window", "batch_sizes")  # fields of every file

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
    call_fee
        USD that every call costs beside its tokens.
    cache_read
        USD per million tokens of the shared prompt where the provider's cache holds it; None where prompts are not
        cached.
    cache_write
        The same where the cache does not hold it yet; None for `price_in`. Not below `cache_read`.
    cache_min_tokens
        Tokens below which a shared prompt is not cached, and costs `price_in`.
    cache_share
        Part of the calls that are expected to find the shared prompt in the cache, from 0 to 1: it counts in amortized
        cost alone. Realized cost counts one write for each group that uses the model.
    batch
        What the provider's batch API costs: a factor of all prices per token, or `PriceEntry` rates of its own (USD per
        million tokens), in which what is not stated costs as without it, and no prompt is cached without `cache_read`.
    batch_api
        Whether calls go through the batch API, and are billed by `batch`.
    tiers
        `PriceTier`s, by rising thresholds: what all tokens of a call cost whose input, the shared prompt with it, has
        more tokens than that. What a tier does not state costs as below it.

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
    _: dataclasses.KW_ONLY
    call_fee: float = 0.0
    cache_read: float | None = None
    cache_write: float | None = None
    cache_min_tokens: int = 0
    cache_share: float = 1.0
    batch: float | Rates | None = None
    batch_api: bool = False
    tiers: tuple[PriceTier, ...] = ()

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
        self._check_bill()

    def _check_bill(self) -> None:
        """Check what is billed beside tokens at one price."""
        of = f"of model {self.name!r}"
        object.__setattr__(self, "call_fee", number(f"call_fee {of}", self.call_fee, most=MOST))
        for field in ("cache_read", "cache_write"):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, number(f"{field} {of}", getattr(self, field), most=MOST))
        least = whole(f"cache_min_tokens {of}", self.cache_min_tokens)
        object.__setattr__(self, "cache_min_tokens", least)
        object.__setattr__(self, "cache_share", number(f"cache_share {of}", self.cache_share, most=1.0))
        object.__setattr__(self, "batch", batch_rates(f"batch {of}", self.batch))
        if not isinstance(self.batch_api, bool):
            raise InputError(f"batch_api {of} is {shown(self.batch_api)}: True or False is needed")
        if self.batch_api and self.batch is None:
            raise InputError(f"batch_api {of} is True: batch, a factor or prices of the batch API, is needed")
        if self.cache_write is not None and self.cache_read is None:
            raise InputError(f"cache_write {of} is {self.cache_write:g}: cache_read, what a find costs, is needed too")
        object.__setattr__(self, "tiers", price_tiers(f"tiers {of}", self.tiers))
        if self.tiers:
            self.at_tier(len(self.tiers))  # checks them, too
        bill = self.tariff
        if bill.cache_read is not None and bill.cache_write < bill.cache_read:
            raise InputError(
                f"cache_read {of} is {bill.cache_read:g}, above the {bill.cache_write:g} that a write costs: at most "
                "that is needed"
            )

    @property
    def tariff(self) -> Tariff:
        """USD per million tokens that its calls are billed: those of the batch API where they go through it."""
        return tariff(
            self.price_in, self.price_out, self.cache_read, self.cache_write, self.batch if self.batch_api else None
        )

    @property
    def cached(self) -> bool:
        """Whether a provider's cache holds the shared prompt after its first call."""
        return self.tariff.cache_read is not None and self.shared_tokens >= max(self.cache_min_tokens, 1)

    @property
    def call_price(self) -> float:
        """USD that every call pays for the shared prompt, found in the cache where that holds it, and as a fee."""
        bill = self.tariff
        price = bill.cache_read if self.cached and bill.cache_read is not None else bill.price_in
        return price * self.shared_tokens * 1e-6 + self.call_fee

    @property
    def write_charge(self) -> float:
        """USD that the first call of a group pays more, since it writes the shared prompt to the cache."""
        bill = self.tariff
        if not self.cached or bill.cache_read is None:
            return 0.0
        return (bill.cache_write - bill.cache_read) * self.shared_tokens * 1e-6

    @property
    def padding(self) -> int:
        """Tokens by which a longer shared prompt would be cached, where each call then costs less; 0 elsewhere."""
        bill, short = self.tariff, self.cache_min_tokens - self.shared_tokens
        if bill.cache_read is None or self.shared_tokens <= 0.0 or short <= 0.0:
            return 0
        saves = bill.cache_read * self.cache_min_tokens < bill.price_in * self.shared_tokens
        return math.ceil(short) if saves else 0

    def without_writes(self) -> Self:
        """Return a copy for whose calls the cache always holds the shared prompt."""
        bill, cached = self.tariff, self.cached
        read = bill.cache_read if cached else None
        return replace(
            self, price_in=bill.price_in, price_out=bill.price_out, cache_read=read, cache_write=read, cache_share=1.0,
            batch=None, batch_api=False,
        )  # fmt: skip

    def at_tier(self, tier: int) -> Self:
        """Return a copy without tiers, at the prices of one of them: 0 is what is billed below all thresholds."""
        if tier == 0:
            return replace(self, tiers=())
        lower, here = self.at_tier(tier - 1), self.tiers[tier - 1]
        batch = overlaid(lower.batch, here.batch) if isinstance(lower.batch, Rates) else lower.batch
        paid = overlaid(Rates(lower.price_in, lower.price_out, lower.cache_read, lower.cache_write), here.rates)
        prices = {name: getattr(paid, name) for name in ("price_in", "price_out", "cache_read", "cache_write")}
        if prices["cache_read"] is None:
            prices["cache_write"] = None
        return replace(lower, batch=batch, **prices)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name; those that older files do not have only where they say something."""
        plain = {field.name: field.default for field in dataclasses.fields(self) if field.name not in OLDEST}
        return {name: value for name, value in asdict(self).items() if name not in plain or value != plain[name]}

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
