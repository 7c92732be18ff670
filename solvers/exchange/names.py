"""Names of columns and rows that people can read and that every reader of MPS and LP files takes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from robatch.instances.arrays import IntArray
from robatch.instances.problem import Problem
from robatch.solvers.limits import OF_GROUPS, entries
from robatch.solvers.mip.formulation import MipModel
from robatch.solvers.mip.variables import Columns

LONGEST = 40  # characters of one part of a name: CBC takes names of up to 100 characters


def column_names(columns: Columns) -> list[str]:
    """Return the name of each column.

    ``x_<query>_<model>_<batch size>``, ``y_<model>_<batch size>`` for calls, and ``w_<model>`` for writes of its prompt
    to a cache, with the group before the model where there are groups. A query is named by its id, by its position
    where queries have none.
    """
    problem = columns.problem
    queries, states = _queries(problem), _states(problem)
    candidates = zip(columns.query.tolist(), columns.state.tolist(), strict=True)
    names = [f"x_{queries[i]}_{states[s]}" for i, s in candidates] + [f"y_{cell}" for cell in _cells(columns)]
    return names + [f"w_{cell}" for cell in _write_cells(columns)]


def row_names(model: MipModel) -> list[str]:
    """Return the name of each row: ``query_<query>``, ``calls_<model>_<batch size>``, ``budget``, limits by kind."""
    problem = model.problem
    names = [f"query_{query}" for query in _queries(problem)]
    names += [f"calls_{cell}" for cell in _cells(model.columns)]
    models, groups = _models(problem), _groups(problem)
    labels = {
        f"{entry.kind}_{entry.place}": f"{entry.kind}_{(groups if entry.kind in OF_GROUPS else models)[entry.place]}"
        for entry in entries(problem)
    }
    return names + [labels.get(name, name) for name in model.names]


def _cells(columns: Columns) -> list[str]:
    """Return the group, where there are groups, model and batch size of each column of calls."""
    states = _states(columns.problem)
    return _grouped(columns.problem, columns.call_group, [states[s] for s in columns.call_state.tolist()])


def _write_cells(columns: Columns) -> list[str]:
    """Return the group, where there are groups, and the model of each column of writes."""
    models = _models(columns.problem)
    return _grouped(columns.problem, columns.write_group, [models[k] for k in columns.write_model.tolist()])


def _grouped(problem: Problem, group: IntArray, names: list[str]) -> list[str]:
    """Return names, each with its group before it where there are groups."""
    if problem.groups is None:
        return names
    labels = _groups(problem)
    return [f"{labels[g]}_{name}" for g, name in zip(group.tolist(), names, strict=True)]


def _queries(problem: Problem) -> list[str]:
    ids = range(problem.n_queries) if problem.query_ids is None else problem.query_ids.tolist()
    return _plain(ids, "q")


def _models(problem: Problem) -> list[str]:
    return _plain((model.name for model in problem.models), "m")


def _groups(problem: Problem) -> list[str]:
    return _plain(problem.group_labels, "g")


def _states(problem: Problem) -> list[str]:
    models = _models(problem)
    return [f"{models[k]}_{b}" for k, b in zip(problem.state_model, problem.state_batch_size, strict=True)]


def _plain(labels: Iterable[object], letter: str) -> list[str]:
    """Return labels in letters, digits and single dots, so that an underscore parts them from each other.

    They are numbered where they would not differ or be too long.
    """
    plain = [re.sub(r"[^A-Za-z0-9]+", ".", str(label)).strip(".") for label in labels]
    if len(set(plain)) < len(plain) or not all(0 < len(name) <= LONGEST for name in plain):
        return [f"{letter}{number}" for number in range(len(plain))]
    return plain
