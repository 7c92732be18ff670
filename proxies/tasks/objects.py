"""The slots of the JSON in a model's output, in the shapes that models choose: keyed, wrapped, or listed with numbers.

A slot's number stands in a key, or beside its answer: it is never the place that an answer has. What a query's own text
may have written (a key or a number that is a query's whole text) counts for none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from robatch.proxies.tasks.marks import NAMED

Slots = dict[int, list[str]]

_DEPTH = 6  # of objects in objects that are looked into
_NUMBER = r"[ \t_#.:-]{0,3}0{0,2}(0|[1-9][0-9]{0,3})"
_TIERS = (
    re.compile(r"A(0|[1-9][0-9]{0,3})"),  # as asked for
    re.compile(rf"(?:A|Answer|Ans\.?){_NUMBER}", re.IGNORECASE),
    re.compile(r"\s*#?\s*0{0,2}(0|[1-9][0-9]{0,3})\.?\s*"),
    re.compile(rf"(?:Q|Query|Question|Slot|Item|Message|Review|Response|Result|No\.?){_NUMBER}", re.IGNORECASE),
)
"""Keys that name a slot; the first kind of which an object has one is taken alone."""
_ID = re.compile(
    rf"\s*(?:A|Q|Answer|Ans\.?|Query|Question|Slot|Item|Message|Review|No\.?)?{_NUMBER}[.:)]?\s*", re.IGNORECASE
)
_ID_KEYS = frozenset(
    [
        "id",
        "key",
        "slot",
        "query",
        "query_id",
        "queryid",
        "question",
        "question_id",
        "q",
        "number",
        "no",
        "n",
        "num",
        "index",
        "idx",
        "i",
        "item",
        "name",
        "label_for",
    ]
)
_ANSWER_KEYS = frozenset(
    [
        "answer",
        "a",
        "ans",
        "label",
        "value",
        "result",
        "output",
        "response",
        "choice",
        "category",
        "prediction",
        "class",
    ]
)
_ASIDES = frozenset(
    [
        "reason",
        "reasoning",
        "reasons",
        "explanation",
        "rationale",
        "thought",
        "thoughts",
        "thinking",
        "analysis",
        "why",
        "comment",
        "note",
        "notes",
        "confidence",
        "score",
        "probability",
        "evidence",
        "justification",
    ]
)


_BEGINS = re.compile(r'\{|\[\s*["{\[]')


class Object(tuple[tuple[str, Any], ...]):
    """A JSON object's pairs of key and value, in which a key may occur twice."""


def _refuse(constant: str) -> None:
    raise ValueError(constant)


# Numbers stay as they are written.
DECODER = json.JSONDecoder(object_pairs_hook=Object, parse_float=str, parse_int=str, parse_constant=_refuse)


def slots_in(text: str, texts: Collection[str]) -> Slots:
    """Find the slots of the JSON objects in an output; `texts` are those of the call's queries.

    The first object that is broken ends the search: what comes after it may stand within one of its texts.
    """
    found: Slots = {}
    own = frozenset(query.strip().casefold() for query in texts)
    for value, span in _values_in(text):
        if not any(span in query for query in texts):
            _gather(value, own, found, 0)
    return found


def single_answer(text: str) -> str | None:
    """Return what an output's only object gives as the answer of a call's only query; None if that is not clear."""
    values = [value for value, _ in _values_in(text)]
    return _answer_of(values[0]) or None if len(values) == 1 and isinstance(values[0], Object) else None


def _values_in(text: str) -> Iterator[tuple[Any, str]]:
    """Yield the outermost objects and lists in a text with what they are written as, the last perhaps broken off."""
    at = _start(text, 0)
    while at >= 0:
        value, end = _value(text, at, 0)
        yield value, text[at : end or len(text)]
        at = _start(text, end) if end else -1


