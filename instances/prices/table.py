"""A price table that was read: its models by name, and why other entries are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from robatch.instances.errors import InputError
from robatch.instances.prices.entry import PriceEntry
from robatch.instances.prices.names import Names, nearest

_MOST_NAMED = 5  # models that a message names


class LeftOut(NamedTuple):
    """Why an entry of a table is no model with a price: in a word or two, and in a sentence."""

    reason: str
    why: str


@dataclass(frozen=True)
class PriceTable:
    """The models of one price table.

    Attributes
    ----------
    entries
        In the table's order; names are unique.
    source
        What the table is, with its version where it has one.
    date
        Of its prices, as `PriceEntry.date`.
    left_out
        By name, why other entries are no models with a price.
    """

    entries: tuple[PriceEntry, ...]
    source: str
    date: str | None = None
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)

    @classmethod
    def made(
        cls, entries: Iterable[PriceEntry], source: str, date: str | None, left_out: Mapping[str, LeftOut]
    ) -> PriceTable:
        """Make a table of entries that do not know yet where they come from."""
        return cls(tuple(replace(entry, source=source, date=date) for entry in entries), source, date, left_out)

    @cached_property
    def _names(self) -> Names:
        return Names(self.entries)

    def find(self, name: str) -> PriceEntry:
        """Return the entry of a model, by its name here, or with or without its provider, in any case.

        Raises
        ------
        InputError
            If there is none, with the nearest names, or if there are several that charge differently.
        """
        found = self._names.find(name)
        if not found:
            raise InputError(self._unknown(name))
        if any(entry.bill != found[0].bill for entry in found[1:]):
            names = _few([entry.name for entry in found])
            raise InputError(f"{name!r} may be several models of {self.source}, at different prices: {names}")
        return found[0]

    def search(self, text: str) -> list[PriceEntry]:
        """Return the entries whose name or provider holds a text, in any case."""
        part = text.casefold()
        return [
            entry
            for entry in self.entries
            if part in entry.name.casefold() or part in (entry.provider or "").casefold()
        ]

    def counts(self) -> dict[str, int]:
        """Return the number of entries left out by reason, the most frequent first."""
        return dict(Counter(one.reason for one in self.left_out.values()).most_common())

    def _unknown(self, name: str) -> str:
        asked = name.strip().casefold()
        for known, left in self.left_out.items():
            if known.casefold() == asked or known.casefold().endswith(f"/{asked}"):
                return left.why
        close = nearest(name, [entry.name for entry in self.entries])
        hint = f"the nearest names are {_few(close)}" if close else f"none of its {len(self.entries)} names is near"
        return f"{self.source} has no price of {name!r}: {hint}"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(repr, names[:_MOST_NAMED])) + more
