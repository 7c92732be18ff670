"""Single values of price tables of others: numbers or texts, unknown as null or -1, in USD per token or million."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.model import MOST_SOLD
from robatch.instances.scalars import shown

PER_TOKEN = 1e6
"""What makes USD per token USD per million tokens."""

_DIGITS = 10  # of a price that are kept: tables hold sums and products with the rounding of floats behind these


@dataclass(frozen=True, slots=True)
class Values:
    """The fields of one entry, and how messages name it."""

    fields: Mapping[str, Any]
    owner: str

    def price(self, field: str, factor: float = 1.0) -> float | None:
        """Return a price times a factor, in USD per million tokens; None where it is missing, null or -1.

        Raises
        ------
        InputError
            If it is no number, negative, or dearer than any model that is sold.
        """
        value = self._number(field)
        if value is None:
            return None
        unit = "per token" if factor == PER_TOKEN else "per million tokens"
        price = float(f"{value * factor:.{_DIGITS}g}")
        if price > MOST_SOLD:
            raise self._complaint(field, f"at most {MOST_SOLD / factor:g} USD {unit}")
        return price

    def amount(self, field: str, factor: float = 1.0) -> float | None:
        """Return an amount in USD times a factor; None where it is missing, null or -1."""
        value = self._number(field)
        return None if value is None else float(f"{value * factor:.{_DIGITS}g}")

    def count(self, field: str) -> int | None:
        """Return a number of tokens of at least 1; None where it is missing, null, 0 or -1."""
        value = self._number(field)
        if value is None or value == 0:
            return None
        if value != int(value) or value > 2**53:
            raise self._complaint(field, "a whole number of tokens")
        return int(value)

    def text(self, field: str) -> str | None:
        """Return a text that is not empty; None for anything else."""
        value = self.fields.get(field)
        return value if isinstance(value, str) and value.strip() else None

    def _number(self, field: str) -> float | None:
        value = self.fields.get(field)
        if value is None or value == "":
            return None
        number = math.nan
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                number = math.nan
        if number == -1:
            return None
        if not 0 <= number < math.inf:
            raise self._complaint(field, "a finite number of at least 0, or -1 or null for unknown,")
        return number

    def _complaint(self, field: str, needed: str) -> InputError:
        return InputError(f"{field} of {self.owner} is {shown(self.fields[field])}: {needed} is needed")
