"""What a file of measurements must hold: its columns, its provenance, and rows that fit both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from robatch.instances.errors import InputError

FORMAT = 2
"""The format that is written and read."""

SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("query_id", pa.string()),
        ("model", pa.string()),
        ("batch_size", pa.int32()),
        ("repeat", pa.int32()),
        ("call", pa.int32()),
        ("call_size", pa.int32()),
        ("position", pa.int32()),
        ("score", pa.float32()),
        ("parsed", pa.bool_()),
        ("answer", pa.string()),
        ("input_tokens", pa.float64()),
        ("output_tokens", pa.float64()),
        ("call_input_tokens", pa.int32()),
        ("call_output_tokens", pa.int32()),
        ("shared_tokens", pa.int32()),
        ("seconds", pa.float64()),
        ("finish_reason", pa.string()),
        ("error", pa.string()),
    ]
)
"""One row per task, query, model, batch size and repeat; see `Measurements` for the columns."""

_MODEL_FIELDS = ("name", "price_in", "price_out", "context_window", "batch_sizes", "shared_tokens")
_TASK_FIELDS = ("name", "queries")


def check_provenance(provenance: Mapping[str, Any]) -> None:
    """Refuse a provenance that does not describe the models, the tasks and the repeats."""
    for what, fields in (("model", _MODEL_FIELDS), ("task", _TASK_FIELDS)):
        described = provenance.get(f"{what}s")
        if not isinstance(described, list) or not described:
            raise InputError(f"the provenance names no {what}s")
        for entry in described:
            missing = [field for field in fields if field not in entry]
            if missing:
                raise InputError(f"the provenance of a {what} lacks {', '.join(missing)}")
    tasks = {task["name"] for task in provenance["tasks"]}
    for model in provenance["models"]:
        if not isinstance(model["shared_tokens"], dict) or tasks - set(model["shared_tokens"]):
            raise InputError(f"the provenance of model {model['name']!r} lacks shared_tokens for every task")
    repeats = provenance.get("repeats")
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise InputError(f"the provenance says repeats is {repeats!r}: a whole number of at least 1 is needed")


def check_rows(table: pa.Table, tasks: Sequence[str], states: Sequence[tuple[str, int]], repeats: int) -> None:
    """Refuse rows that are not of these tasks and states, each query once in every repeat, with scores in [0, 1]."""
    score = table["score"].to_numpy()
    if not ((score >= 0) & (score <= 1)).all():
        raise InputError("every row must have a score from 0 to 1")
    known = {(task, *state) for task in tasks for state in states}
    columns = [table[name].to_pylist() for name in ("task", "model", "batch_size", "query_id", "repeat")]
    counted: dict[tuple[str, str, int, str], int] = {}
    for *cell, query, repeat in zip(*columns, strict=True):
        if tuple(cell) not in known:
            raise InputError("rows belong to a task, a model or a batch size that the provenance does not name")
        if not 0 <= repeat < repeats:
            raise InputError(f"a row has repeat {repeat}: the provenance says there are {repeats}")
        key = (*cell, query)
        # One bit per repeat: a repeat that occurs twice changes the sum to something else than all bits.
        counted[key] = counted.get(key, 0) + (1 << repeat)
    if any(bits != (1 << repeats) - 1 for bits in counted.values()) or len(score) != len(counted) * repeats:
        raise InputError("every query of a task, model and batch size must have exactly one row per repeat")
    if {key[:3] for key in counted} != known:
        raise InputError("every task must have rows for every model and batch size")
    if len({(key[0], key[3]) for key in counted}) != len({key[3] for key in counted}):
        raise InputError("a query id occurs in two tasks: ids are unique over all tasks")
