"""From a given answer to a score between 0 and 1."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING

from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.proxies.tasks.queries import Query

Grader = Callable[[str | None, "Query"], float]
"""From an answer as `read` gives it (None: it could not be read) and its query to a score between 0 and 1."""

MAX_TEXT = 500
"""Characters that an answer of kind ``"text"`` may have."""

_NUMBER = re.compile(r"-?(\d{1,9}|\d{1,3}(,\d{3}){1,2})(\.\d{1,4})?", re.ASCII)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def normalize(given: str, query: Query) -> str | None:
    """Read one given answer in the form that the query's kind prescribes.

    A choice may differ in case and end with a full stop; a number may group its thousands with commas; a text is
    one line of at most 500 characters.

    Returns
    -------
    str or None
        One of the query's choices, a plain decimal number, or the text without outer space; None for anything else.
    """
    text = given.strip()
    if query.kind == "text":
        return text if len(text) <= MAX_TEXT and len(text.splitlines()) == 1 else None
    text = text.removesuffix(".").strip()
    if query.kind == "number":
        return text.replace(",", "") if _NUMBER.fullmatch(text) else None
    return next((choice for choice in query.choices if choice.casefold() == text.casefold()), None)


def grader_of(name: str) -> Grader:
    """Give the grader of that name.

    Parameters
    ----------
    name
        ``"auto"``: by the query's kind, ``"choice"``, ``"number"`` or (for kind ``"text"``) ``"exact"``.
        ``"exact"`` and ``"choice"``: 1.0 if answer and truth are the same, upper and lower case and outer space
        apart. ``"number"``: 1.0 if both are the same decimal number; 12, 12.0 and 12.00 are. ``"f1"``: `token_f1`.
        ``"package.module:function"``: a user's function of a text and a `Query`; its score is a number from 0 to 1.

    Returns
    -------
    Callable
        From an answer, or None where it could not be read, and its query to the score. None scores 0.0 always.

    Raises
    ------
    InputError
        If there is no such grader. The grader itself raises it for a query without a true answer and for a user's
        function that fails or gives anything but a number from 0 to 1.
    """
    if name in _GRADERS:
        grade = _GRADERS[name]
    elif isinstance(name, str) and _FUNCTION.fullmatch(name):
        grade = _user_function(name)
    else:
        raise InputError(f"grader is {name!r}: one of {list(_GRADERS)} or 'package.module:function' is needed")

    def grader(answer: str | None, query: Query) -> float:
        if query.answer is None:
            raise InputError(f"query {query.id!r} has no true answer: it cannot be graded")
        return 0.0 if answer is None else grade(answer, query)

    return grader


def token_f1(answer: str, truth: str) -> float:
    """Give the F1 score of the answer's words against the truth's.

    As SQuAD's evaluation script does (Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of
    Text", EMNLP 2016): in lower case, without punctuation and the articles a, an, the; words count as often as
    they occur. Where nothing is left of one of the two, the score is 1.0 if nothing is left of either.
    """
    given, wanted = _words(answer), _words(truth)
    if not given or not wanted:
        return float(given == wanted)
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2.0 * shared / (len(given) + len(wanted))


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _truth(query: Query) -> str:
    assert query.answer is not None
    return query.answer


def _exact(answer: str, query: Query) -> float:
    return float(answer.strip().casefold() == _truth(query).strip().casefold())


def _number(answer: str, query: Query) -> float:
    given, truth = _decimal(answer), _decimal(_truth(query))
    if truth is None:
        raise InputError(f"query {query.id!r} has the answer {query.answer!r}: the grader 'number' needs a number")
    return float(given == truth)


def _decimal(text: str) -> Decimal | None:
    text = text.strip()
    return Decimal(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


def _f1(answer: str, query: Query) -> float:
    return token_f1(answer, _truth(query))


def _auto(answer: str, query: Query) -> float:
    return _number(answer, query) if query.kind == "number" else _exact(answer, query)


_GRADERS: dict[str, Callable[[str, Query], float]] = {
    "auto": _auto,
    "exact": _exact,
    "choice": _exact,
    "number": _number,
    "f1": _f1,
}


def _user_function(name: str) -> Callable[[str, Query], float]:
    """Import a user's grader; what it returns is checked at every call."""
    module, attribute = name.split(":")
    try:
        function = getattr(import_module(module), attribute, None)
    except Exception as error:
        raise InputError(
            f"grader {name!r} cannot be imported ({type(error).__name__}: {error}); its module must be installed or "
            "lie in a folder of PYTHONPATH"
        ) from error
    if not callable(function):
        raise InputError(f"grader {name!r}: the module has no function {attribute!r}")

    def grade(answer: str, query: Query) -> float:
        try:
            value = function(answer, query)
        except Exception as error:
            raise InputError(
                f"grader {name!r} failed on query {query.id!r} ({type(error).__name__}: {error})"
            ) from error
        try:
            score = float(value) if not isinstance(value, str) else math.nan
        except (TypeError, ValueError, OverflowError):
            score = math.nan
        if not 0.0 <= score <= 1.0:
            raise InputError(f"grader {name!r} gave {value!r} for query {query.id!r}: a number from 0 to 1 is needed")
        return score

    return grade
