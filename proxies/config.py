"""The configuration of a profiling run, read from TOML and checked before anything is loaded."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from robatch.instances.errors import InputError, why_unreadable
from robatch.proxies.prompts import Template, default_template, template_for
from robatch.proxies.tasks import TASKS, Query, generate_task, read_queries

MODELS_FOLDER = "ROBATCH_MODELS"
"""Environment variable: the folder in which relative model paths are looked up too."""

_MODEL_KEYS: tuple[str, ...] = (
    "name",
    "path",
    "server",
    "model",
    "price_in",
    "price_out",
    "context_window",
    "batch_sizes",
)
_MODEL_KEYS += ("chat", "structured", "engine", "api_key_env")
_TASK_KEYS = ("file", "generate", "queries", "seed", "instructions", "examples")
_RUN_KEYS = ("batch_sizes", "seed", "max_output_tokens", "concurrency", "timeout")


@dataclass(frozen=True)
class ModelConfig:
    """One model to profile.

    Attributes
    ----------
    name
        The name in the measurements.
    price_in, price_out
        USD per million input and output tokens.
    context_window
        Tokens, prompt and answer together.
    batch_sizes
        Ascending.
    path
        A local folder or a hub name for the offline engine; None for a server.
    local
        Whether `path` is a folder.
    server
        Base URL of an OpenAI-compatible server, such as ``http://127.0.0.1:8000/v1``; None for the offline engine.
    model
        The model's name on the server.
    chat
        Whether the model has a chat template; False sends plain text to be completed.
    structured
        Whether answers are held to the answer format by structured output.
    engine
        Further vLLM engine arguments.
    api_key_env
        The environment variable that holds the server's API key. The key itself is never stored.
    """

    name: str
    price_in: float
    price_out: float
    context_window: int
    batch_sizes: tuple[int, ...]
    path: str | None = None
    local: bool = False
    server: str | None = None
    model: str | None = None
    chat: bool = True
    structured: bool = False
    engine: Mapping[str, Any] = field(default_factory=dict)
    api_key_env: str = "OPENAI_API_KEY"


@dataclass(frozen=True)
class ProfileConfig:
    """A profiling run: models, queries, template and run settings.

    Attributes
    ----------
    models
        The models, profiled one after the other in this order.
    queries
        The same queries go to every model at every batch size.
    template
        The prompt template.
    seed
        Seeds the packing of queries into calls and the engine's sampling (which is greedy).
    max_output_tokens
        Output tokens allowed per query; a call of b queries may write b times as many.
    concurrency
        Calls in flight at a server.
    timeout
        Seconds until a server's answer is given up.
    task
        What the queries are, for the record.
    """

    models: tuple[ModelConfig, ...]
    queries: tuple[Query, ...]
    template: Template
    seed: int = 0
    max_output_tokens: int = 16
    concurrency: int = 8
    timeout: float = 120.0
    task: str = ""


def read_config(path: str | os.PathLike[str]) -> ProfileConfig:
    """Read a run's TOML configuration; relative paths in it start from its own folder.

    A relative model path that does not exist there is looked up in the folder that the environment variable
    ``ROBATCH_MODELS`` names. One of the form ``owner/name`` that is in neither is a hub name.

    Raises
    ------
    InputError
        If the file or anything in it is missing, unknown or out of range.
    """
    name = str(path)
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise InputError(f"cannot read the configuration {name!r}: {why_unreadable(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the configuration {name!r} is not TOML: {error}") from error
    try:
        return parse_config(table, Path(path).resolve().parent)
    except InputError as error:
        raise InputError(f"{name!r}: {error}") from error


def parse_config(table: Mapping[str, Any], folder: Path) -> ProfileConfig:
    """Check a configuration given as nested tables; relative paths start from `folder`."""
    top = _Table(table, "", ("models", "task", "run"))
    run = _Table(top.get("run", dict, default={}), "run.", _RUN_KEYS)
    task = _Table(top.get("task", dict), "task.", _TASK_KEYS)
    sizes = _batch_sizes(run.get("batch_sizes", list, default=[1, 2, 4, 8, 16]), "run.batch_sizes")
    rows = top.get("models", list)
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError("models is empty: at least one [[models]] table is needed")
    models = tuple(_model(row, f"models[{i}].", sizes, folder) for i, row in enumerate(rows))
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"model name {twice!r} occurs twice: names are unique")
    queries, template, described = _task(task, folder)
    return ProfileConfig(
        models=models,
        queries=queries,
        template=template,
        seed=run.get("seed", int, _least(0), default=0),
        max_output_tokens=run.get("max_output_tokens", int, _least(1), default=16),
        concurrency=run.get("concurrency", int, _least(1), default=8),
        timeout=run.get("timeout", float, _above(0), default=120.0),
        task=described,
    )


class _Table:
    """A TOML table whose keys are known and whose values are checked as they are taken."""

    def __init__(self, table: Mapping[str, Any], where: str, keys: tuple[str, ...] | list[str]) -> None:
        self.table, self.where = table, where
        for key in table:
            if key not in keys:
                raise InputError(f"key '{where}{key}' is not known: the keys here are {', '.join(keys)}")

    def get(
        self, key: str, kind: type, check: tuple[str, Callable[[Any], bool]] | None = None, default: Any = ...
    ) -> Any:
        if key not in self.table:
            if default is ...:
                raise InputError(f"key '{self.where}{key}' is missing")
            return default
        value = self.table[key]
        right = isinstance(value, (int, float) if kind is float else kind)
        if not right or (kind in (int, float) and isinstance(value, bool)):
            raise InputError(f"{self.where}{key} is {value!r}: {_KINDS[kind]} is needed")
        if check and not check[1](value):
            raise InputError(f"{self.where}{key} is {value!r}: {check[0]} is needed")
        return float(value) if kind is float else value


_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def _least(least: int) -> tuple[str, Callable[[Any], bool]]:
    return f"a whole number of at least {least}", lambda value: bool(value >= least)


def _above(bound: float) -> tuple[str, Callable[[Any], bool]]:
    return f"a finite number above {bound:g}", lambda value: bool(bound < value < float("inf"))


_PRICE: tuple[str, Callable[[Any], bool]] = (
    "a price of at least 0 USD per million tokens",
    lambda value: bool(0 <= value < float("inf")),
)
_TEXT: tuple[str, Callable[[Any], bool]] = ("a text that is not empty", lambda value: bool(value.strip()))


def _batch_sizes(sizes: list[Any], where: str) -> tuple[int, ...]:
    whole = all(isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 1024 for size in sizes)
    if not sizes or not whole or len(set(sizes)) < len(sizes):
        raise InputError(f"{where} is {sizes!r}: at least one whole number from 1 to 1024, each once, is needed")
    return tuple(sorted(sizes))


def _model(row: Mapping[str, Any], where: str, sizes: tuple[int, ...], folder: Path) -> ModelConfig:
    table = _Table(row, where, _MODEL_KEYS)
    if ("path" in row) == ("server" in row):
        raise InputError(f"{where.rstrip('.')}: either 'path' (offline engine) or 'server' (a base URL) is needed")
    path, local, server, model = None, False, None, None
    if "path" in row:
        for key in ("model", "api_key_env"):
            if key in row:
                raise InputError(f"key '{where}{key}' belongs to a model with 'server', and this one has 'path'")
        path, local = _locate(table.get("path", str, _TEXT), f"{where}path", folder)
    else:
        if "engine" in row:
            raise InputError(f"key '{where}engine' belongs to a model with 'path', and this one has 'server'")
        server, model = _url(table.get("server", str), f"{where}server"), table.get("model", str, _TEXT)
    own = table.get("batch_sizes", list, default=None)
    return ModelConfig(
        name=table.get("name", str, _TEXT),
        price_in=table.get("price_in", float, _PRICE),
        price_out=table.get("price_out", float, _PRICE),
        context_window=table.get("context_window", int, _least(1)),
        batch_sizes=sizes if own is None else _batch_sizes(own, f"{where}batch_sizes"),
        path=path,
        local=local,
        server=server,
        model=model,
        chat=table.get("chat", bool, default=True),
        structured=table.get("structured", bool, default=False),
        engine=_without_secrets(table.get("engine", dict, default={}), where),
        api_key_env=table.get("api_key_env", str, _TEXT, default="OPENAI_API_KEY"),
    )


def _without_secrets(engine: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Refuse secrets, since engine arguments are recorded with the measurements."""
    for key in engine:
        name = key.casefold()
        if name.endswith(("token", "key")) or "secret" in name or "password" in name:
            raise InputError(f"{where}engine holds {key!r}: secrets are taken from the environment, not from a file")
    return engine


