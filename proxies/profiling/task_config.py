"""The tasks of a configuration: from a file or table of queries, generated, or from a Hugging Face dataset."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from robatch.instances.errors import InputError
from robatch.proxies.sources.rows import RowRules, read_rows
from robatch.proxies.tasks.hub import FIELDS, Source, dataset_queries
from robatch.proxies.tasks.prompts import Template, default_template, template_for
from robatch.proxies.tasks.queries import KINDS, TASKS, Query, generate_task
from robatch.proxies.tasks.task import Task
from robatch.proxies.toml_table import TEXT, Check, TomlTable, at_least, one_of

TASKS_FOLDER = "ROBATCH_TASKS"
"""Environment variable: the folder in which relative paths of task files are looked up too."""

_MAX_OUTPUT = 1 << 17
_OUTPUT: Check = (f"a whole number from 1 to {_MAX_OUTPUT}", lambda value: bool(1 <= value <= _MAX_OUTPUT))

_SOURCES = ("file", "generate", "dataset")
_TABLE_KEYS = ("fields", "choices", "kind")
_DATASET_KEYS = ("config", "split", "labels", "answer_pattern")
TASK_KEYS = (
    "name",
    *_SOURCES,
    "queries",
    "queries_by_batch_size",
    "seed",
    "instructions",
    "examples",
    "form",
    "system",
    "show_choices",
    "grader",
    "max_output_tokens",
    *_TABLE_KEYS,
    *_DATASET_KEYS,
    "empty",
)
"""Keys of a [[tasks]] table."""


def read_task(row: Mapping[str, Any], where: str, folder: Path) -> Task:
    """Check one ``[[tasks]]`` table and read or generate its queries.

    `where`, such as ``"tasks[0]."``, stands before its keys in messages; relative paths start from `folder`.

    Raises
    ------
    InputError
        If anything in it is missing, unknown or out of range.
    MissingExtraError
        If a dataset is asked for and the package ``datasets`` is not installed.
    """
    table = TomlTable(row, where, TASK_KEYS)
    given = [key for key in _SOURCES if key in row]
    if len(given) != 1:
        raise InputError(
            f"{where.rstrip('.')}: one of 'file' (a JSONL file or a table), 'generate' (a generated task's name) "
            "or 'dataset' (a Hugging Face dataset) is needed"
        )
    tables = ((_DATASET_KEYS, ("dataset",)), (_TABLE_KEYS, ("dataset", "file")), (("empty",), ("file",)))
    for key, owners in ((key, owners) for keys, owners in tables for key in keys):
        if key in row and given[0] not in owners:
            raise InputError(f"key '{where}{key}' belongs to a task with {owners[0]!r}, and this one has {given[0]!r}")
    name, queries, described = {"file": _from_file, "generate": _generated, "dataset": _from_dataset}[given[0]](
        table, folder
    )
    return Task(
        name=name,
        queries=queries,
        template=_template(table, queries),
        grader=table.get("grader", str, TEXT, default="auto"),
        max_output_tokens=table.get("max_output_tokens", int, _OUTPUT, default=16),
        described=described,
        queries_by_batch_size=_by_batch_size(table),
    )


def _generated(table: TomlTable, folder: Path) -> tuple[str, tuple[Query, ...], str]:
    source = table.get("generate", str, one_of(TASKS))
    count, seed = table.get("queries", int, default=320), table.get("seed", int, default=0)
    name = table.get("name", str, TEXT, default=source)
    return name, generate_task(source, count, seed), f"{source}, {count} queries, seed {seed}"


def _from_file(table: TomlTable, folder: Path) -> tuple[str, tuple[Query, ...], str]:
    file = find_file(table.get("file", str, TEXT), folder)
    if not _is_there(file):
        raise InputError(
            f"{table.where}file is {file.name!r}: it is neither beside the configuration nor in ${TASKS_FOLDER}"
        )
    queries = read_rows(file, _rules(table)).queries
    seed = table.get("seed", int, at_least(0), default=None)
    count = _count(table, len(queries), file.name)
    described = f"{file.name}, {count} queries"
    if seed is None:
        queries = queries[:count]
    else:
        queries = tuple(queries[i] for i in draw(len(queries), count, seed))
        described += f", drawn with seed {seed}"
    return table.get("name", str, TEXT, default=file.stem), queries, described


def _from_dataset(table: TomlTable, folder: Path) -> tuple[str, tuple[Query, ...], str]:
    text = table.get("dataset", str, TEXT)
    name = table.get("name", str, TEXT, default=Path(text).stem)
    fields = TomlTable(table.get("fields", dict, default={}), f"{table.where}fields.", FIELDS)
    source = Source(
        task=name,
        dataset=text,
        folder=folder,
        config=table.get("config", str, TEXT, default=None),
        split=table.get("split", str, TEXT, default=None),
        fields={key: fields.get(key, str, TEXT) for key in fields.table},
        labels=_texts(table, "labels"),
        choices=_texts(table, "choices"),
        kind=table.get("kind", str, one_of(KINDS), default=None),
        answer_pattern=table.get("answer_pattern", str, TEXT, default=None),
    )
    seed = table.get("seed", int, at_least(0), default=0)
    queries = dataset_queries(source, lambda rows: draw(rows, _count(table, rows, text), seed), table.where)
    parts = [text, *([source.config] if source.config else []), *([source.split] if source.split else [])]
    return name, queries, f"{' '.join(parts)}, {len(queries)} queries, drawn with seed {seed}"


def draw(rows: int, count: int, seed: int) -> list[int]:
    """Draw `count` of `rows` row numbers by a seed, in ascending order; a larger count holds those of a smaller."""
    return sorted(int(i) for i in np.random.default_rng(seed).permutation(rows)[:count])


def find_file(text: str, folder: Path) -> Path:
    """Find a task's file beside the configuration or in the folder that ``ROBATCH_TASKS`` names."""
    tried = [folder / text]
    if os.environ.get(TASKS_FOLDER):
        tried.append(Path(os.environ[TASKS_FOLDER]) / text)
    return next((path for path in tried if _is_there(path)), tried[0])


