"""The table of the package genai-prices (an extra): USD per million tokens, prices by date and hour, tiers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError, require
from robatch.instances.prices.entry import PriceEntry, PriceTier, Rates
from robatch.instances.prices.table import LeftOut
from robatch.instances.prices.values import Values

PACKAGE = "genai-prices"
_RATES = {
    "input_mtok": "price_in",
    "output_mtok": "price_out",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
}
_BATCH = {"processing": "batch"}


def installed() -> tuple[Any, Path, str]:
    """Return the table of the installed package, its file, and its version.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    module = require("genai_prices.data_snapshot", "prices", f"the source of prices {PACKAGE!r}")
    return module.get_snapshot(), Path(str(module.__file__)).with_name("data.py"), version(PACKAGE)


def read_genai(snapshot: Any, where: str, now: datetime | None = None) -> tuple[list[PriceEntry], dict[str, LeftOut]]:
    """Return the chat models of a table that `where` names at the prices of today, and why other entries are none.

    A model is named as its maker names it, and with the provider before it where others sell it too.
    """
    now = now or datetime.now(UTC)
    entries: dict[str, PriceEntry] = {}
    left_out: dict[str, LeftOut] = {}
    for provider in snapshot.providers:
        for model in provider.models:
            name = model.id if _home(snapshot, model.id) == provider.id else f"{provider.id}/{model.id}"
            made = _entry(name, provider.id, model, where, now)
            if isinstance(made, LeftOut):
                left_out.setdefault(name, made)
            else:
                entries.setdefault(name, made)
    return list(entries.values()), {name: why for name, why in left_out.items() if name not in entries}


def _home(snapshot: Any, name: str) -> str | None:
    """Return the provider that a bare name means."""
    return next(
        (one.id for one in snapshot.providers if one.model_match is not None and one.model_match.is_match(name)), None
    )


def _entry(name: str, provider: str, model: Any, where: str, now: datetime) -> PriceEntry | LeftOut:
    owner = f"{name!r} in {where}"
    times = sorted(_hours(model, now))
    try:
        prices = [model.get_prices(when) for when in times]
        read = [_at(price, 0, owner) for price in prices]
        dearest = max(range(len(read)), key=lambda i: (read[i].price_in or 0.0, read[i].price_out or 0.0))
        price, rates, when = prices[dearest], read[dearest], times[dearest]
        batch = model.get_prices(when, _BATCH) if _has_batch(model, when) else None
        starts = sorted({tier.start for one in (price, batch) if one is not None for tier in _tiers(one)})
        made = PriceEntry(
            name,
            rates,
            provider,
            Rates() if batch is None else _at(batch, 0, owner),
            tuple(
                PriceTier(start, _at(price, start, owner), Rates() if batch is None else _at(batch, start, owner))
                for start in starts
            ),
            call_fee=Values({"requests_kcount": _value(price, "requests_kcount", 0)}, owner).amount(
                "requests_kcount", 1e-3
            ),
            context_window=model.context_window or None,
            notes=("cheaper at some hours: these are the dearest of the day",) if len(set(read)) > 1 else (),
        )
    except InputError as error:
        return LeftOut("value not allowed", str(error))
    if rates.price_in is None or rates.price_out is None:
        field = "input_mtok" if rates.price_in is None else "output_mtok"
        return LeftOut("no price of tokens", f"{owner} has no {field}")
    return made


def _hours(model: Any, now: datetime) -> Iterator[datetime]:
    """Yield now, and the beginning of every span of today that has prices of its own."""
    yield now
    for one in model.prices if isinstance(model.prices, list) else ():
        for name in ("start_time", "end_time"):
            hour = getattr(one.constraint, name, None)
            if isinstance(hour, time):
                yield datetime.combine(now.date(), hour.replace(tzinfo=hour.tzinfo or UTC)).astimezone(UTC)


def _has_batch(model: Any, when: datetime) -> bool:
    return any(
        dict(variant.when) == _BATCH and (variant.constraint is None or variant.constraint.active(when))
        for variant in getattr(model, "price_variants", None) or ()
    )


def _tiers(price: Any) -> list[Any]:
    return [tier for field in _RATES for tier in getattr(getattr(price, field, None), "tiers", ())]


def _value(price: Any, field: str, start: int) -> Any:
    """Return a price of calls with more input tokens than `start`."""
    value: Any = getattr(price, field, None)
    if not hasattr(value, "tiers"):
        return None if value is None else float(value)
    reached = [tier.price for tier in value.tiers if tier.start <= start] if start else []
    return float(reached[-1] if reached else value.base)


def _at(price: Any, start: int, owner: str) -> Rates:
    values = Values({field: _value(price, field, start) for field in _RATES}, owner)
    return Rates(**{rate: values.price(field) for field, rate in _RATES.items()})
