"""Reference answers: a model, usually the best one, asked each query alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from robatch.instances.errors import InputError
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.pool import named_fields
from robatch.proxies.execution.report import ExecutionReport
from robatch.proxies.execution.run import execute
from robatch.proxies.execution.single import Tokens, single_plan
from robatch.proxies.journal import read_lines
from robatch.proxies.profiling.model_config import ModelConfig, read_models
from robatch.proxies.sources.rows import RowRules, read_rows
from robatch.proxies.tasks.prompts import default_template, model_call
from robatch.proxies.tasks.queries import Query, write_queries
from robatch.proxies.tasks.task import Task, output_tokens
from robatch.proxies.toml_table import TomlTable, load_toml

BYTES_PER_TOKEN = 4.0  # on the mean; the bound counts a token for every byte, as an execution does
CHAT_TOKENS = 128  # that a chat template may add
SPARE = 1.25  # times what all calls can cost, for tries that fail


@dataclass(frozen=True)
class Labelled:
    """What `label` made.

    Attributes
    ----------
    queries
        The queries that were drawn, with the model's answers; those without one have none.
    drawn
        How many were drawn.
    spent
        USD.
    most
        USD that all calls can cost at most; the budget where none was given is a quarter more.
    report
        Of the execution that asked.
    """

    queries: tuple[Query, ...]
    drawn: int
    spent: float
    most: float
    report: ExecutionReport


def label(  # wide: one parameter for each option
    queries: Any,
    pool: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    model: str | None = None,
    count: int | None = None,
    seed: int = 0,
    budget: float | None = None,
    instructions: str | None = None,
    max_output_tokens: int | None = None,
    rules: RowRules | None = None,
    on_answers: Callable[[int, float], None] | None = None,
    **sending: Any,
) -> Labelled:
    """Ask a model queries alone, and write them with its answers as references.

    A run that was ended, even killed, goes on where it was: the answers are kept beside the output, as
    ``OUT.answers.jsonl`` with its journal, and the queries that were drawn as ``OUT.drawn.jsonl``.

    Parameters
    ----------
    queries
        A file of queries or any table that `robatch.proxies.sources.read_rows` takes. Answers that they have are not
        shown to the model, and not kept.
    pool
        A TOML file with [[models]], as of `robatch profile`.
    output
        The JSONL file of the queries with their answers.
    model
        Whose answers are the references, by its name in the pool; None for the dearest, by output price.
    count
        How many queries, drawn by `seed`; None for all. A larger number holds those of a smaller one.
    budget
        USD; None for a quarter more than all calls can cost.
    instructions
        What is asked of every query; None for a sentence that names the choices, or what else is wanted.
    max_output_tokens
        Output tokens allowed for an answer; None for 16, and 256 where an answer is a text.
    rules
        How rows become queries, where `queries` is a table.
    on_answers, sending
        As of `robatch.proxies.execute`: concurrency, timeout, max_wait, max_unread, ...

    Raises
    ------
    InputError
        If an input is not allowed, or the model cannot be asked. What was answered is kept.
    """
    items = _drawn(read_rows(queries, rules).queries, count, seed)
    chosen = _model(pool, model)
    allowed = max_output_tokens or output_tokens(items)
    template = default_template(items, instructions)
    drawn = Path(f"{os.fspath(output)}.drawn.jsonl")
    _write_drawn(drawn, items, output)
    plan, most = _plan(Task("label", tuple(items), template, max_output_tokens=allowed), chosen, drawn, pool)
    answers = Path(f"{os.fspath(output)}.answers.jsonl")
    report = execute(plan, answers, budget=most * SPARE if budget is None else budget, on_answers=on_answers, **sending)
    given = {line["id"]: line["answer"] for line in read_lines(answers)}
    made = tuple(_with(query, given.get(query.id), chosen.name) for query in items)
    write_queries(output, [query for query in made if query.answer is not None])
    return Labelled(made, len(items), report.billed, most, report)


def _drawn(items: Sequence[Query], count: int | None, seed: int) -> list[Query]:
    """Draw queries by a seed, in their order, without their answers."""
    if count is not None and not 1 <= count <= len(items):
        raise InputError(f"queries is {count}: a whole number from 1 to {len(items)}, how many there are, is needed")
    rows = sorted(np.random.default_rng(seed).permutation(len(items))[:count].tolist())
    return [replace(items[row], answer=None, by=None) for row in rows]


def _write_drawn(path: Path, items: Sequence[Query], output: str | os.PathLike[str]) -> None:
    """Write the queries that are asked, unless an earlier run did; refuse others."""
    if path.exists():
        known = read_rows(path).queries
        if list(known) != list(items):
            raise InputError(
                f"{str(path)!r} holds other queries than those that are drawn: choose another output than "
                f"{os.fspath(output)!r}, or the queries, their number and the seed of the run before"
            )
        return
    write_queries(path, items)


def _model(pool: str | os.PathLike[str], name: str | None) -> ModelConfig:
    """Return the model of a pool that is named, or the dearest."""
    top = TomlTable(load_toml(pool, "pool"), "", ("models", "prices"))
    models = [model for model, _ in read_models(top, (1,), Path(pool).resolve().parent)]
    if name is None:
        return max(models, key=lambda model: model.price_out)
    found = next((model for model in models if model.name == name), None)
    if found is None:
        known = ", ".join(model.name for model in models)
        raise InputError(f"model is {name!r}: the pool {os.fspath(pool)!r} has {known}")
    return found


def _plan(task: Task, chosen: ModelConfig, path: Path, pool: str | os.PathLike[str]) -> tuple[RoutedPlan, float]:
    """Return the plan that asks a model every query alone, and what that can cost at most in USD."""
    template, allowed = task.template, task.max_output_tokens
    shared = len(template.render([]).encode()) / BYTES_PER_TOKEN
    sizes = [
        len(model_call(template, [query], allowed, chat=chosen.chat, structured=chosen.structured).prompt.encode())
        for query in task.queries
    ]
    inputs = np.maximum(np.array(sizes) / BYTES_PER_TOKEN - shared, 1.0)
    tokens = Tokens(shared, inputs, np.full(len(sizes), float(allowed)))
    most = sum(chosen.cost(size + CHAT_TOKENS, chosen.allowed(allowed)) for size in sizes)
    return single_plan(task, path, (chosen, 1), tokens, most, named=named_fields(pool)), most


def _with(query: Query, answer: str | None, by: str) -> Query:
    return query if answer is None else replace(query, answer=answer, by=by)
