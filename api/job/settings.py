"""What a job is asked to do, checked before anything is read or sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole
from robatch.proxies.engines.waits import MAX_WAIT
from robatch.proxies.profiling.model_config import ModelConfig, read_batch_sizes, read_models
from robatch.proxies.sources.rows import RowRules
from robatch.proxies.tasks.prompts import Form, Template, default_template
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.task import Task, output_tokens
from robatch.proxies.toml_table import TomlTable, load_toml

Routing = Literal["auto", "always", "never"]
TASK = "answers"


@dataclass(frozen=True)
class Settings:
    """The settings of a job; `robatch.run` describes them."""

    pool: Path
    prompt: str | None
    budget: float
    rules: RowRules
    system: str | None = None
    prices: str | None = None
    measure: float = 0.2
    of_best: float = 0.99
    routing: Routing = "auto"
    batch_sizes: tuple[int, ...] = (1, 4, 16)
    max_output_tokens: int | None = None
    form: Form = "lines"
    grader: str = "auto"
    concurrency: int = 8
    timeout: float = 120.0
    max_wait: float = MAX_WAIT
    max_unread: float = 0.5
    retry_unread: bool = False
    seed: int = 0
    progress: bool = False
    on_note: Callable[[str], None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        number("budget", self.budget, above=True, needed="a finite number of USD above 0")
        number("measure", self.measure, most=1.0)
        number("of_best", self.of_best, most=1.0)
        whole("concurrency", self.concurrency, 1)
        number("timeout", self.timeout, above=True, needed="a finite number of seconds above 0")
        if self.routing not in get_args(Routing):
            raise InputError(f"routing is {self.routing!r}: 'auto', 'always' or 'never' is needed")
        if self.max_output_tokens is not None:
            whole("max_output_tokens", self.max_output_tokens, 1)

    def note(self, text: str) -> None:
        """Tell the user."""
        if self.on_note is not None:
            self.on_note(text)

    @cached_property
    def models(self) -> tuple[ModelConfig, ...]:
        """The models of the pool file, the dearest last."""
        sizes = read_batch_sizes(list(self.batch_sizes), "batch_sizes")
        top = TomlTable(load_toml(self.pool, "pool"), "", ("models", "prices"))
        try:
            read = read_models(top, sizes, self.pool.resolve().parent, prices=self.prices)
        except InputError as error:
            raise InputError(f"{str(self.pool)!r}: {error}") from error
        return tuple(model for model, _ in sorted(read, key=lambda pair: pair[0].price_in + pair[0].price_out))

    def task(self, queries: tuple[Query, ...], template: Template, described: str = "") -> Task:
        """Make the task that queries are measured by."""
        return Task(TASK, queries, template, self.grader, self.most_tokens(queries), described)

    def template(self, queries: tuple[Query, ...]) -> Template:
        """Make the prompt of all queries."""
        made = default_template(queries, self.prompt, (), self.form)
        return Template(made.instructions, made.examples, made.show_choices, self.form, self.system)

    def most_tokens(self, queries: tuple[Query, ...]) -> int:
        """Return the output tokens that an answer may have."""
        if self.max_output_tokens is not None:
            return self.max_output_tokens
        return output_tokens(queries)


def text_of(given: str | os.PathLike[str] | None, what: str) -> str | None:
    """Return a text, or that of the file at a path."""
    if given is None:
        return None
    if isinstance(given, str):
        if os.path.isfile(given):
            raise InputError(f"{what} is {given!r}, the name of a file: pathlib.Path({given!r}) reads it")
        return given
    from robatch.instances.files import read_text

    text = read_text(given, what).strip()
    if not text:
        raise InputError(f"{what} {os.fspath(given)!r} is empty: a text is needed")
    return text


def as_choices(given: Any) -> tuple[str, ...]:
    """Return choices that are given as texts."""
    if isinstance(given, str):
        raise InputError(f"choices is {given!r}: a list of texts is needed")
    return tuple(given)
