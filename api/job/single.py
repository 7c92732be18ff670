"""A plan without routing: all queries to one model at one batch size, for the same execution as any other plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from robatch.instances.model import Model
from robatch.instances.prices.entry import origin_of
from robatch.instances.problem import Problem
from robatch.job.forecast import Forecast
from robatch.proxies.execution.plan import RoutedPlan, file_sha256
from robatch.proxies.execution.pool import pool_model
from robatch.proxies.profiling.model_config import ModelConfig
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.task import Task
from robatch.solvers.exchange.plan_from import plan_from


def single_plan(
    path: Path, queries: Sequence[Query], state: tuple[ModelConfig, int], task: Task, forecast: Forecast, budget: float
) -> RoutedPlan:
    """Plan queries, which stand in a file, for a model at a batch size (or below it, where calls do not fit).

    Nothing is predicted: every answer counts as one.
    """
    model, size = state
    sizes = tuple(one for one in model.batch_sizes if one < size) + (size,)
    priced = origin_of({"prices": model.prices})
    entry = Model(
        model.name, model.price_in, model.price_out, forecast.shared, model.context_window, sizes, priced=priced
    )
    rows, columns = len(queries), len(sizes)
    problem = Problem(
        models=[entry],
        input_tokens=forecast.inputs[:rows],
        output_tokens=forecast.outputs[:rows],
        utility=np.ones((rows, columns)),
        query_ids=[query.id for query in queries],
    )
    plan = plan_from(problem, np.full(rows, columns - 1), solver="single-model")
    plan = replace(plan, budget=budget, query_ids=problem.query_ids)
    calls = plan.calls()
    return RoutedPlan(
        problem=problem, plan=plan, order=calls.order, starts=calls.starts, columns=calls.columns,
        queries_path=str(path.resolve()), queries_sha256=file_sha256(path), pool=(pool_model(asdict(model)),),
        template=task.template, grader=task.grader, max_output_tokens=task.max_output_tokens,
        predicted={"utility": None, "low": None, "high": None},
        settings={"policy": "order", "seed": 0, "robust": None, "solver": plan.solver, "task": task.name},
    )  # fmt: skip
