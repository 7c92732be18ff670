"""``robatch restrict``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.support import FILE, check_file, json_option, output_option, read_problem, show_problem
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from robatch.instances.constraints import Constraints
    from robatch.instances.problem import Problem

    Labels = npt.NDArray[np.generic] | None


def _limit(name: str, text: str) -> Callable[[Any], Any]:
    return click.option(f"--{name}", multiple=True, metavar="NAME=NUMBER", help=f"{text} Repeatable.")


@click.command(short_help="Add constraints to a problem.")
@click.argument("problem")
@_limit("max-queries", "Most queries that a model may answer.")
@_limit("max-calls", "Most calls that a model may be sent.")
@_limit("max-cost", "Most USD that a model may cost.")
@_limit("min-group-utility", "Least mean utility of a group's queries.")
@_limit("group-budget", "Most USD that a group's queries may cost.")
@click.option("--min-utility", type=float, help="Least utility of every query: states below are forbidden.")
@click.option(
    "--forbid", multiple=True, metavar="QUERY,MODEL,B", help="A state that a query may not be answered in. Repeatable."
)
@click.option(
    "--force", multiple=True, metavar="QUERY,MODEL,B", help="The state that a query must be answered in. Repeatable."
)
@click.option(
    "--conflicts",
    type=FILE,
    help="Table with a header and two columns: pairs of queries that never share a call.",
)
@click.option("--window-margin", type=float, help="Part of every context window that calls leave free.")
@output_option("Parquet file to write.", required=True)
@json_option
def restrict(  # wide: one parameter per option
    problem: str,
    min_utility: float | None,
    forbid: Sequence[str],
    force: Sequence[str],
    conflicts: Path | None,
    window_margin: float | None,
    output: Path,
    as_json: bool,
    **limits: Sequence[str],
) -> None:
    """Write a copy of PROBLEM that asks more of its plans; `robatch solve` and `robatch verify` then keep it.

    Queries are named by id, by position where they have none. What PROBLEM asks already stays, but a new number
    replaces the old one of the same model or group.

    \b
    robatch restrict problem.parquet --max-queries large=100 --max-calls small=20 -o limited.parquet
    robatch restrict problem.parquet --group-budget team-a=0.5 --min-group-utility team-a=0.7 -o limited.parquet
    robatch restrict problem.parquet --forbid q17,small,8 --conflicts apart.csv --window-margin 0.1 -o limited.parquet
    """
    check_file(output)
    task = read_problem(problem)
    changes: dict[str, Any] = {"constraints": _constraints(task, limits)}
    if window_margin is not None:
        changes["window_margin"] = window_margin
    if conflicts is not None:
        changes["conflicts"] = _conflicts(task, conflicts)
    made = task.replace(**changes)
    if forbid or force or min_utility is not None:
        made = made.restrict(
            forbidden=[_candidate("--forbid", task.query_ids, text) for text in forbid],
            forced=[_candidate("--force", task.query_ids, text) for text in force],
            min_utility=min_utility,
        )
    made.write(output)
    show_problem(made, output, as_json)


def _constraints(task: Problem, limits: dict[str, Sequence[str]]) -> Constraints:
    """Return the problem's constraints with those of the options."""
    from robatch.instances.constraints import Constraints

    found: dict[str, dict[Any, Any]] = {}
    for name in (field.name for field in fields(Constraints)):
        found[name] = dict(getattr(task.constraints, name)) if task.constraints is not None else {}
        option, of_groups = f"--{name.replace('_', '-')}", name in ("min_group_utility", "group_budget")
        for text in limits[name]:
            label, equals, value = text.rpartition("=")
            if not equals or not label:
                raise InputError(f"{option} is {text!r}: NAME=NUMBER is needed")
            key = _label(option, "group", task.groups, label) if of_groups and task.groups is not None else label
            found[name][key] = _number(option, text, value, int if name in ("max_queries", "max_calls") else float)
    return Constraints(**found)


def _number(option: str, text: str, value: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(value)
    except ValueError:
        needed = "a whole number" if kind is int else "a number"
        raise InputError(f"{option} is {text!r}: {needed} is needed after '='") from None


def _label(where: str, kind: str, labels: Labels, text: str) -> str | int:
    """Return the label that a text stands for: a whole number where labels are, or where there are none."""
    if labels is not None and labels.dtype.kind not in "iu":
        return text
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{where} names the {kind} {text!r}: a whole number is needed for this problem") from None


def _candidate(option: str, ids: Labels, text: str) -> tuple[str | int, tuple[str, int]]:
    """Return the query and the state of ``QUERY,MODEL,B``; an id may hold commas."""
    parts = text.rsplit(",", 2)
    if len(parts) != 3:
        raise InputError(f"{option} is {text!r}: QUERY,MODEL,B is needed")
    try:
        size = int(parts[2])
    except ValueError:
        raise InputError(f"{option} is {text!r}: the batch size B must be a whole number") from None
    return _label(option, "query", ids, parts[0]), (parts[1], size)


def _conflicts(task: Problem, path: Path) -> list[tuple[Any, Any]]:
    """Return the conflicts of the problem and those of a file, as pairs of query ids or positions."""
    from robatch.instances.arrow_tables import Table

    table = Table.of(path, "the conflicts", labels=None)
    if len(set(table.columns)) != 2:
        raise InputError(f"{str(path)!r} is no table of conflicts: a header and two columns are needed")
    ids = task.query_ids
    if set(table.columns) <= set(map(str, range(task.n_queries) if ids is None else ids.tolist())):
        raise InputError(f"the first line of {str(path)!r} names two queries: a header is needed above it")
    known = [] if task.conflicts is None else task.conflicts.tolist()
    pairs = [(i, j) if ids is None else (ids[i], ids[j]) for i, j in known]
    sides = []
    for column in table.columns:
        codes, labels = table.codes(column, as_text=True)
        where = f"column {column!r} of {str(path)!r}"
        named = [_label(where, "query", ids, label) for label in labels.tolist()]
        sides.append([named[code] for code in codes.tolist()])
    return [*pairs, *zip(*sides, strict=True)]
