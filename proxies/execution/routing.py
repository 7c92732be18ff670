"""From queries and a proxy to a routed plan: predict, solve, pack."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, FloatArray
from robatch.instances.errors import InputError
from robatch.instances.prices.entry import origin_of
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.proxies.execution.billing import with_terms
from robatch.proxies.execution.goal import Goal
from robatch.proxies.execution.plan import RoutedPlan, check_models, file_sha256
from robatch.proxies.execution.pool import PoolModel, override, pool_model
from robatch.proxies.execution.prices import reprice
from robatch.proxies.sources.rows import RowRules
from robatch.proxies.sources.taken import take
from robatch.proxies.tasks.prompts import Template
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.recorded import check_askable
from robatch.solvers.bounds.relaxation import Relaxer
from robatch.solvers.bounds.whole_call_dual import strengthened
from robatch.solvers.plan.grouping import Policy
from robatch.solvers.plan.plan import Plan


class Proxy(Protocol):
    """What routing needs of a proxy; `robatch.proxies.UtilityProxy` made from measurements has it."""

    @property
    def facts_(self) -> Any:
        """``models`` and ``task``: the records of the measurements' provenance."""
        ...

    def to_problem(self, queries: Any, robust: float | None = None) -> Problem:
        """Make a problem of new queries."""
        ...


def route(  # wide: one parameter for each choice of the command
    queries: Any,
    proxy: Proxy | str | os.PathLike[str],
    budget: float | None = None,
    *,
    features: str | None = None,
    budget_fraction: float | None = None,
    robust: float | None = None,
    solver: str = "auto",
    time_limit: float | None = None,
    seed: int = 0,
    policy: Policy = "order",
    similarity: Any = None,
    pool: str | os.PathLike[str] | None = None,
    prices: str | None = None,
    of_best: float | None = None,
    mean: float | None = None,
    rules: RowRules | None = None,
    queries_to: str | os.PathLike[str] | None = None,
    cached: float | None = None,
) -> RoutedPlan:
    """Predict every query's utility and tokens, choose its state within the budget, and form the calls.

    Parameters
    ----------
    queries
        Queries, graded or not, of the kind that the proxy's task has, and with its choices unless the prompt shows
        those of each query: a JSONL file, or any table that `robatch.proxies.sources.read_rows` takes. Rows of one text
        are planned as one query, whose answer they get. The plan holds the file's path and hash, not its texts.
    proxy
        A fitted proxy made from measurements, or the file that `UtilityProxy.save` wrote.
    budget
        USD, held against realized cost. This, `budget_fraction`, `of_best` or `mean` is needed.
    features
        What the proxy of a file was fitted with, where this is an endpoint or a model to download: a file does not
        decide to whom texts are sent.
    budget_fraction
        Budget between the cheapest (0) and the dearest (1) that make sense by the utilities planned on, amortized.
    robust
        None to plan on predicted utilities; otherwise on their lower bounds at this level, from 0.5 to below 1.
    solver, time_limit, seed
        As of `robatch.solve`.
    policy, similarity
        Which queries of a state share a call: as of `robatch.Plan.calls`. Lengths are the predicted input tokens.
    pool
        A TOML file with [[models]] that changes models: address, key variable, prices, ...
    prices
        A source of prices by name, as `robatch.instances.prices.price_table` takes it, in place of those of the
        measurements; prices that `pool` states stay.
    of_best, mean
        Plan the least cost that reaches a share of the best model's predicted utility, or a utility a query, both from
        0 to 1, as `robatch.cheapest` does. Where that is beyond `budget`, the most utility within it is planned.
        Without a `budget`, the execution may spend a quarter more than the plan, so that the last calls fit.
    rules
        How rows become queries, where `queries` is a table.
    queries_to
        The JSONL file that the queries are written to where `queries` is no JSONL file of different texts.
    cached
        Part of the calls that are expected to find the shared prompt in the provider's cache, from 0 to 1: the prices
        of a cache, and fees, that come with prices by name then count. None for those that `pool` states alone.

    Raises
    ------
    InputError
        If an input is not allowed, or no plan keeps the budget.
    """
    goal = Goal(budget, budget_fraction, of_best, mean)
    proxy = _loaded(proxy, features)
    facts = getattr(proxy, "facts_", None)
    if facts is None:
        raise InputError("the proxy knows no prices and no prompt: UtilityProxy.from_measurements makes one that does")
    path, items, copies = take(queries, rules, queries_to)
    hashed = file_sha256(path)
    problem, expected = _problem(proxy, items, robust)
    known = tuple(pool_model(record) for record in facts.models)
    models = known if pool is None else override(known, pool)
    if prices is not None:
        models = reprice(models, prices, None if pool is None else Path(pool))
    check_models(models, problem)
    problem = _at_prices(problem, models, None if cached is None else number("cached", cached, most=1.0))
    plan = goal.plan(problem, solver, time_limit=time_limit, seed=seed)
    lengths = problem.input_tokens if policy == "length" else None
    calls = plan.calls(policy, seed=seed, lengths=lengths, similarity=similarity)
    task: Mapping[str, Any] = facts.task
    return RoutedPlan(
        problem=problem,
        plan=replace(plan, query_ids=problem.query_ids),
        order=calls.order,
        starts=calls.starts,
        columns=calls.columns,
        queries_path=str(path),
        queries_sha256=hashed,
        pool=models,
        template=Template.from_dict(task["template"]),
        grader=task.get("grader", "auto"),
        max_output_tokens=int(task.get("max_output_tokens", 16)),
        predicted=_predicted(proxy, items, problem, expected, plan),
        settings={"policy": policy, "seed": seed, "robust": robust, "solver": plan.solver, "task": task.get("name")}
        | ({"reference": task["reference"]} if task.get("reference") else {})
        | goal.told(),
        copies=copies,
    )


