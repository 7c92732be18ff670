"""Made queries and a plan for them, for measurements of what `execute` itself takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from robatch.instances.model import Model
from robatch.instances.problem import Problem
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.routing import route
from robatch.proxies.tasks.prompts import Template

SIZES = (1, 4, 8, 12)
CONTEXT_WINDOW = 65_536
TEMPLATE = Template("Sort each message: good or bad.", (("Fine.", "good"),))
TEXT = "Message {} of many, in which a customer tells at some length what was good about it, and what was not so good"


class _Proxy:
    """Stands in for a `UtilityProxy`: two models on the server, the dear one better."""

    def __init__(self, server: str, sizes: tuple[int, ...]) -> None:
        shared = len(TEMPLATE.render([]).split())
        prices = {"small": (0.1, 0.4), "large": (1.0, 4.0)}
        self.models = [Model(name, *usd, shared, CONTEXT_WINDOW, sizes) for name, usd in prices.items()]
        where = {"context_window": CONTEXT_WINDOW, "chat": True, "server": server}
        records = [{"name": m.name, "price_in": m.price_in, "price_out": m.price_out, **where} for m in self.models]
        task = {"name": "sort", "template": TEMPLATE.to_dict(), "grader": "auto", "max_output_tokens": 12}
        self.facts_ = SimpleNamespace(models=records, task=task)

    def to_problem(self, queries: Any, robust: float | None = None) -> Problem:
        rows = len(queries)
        base = np.linspace(0.3, 0.7, rows)[:, None]
        drop = 1.0 - 0.002 * np.arange(len(self.models[0].batch_sizes))
        words = np.full(rows, len(TEXT.split()) + 1.0)
        utility = np.hstack([base * drop, (base + 0.3) * drop])
        return Problem(
            self.models, words, np.full(rows, 3.0), utility, query_ids=[query.id for query in queries]
        )  # fmt: skip


def made_plan(folder: Path, server: str, queries: int, sizes: tuple[int, ...] = SIZES) -> RoutedPlan:
    """Write queries to a folder, and plan them for two models behind a server."""
    path = folder / "queries.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(queries):
            text = f'{{"id": "q{i}", "text": "{TEXT.format(i)}", "answer": "good", "choices": ["good", "bad"]}}\n'
            file.write(text)
    return route(path, _Proxy(server, sizes), budget_fraction=0.5, solver="greedy")