def _is_there(path: Path) -> bool:
    return path.exists() or (glob.has_magic(str(path)) and bool(glob.glob(str(path), recursive=True)))


def _rules(table: TomlTable) -> RowRules:
    """Return how the rows of a task's file become queries."""
    fields = TomlTable(table.get("fields", dict, default={}), f"{table.where}fields.", ("id", "text", "answer"))
    return RowRules(
        **{key: fields.get(key, str, TEXT) for key in fields.table},
        choices=_texts(table, "choices") or (),
        kind=table.get("kind", str, one_of(KINDS), default=None),
        empty=table.get("empty", str, one_of(("error", "skip")), default="error"),
    )


def _count(table: TomlTable, available: int, name: str) -> int:
    count: int = table.get("queries", int, at_least(1), default=available)
    if count > available:
        raise InputError(f"{table.where}queries is {count}: {name!r} holds only {available}")
    return count


def _by_batch_size(table: TomlTable) -> dict[int, int]:
    """Give the number of queries by batch size; TOML's keys are texts."""
    given: Mapping[str, Any] = table.get("queries_by_batch_size", dict, default={})
    for key in given:
        if not (key.isascii() and key.isdigit() and len(key) <= 4):
            raise InputError(f"{table.where}queries_by_batch_size has the key {key!r}: a batch size is needed")
    return {int(key): count for key, count in given.items()}


def _template(table: TomlTable, queries: tuple[Query, ...]) -> Template:
    """Give the task's template: a generated task has its own, of which single parts may be replaced."""
    form = table.get("form", str, one_of(("lines", "json")), default="lines")
    instructions = table.get("instructions", str, TEXT, default=None)
    pairs = table.get("examples", list, default=None)
    good = isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair) for pair in pairs
    )
    if pairs is not None and not good:
        raise InputError(f"{table.where}examples: a list of pairs [text, answer] is needed")
    examples = None if pairs is None else tuple((pair[0], pair[1]) for pair in pairs)
    if "generate" in table.table:
        template = template_for(table.table["generate"])
        template = replace(template, instructions=instructions or template.instructions)
        template = replace(template, examples=template.examples if examples is None else examples)
    else:
        template = default_template(queries, instructions, examples or ())
    shown = table.get("show_choices", bool, default=template.show_choices)
    system = table.get("system", str, TEXT, default=None)
    return replace(template, form=form, show_choices=shown, system=system)


def _texts(table: TomlTable, key: str) -> tuple[str, ...] | None:
    values = table.get(key, list, default=None)
    if values is None:
        return None
    if not values or not all(isinstance(value, str) and value.strip() for value in values):
        raise InputError(f"{table.where}{key} is {values!r}: a list of texts is needed")
    return tuple(values)
