"""The prices of models by their names, from a table that is read when the first of them is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from robatch.instances.errors import InputError
from robatch.instances.prices.entry import PriceEntry
from robatch.instances.prices.sources import BUNDLED, SOURCES, price_table
from robatch.instances.prices.table import PriceTable


class PriceLookup:
    """A source of prices: a name or a file, which is looked for in a folder; without one, the bundled table."""

    def __init__(self, source: str | None = None, folder: Path | None = None) -> None:
        self._source, self._folder = source, folder or Path()

    @cached_property
    def table(self) -> PriceTable:
        """The table."""
        if self._source is None or self._source in SOURCES:
            return price_table(self._source or BUNDLED)
        return price_table(self._folder / self._source)

    def find(self, names: Sequence[str], why: str = "") -> PriceEntry:
        """Return the prices of the first of some names of a model that has any.

        Raises
        ------
        InputError
            If none has, with the complaint about the first; `why` it was looked for goes before it.
        """
        errors = []
        for name in dict.fromkeys(names):
            try:
                return self.table.find(name)
            except InputError as error:
                errors.append(str(error))
        raise InputError(f"{why}, and {errors[0]}" if why else errors[0])
