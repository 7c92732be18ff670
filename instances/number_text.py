"""Numbers as people and spreadsheets write them, read where their meaning is certain."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.scalars import finite_range, shown

MISSING = frozenset({"", "#n/a", "#na", "<na>", "n/a", "na", "nan", "nat", "none", "null"})
"""Texts, in lower case, that mean that there is no value."""

_MARKS = {".": ",", ",": "."}  # a decimal mark, and what then stands between thousands
_GROUPED, _PLAIN, _OTHER, _UNCERTAIN, _CERTAIN = (
    {mark: re.compile(pattern.replace("M", re.escape(mark)).replace("O", re.escape(other)), re.ASCII)
     for mark, other in _MARKS.items()}
    for pattern in (
        r"[+-]?\d{1,3}(O\d{3}){2,}|[+-]?\d{1,3}(O\d{3})+M\d+",
        r"[+-]?(\d+M?\d*|M\d+)(e[+-]?\d+)?",
        r"[+-]?\d*O\d+(e[+-]?\d+)?",
        r"[+-]?[1-9]\d{0,2}O\d{3}",
        r"(?<![\d.,])(\d{1,3}((O\d{3})+M\d+|(O\d{3}){2,})|(0|\d{4,})?M\d+|\d+M(\d{1,2}|\d{4,}))(?![\d.,])",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quantity:
    """What the numbers of a column mean, and so how they may be written.

    Attributes
    ----------
    low, high
        The range that is allowed.
    percent, truth, usd
        Whether ``50%``, ``TRUE`` and ``$0.10`` are read.
    remedy
        What messages advise where a number is missing or wrong.
    """

    low: float = 0.0
    high: float = math.inf
    percent: bool = False
    truth: bool = False
    usd: bool = False
    remedy: str = ""

    def read(self, value: Any, mark: str = ".") -> float | None:
        """Return a number, or a text that certainly means one, as float; NaN if missing, None if it is neither.

        `mark` is the decimal mark of the source; the other of point and comma is read where it cannot part thousands.
        """
        if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
            return math.nan
        if isinstance(value, bool):
            return float(value) if self.truth else None
        if isinstance(value, Real | Decimal):
            try:
                return float(value)
            except (OverflowError, ValueError):  # a whole number of very many digits; a signalling NaN
                return math.inf
        return self._read_text(value.strip().lower(), mark) if isinstance(value, str) else None

    def _read_text(self, text: str, mark: str) -> float | None:
        if self.truth and text in ("true", "false"):
            return float(text == "true")
        divisor = 1.0
        if self.percent and text.endswith("%"):
            text, divisor = text[:-1].rstrip(), 100.0
        if self.usd:
            text = re.sub(r"^(us\$|usd|\$)\s*|\s*(us\$|usd|\$)$", "", text)
        grouped = next((decimal for decimal in _MARKS if _GROUPED[decimal].fullmatch(text)), None)
        if grouped:  # what parts several groups, or stands before the other mark, parts thousands
            text = text.replace(_MARKS[grouped], "").replace(grouped, ".")
        elif _PLAIN[mark].fullmatch(text):
            text = text.replace(mark, ".")
        elif _OTHER[mark].fullmatch(text) and not _UNCERTAIN[mark].fullmatch(text):
            text = text.replace(_MARKS[mark], ".")
        else:
            return None
        return float(text) / divisor

    def read_all(self, values: Sequence[Any], mark: str = ".") -> list[float | None]:
        """Read the different values of a column, as `read` does.

        Where some certainly have one decimal mark, the uncertain ones have it too; where some have one and some the
        other, uncertain ones are not read.
        """
        texts = [value for value in values if isinstance(value, str)]
        marks = [found for found in _MARKS if any(map(_CERTAIN[found].search, texts))]
        if len(marks) < 2:
            return [self.read(value, *marks or mark) for value in values]
        both = ([self.read(value, found) for found in marks] for value in values)
        return [None if None in pair else pair[0] for pair in both]

    def complaint(self, what: str, value: Any, where: str = "") -> InputError:
        """Return the error of a value that is not readable or out of range; `what` it is, and `where` it stands."""
        needed = finite_range(self.low, self.high)
        advice = self.remedy
        if isinstance(value, str):
            bare = re.sub(r"[^\d,.+-]", "", value, flags=re.ASCII)
            if any(pattern.fullmatch(bare) for pattern in _UNCERTAIN.values()):
                advice = "it may mean two numbers, write it without a mark between thousands"
        elif isinstance(value, int | float) and self.percent and 2 <= value <= 100:
            advice = "a percentage is written with its sign, as in 50%, or divided by 100"
        short = f"{value:g}" if isinstance(value, float) else ""
        place = f"{what} is {short if short and float(short) == value else shown(value)}" + (
            f" in {where}" if where else ""
        )
        return InputError(f"{place}: {needed} is needed" + (f" ({advice})" if advice else ""))


NUMBER = Quantity()
SCORE = Quantity(0.0, 1.0, percent=True, truth=True, remedy="right is 1 and wrong is 0")
SHARE = Quantity(0.0, 1.0, percent=True)
TOKENS = Quantity(remedy="a number of tokens")
USD = Quantity(usd=True, remedy="an amount in USD, as in 0.15 or $0.15")
SIZE = Quantity(1.0)
