"""Queries, with checkable answers or without: read, written, and generated."""

from __future__ import annotations

import json
import math
import os
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from robatch.instances.errors import InputError
from robatch.instances.files import parse_json, read_text, write_text
from robatch.instances.scalars import shown
from robatch.proxies.tasks import arithmetic, reviews, support

Kind = Literal["choice", "number", "text"]
KINDS = ("choice", "number", "text")


@dataclass(frozen=True)
class _Maker:
    """How a generated task is made.

    Attributes
    ----------
    make
        Makes the query of a number, counted from 0 over the different ones, as text and true answer.
    """

    make: Callable[[int, random.Random], tuple[str, str]]
    kind: Kind  # as in `Query`
    choices: tuple[str, ...] = ()


def _sorting(
    choices: tuple[str, ...], grades: tuple[int, ...], message: Callable[[str, int, random.Random], str]
) -> _Maker:
    """Make a task of messages, in which answers and grades go round evenly."""

    def make(number: int, rng: random.Random) -> tuple[str, str]:
        answer = choices[number % len(choices)]
        return message(answer, grades[(number // len(choices)) % len(grades)], rng), answer

    return _Maker(make, "choice", choices)


def _sum(number: int, rng: random.Random) -> tuple[str, str]:
    return arithmetic.problem(arithmetic.GRADES[number % len(arithmetic.GRADES)], rng)


_MAKERS = {
    "support": _sorting(support.TEAMS, support.GRADES, support.message),
    "reviews": _sorting(reviews.ANSWERS, reviews.GRADES, reviews.message),
    "arithmetic": _Maker(_sum, "number"),
}
_MAX_REPEATED_DRAWS = 300  # texts in a row that exist already, before a grade counts as used up

TASKS = tuple(_MAKERS)
"""The names `generate_task` knows."""

NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,4})?")
"""What an answer of kind ``"number"`` looks like."""

QUERY_FIELDS = ("id", "text", "question", "answer", "kind", "choices", "by")


@dataclass(frozen=True, slots=True)
class Query:
    """One query and its true answer, if that is known.

    Attributes
    ----------
    id
        Unique among all queries of a run.
    text
        What the model is asked; any text, on any number of lines.
    answer
        The true answer: one of `choices`, a decimal number, or one line of text. None where it is not known: such a
        query can be answered, and not graded.
    kind
        ``"choice"``, ``"number"`` or ``"text"``: how answers are read and graded.
    choices
        The admissible answers of kind ``"choice"``; empty for the others.
    by
        The model whose answer `answer` is, where it is a reference and not the truth; None where it is true.
    """

    id: str
    text: str
    answer: str | None = None
    kind: Kind = "choice"
    choices: tuple[str, ...] = ()
    by: str | None = None

    def __post_init__(self) -> None:
        if type(self.choices) is not tuple:
            object.__setattr__(self, "choices", tuple(self.choices))
        for name, value in (("id", self.id), ("text", self.text), ("answer", self.answer), ("by", self.by)):
            if value is None and name in ("answer", "by"):
                continue
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"{name} is {value!r}: a text that is not empty is needed")
            if not _is_unicode(value):
                raise InputError(f"{name} is {value!r}: valid Unicode is needed")
        if self.kind == "choice":
            if self.choices != _checked_last[0]:  # nearly always those of the query before
                _check_choices(self.choices)
                _checked_last[0] = self.choices
        elif self.kind not in ("number", "text"):
            raise InputError(f"kind is {self.kind!r}: 'choice', 'number' or 'text' is needed")
        elif self.choices:
            raise InputError(f"choices is {list(self.choices)}: a query of kind {self.kind!r} has none")
        if self.answer is not None:
            self._check_answer(self.answer)
        elif self.by is not None:
            raise InputError(f"by is {self.by!r}: it says whose the answer is, and there is none")

    def _check_answer(self, answer: str) -> None:
        if self.kind == "choice" and answer not in self.choices:
            raise InputError(f"answer is {answer!r}: one of {list(self.choices)} is needed")
        if self.kind == "number" and not NUMBER.fullmatch(answer):
            raise InputError(
                f"answer is {answer!r}: a number of up to 9 digits and 4 decimals, such as '-12.5', is needed"
            )
        if self.kind == "text" and len(answer.splitlines()) > 1:
            raise InputError(f"answer is {answer!r}: a text on one line is needed")


def read_queries(path: str | os.PathLike[str]) -> tuple[Query, ...]:
    """Read queries from a JSONL file: one object a line with id, text, answer, kind and (for "choice") choices.

    The text may stand in the field ``question`` instead; a query without ``answer`` is ungraded. An answer, a kind or
    choices that are null count as missing. Ids, answers and choices may be numbers. A JSON list of such objects is
    read, too.

    Raises
    ------
    InputError
        If the file cannot be read, holds no query, an id twice, or a field that is missing, unknown or wrong.
    """
    name = str(path)
    queries: list[Query] = []
    seen: dict[str, int] = {}
    unit, records = _records(read_text(path, "the queries"), name)
    for number, record in records:
        try:
            query = query_of(record)
        except InputError as error:
            raise InputError(f"{name!r}, {unit} {number}: {error}") from error
        first = seen.setdefault(query.id, number)
        if first != number:
            raise InputError(
                f"{name!r}, {unit} {number}: id {query.id!r} is already that of {unit} {first}, ids are unique"
            )
        queries.append(query)
    if not queries:
        raise InputError(f"{name!r} holds no query: at least one line is needed")
    return tuple(queries)


