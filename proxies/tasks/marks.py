"""A slot's mark, such as ``A1:`` or ``1.``: where it begins a line, and where another slot's stands within one.

A mark is a name or none, a number, and what closes it. What counts as another slot's mark within a line is wider than
what begins a slot: anything may stand before it, and no space need follow. So a mark that could begin a slot is found
there, too, whatever stands in a line break's place; a number that ends a sum is taken for none.
"""

from __future__ import annotations

import re

_NAME = r"(?:A|(?:Answer|Ans\.?)[ \t]{0,4}#?)[ \t]{0,4}"
_NUMBER = r"([0-9]{1,4})"
_ANY_NUMBER = r"(\d{1,4})"  # in the digits of any script
_WRAP = r"*_`"  # bold and code around a number
_CLOSED = rf"[{_WRAP}\])]*\s*"
_COLON, _STOP, _DASH = r"[:=\uff1a]", r"[.)]", r"(?:[-\u2013\u2014]|->|\u2192)"

# Quotes, list marks and headings may stand before a slot.
_BEFORE = rf"\s*(?:[>#*+\-\u2022]+[ \t]+)*[{_WRAP}\[(]*"
_AFTER = rf"{_CLOSED}(?:{_COLON}[{_WRAP}]*|{_STOP}[{_WRAP}]*(?=\s|$)|{_DASH}(?=\s|$))[{_WRAP}]*"

NAMED = re.compile(rf"{_BEFORE}{_NAME}{_NUMBER}{_AFTER}(.*)", re.IGNORECASE)
"""A line that begins a slot by name; its groups are the slot's number and what stands behind the mark."""

# A bare number needs a dot, bracket or colon and a space: "1. x", "1) x", "1: x", but not "1.5", "1 - 2" or "10:30".
NUMBERED = re.compile(rf"\s*[{_WRAP}(]*{_NUMBER}[{_WRAP}]*(?:[.:][{_WRAP}]*|\)[{_WRAP}.:]*)(?=\s|$)(.*)")
"""A line that begins a slot by number alone; the same groups."""

_OTHER_NAME = (
    r"(?:Q|Query|Question|Slot|Item|Message|Review|Response|Result|Reply|Entry|No\.?|Nr\.?)[ \t]{0,4}#?[ \t]{0,4}"
)
_SIGN = r"(?:[\]:=|]|->|=>|\u2192|[-\u2013\u2014](?=\s+[^\d\s]))"
_HEADING = rf"#{{1,6}}[ \t]+[{_WRAP}]*(?:{_NAME}|{_OTHER_NAME})?{_NUMBER}[{_WRAP}.:)]*(?=\s*$)"
OTHER = re.compile(
    rf"(?:{_BEFORE}(?:{_OTHER_NAME}{_NUMBER}{_AFTER}|#?{_NUMBER}[{_WRAP}]*\]?\s*{_SIGN})|{_HEADING})\s*(.*)",
    re.IGNORECASE,
)
"""A line that begins a slot by another name or sign: ``Q1: x``, ``[1] x``, ``1 -> x``, or a heading ``## 1``."""

_NAMED_WITHIN = re.compile(rf"{_NAME}{_ANY_NUMBER}{_CLOSED}(?:{_COLON}|{_STOP}|{_DASH}|\|)", re.IGNORECASE)
# Not the end of a sum's sentence: "3 + 2 = 5. So it is ...", "for $5. So ...".
_NUMBERED_WITHIN = re.compile(
    rf"(?<![\d+=\u00d7$\u20ac\u00a3])(?<![+=\u00d7] ){_ANY_NUMBER}[{_WRAP}]*(?:[.:\uff1a](?!\d)|[)\]])(?=\W*\w)"
)
_MENTIONED = re.compile(
    rf"(?:[AQ]|(?:Answer|Ans\.?|Query|Question)[ \t]{{0,4}}#?[ \t]{{0,4}}|(?<!#)#){_ANY_NUMBER}", re.IGNORECASE
)


def other_slot(line: str, slot: int, slots: int, kind: str, named_only: bool = False) -> int | None:
    """Find where another slot begins, or may begin, in the line behind a slot's own mark; None if it does nowhere.

    `slots` is how many there are. A query of the kind "text" may hold marks of slots that there are not, and mention
    slots without a mark. With `named_only`, bare numbers are no marks.
    """
    there = range(1, slots + 1)
    looks = [(_NAMED_WITHIN, there if kind == "text" else range(10_000))]
    if not named_only:
        looks.append((_NUMBERED_WITHIN, there if kind == "text" else range(1, slots + 2)))
    if kind != "text":
        looks.append((_MENTIONED, there))
    starts = (
        match.start()
        for pattern, others in looks
        for match in pattern.finditer(line)
        if int(match[1]) != slot and int(match[1]) in others
    )
    return min(starts, default=None)
