"""What a price table says of a bill beside tokens at one price, as fields of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.prices.entry import PriceEntry, PriceTier, Rates

FIELDS = ("call_fee", "cache_read", "cache_write", "cache_min_tokens")
BATCH_FIELDS = ("batch_price_in", "batch_price_out", "batch_cache_read", "batch_cache_write")


def of_entry(entry: PriceEntry, cached: float | None, batch_api: bool) -> dict[str, Any]:
    """Return the fields of a model that an entry gives: its fee and tiers, and what else is asked for.

    Parameters
    ----------
    entry
        What a price table says.
    cached
        Part of the calls that are expected to find the shared prompt in the cache, from 0 to 1; None where prompts are
        not to be taken as cached.
    batch_api
        Whether calls go through the provider's batch API.

    Raises
    ------
    InputError
        If the table has no prices of the batch API that is asked for.
    """
    rates, batch = _kept(entry.rates, cached), _kept(entry.batch, cached)
    terms: dict[str, Any] = {"call_fee": entry.call_fee or 0.0}
    if entry.tiers:
        tiers = [PriceTier(tier.above, _kept(tier.rates, cached), _kept(tier.batch, cached)) for tier in entry.tiers]
        terms["tiers"] = tuple(tiers)
    if rates.cache_read is not None:
        terms |= {"cache_read": rates.cache_read, "cache_write": rates.cache_write, "cache_share": cached}
        terms["cache_min_tokens"] = entry.cache_min_tokens or 0
    if batch.stated():
        terms["batch"] = batch
    elif batch_api:
        raise InputError(f"{entry.source or 'the price table'} has no prices of a batch API for model {entry.name!r}")
    return terms | {"batch_api": batch_api}


def of_row(row: Mapping[str, Any], name: str, where: str, cached: float | None, batch_api: bool) -> dict[str, Any]:
    """Return the same of the fields of a plain table's row, which has no tiers; arguments as for `of_entry`."""
    rates = Rates(cache_read=row.get("cache_read"), cache_write=row.get("cache_write"))
    batch = Rates(**{field.removeprefix("batch_"): row.get(field) for field in BATCH_FIELDS})
    least = row.get("cache_min_tokens")
    entry = PriceEntry(name, rates, batch=batch, call_fee=row.get("call_fee"), source=where)
    terms = of_entry(entry, cached, batch_api)
    if least is not None and "cache_read" in terms:
        terms["cache_min_tokens"] = int(least) if float(least).is_integer() else least
    return terms


def _kept(rates: Rates, cached: float | None) -> Rates:
    """Return the prices that plans count: those of a cache only where it is asked for, and never a write below a find.

    Tables have writes of 0 USD where a provider charges nothing beyond the input price.
    """
    rates = replace(rates, cache_write_1h=None, reasoning=None)
    if cached is None or rates.cache_read is None:
        return replace(rates, cache_read=None, cache_write=None)
    below = rates.cache_write is not None and rates.cache_write < rates.cache_read
    return replace(rates, cache_write=None) if below else rates
