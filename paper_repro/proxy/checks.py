"""Cross-validated diagnostics of the proxy, and the replay of adaptive sampling over recorded answers."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from paper_repro.common.profile_data import TaskData
from robatch.proxies.profiling.config import ModelConfig, ProfileConfig
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.profiling.record import CallKey
from robatch.proxies.profiling.sampling import cells_of, savings
from robatch.proxies.tasks.prompts import Template
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.task import Task
from robatch.proxies.utility.diagnostics import Diagnosis, diagnose, judge
from robatch.proxies.utility.utility_proxy import UtilityProxy

PRECISIONS = (0.15, 0.1, 0.075)
"""Half-widths of the 95 % interval of a cell's mean at which adaptive sampling stops."""

JUDGED = ("predicted", "measured", "plain")
"""What a diagnosis knows of the queries by state, which is judged together."""

ALL = "all"
"""Stands for all tasks together."""


def diagnoses(tasks: tuple[TaskData, ...]) -> dict[tuple[str, str], Diagnosis]:
    """Cross-validate the proxy by query, in each task and pooled, and by task.

    The keys are what was left out (``"query"`` or ``"task"``) and the task judged, or `ALL`.
    """
    states = tasks[0].states
    proxy = UtilityProxy(states=states, features="given")
    found = {("query", task.name): diagnose(proxy, task.features, task.utility) for task in tasks}
    mine = list(found.values())
    found["query", ALL] = judge(states, *(np.concatenate([getattr(d, name) for d in mine]) for name in JUDGED))
    if len(tasks) > 1:
        labels = np.concatenate([np.full(len(task.utility), task.name) for task in tasks])
        every = np.concatenate([task.common for task in tasks])
        utility = np.concatenate([task.utility for task in tasks])
        left_out = diagnose(proxy, every, utility, groups=labels, folds=len(tasks))
        found["task", ALL] = left_out
        for task in tasks:
            here = labels == task.name
            found["task", task.name] = judge(states, *(getattr(left_out, name)[here] for name in JUDGED))
    return found


def replay(measurements: Measurements, precision: float) -> dict[str, Any]:
    """Replay adaptive sampling: its rule, with the recorded answers for those that its calls would have got.

    The recorded answers came in calls with other partners than the calls of adaptive sampling would have had.

    Returns
    -------
    dict
        ``precision``; ``calls``, ``queries`` and ``usd`` as parts of those of the full design; ``even``, the part of
        its USD that a design needs which gives every cell as many queries as the cell that takes the most; ``cells``,
        of which ``stopped`` before all queries; ``error`` and ``most``, the mean and the largest difference of a
        cell's mean from that of all queries.
    """
    config = replayed_config(measurements, precision)
    answered, means = _answers(measurements, config)
    counted = savings(config, answered)
    taken, errors = [], []
    for model in config.models:
        for cell in cells_of(config, model):
            scores = [score for call in cell.needed(answered) for score in answered[call.key]["scores"]]
            taken.append(len(scores) / (len(cell.task.queries) * cell.repeats))
            errors.append(abs(float(np.mean(scores)) - means[model.name, cell.task.name, cell.batch_size]))
    return {
        "precision": precision,
        **{name: counted["made"][name] / counted["full"][name] for name in ("calls", "queries", "usd")},
        "even": max(taken),
        "cells": len(taken),
        "stopped": sum(share < 1 for share in taken),
        "error": float(np.mean(errors)),
        "most": max(errors),
    }


def replayed_config(measurements: Measurements, precision: float) -> ProfileConfig:
    """Return the configuration of the replay; queries are known by their ids alone."""
    about = measurements.provenance
    names = ("name", "price_in", "price_out", "context_window")
    models = tuple(
        ModelConfig(**{name: model[name] for name in names}, batch_sizes=tuple(sorted(model["batch_sizes"])))
        for model in about["models"]
    )
    tasks = []
    for task in about["tasks"]:
        queries = tuple(Query(id, id, kind="number") for id in measurements.query_ids(task["name"]))
        tasks.append(Task(task["name"], queries, Template.from_dict(task["template"])))
    return ProfileConfig(models, tuple(tasks), about["seed"], about["repeats"], precision)


def _answers(
    measurements: Measurements, config: ProfileConfig
) -> tuple[dict[CallKey, dict[str, Any]], dict[tuple[str, str, int], float]]:
    """Return what the calls of the replay answer, and the mean score of every cell over all queries."""
    rows = {
        (row["model"], row["task"], row["batch_size"], row["repeat"], row["query_id"]): row
        for row in measurements.table.to_pylist()
    }
    answered, means = {}, {}
    for model in config.models:
        for cell in cells_of(config, model):
            every: list[float] = []
            for call in chain.from_iterable(cell.rounds):
                ids = [cell.task.queries[i].id for i in call.members]
                found = [rows[model.name, cell.task.name, cell.batch_size, call.key.repeat, id] for id in ids]
                scores = [row["score"] for row in found]
                answered[call.key] = {
                    "scores": scores,
                    "input_tokens": found[0]["shared_tokens"] + sum(row["input_tokens"] for row in found),
                    "output_tokens": sum(row["output_tokens"] for row in found),
                }
                every += scores
            means[model.name, cell.task.name, cell.batch_size] = float(np.mean(every))
    return answered, means
