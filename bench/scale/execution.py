"""What `execute` itself costs: CPU time per call and memory by queries, against a server that answers at once.

``python -m robatch.bench.scale.execution`` prints the CPU time of this process per call; beside it what the client
library alone takes as it is meant to be used, with its models of requests and replies, which `execute` passes over; and
the memory that planning and state take. The server is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import resource
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from robatch.bench.scale.stub_server import stub_server
from robatch.instances.errors import require
from robatch.instances.model import Model
from robatch.instances.problem import Problem
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute
from robatch.proxies.tasks.prompts import Template

SIZES = (1, 4, 8, 12)
_TEMPLATE = Template("Sort each message: good or bad.", (("Fine.", "good"),))
_TEXT = "Message {} of many, in which a customer tells at some length what was good about it, and what was not so good"


class _Proxy:
    """Stands in for a `UtilityProxy`: two models on the server, the dear one better."""

    def __init__(self, server: str) -> None:
        shared = len(_TEMPLATE.render([]).split())
        self.models = [Model("small", 0.1, 0.4, shared, 4096, SIZES), Model("large", 1.0, 4.0, shared, 4096, SIZES)]
        where = {"context_window": 4096, "chat": True, "server": server}
        records = [{"name": m.name, "price_in": m.price_in, "price_out": m.price_out, **where} for m in self.models]
        task = {"name": "sort", "template": _TEMPLATE.to_dict(), "grader": "auto", "max_output_tokens": 12}
        self.facts_ = SimpleNamespace(models=records, task=task)

    def to_problem(self, queries: Any, robust: float | None = None) -> Problem:
        rows = len(queries)
        base = np.linspace(0.3, 0.7, rows)[:, None]
        drop = np.array([1.0, 0.998, 0.996, 0.994])
        words = np.full(rows, len(_TEXT.split()) + 1.0)
        utility = np.hstack([base * drop, (base + 0.3) * drop])
        return Problem(
            self.models, words, np.full(rows, 3.0), utility, query_ids=[query.id for query in queries]
        )  # fmt: skip


class _EnoughError(Exception):
    """As many queries are answered as were asked for."""


def measure(queries: int, answered: int, concurrency: int = 8) -> dict[str, float]:
    """Run an execution until so many queries are answered, and return what it took.

    Returns
    -------
    dict of str to float
        ``calls``, ``cpu_ms`` per call, ``wall_ms`` per call, and MiB: ``planned_mib`` of this process before it began,
        ``most_mib`` at most.
    """
    with tempfile.TemporaryDirectory() as folder, stub_server() as server:
        path = Path(folder, "queries.jsonl")
        with path.open("w", encoding="utf-8") as file:
            for i in range(queries):
                text = f'{{"id": "q{i}", "text": "{_TEXT.format(i)}", "answer": "good", "choices": ["good", "bad"]}}\n'
                file.write(text)
        routed = route(path, _Proxy(server), budget_fraction=0.5)
        gc.collect()
        planned, cpu, wall, calls = _mib(), time.process_time(), time.perf_counter(), 0

        def tell(done: int, spent: float) -> None:
            nonlocal calls
            calls += 1
            if done >= answered:
                raise _EnoughError

        with contextlib.suppress(_EnoughError):
            execute(routed, Path(folder, "answers.jsonl"), concurrency=concurrency, on_answers=tell)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {
            "calls": calls, "cpu_ms": 1e3 * cpu / calls, "wall_ms": 1e3 * wall / calls, "planned_mib": planned,
            "most_mib": _mib(),
        }  # fmt: skip


def client_alone(calls: int, concurrency: int = 8) -> float:
    """Return the CPU milliseconds that the client library alone takes for a call of ten queries."""
    openai = require("openai", "server", "Calling a model behind a server")
    prompt = _TEMPLATE.shared() + "".join(f'Q{i}: "{_TEXT.format(i)}"\n' for i in range(1, 11))
    asked: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": prompt}], "max_tokens": 120}

    async def send_all(server: str) -> None:
        free = asyncio.Semaphore(concurrency)

        async def send(client: Any) -> None:
            async with free:
                await client.chat.completions.create(**asked, temperature=0.0, seed=0)

        async with openai.AsyncOpenAI(base_url=server, api_key="unset") as client, asyncio.TaskGroup() as group:
            for _ in range(calls):
                group.create_task(send(client))

    with stub_server() as server:
        cpu = time.process_time()
        asyncio.run(send_all(server))
        return 1e3 * (time.process_time() - cpu) / calls


def _mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> None:
    """Print what an execution costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--answered", type=int, help="end when so many queries are answered; all without it")
    arguments = parser.parse_args()
    measure(200, 200)  # imports and compiles
    client_alone(50)
    made = measure(arguments.queries, arguments.answered or arguments.queries)
    print(f"{arguments.queries:,} queries, {made['calls']:,.0f} calls with answers")
    print(
        f"CPU per call: {made['cpu_ms']:.2f} ms; the client library alone, with its models: {client_alone(2000):.2f} ms"
    )
    print(f"wall per call: {made['wall_ms']:.2f} ms")
    print(f"memory: {made['planned_mib']:,.0f} MiB when planned, {made['most_mib']:,.0f} MiB at most")


if __name__ == "__main__":
    main()