def _records(text: str, name: str) -> tuple[str, Iterable[tuple[int, Any]]]:
    """Return what records are called, and each with its number: of the lines that are not blank, or of one list."""
    if text.lstrip().startswith("["):
        with suppress(ValueError):
            rows = parse_json(text)
            if all(isinstance(row, Mapping) for row in rows):
                return "entry", enumerate(rows, start=1)
    return "line", _lines(text, name)


def _lines(text: str, name: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            try:
                yield number, parse_json(line)
            except ValueError as error:
                raise InputError(f"{name!r}, line {number}: not a JSON object ({error})") from None


def write_queries(path: str | os.PathLike[str], queries: Iterable[Query]) -> None:
    """Write queries as a JSONL file that `read_queries` reads."""
    write_text(path, "".join(_line(query) for query in queries))


def query_ids(queries: Sequence[Query]) -> tuple[str, ...]:
    """Give the ids of the queries, refusing duplicates."""
    ids = tuple(query.id for query in queries)
    if len(set(ids)) < len(ids):
        twice = next(id for id in ids if ids.count(id) > 1)
        raise InputError(f"query id {twice!r} occurs twice: ids are unique")
    return ids


def generate_task(name: str = "support", queries: int = 320, seed: int = 0) -> tuple[Query, ...]:
    """Generate a task with answers that are true by construction.

    Parameters
    ----------
    name
        ``"support"``: short customer messages to be sorted into the team that must act: billing, delivery,
        technical or account. Of ten, four are plain, two long-winded, three mention another team's topic only to
        say that it is in order, and one mentions two such topics. ``"reviews"``: short product reviews, positive
        or negative; of ten, four are plain, three have irrelevant detail, three a concession of the opposite sign.
        ``"arithmetic"``: sums of two to four whole numbers, of ten six with two, two with three and two with four.
    queries
        How many, all distinct; at most 5000.
    seed
        Any whole number; the same seed gives the same queries.
    """
    if name not in TASKS:
        raise InputError(f"task {name!r} is not known: one of {list(TASKS)} is needed")
    if isinstance(queries, bool) or not isinstance(queries, int) or not 1 <= queries <= 5000:
        raise InputError(f"queries is {queries!r}: a whole number from 1 to 5000 is needed")
    rng = random.Random(f"robatch {name} {seed}")
    maker = _MAKERS[name]
    made: dict[str, str] = {}
    failed = 0
    while len(made) < queries:  # a text that exists already is drawn again; where a grade has no more, the next one is
        shift = failed // _MAX_REPEATED_DRAWS * max(1, len(maker.choices))
        text, answer = maker.make(len(made) + shift, rng)
        failed = failed + 1 if text in made else 0
        made.setdefault(text, answer)
    items = list(made.items())
    rng.shuffle(items)
    return tuple(
        Query(f"{name}-{number:04d}", text, answer, maker.kind, maker.choices)
        for number, (text, answer) in enumerate(items, start=1)
    )


def query_of(record: Any) -> Query:
    """Make a query of a line's object; InputError if a field is missing, unknown or wrong."""
    if not isinstance(record, dict | Mapping):  # the first is quick to tell
        raise InputError(f"{shown(record)} is not a JSON object with the fields {list(QUERY_FIELDS)}")
    for field in record:
        if field not in QUERY_FIELDS:
            raise InputError(f"field {field!r} is not known: the fields are {list(QUERY_FIELDS)}")
    if "text" in record and "question" in record:
        raise InputError("the fields 'text' and 'question' are both there: they mean the same, one is needed")
    for field in ("id", "text"):
        if field not in record and not (field == "text" and "question" in record):
            raise InputError(f"field {field!r} is missing")
    choices, kind = record.get("choices"), record.get("kind")
    if choices is not None and not isinstance(choices, list):
        raise InputError(f"choices is {choices!r}: a list of texts is needed")
    text = record["question"] if "question" in record else record["text"]
    given = tuple(map(_as_text, choices or ()))
    return Query(
        _as_text(record["id"]),
        text,
        _as_text(record.get("answer")),
        "choice" if kind is None else kind,
        given,
        record.get("by"),
    )


def _as_text(value: Any) -> Any:
    """Return a number as the text of its digits, and anything else as it is."""
    if type(value) is str:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _line(query: Query) -> str:
    record: dict[str, object] = {"id": query.id, "text": query.text, "kind": query.kind}
    if query.answer is not None:
        record["answer"] = query.answer
    if query.choices:
        record["choices"] = list(query.choices)
    if query.by is not None:
        record["by"] = query.by
    return json.dumps(record, ensure_ascii=False) + "\n"


_checked_last: list[tuple[str, ...]] = [()]


def _check_choices(choices: tuple[Any, ...]) -> None:
    if len(choices) < 2:
        raise InputError(f"choices is {list(choices)}: at least two are needed")
    for choice in choices:
        if not isinstance(choice, str) or not choice or choice != choice.strip() or not choice.isprintable():
            raise InputError(f"choice {choice!r} is not one line of printable text without spaces around it")
    if len({choice.casefold() for choice in choices}) < len(choices):
        raise InputError(f"choices is {list(choices)}: they must differ, upper and lower case apart")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
