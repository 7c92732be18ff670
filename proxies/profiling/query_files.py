"""The measured queries, written beside the measurements: a proxy is fitted to both.

The file of a single task beside ``OUT.parquet`` is ``OUT.queries.jsonl``; of several, each task has its own,
``OUT.TASK.queries.jsonl``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from robatch.instances.errors import InputError
from robatch.proxies.tasks.queries import read_queries, write_queries
from robatch.proxies.tasks.task import Task

_MAX_NAME_BYTES = 200  # bytes of a file's name; systems allow 255, and a temporary name is longer


def query_files(output: str | os.PathLike[str], tasks: Sequence[str]) -> dict[str, Path]:
    """Name the files of the measured queries, by task, for a file of measurements (less its ``.parquet``).

    In a file's name, what is not a letter, a digit or one of ``_.-~`` stands as ``%XX``.
    """
    target = Path(output)
    stem = target.name.removesuffix(".parquet")
    if len(tasks) == 1:
        return {tasks[0]: target.with_name(f"{stem}.queries.jsonl")}
    return {task: target.with_name(f"{stem}.{quote(task, safe='')}.queries.jsonl") for task in tasks}


def missing_query_files(output: str | os.PathLike[str], tasks: Sequence[Task]) -> list[tuple[Path, Task]]:
    """Give the files of queries that are not there yet; nothing is written.

    Raises
    ------
    InputError
        If a file of that name holds anything else than the queries of its task, or the name is too long.
    """
    paths = query_files(output, [task.name for task in tasks])
    return [(paths[task.name], task) for task in tasks if not _is_there(paths[task.name], task)]


def write_query_files(output: str | os.PathLike[str], tasks: Sequence[Task]) -> None:
    """Write the queries of the tasks, each file whole or not at all; one that holds them already stays as it is.

    Raises
    ------
    InputError
        As `missing_query_files`, and if a file cannot be written.
    """
    for path, task in missing_query_files(output, tasks):
        write_queries(path, task.queries)


def _is_there(path: Path, task: Task) -> bool:
    if (length := len(os.fsencode(path.name))) > _MAX_NAME_BYTES:
        raise InputError(
            f"the queries of task {task.name!r} cannot be written: the file's name would have "
            f"{length} bytes, at most {_MAX_NAME_BYTES} are allowed; shorten the task's or the output's"
        )
    if not path.exists():
        return False
    try:
        same = read_queries(path) == task.queries
    except InputError:
        same = False
    if not same:
        raise InputError(
            f"{str(path)!r}, where the queries of task {task.name!r} are written, holds something else: "
            "choose another output or delete it"
        )
    return True
