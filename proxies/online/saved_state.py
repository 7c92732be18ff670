"""The saved state of an online router: plain values for JSON, and back with checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.model import State
from robatch.instances.scalars import number, whole
from robatch.proxies.online.call_buffer import Unsettled

FORMAT = 2
KIND = "online-router"


@dataclass(frozen=True)
class SavedState:
    """Price, spending, counts and unsettled calls of a router."""

    price: float | None  # utility per USD; None where it was not known yet
    spent: float  # USD billed, open calls with their whole shared prompt
    count: int  # queries seen; below, those of them that were refused
    refused: int
    now: float  # the last time told; -inf before the first
    fill: list[float]  # queries that a call of each state is expected to hold
    opened: int  # calls ever opened
    unsettled: dict[int, Unsettled]  # what the calls that are not settled bill, by id
    pacing: Any  # what `Pacer.state` gave; None without a horizon

    def to_dict(self, states: Sequence[State]) -> dict[str, Any]:
        """Return plain values for JSON."""
        unsettled = [[call, *known] for call, known in self.unsettled.items()]
        values = {**vars(self), "now": self.now if math.isfinite(self.now) else None, "unsettled": unsettled}
        if self.pacing is None:
            del values["pacing"]
        return {"kind": KIND, "format": FORMAT, "states": [list(state) for state in states], **values}

    @classmethod
    def from_dict(cls, saved: Any, states: Sequence[State]) -> SavedState:
        """Check what `to_dict` returned.

        Raises
        ------
        InputError
            If it is something else, or of other states.
        """
        if not isinstance(saved, Mapping) or (saved.get("kind"), saved.get("format")) != (KIND, FORMAT):
            raise InputError(f"saved is not the state of an online router of format {FORMAT}")
        if saved.get("states") != [list(state) for state in states]:
            raise InputError(f"saved is of the states {saved.get('states')}: those of this router are needed")
        opened = whole("opened", saved.get("opened"), most=2**53)
        count = whole("count", saved.get("count"), most=2**53)
        fill = saved.get("fill")
        if not isinstance(fill, Sequence) or len(fill) != len(states):
            raise InputError(f"fill is {fill!r}: {len(states)} numbers are needed")
        return cls(
            None if saved.get("price") is None else number("price", saved["price"]),
            number("spent", saved.get("spent")),
            count,
            whole("refused", saved.get("refused"), most=count),
            -math.inf if saved.get("now") is None else number("now", saved["now"], -math.inf),
            [number("fill", mean, 1.0, state.batch_size) for mean, state in zip(fill, states, strict=True)],
            opened,
            _unsettled(saved.get("unsettled"), opened),
            saved.get("pacing"),
        )


def _unsettled(given: Any, opened: int) -> dict[int, Unsettled]:
    found: dict[int, Unsettled] = {}
    try:
        rows = [(call, usd, expected) for call, usd, expected in given]
    except (TypeError, ValueError):
        raise InputError(f"unsettled is {given!r}: rows of id, USD at most and USD expected are needed") from None
    for call, usd, expected in rows:
        call, usd = whole("unsettled call", call, most=opened - 1), number("usd", usd)
        if call in found:
            raise InputError(f"unsettled has call {call} twice: each id is needed once")
        found[call] = Unsettled(usd, number("expected", expected, most=usd))
    return found
