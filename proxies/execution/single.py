"""A plan without routing: all queries to one model at one batch size, for the same execution as any other plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.model import Model
from robatch.instances.prices.entry import origin_of
from robatch.instances.problem import Problem
from robatch.proxies.execution.plan import RoutedPlan, file_sha256
from robatch.proxies.execution.pool import pool_model
from robatch.proxies.profiling.model_config import ModelConfig
from robatch.proxies.tasks.task import Task
from robatch.solvers.plan.given import given_plan


class Tokens(NamedTuple):
    """Tokens that are estimated: of the prompt that a call shares, and of each query, in and out, (N,)."""

    shared: float
    inputs: FloatArray
    outputs: FloatArray


def single_plan(
    task: Task,
    path: Path,
    state: tuple[ModelConfig, int],
    tokens: Tokens,
    budget: float | None,
    *,
    named: Mapping[str, frozenset[str]] | None = None,
) -> RoutedPlan:
    """Plan the queries of a task for a model at a batch size (or below it, where calls do not fit).

    Nothing is predicted: every answer counts as one.

    Parameters
    ----------
    task, path
        The queries with their prompt, and the file that they stand in.
    state, tokens
        The model and the batch size, and the tokens to expect.
    budget
        USD, at least 0; None for what the plan costs.
    named
        As of `RoutedPlan`.
    """
    model, size = state
    sizes = tuple(one for one in model.batch_sizes if one < size) + (size,)
    entry = Model(
        model.name, model.price_in, model.price_out, tokens.shared, model.context_window, sizes,
        priced=origin_of({"prices": model.prices}),
    )  # fmt: skip
    rows, columns = len(task.queries), len(sizes)
    problem = Problem(
        models=[entry],
        input_tokens=tokens.inputs,
        output_tokens=tokens.outputs,
        utility=np.ones((rows, columns)),
        query_ids=[query.id for query in task.queries],
    )
    plan = given_plan(problem, np.full(rows, columns - 1), budget, solver="single-model")
    calls = plan.calls()
    return RoutedPlan(
        problem=problem, plan=plan, order=calls.order, starts=calls.starts, columns=calls.columns,
        queries_path=str(path.resolve()), queries_sha256=file_sha256(path), pool=(pool_model(asdict(model)),),
        template=task.template, grader=task.grader, max_output_tokens=task.max_output_tokens,
        predicted={"utility": None, "low": None, "high": None},
        settings={"policy": "order", "seed": 0, "robust": None, "solver": plan.solver, "task": task.name},
        named=named or {},
    )  # fmt: skip
