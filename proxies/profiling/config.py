"""The configuration of a profiling run, read from TOML and checked before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.engines.address import MODELS_FOLDER
from robatch.proxies.engines.request_settings import JSON_ONLY
from robatch.proxies.engines.waits import MAX_WAIT
from robatch.proxies.profiling.gpu_memory import ModelSize
from robatch.proxies.profiling.model_config import ModelConfig, is_missing, read_batch_sizes, read_models
from robatch.proxies.profiling.task_config import read_task
from robatch.proxies.tasks.first_calls import MOST_UNREAD
from robatch.proxies.tasks.task import Task, check_tasks
from robatch.proxies.toml_table import Check, TomlTable, above, at_least, load_toml, tables

__all__ = ["RUN_KEYS", "ModelConfig", "ProfileConfig", "parse_config", "read_config", "refuse_missing"]

RUN_KEYS = ("batch_sizes", "seed", "repeats", "precision", "concurrency", "timeout", "max_unread", "max_wait")
"""Keys of the table [run]."""

_REPEATS: Check = ("a whole number of at least 1 and at most 1,000", lambda value: bool(1 <= value <= 1000))
_SECONDS: Check = ("a finite number of at least 0", lambda value: bool(0 <= value < float("inf")))
_PART: Check = ("a number from 0 to 1", lambda value: bool(0 <= value <= 1))
_PRECISION: Check = ("a number above 0 and below 0.5", lambda value: bool(0 < value < 0.5))


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
    max_wait
        The most seconds of a wait that a server asks for (``Retry-After``).
    max_unread
        The part of a model's first calls, of its smallest batch size, that may be unread: with surely more the run
        stops. 1 never stops.
    sizes
        Published sizes of models, by name, for the dry run's GPU memory. No answer depends on them.
    missing
        Names of models whose folder is not on this machine: such a run can be estimated and not measured.
    """

    models: tuple[ModelConfig, ...]
    tasks: tuple[Task, ...]
    seed: int = 0
    repeats: int = 1
    precision: float | None = None
    concurrency: int = 8
    timeout: float = 120.0
    max_wait: float = MAX_WAIT
    max_unread: float = MOST_UNREAD
    sizes: Mapping[str, ModelSize] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_tasks(self.tasks)


def read_config(
    path: str | os.PathLike[str],
    pool: str | os.PathLike[str] | None = None,
    allow_missing: bool = False,
    prices: str | None = None,
) -> ProfileConfig:
    """Read a run's TOML configuration; relative paths in it start from its own folder.

    A relative model path that does not exist there is looked up in the folder that the environment variable
    ``ROBATCH_MODELS`` names, a task's file likewise by ``ROBATCH_TASKS``. A model of the form ``owner/name`` that is
    in neither is a hub name.

    Parameters
    ----------
    path
        The configuration.
    pool
        A TOML file of [[models]] tables, which take the place of those of the configuration; that may then have none.
        Relative model paths start from this file's folder.
    allow_missing
        Whether to take models whose folder is not on this machine, for an estimate; `ProfileConfig.missing` names them.
    prices
        The source of the prices of models that have none, as `robatch.instances.prices.price_table` takes it, in place
        of the one that the file with the models names.

    Raises
    ------
    InputError
        If a file or anything in it is missing, unknown or out of range.
    MissingExtraError
        If a dataset is asked for and the package ``datasets`` is not installed.
    """
    table, models = load_toml(path, "configuration"), None
    if pool is not None:
        rows = load_toml(pool, "pool")
        with _naming(path):
            _, _, sizes = _run(table)
        with _naming(pool):
            top = TomlTable(rows, "", ("models", "prices"))
            models = read_models(top, sizes, Path(pool).resolve().parent, allow_missing, prices)
    with _naming(path):
        return parse_config(table, Path(path).resolve().parent, models, allow_missing, prices)


def refuse_missing(config: ProfileConfig, what: str) -> None:
    """Refuse models whose folder is not on this machine."""
    for model in config.models:
        if model.name in config.missing:
            raise InputError(
                f"model {model.name!r} cannot be {what}: its folder {model.path!r} is neither beside the configuration "
                f"nor in ${MODELS_FOLDER}"
            )


def parse_config(
    table: Mapping[str, Any],
    folder: Path,
    models: Sequence[tuple[ModelConfig, ModelSize | None]] | None = None,
    allow_missing: bool = False,
    prices: str | None = None,
) -> ProfileConfig:
    """Check a configuration given as nested tables; relative paths start from `folder`.

    `models`, with their sizes as far as known, take the place of the tables of models. `allow_missing` and `prices` are
    as in `read_config`.
    """
    top, run, sizes = _run(table)
    if models is None:
        if "models" not in table:
            raise InputError("key 'models' is missing: [[models]] tables here, or a pool file with them, are needed")
        models = read_models(top, sizes, folder, allow_missing, prices)
    tasks = tuple(read_task(row, f"tasks[{i}].", folder) for i, row in enumerate(tables(top, "tasks")))
    _check_structures(models, tasks)
    measured = sorted({size for model, _ in models for size in model.batch_sizes})
    for i, task in enumerate(tasks):
        for size in task.queries_by_batch_size:
            if size not in measured:
                raise InputError(f"tasks[{i}].queries_by_batch_size names {size}: one of {measured} is needed")
    return ProfileConfig(
        models=tuple(model for model, _ in models),
        tasks=tasks,
        seed=run.get("seed", int, at_least(0), default=0),
        repeats=run.get("repeats", int, _REPEATS, default=1),
        precision=run.get("precision", float, _PRECISION, default=None),
        concurrency=run.get("concurrency", int, at_least(1), default=8),
        timeout=run.get("timeout", float, above(0), default=120.0),
        max_wait=run.get("max_wait", float, _SECONDS, default=MAX_WAIT),
        max_unread=run.get("max_unread", float, _PART, default=MOST_UNREAD),
        sizes={model.name: size for model, size in models if size is not None},
        missing=tuple(model.name for model, _ in models if is_missing(model)),
    )


def _check_structures(models: Sequence[tuple[ModelConfig, ModelSize | None]], tasks: Sequence[Task]) -> None:
    """Refuse a structure that holds answers to JSON alone for a task that asks for lines."""
    for model, _ in models:
        structure = model.request_settings.structure
        if model.structured and structure in JSON_ONLY:
            for task in tasks:
                if task.template.form != "json":
                    raise InputError(
                        f"request.structure of model {model.name!r} is {structure!r}, which holds answers to JSON, and "
                        f"task {task.name!r} has form = {task.template.form!r}: form = 'json' is needed"
                    )


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say which file a refusal is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from error


def _run(table: Mapping[str, Any]) -> tuple[TomlTable, TomlTable, tuple[int, ...]]:
    """Give the whole table, its table of run settings, and the batch sizes of models that name none."""
    top = TomlTable(table, "", ("models", "tasks", "run", "prices"))
    run = TomlTable(top.get("run", dict, default={}), "run.", RUN_KEYS)
    return top, run, read_batch_sizes(run.get("batch_sizes", list, default=[1, 2, 4, 8, 16]), "run.batch_sizes")
