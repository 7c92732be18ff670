"""Queries from a Hugging Face dataset, or from a local file or folder that the package ``datasets`` reads."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from robatch.instances.errors import InputError, require
from robatch.proxies.tasks.queries import Kind, Query

FIELDS = ("id", "text", "answer", "options")
"""What a dataset's columns may be used for."""

_READERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}


@dataclass(frozen=True)
class Source:
    """Where a task's queries come from and how a row becomes a query.

    Attributes
    ----------
    dataset
        A name on the Hugging Face hub, or the path of a folder or of a file that ends with .jsonl, .json, .parquet
        or .csv.
    config, split
        As ``datasets.load_dataset`` takes them. Without a split, a dataset that has a single one is read whole.
    fields
        The columns: ``text`` (by default "text"), ``answer`` ("answer", or "label" where that is a column), ``id``
        (by default the row's number) and ``options``: a column with a list of answers, which are written under the
        text with letters; the choices are then the letters.
    answer_pattern
        A regular expression that finds the answer in the column's text: its first group, or the whole of it. The
        last place that it is found in counts.
    """

    task: str  # the task's name; ids are ``task/...``, so that they are unique over all tasks
    dataset: str
    folder: Path  # where a relative path starts
    config: str | None = None
    split: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None  # the choices by number, for answers that are whole numbers
    choices: tuple[str, ...] | None = None  # the choices; by default the labels
    kind: str | None = None  # by default ``"choice"`` where there are choices, labels or options, otherwise ``"text"``
    answer_pattern: str | None = None


def dataset_queries(source: Source, drawn: Callable[[int], Sequence[int]], where: str = "") -> tuple[Query, ...]:
    """Read the queries of a dataset; `drawn` gives the numbers of the wanted rows from how many there are.

    `where` stands before a key in messages.

    Raises
    ------
    InputError
        If the dataset cannot be loaded, or a row does not become a query.
    MissingExtraError
        If the package ``datasets`` is not installed.
    """
    pattern = _compile(source.answer_pattern, where)
    rows = _load(source, where)
    columns = list(rows.column_names)
    fields = {"text": "text", "answer": "label" if "answer" not in columns and "label" in columns else "answer"}
    fields |= dict(source.fields)
    for use, column in fields.items():
        if column not in columns and (use != "answer" or use in source.fields):
            raise InputError(f"{where}fields.{use} is {column!r}: the columns of the dataset are {columns}")
    queries = []
    for number in drawn(len(rows)):
        try:
            queries.append(_query(source, fields, rows[int(number)], int(number), pattern))
        except InputError as error:
            raise InputError(f"{where}dataset {source.dataset!r}, row {number}: {error}") from error
    return tuple(queries)


def _load(source: Source, where: str) -> Any:
    datasets = require("datasets", "datasets", "Reading a Hugging Face dataset")
    path = source.folder / source.dataset
    if path.is_file() and path.suffix.lower() in _READERS:
        # A single file has one split, which the package calls "train".
        args: tuple[str, ...] = (_READERS[path.suffix.lower()],)
        options: dict[str, Any] = {"data_files": str(path), "split": source.split or "train"}
    else:
        args = (str(path) if path.is_dir() else source.dataset, *([source.config] if source.config else []))
        options = {"split": source.split} if source.split else {}
    try:
        loaded = datasets.load_dataset(*args, **options)
    except Exception as error:  # the package lets through errors of every library below it
        said = " ".join(str(error).split())[:300]
        raise InputError(f"{where}dataset {source.dataset!r} cannot be loaded: {said}") from error
    if isinstance(loaded, dict):
        if len(loaded) > 1:
            raise InputError(f"key '{where}split' is missing: the dataset has the splits {', '.join(sorted(loaded))}")
        (loaded,) = loaded.values()
    return loaded


def _compile(pattern: str | None, where: str) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InputError(f"{where}answer_pattern is {pattern!r}: it is not a regular expression ({error})") from error


def _query(
    source: Source, fields: Mapping[str, str], row: Mapping[str, Any], number: int, pattern: re.Pattern[str] | None
) -> Query:
    text, answer = row[fields["text"]], row.get(fields["answer"])
    choices = source.choices or source.labels or ()
    labels: Sequence[str] = source.labels or ()
    if not isinstance(text, str):
        raise InputError(f"{fields['text']} is {text!r}: a text is needed")
    if "options" in fields:
        text, choices = _with_options(text, row[fields["options"]])
        labels = choices
    kind = source.kind or ("choice" if choices else "text")
    name = row[fields["id"]] if "id" in fields else number
    return Query(f"{source.task}/{name}", text, _answer(answer, labels, kind, pattern), cast(Kind, kind), choices)


def _with_options(text: str, options: Any) -> tuple[str, tuple[str, ...]]:
    letters = tuple(string.ascii_uppercase)
    if not isinstance(options, list) or not 2 <= len(options) <= len(letters):
        raise InputError(f"options is {options!r}: a list of 2 to {len(letters)} answers is needed")
    lines = [f"{letter}) {option}" for letter, option in zip(letters, options, strict=False)]
    return "\n".join([text, *lines]), letters[: len(options)]


def _answer(value: Any, labels: Sequence[str], kind: str, pattern: re.Pattern[str] | None) -> str | None:
    """Give the true answer in the form of a query; None where the row has none."""
    if value is None or (isinstance(value, int) and value == -1 and labels):  # -1: the hub's "not labelled"
        return None
    if isinstance(value, int) and not isinstance(value, bool) and labels:
        if not 0 <= value < len(labels):
            raise InputError(f"answer is {value}: a label from 0 to {len(labels) - 1} is needed")
        return labels[value]
    text = str(value).strip()
    if pattern is not None:
        found = list(pattern.finditer(text))
        if not found:
            raise InputError(f"answer is {text!r}: answer_pattern finds nothing in it")
        text = (found[-1][1] if pattern.groups else found[-1][0]) or ""
    return text.replace(",", "").strip() if kind == "number" else text.strip()
