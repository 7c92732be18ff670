"""Queries with checkable answers: read, written, and generated."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from robatch.instances.errors import InputError, why_unreadable
from robatch.instances.files import write_text
from robatch.proxies import reviews, support

Kind = Literal["choice", "number"]

_MAKERS = {
    "support": (support.TEAMS, support.GRADES, support.message),
    "reviews": (reviews.ANSWERS, reviews.GRADES, reviews.message),
}
TASKS = tuple(_MAKERS)
"""The names `generate_task` knows."""

NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,4})?")
"""What an answer of kind ``"number"`` looks like."""

_FIELDS = ("id", "text", "answer", "kind", "choices")


@dataclass(frozen=True)
class Query:
    """One query and its true answer.

    Attributes
    ----------
    id
        Unique among the queries of a task.
    text
        What the model is asked; any text, on any number of lines.
    answer
        The true answer: one of `choices`, or a decimal number.
    kind
        ``"choice"`` or ``"number"``: how answers are read and graded.
    choices
        The admissible answers of kind ``"choice"``; empty for ``"number"``.
    """

    id: str
    text: str
    answer: str
    kind: Kind = "choice"
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        for name in ("id", "text", "answer"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"{name} is {value!r}: a text that is not empty is needed")
            if not _is_unicode(value):
                raise InputError(f"{name} is {value!r}: valid Unicode is needed")
        if self.kind == "choice":
            _check_choices(self.choices)
            if self.answer not in self.choices:
                raise InputError(f"answer is {self.answer!r}: one of {list(self.choices)} is needed")
        elif self.kind == "number":
            if self.choices:
                raise InputError(f"choices is {list(self.choices)}: a query of kind 'number' has none")
            if not NUMBER.fullmatch(self.answer):
                raise InputError(
                    f"answer is {self.answer!r}: a number of up to 9 digits and 4 decimals, such as '-12.5', is needed"
                )
        else:
            raise InputError(f"kind is {self.kind!r}: 'choice' or 'number' is needed")


def read_queries(path: str | os.PathLike[str]) -> tuple[Query, ...]:
    """Read queries from a JSONL file: one object a line with id, text, answer, kind and (for "choice") choices.

    Raises
    ------
    InputError
        If the file cannot be read, holds no query, an id twice, or a field that is missing, unknown or wrong.
    """
    name = str(path)
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(f"cannot read the queries {name!r}: {why_unreadable(error)}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read the queries {name!r}: it is not UTF-8 text") from error
    queries: list[Query] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{name!r}, line {number}"
        try:
            query = _query(json.loads(line))
        except json.JSONDecodeError as error:
            raise InputError(f"{where}: not a JSON object ({error.msg})") from error
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        if query.id in seen:
            raise InputError(f"{where}: id {query.id!r} is already that of line {seen[query.id]}, ids are unique")
        seen[query.id] = number
        queries.append(query)
    if not queries:
        raise InputError(f"{name!r} holds no query: at least one line is needed")
    return tuple(queries)


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
    answers, grades, message = _MAKERS[name]
    made: dict[str, str] = {}
    while len(made) < queries:
        # Answers and grades go round evenly; a text that exists already is drawn again.
        answer = answers[len(made) % len(answers)]
        text = message(answer, grades[(len(made) // len(answers)) % len(grades)], rng)
        made.setdefault(text, answer)
    items = list(made.items())
    rng.shuffle(items)
    return tuple(
        Query(f"{name}-{number:04d}", text, answer, "choice", answers)
        for number, (text, answer) in enumerate(items, start=1)
    )


def _query(record: Any) -> Query:
    if not isinstance(record, Mapping):
        raise InputError(f"{record!r} is not a JSON object with the fields {list(_FIELDS)}")
    for field in record:
        if field not in _FIELDS:
            raise InputError(f"field {field!r} is not known: the fields are {list(_FIELDS)}")
    for field in ("id", "text", "answer"):
        if field not in record:
            raise InputError(f"field {field!r} is missing")
    choices = record.get("choices", [])
    if not isinstance(choices, list):
        raise InputError(f"choices is {choices!r}: a list of texts is needed")
    return Query(record["id"], record["text"], record["answer"], record.get("kind", "choice"), tuple(choices))


def _line(query: Query) -> str:
    record: dict[str, object] = {
        "id": query.id,
        "text": query.text,
        "answer": query.answer,
        "kind": query.kind,
    }
    if query.choices:
        record["choices"] = list(query.choices)
    return json.dumps(record, ensure_ascii=False) + "\n"


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
