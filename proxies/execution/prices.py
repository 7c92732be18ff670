"""The prices of a pool: found anew by name, and how old they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from robatch.instances.errors import InputError, InputWarning
from robatch.instances.model import warn_of_units
from robatch.instances.prices.entry import age
from robatch.proxies.execution.pool import PoolModel, named_fields, priced
from robatch.proxies.price_lookup import PriceLookup

MAX_PRICE_AGE = 90.0
"""Days after which prices by name are called old."""


def reprice(pool: Sequence[PoolModel], source: str, given: str | Path | None = None) -> tuple[PoolModel, ...]:
    """Return models at the prices of their names in a source; those that the file `given` states prices of stay.

    Raises
    ------
    InputError
        If a model has no price there.
    """
    lookup = PriceLookup(source)
    named = {} if given is None else named_fields(given)
    made = tuple(
        model if {"price_in", "price_out"} & named.get(model.name, frozenset()) else priced(model, lookup)
        for model in pool
    )
    warn_of_units(made, f"the prices {source!r}")
    return made


def warn_of_age(pool: Sequence[PoolModel], most: float | None, today: date | None = None) -> None:
    """Warn once, with an `InputWarning`, of prices by name that are older than `most` days; None never warns."""
    if most is None:
        return
    old: dict[tuple[str, str], list[str]] = {}
    for model in pool:
        day, source = (model.prices or {}).get("date"), (model.prices or {}).get("source")
        try:
            if isinstance(day, str) and age(day, today) > most:
                old.setdefault((day, str(source)), []).append(model.name)
        except ValueError:
            what = f"the date of the prices of model {model.name!r}"
            raise InputError(f"{what} is {day!r}: a day as YYYY-MM-DD is needed") from None
    for (day, source), names in old.items():
        warnings.warn(
            f"the prices of {', '.join(map(repr, names))} are of {day} ({source}), {age(day, today)} days old, more "
            f"than {most:g} (--max-price-age): the bill may differ; robatch route --prices takes newer ones",
            InputWarning,
            stacklevel=2,
        )
