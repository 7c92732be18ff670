"""What calls are billed beside tokens at one price: fees, and tokens that a provider's cache took or gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.proxies.execution.pool import TERMS, PoolModel

PRIOR_CALLS = 2.0  # calls whose prompts count as found as expected, so that a first write does not overturn the plan
FOUND = (
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_read_input_tokens",
)  # names in a usage of what the cache gave; the greatest counts
WRITTEN = ("cache_write_tokens", "cache_creation_input_tokens")


@dataclass(frozen=True, slots=True)
class CallBill:
    """How calls of one model are billed.

    Attributes
    ----------
    pool
        The model that calls are sent to, with its prices per token.
    terms
        The same model as planned with, which knows fees and caches.
    """

    pool: PoolModel
    terms: Model

    def stated(self) -> dict[str, Any]:
        """Return the fees and prices of a cache that calls are billed."""
        return {name: usd for name, usd in self.terms.to_dict().items() if name in TERMS}

    def billed(self, input_tokens: int, output_tokens: int, details: Mapping[str, int]) -> float:
        """Return the USD of an answered call: tokens that the server says a cache gave or took at their prices."""
        usd = self.pool.cost(input_tokens, output_tokens) + self.terms.call_fee
        bill = self.terms.tariff
        if bill.cache_read is None:
            return usd
        found = min(found_tokens(details), input_tokens)
        written = min(max(details.get(name, 0) for name in WRITTEN), input_tokens - found)
        return usd + (found * (bill.cache_read - bill.price_in) + written * (bill.cache_write - bill.price_in)) * 1e-6

    def extra(self, found: float | None = None) -> float:
        """Return the USD that a call costs beyond its tokens at full price; below 0 where the prompt is cached.

        `found` is the part of the shared prompt's tokens that caches give; None for what the plan counts on.
        """
        model, bill = self.terms, self.terms.tariff
        if not model.cached or bill.cache_read is None:
            return model.call_fee
        share = 1.0 if found is None else found
        return model.call_fee + share * (bill.cache_read - bill.price_in) * model.shared_tokens * 1e-6

    def worst(self, input_tokens: Any, output_tokens: float) -> Any:
        """Return the USD that a call of so many tokens cannot exceed, as all of its input may be written to a cache.

        Many numbers of input tokens may be given, as an array.
        """
        usd, bill = self.pool.cost(input_tokens, output_tokens) + self.terms.call_fee, self.terms.tariff
        if bill.cache_read is None or bill.cache_write <= bill.price_in:
            return usd
        return usd + (bill.cache_write - bill.price_in) * input_tokens * 1e-6

    def found(self, share: float) -> Model:
        """Return the model as planned with where caches give but a part of the shared prompt's tokens."""
        model, bill = self.terms, self.terms.tariff
        if not model.cached or bill.cache_read is None:
            return model
        read = share * bill.cache_read + (1.0 - share) * bill.price_in
        return model.replace(cache_read=read, cache_write=max(bill.cache_write, read), cache_min_tokens=0)


def found_tokens(details: Mapping[str, int]) -> int:
    """Return the input tokens that a cache gave, as far as a usage names them."""
    return max(details.get(name, 0) for name in FOUND)


def with_terms(model: Model, pool: PoolModel, cached: float | None) -> Model:
    """Return a model with the fees and prices of caches that its pool states.

    `cached` is the part of calls that are expected to find the shared prompt in the cache; None where the prices of a
    cache that come with prices by name are not to count.

    Raises
    ------
    InputError
        If a value is not allowed.
    """
    terms: dict[str, Any] = {}
    record = pool.prices
    if record is not None and cached is not None:
        rates = record.get("rates") or {}
        if rates.get("cache_read") is not None:
            read, write = rates["cache_read"], rates.get("cache_write")
            terms |= {"cache_read": read, "cache_write": None if write is None or write < read else write}
            terms |= {"cache_min_tokens": record.get("cache_min_tokens") or 0, "cache_share": cached}
        if record.get("call_fee"):
            terms["call_fee"] = record["call_fee"]
    terms |= pool.bill
    try:
        return model.replace(**terms) if terms else model
    except TypeError as error:
        raise InputError(f"bill of model {pool.name!r}: {error}") from None