def _start(text: str, at: int) -> int:
    """Return where the next object begins, or a list that begins with an object, a list or a text."""
    match = _BEGINS.search(text, at)
    return match.start() if match else -1


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    """Read the value that begins at `at`; its end is 0 if it is broken, and then it holds what was whole before."""
    if depth > _DEPTH or text[at] not in "{[":
        try:
            return DECODER.raw_decode(text, at)
        except (ValueError, IndexError, RecursionError):
            return None, 0
    keyed, close = text[at] == "{", "}" if text[at] == "{" else "]"
    items: list[Any] = []
    at += 1
    made = Object if keyed else list
    try:
        while True:
            at = _skip(text, at)
            if text[at] == close:
                return made(items), at + 1
            key = ""
            if keyed:
                key, at = DECODER.raw_decode(text, at)
                at = _skip(text, at)
                if text[at] != ":" or not isinstance(key, str):
                    return made(items), 0
                at = _skip(text, at + 1)
            begins = text[at]
            value, end = _value(text, at, depth + 1)
            at = _skip(text, end) if end else len(text)
            # A value counts if a comma or the bracket follows, or, behind a text, nothing: it was cut off just there.
            if end and (text[at] in (",", close) if at < len(text) else begins == '"'):
                items.append((key, value) if keyed else value)
            elif begins in "{[" and value:
                items.append((key, value) if keyed else value)
                return made(items), 0
            else:
                return made(items), 0
            if text[at] == ",":
                at += 1
    except (ValueError, IndexError, RecursionError):
        return made(items), 0


_SPACE = re.compile(r"\s*")


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _gather(value: Any, own: Collection[str], found: Slots, depth: int) -> None:
    """Collect slots: of an object's keys, of a number beside an answer, or else of what the value holds."""
    if depth > _DEPTH:
        return
    if isinstance(value, Object):
        if keyed := _keyed(value, own):
            for slot, answers in keyed.items():
                found.setdefault(slot, []).extend(answers)
        elif (item := _item(value, own)) is not None:
            found.setdefault(item[0], []).append(item[1])
        else:
            for _, inner in value:
                if isinstance(inner, Object | list):
                    _gather(inner, own, found, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, str) and (mark := NAMED.fullmatch(inner)):
                if any(inner.strip().casefold() in query for query in own):
                    continue
                found.setdefault(int(mark[1]), []).append(mark[2])
            elif not isinstance(inner, str):
                _gather(inner, own, found, depth + 1)


def _keyed(pairs: Object, own: Collection[str]) -> Slots:
    """Return the slots that keys name."""
    for tier, pattern in enumerate(_TIERS):
        found: Slots = {}
        for key, value in pairs:
            match = pattern.fullmatch(key)
            if match and (tier == 0 or key.strip().casefold() not in own):
                found.setdefault(int(match[1]), []).append(_answer_of(value))
        if found:
            return found
    return {}


def _item(pairs: Object, own: Collection[str]) -> tuple[int, str] | None:
    """Return the slot and the answer of an object that holds both, such as ``{"id": 1, "label": "good"}``."""
    slots, rest = set(), []
    for key, value in pairs:
        match = _ID.fullmatch(value) if isinstance(value, str) else None
        if key.casefold() in _ID_KEYS and match and value.strip().casefold() not in own:
            slots.add(int(match[1]))
        elif not (isinstance(value, str) and value.strip().casefold() in own):  # the query, repeated
            rest.append((key, value))
    if len(slots) != 1 or not rest:
        return None
    answer = _answer_of(Object(rest))
    return (slots.pop(), answer) if answer else None


def _answer_of(value: Any) -> str:
    """Return an answer: a text or number, the only one of a list, or that of an object with an answer; else ''."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _answer_of(value[0]) if len(value) == 1 else ""
    if isinstance(value, Object):
        plain = [(key.casefold(), inner) for key, inner in value if key.casefold() not in _ASIDES]
        named = [inner for key, inner in plain if key in _ANSWER_KEYS]
        only = named if named else [inner for _, inner in plain]
        return _answer_of(only[0]) if len(only) == 1 and not isinstance(only[0], Object) else ""
    return ""
