"""From a given answer to right or wrong."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robatch.proxies.tasks import Query

_NUMBER = re.compile(r"-?(\d{1,9}|\d{1,3}(,\d{3}){1,2})(\.\d{1,4})?")


def normalize(given: str, query: Query) -> str | None:
    """Read one given answer in the form that the query's kind prescribes.

    A choice may differ in case and end with a full stop; a number may group its thousands with commas.

    Returns
    -------
    str or None
        One of the query's choices, or a plain decimal number; None for anything else.
    """
    text = given.strip().removesuffix(".").strip()
    if query.kind == "number":
        return text.replace(",", "") if _NUMBER.fullmatch(text) else None
    return next((choice for choice in query.choices if choice.casefold() == text.casefold()), None)


def grade(answer: str | None, query: Query) -> bool:
    """Tell whether an answer read by `normalize` is right; None, an answer that could not be read, is wrong."""
    if answer is None:
        return False
    return grade_number(answer, query.answer) if query.kind == "number" else grade_exact(answer, query.answer)


def grade_exact(answer: str, truth: str) -> bool:
    """Compare two texts, case and outer space apart."""
    return answer.strip().casefold() == truth.strip().casefold()


def grade_number(answer: str, truth: str) -> bool:
    """Compare two decimal numbers by value: 12, 12.0 and 12.00 are the same."""
    return Decimal(answer) == Decimal(truth)