def _at_prices(problem: Problem, pool: Sequence[PoolModel], cached: float | None) -> Problem:
    """Return the problem at the prices and context windows of a pool; `cached` as for `route`."""
    models = []
    for old, new in zip(problem.models, pool, strict=True):
        origin = origin_of({"prices": new.prices})
        prices = {"price_in": new.price_in, "price_out": new.price_out, "priced": origin}
        models.append(with_terms(old.replace(context_window=new.context_window, **prices), new, cached))
    return problem.replace(models=models)


def _loaded(proxy: Any, features: str | None) -> Any:
    """Return a proxy that is given as such, or read one from its file."""
    if not isinstance(proxy, str | os.PathLike):
        if features is not None:
            raise InputError(f"features is {features!r}: it is for the file of a proxy, and proxy is none")
        return proxy
    from robatch.proxies.utility.features import check_source
    from robatch.proxies.utility.utility_proxy import UtilityProxy

    if features is not None:
        check_source(features)
    return UtilityProxy.load(proxy, features)


def _problem(proxy: Any, items: Sequence[Query], robust: float | None) -> tuple[Problem, FloatArray | None]:
    """Return the problem and, where a single look at the queries has told them too, the mean utilities: (N, S)."""
    from robatch.proxies.utility.utility_proxy import UtilityProxy

    if type(proxy) is UtilityProxy:  # a subclass may have methods of its own, which are asked
        predictions = proxy.predict_queries(items, robust)
        return proxy.problem_of(items, *predictions[1:]), predictions.mean
    check_askable(items, proxy.facts_.task)
    problem = proxy.to_problem(items, robust=robust)
    if problem.query_ids is None:
        problem = problem.replace(query_ids=[query.id for query in items])
    return problem, None


def _predicted(
    proxy: Any, items: Sequence[Query], problem: Problem, mean: FloatArray | None, plan: Plan
) -> dict[str, float | None]:
    """Return the plan's predicted utility, with the 90 % interval where the proxy gives one."""
    if not hasattr(proxy, "predict_total"):
        return {"utility": plan.utility, "low": None, "high": None}
    price = plan.shadow_price
    if price is None:  # what a choice gains by luck does not depend on who made it
        price = Relaxer(strengthened(problem)).at(plan.budget).price
    objective = None
    if np.isfinite(price):  # else the budget leaves no choice
        objective = problem.utilities() - price * problem.amortized_costs()
        objective[~problem.allowed()] = NOT_ALLOWED
    if mean is not None:
        total = proxy.total_of(mean, np.asarray(plan.assignment), 0.9, objective)
    else:
        texts = proxy.texts(items) if hasattr(proxy, "texts") else [query.text for query in items]
        total = proxy.predict_total(texts, np.asarray(plan.assignment), 0.9, objective)
    return dict(zip(("utility", "low", "high"), map(float, total), strict=True))
