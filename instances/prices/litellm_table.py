"""LiteLLM's table: an object from names to fields in USD per token, as a file or in the installed package.

The package itself is never imported: its file is read by its path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError, MissingExtraError
from robatch.instances.prices.entry import PriceEntry, PriceTier, Rates
from robatch.instances.prices.table import LeftOut
from robatch.instances.prices.values import PER_TOKEN, Values
from robatch.instances.scalars import shown

PACKAGE = "litellm"
_FILE = "model_prices_and_context_window_backup.json"

CHAT_MODES = ("chat", "completion", "responses")
"""Modes of models that answer a text with a text."""

EXAMPLE = "sample_spec"
"""The entry that explains the fields."""

_RATES = {
    "input_cost_per_token": "price_in",
    "output_cost_per_token": "price_out",
    "cache_read_input_token_cost": "cache_read",
    "input_cost_per_token_cache_hit": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
}
_PRICE = re.compile(rf"({'|'.join(_RATES)})(?:_above_(\d+)([km]?)_tokens)?(_batches)?")
_SCALE = {"": 1, "k": 1_000, "m": 1_000_000}

_FROM = ("xai",)
"""Providers that bill the prices above a threshold from the threshold on."""

_Found = dict[tuple[int, bool], dict[str, float]]  # prices by threshold, and whether of the batch API


def installed() -> tuple[Path, str]:
    """Return the table of the installed package, and the package's version.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, _FILE)
        if path.is_file():
            return path, version(PACKAGE)
    raise MissingExtraError(
        f"the prices {PACKAGE!r} need the package '{PACKAGE}', which is not installed: pip install {PACKAGE}, or name "
        "a file with its JSON"
    )


def is_litellm(value: Any) -> bool:
    """Whether the value of a JSON file is such a table."""
    return isinstance(value, Mapping) and any(
        isinstance(row, Mapping) and ("litellm_provider" in row or _RATES.keys() & row.keys()) for row in value.values()
    )


def read_litellm(table: Mapping[str, Any], where: str) -> tuple[list[PriceEntry], dict[str, LeftOut]]:
    """Return the chat models of a table that `where` names, and why other entries are none."""
    entries: dict[str, PriceEntry] = {}
    left_out: dict[str, LeftOut] = {}
    aliases = {}
    for name, row in table.items():
        target = row.get("alias_of") if isinstance(row, Mapping) else None
        if isinstance(target, str):
            aliases[name] = target
            continue
        made = _entry(name, row, where)
        if isinstance(made, LeftOut):
            left_out[name] = made
        else:
            entries[name] = made
    for name in aliases:
        target = _end(name, aliases)
        found = entries.get(target)
        if found is None:
            why = f"{name!r} in {where} is an alias of {target!r}, which has no price there"
            left_out[name] = LeftOut("alias without a price", why)
        else:
            entries[name] = replace(found, name=name, notes=(*found.notes, f"an alias of {target}"))
    return [entries[name] for name in table if name in entries], left_out


def _end(name: str, aliases: Mapping[str, str]) -> str:
    seen = {name}
    while (name := aliases.get(name, "")) in aliases and name not in seen:
        seen.add(name)
    return name


def _entry(name: str, row: Any, where: str) -> PriceEntry | LeftOut:
    """Return a model, or why an entry is none."""
    known = isinstance(row, Mapping) and any("cost" in key or key in ("mode", "litellm_provider") for key in row)
    if not known or name == EXAMPLE:
        return LeftOut("no model", f"{name!r} in {where} is no model")
    mode, outputs = row.get("mode"), row.get("supported_output_modalities")
    if mode is not None and mode not in CHAT_MODES:
        return LeftOut(str(mode), f"{name!r} in {where} is no chat model: its mode is {shown(mode)}")
    if isinstance(outputs, Sequence) and outputs and "text" not in outputs:
        return LeftOut("no text output", f"{name!r} in {where} gives no text, but {shown(outputs)}")
    values = Values(row, f"{name!r} in {where}")
    try:
        found = _prices(values)
        made = PriceEntry(
            name,
            Rates(**found.pop((0, False), {})),
            values.text("litellm_provider"),
            Rates(**found.pop((0, True), {})),
            tuple(
                PriceTier(above, Rates(**found.get((above, False), {})), Rates(**found.get((above, True), {})))
                for above in sorted({above for above, _ in found})
            ),
            values.count("prompt_cache_min_tokens"),
            values.amount("input_cost_per_request"),
            values.count("max_input_tokens") or values.count("max_tokens"),
            values.count("max_output_tokens"),
            notes=tuple(_notes(row)),
        )
    except InputError as error:
        return LeftOut("value not allowed", str(error))
    if made.rates.price_in is None or made.rates.price_out is None:
        field = "input_cost_per_token" if made.rates.price_in is None else "output_cost_per_token"
        billed = [key for key in row if "cost" in key]
        others = f", but {billed[0]}" if billed else ""
        return LeftOut("no price of tokens", f"{name!r} in {where} has no {field}{others}")
    return made


def _prices(values: Values) -> _Found:
    """Return the prices of an entry by threshold and kind; those of a list of tiers go before the fields."""
    found: _Found = {}
    for field in values.fields:
        match = _PRICE.fullmatch(field)
        price = values.price(field, PER_TOKEN) if match else None
        if match is None or price is None:
            continue
        above = int(match[2]) * _SCALE[match[3]] if match[2] else 0
        above -= bool(above) and values.fields.get("litellm_provider") in _FROM
        of = found.setdefault((above, bool(match[4])), {})
        if match[1] != "input_cost_per_token_cache_hit" or "cache_read" not in of:
            of[_RATES[match[1]]] = price
    tiers = values.fields.get("tiered_pricing") or []
    for number, tier in enumerate(tiers if isinstance(tiers, Sequence) else [tiers]):
        owner = f"tier {number + 1} of {values.owner}"
        if not isinstance(tier, Mapping):
            raise InputError(f"{owner} is {shown(tier)}: an object with a range and prices is needed")
        above = _start(tier.get("range"), owner)
        for (_, batch), prices in _prices(Values({**tier, "tiered_pricing": None}, owner)).items():
            found[above, batch] = found.get((above, batch), {}) | prices
    return found


def _start(given: Any, owner: str) -> int:
    start = given[0] if isinstance(given, Sequence) and len(given) == 2 else None
    if isinstance(start, bool) or not isinstance(start, int | float) or not 0 <= start < 2**53:
        raise InputError(f"the range of {owner} is {shown(given)}: two numbers of input tokens are needed")
    return int(start)


def _notes(row: Mapping[str, Any]) -> list[str]:
    notes = []
    if isinstance(row.get("deprecation_date"), str):
        notes.append(f"the day that its provider names for its end: {row['deprecation_date']}")
    if row.get("off_peak_pricing"):
        notes.append("cheaper at some hours, which the table lists: these are the prices of all others")
    if row.get("input_cost_per_token") == 0 == row.get("output_cost_per_token"):
        notes.append("its price is 0: free, or not stated")
    return notes
