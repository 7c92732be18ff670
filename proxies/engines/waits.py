"""How long to wait before a call is sent again: what the server asks for, within a limit, else ever longer."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

MAX_WAIT = 60.0
"""Seconds; the default limit on a single wait."""

_IN_WORDS = re.compile(
    r"(?:retry|try again)[^\d.]{0,20}"
    r"((?:\d{1,9}(?:\.\d+)?\s?(?:ms|milliseconds?|h|hours?|m|min|minutes?|s|secs?|seconds?)(?![a-z])\s?)+)"
)
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
FIRST_WAIT, LAST_WAIT = 0.5, 8.0  # seconds between tries where the server asks for nothing


@dataclass(frozen=True)
class Wait:
    """A wait before the next try.

    Attributes
    ----------
    seconds
        How long to wait.
    asked
        Seconds that the server asked for; None where it asked for none.
    """

    seconds: float
    asked: float | None = None

    def __str__(self) -> str:
        """Say both in a progress line."""
        if self.asked is None:
            return f"waiting {self.seconds:.3g} s"
        capped = "" if self.asked <= self.seconds else f" of {self.asked:.3g} s asked for (max_wait)"
        return f"waiting {self.seconds:.3g} s{capped or ' as asked'}"


def wait_before(asked: float | None, retries: int, most: float = MAX_WAIT) -> Wait:
    """Return the wait before a try that follows `retries` others: the seconds asked for, at most `most`."""
    if asked is not None:
        return Wait(min(asked, most), asked)
    grown = min(LAST_WAIT, FIRST_WAIT * 2.0 ** min(retries, 10)) * (1.0 - 0.25 * random.random())
    return Wait(min(grown, most))


def asked_wait(headers: Mapping[str, str], words: str = "") -> float | None:
    """Return the seconds that a server asks to wait: ``Retry-After-Ms``, or ``Retry-After`` in seconds or as a date.

    A date counts from the server's own clock, where it gives that. Without such headers, the `words` of the reply, in
    lower case, are looked at, such as ``try again in 6m0s``. None where nothing usable is asked for.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        said = headers.get(name, "").strip()
        try:
            asked = float(said.partition(",")[0].removesuffix("s")) * unit
        except ValueError:
            asked = _until(said, headers.get("date", "")) if name == "retry-after" else math.nan
        if 0.0 < asked < math.inf:
            return asked
    if match := _IN_WORDS.search(words):
        parts = re.findall(r"([\d.]+)\s?(ms|[hms])", match[1].replace("milli", "m"))
        return sum(float(count) * _UNITS[unit] for count, unit in parts) or None
    return None


def _until(date: str, now: str) -> float:
    """Return the seconds from a date to another one, or from this machine's time; NaN where the first is none."""
    then = _seconds(date)
    start = _seconds(now)
    return then - (time.time() if math.isnan(start) else start)


def _seconds(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return math.nan