def _locate(text: str, where: str, folder: Path) -> tuple[str, bool]:
    tried = [folder / text]
    if os.environ.get(MODELS_FOLDER):
        tried.append(Path(os.environ[MODELS_FOLDER]) / text)
    for candidate in tried:
        if candidate.is_dir():
            if not (candidate / "config.json").is_file():
                raise InputError(f"{where} is {text!r}: that folder holds no model (no config.json)")
            return str(candidate), True
    owner, slash, rest = text.partition("/")
    if slash and owner.strip(".") and rest and "/" not in rest:
        return text, False
    raise InputError(
        f"{where} is {text!r}: no such folder beside the configuration or in ${MODELS_FOLDER}, "
        "and no hub name owner/name"
    )


def _url(text: str, where: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    # Only the user's environment may hold a secret; the address is written into the measurements.
    if not good or parts.username or parts.password or parts.query or parts.fragment:
        shown = "it" if "@" in text or "?" in text else repr(text)
        raise InputError(f"{where}: {shown} is not a base URL such as http://127.0.0.1:8000/v1, without credentials")
    return text.rstrip("/")


def _task(task: _Table, folder: Path) -> tuple[tuple[Query, ...], Template, str]:
    if ("file" in task.table) == ("generate" in task.table):
        raise InputError("task: either 'file' (a JSONL file) or 'generate' (a task's name) is needed")
    if "generate" in task.table:
        for key in ("instructions", "examples"):
            if key in task.table:
                raise InputError(f"key 'task.{key}' belongs to a task from a file; a generated one has its own")
        name = task.get("generate", str, (f"one of {list(TASKS)}", lambda value: value in TASKS))
        count, seed = task.get("queries", int, default=320), task.get("seed", int, default=0)
        return generate_task(name, count, seed), template_for(name), f"{name}, {count} queries, seed {seed}"
    file = folder / task.get("file", str, _TEXT)
    if "seed" in task.table:
        raise InputError("key 'task.seed' belongs to a generated task, and this one is from a file")
    queries = read_queries(file)
    count = task.get("queries", int, _least(1), default=len(queries))
    if count > len(queries):
        raise InputError(f"task.queries is {count}: {file.name!r} holds only {len(queries)}")
    pairs = task.get("examples", list, default=[])
    if not all(isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair) for pair in pairs):
        raise InputError("task.examples: a list of pairs [text, answer] is needed")
    template = default_template(
        queries[:count],
        task.get("instructions", str, _TEXT, default=None),
        [(pair[0], pair[1]) for pair in pairs],
    )
    return queries[:count], template, f"{file.name}, {count} queries"
