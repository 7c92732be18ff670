"""Slots of a Markdown table: a row for each query, with its number in the first column."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ROW = re.compile(r"\s*\|(.*)\|\s*")
_RULE = re.compile(r"\s*:?-{2,}:?\s*")
_NUMBER = re.compile(
    r"[*_`\s]*(?:A|Q|Answer|Query|Question|Item|No\.?|#)?[ \t#]{0,3}([0-9]{1,4})[.:)]?[*_`\s]*", re.IGNORECASE
)
_ANSWER = re.compile(
    r"[*_`\s]*(?:answers?|label|category|choice|result|prediction|class|output)[*_`\s]*", re.IGNORECASE
)


def table_slots(lines: Sequence[str]) -> dict[int, list[str]]:
    """Find the slots of rows such as ``| A1 | good |``.

    With more than two columns, the answers stand in the one that the table's head names so; a row with more or fewer
    columns than the head holds none.
    """
    found: dict[int, list[str]] = {}
    head: list[str] | None = None
    for line in lines:
        match = _ROW.fullmatch(line)
        if match is None:
            head = None
            continue
        cells = match[1].split("|")
        slot = _NUMBER.fullmatch(cells[0])
        if slot is None:
            head = head if all(map(_RULE.fullmatch, cells)) else cells
            continue
        at = _answer_column(head, len(cells))
        if at is not None:
            found.setdefault(int(slot[1]), []).append(cells[at].strip())
    return found


def _answer_column(head: list[str] | None, columns: int) -> int | None:
    """Return the column of the answers; None if it is not clear."""
    if head is not None and len(head) != columns:
        return None
    named = [at for at, cell in enumerate(head or ()) if at and _ANSWER.fullmatch(cell)]
    if len(named) == 1:
        return named[0]
    return 1 if columns == 2 else None
