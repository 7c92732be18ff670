"""The configuration of a profiling run, read from TOML and checked before anything is loaded."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError, why_unreadable
from robatch.proxies.engines.address import MODELS_FOLDER, check_base_url, check_no_secret, find_model, is_hub_name
from robatch.proxies.profiling.task_config import read_task
from robatch.proxies.tasks.task import Task, check_tasks
from robatch.proxies.toml_table import PRICE, TEXT, Check, TomlTable, above, at_least, tables

_MODEL_KEYS: tuple[str, ...] = (
    "name",
    "path",
    "server",
    "model",
    "price_in",
    "price_out",
    "context_window",
    "batch_sizes",
    "chat",
)
_MODEL_KEYS += ("structured", "engine", "api_key_env")
_RUN_KEYS = ("batch_sizes", "seed", "repeats", "precision", "concurrency", "timeout")
_PRECISION: Check = ("a number above 0 and below 0.5", lambda value: bool(0 < value < 0.5))


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
        Whether answers are held to the form that the task asks for (lines or JSON) by structured output; otherwise
        they are free text, read with tolerance.
    engine
        Further vLLM engine arguments, such as ``tensor_parallel_size``; with
        ``distributed_executor_backend = "ray"`` vLLM runs the model on the GPUs of a Ray cluster.
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
    """A profiling run: models, tasks and run settings.

    Attributes
    ----------
    models
        The models, profiled one after the other in this order.
    tasks
        The same queries go to every model at every batch size; those of different tasks never share a call.
    seed
        Seeds the packing of queries into calls and the engine's sampling (which is greedy).
    repeats
        How often every query is answered in every state, with other partners each time.
    precision
        None: all queries in every state. Otherwise adaptive sampling: queries are added, round by round, until the
        half-width of a state's 95 % interval is at most this.
    concurrency
        Calls in flight at a server.
    timeout
        Seconds until a server's answer is given up.
    """

    models: tuple[ModelConfig, ...]
    tasks: tuple[Task, ...]
    seed: int = 0
    repeats: int = 1
    precision: float | None = None
    concurrency: int = 8
    timeout: float = 120.0

    def __post_init__(self) -> None:
        check_tasks(self.tasks)


def read_config(path: str | os.PathLike[str]) -> ProfileConfig:
    """Read a run's TOML configuration; relative paths in it start from its own folder.

    A relative model path that does not exist there is looked up in the folder that the environment variable
    ``ROBATCH_MODELS`` names, a task's file likewise by ``ROBATCH_TASKS``. A model of the form ``owner/name`` that is
    in neither is a hub name.

    Raises
    ------
    InputError
        If the file or anything in it is missing, unknown or out of range.
    MissingExtraError
        If a dataset is asked for and the package ``datasets`` is not installed.
    """
    name = str(path)
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise InputError(f"cannot read the configuration {name!r}: {why_unreadable(error)}") from error
    except (ValueError, RecursionError) as error:  # a number of very many digits is a plain ValueError
        raise InputError(f"the configuration {name!r} is not TOML: {error}") from error
    try:
        return parse_config(table, Path(path).resolve().parent)
    except InputError as error:
        raise InputError(f"{name!r}: {error}") from error


def parse_config(table: Mapping[str, Any], folder: Path) -> ProfileConfig:
    """Check a configuration given as nested tables; relative paths start from `folder`."""
    top = TomlTable(table, "", ("models", "tasks", "run"))
    run = TomlTable(top.get("run", dict, default={}), "run.", _RUN_KEYS)
    sizes = _batch_sizes(run.get("batch_sizes", list, default=[1, 2, 4, 8, 16]), "run.batch_sizes")
    models = tuple(_model(row, f"models[{i}].", sizes, folder) for i, row in enumerate(tables(top, "models")))
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"model name {twice!r} occurs twice: names are unique")
    tasks = tuple(read_task(row, f"tasks[{i}].", folder) for i, row in enumerate(tables(top, "tasks")))
    measured = sorted({size for model in models for size in model.batch_sizes})
    for i, task in enumerate(tasks):
        for size in task.queries_by_batch_size:
            if size not in measured:
                raise InputError(f"tasks[{i}].queries_by_batch_size names {size}: one of {measured} is needed")
    return ProfileConfig(
        models=models,
        tasks=tasks,
        seed=run.get("seed", int, at_least(0), default=0),
        repeats=run.get("repeats", int, at_least(1), default=1),
        precision=run.get("precision", float, _PRECISION, default=None),
        concurrency=run.get("concurrency", int, at_least(1), default=8),
        timeout=run.get("timeout", float, above(0), default=120.0),
    )


def _batch_sizes(sizes: list[Any], where: str) -> tuple[int, ...]:
    whole = all(isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 1024 for size in sizes)
    if not sizes or not whole or len(set(sizes)) < len(sizes):
        raise InputError(f"{where} is {sizes!r}: at least one whole number from 1 to 1024, each once, is needed")
    return tuple(sorted(sizes))


def _model(row: Mapping[str, Any], where: str, sizes: tuple[int, ...], folder: Path) -> ModelConfig:
    table = TomlTable(row, where, _MODEL_KEYS)
    if ("path" in row) == ("server" in row):
        raise InputError(f"{where.rstrip('.')}: either 'path' (offline engine) or 'server' (a base URL) is needed")
    path, local, server, model = None, False, None, None
    if "path" in row:
        for key in ("model", "api_key_env"):
            if key in row:
                raise InputError(f"key '{where}{key}' belongs to a model with 'server', and this one has 'path'")
        path, local = _locate(table.get("path", str, TEXT), f"{where}path", folder)
    else:
        if "engine" in row:
            raise InputError(f"key '{where}engine' belongs to a model with 'path', and this one has 'server'")
        server = check_base_url(table.get("server", str), f"{where}server")
        model = table.get("model", str, TEXT)
    own = table.get("batch_sizes", list, default=None)
    engine = table.get("engine", dict, default={})
    check_no_secret(engine, f"{where}engine")
    return ModelConfig(
        name=table.get("name", str, TEXT),
        price_in=table.get("price_in", float, PRICE),
        price_out=table.get("price_out", float, PRICE),
        context_window=table.get("context_window", int, at_least(1)),
        batch_sizes=sizes if own is None else _batch_sizes(own, f"{where}batch_sizes"),
        path=path,
        local=local,
        server=server,
        model=model,
        chat=table.get("chat", bool, default=True),
        structured=table.get("structured", bool, default=False),
        engine=engine,
        api_key_env=table.get("api_key_env", str, TEXT, default="OPENAI_API_KEY"),
    )


def _locate(text: str, where: str, folder: Path) -> tuple[str, bool]:
    found = find_model(text, folder)
    if found is not None:
        if not (found / "config.json").is_file():
            raise InputError(f"{where} is {text!r}: that folder holds no model (no config.json)")
        return str(found), True
    if is_hub_name(text):
        return text, False
    raise InputError(
        f"{where} is {text!r}: no such folder beside the configuration or in ${MODELS_FOLDER}, "
        "and no hub name owner/name"
    )
