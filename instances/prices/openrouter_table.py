"""OpenRouter's list of models, as saved from its API: prices in USD per token, as texts, "-1" for unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.prices.entry import PriceEntry, PriceTier, Rates
from robatch.instances.prices.table import LeftOut
from robatch.instances.prices.values import PER_TOKEN, Values
from robatch.instances.scalars import shown

PROVIDER = "openrouter"
_RATES = {
    "prompt": "price_in",
    "completion": "price_out",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write",
    "input_cache_write_1h": "cache_write_1h",
    "internal_reasoning": "reasoning",
}


def listed_models(value: Any) -> list[Any] | None:
    """Return the models of the value of a JSON file, where it is such a list: {"data": [...]}, or the list itself."""
    rows = value.get("data") if isinstance(value, Mapping) else value
    if isinstance(rows, Mapping):  # one model alone
        rows = [rows]
    if not isinstance(rows, list) or not any(isinstance(row, Mapping) and "pricing" in row for row in rows):
        return None
    return rows


def read_openrouter(rows: Sequence[Any], where: str) -> tuple[list[PriceEntry], dict[str, LeftOut]]:
    """Return the chat models of a list that `where` names, and why other entries are none."""
    entries: dict[str, PriceEntry] = {}
    left_out: dict[str, LeftOut] = {}
    for number, row in enumerate(rows):
        name = row.get("id") if isinstance(row, Mapping) else None
        if not isinstance(name, str) or not name.strip():
            place = f"entry {number + 1}"
            left_out[place] = LeftOut("no model", f"{place} of {where} has no id")
            continue
        made = _entry(name, row, where)
        if isinstance(made, LeftOut):
            left_out[name] = made
        else:
            entries[name] = made
    return list(entries.values()), left_out


def _entry(name: str, row: Mapping[str, Any], where: str) -> PriceEntry | LeftOut:
    owner = f"{name!r} in {where}"
    pricing, shape, top = (row.get(key) for key in ("pricing", "architecture", "top_provider"))
    outputs = shape.get("output_modalities") if isinstance(shape, Mapping) else None
    if isinstance(outputs, Sequence) and outputs and "text" not in outputs:
        return LeftOut("no text output", f"{owner} gives no text, but {shown(outputs)}")
    if not isinstance(pricing, Mapping):
        return LeftOut("no price of tokens", f"{owner} has no prices")
    values, most = Values(pricing, owner), Values(top if isinstance(top, Mapping) else {}, owner)
    try:
        rates = _rates(values)
        tiers, notes = _overrides(values, rates)
        window = most.count("context_length") or Values(row, owner).count("context_length")
        made = PriceEntry(
            name, rates, PROVIDER, tiers=tiers, call_fee=values.amount("request") or None, context_window=window,
            max_output_tokens=most.count("max_completion_tokens"), notes=notes,
        )  # fmt: skip
    except InputError as error:
        return LeftOut("value not allowed", str(error))
    if rates.price_in is None or rates.price_out is None:
        field = "prompt" if rates.price_in is None else "completion"
        return LeftOut("price not known", f"{owner} has no known price: {field} is {shown(pricing.get(field))}")
    return made


def _rates(values: Values) -> Rates:
    found = {rate: values.price(field, PER_TOKEN) for field, rate in _RATES.items()}
    if not found["reasoning"]:  # "0" stands where it is billed as other output
        found["reasoning"] = None
    return Rates(**found)


def _overrides(values: Values, rates: Rates) -> tuple[tuple[PriceTier, ...], tuple[str, ...]]:
    """Return the tiers by input tokens, and notes of prices by the hour, of which the dearer are those that count."""
    given = values.fields.get("overrides") or []
    tiers: dict[int, Rates] = {}
    notes: tuple[str, ...] = ()
    for number, row in enumerate(given if isinstance(given, Sequence) else [given]):
        owner = f"override {number + 1} of {values.owner}"
        if not isinstance(row, Mapping):
            raise InputError(f"{owner} is {shown(row)}: an object is needed")
        least = Values(row, owner).count("min_prompt_tokens")
        if least is not None:
            tiers[least - 1] = _rates(Values(row, owner))
        elif any(key.startswith("utc_") for key in row):
            notes = ("other prices at some hours, which the list gives: these are those of no particular hour",)
    return tuple(PriceTier(above, tiers[above]) for above in sorted(tiers)), notes
