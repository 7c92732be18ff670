"""What `execute` itself costs: CPU time per call and memory by queries, against a server that answers at once.

``python -m robatch.bench.scale.execution`` prints the CPU time of this process per call; beside it what the client
library alone takes as it is meant to be used, with its models of requests and replies, which `execute` passes over; and
the most memory that it takes a query (`robatch.bench.scale.execution_memory`). The server is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import tempfile
import time
from pathlib import Path
from typing import Any

from robatch.bench.scale.execution_memory import EnoughError, measure_memory
from robatch.bench.scale.made_plan import TEMPLATE, TEXT, made_plan
from robatch.bench.scale.stub_server import stub_server
from robatch.instances.errors import require
from robatch.proxies.execution.run import execute


def measure(queries: int, answered: int, concurrency: int = 8) -> dict[str, float]:
    """Run an execution until so many queries are answered, and return what it took.

    Returns
    -------
    dict of str to float
        ``calls``, and ``cpu_ms`` and ``wall_ms`` per call.
    """
    with tempfile.TemporaryDirectory() as folder, stub_server() as server:
        routed = made_plan(Path(folder), server, queries)
        gc.collect()
        cpu, wall, calls = time.process_time(), time.perf_counter(), 0

        def tell(done: int, spent: float) -> None:
            nonlocal calls
            calls += 1
            if done >= answered:
                raise EnoughError

        with contextlib.suppress(EnoughError):
            execute(routed, Path(folder, "answers.jsonl"), concurrency=concurrency, on_answers=tell)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"calls": calls, "cpu_ms": 1e3 * cpu / calls, "wall_ms": 1e3 * wall / calls}


def client_alone(calls: int, concurrency: int = 8) -> float:
    """Return the CPU milliseconds that the client library alone takes for a call of ten queries."""
    openai = require("openai", "server", "Calling a model behind a server")
    prompt = TEMPLATE.shared() + "".join(f'Q{i}: "{TEXT.format(i)}"\n' for i in range(1, 11))
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


def _print_memory(queries: int, whole: bool) -> None:
    made = measure_memory(queries, whole)
    sent = f"{made['calls']:,} calls {'in all' if whole else 'of many'}, {made['seconds']:.0f} s"
    if made["most"] is None:
        print(f"memory of {queries:,} queries: this system does not tell ({sent})")
        return
    beyond, of_file, of_plan = made["most"] - made["file"], made["file"], made["plan"]
    print(
        f"memory of {queries:,} queries: {beyond:,.0f} bytes a query beyond the {of_file:,.0f} of their file; "
        f"reading the plan alone took {of_plan:,.0f} ({sent}, planned again {made['replans']} times)"
    )


def main() -> None:
    """Print what an execution costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=20_000, help="queries whose CPU time is measured")
    parser.add_argument("--answered", type=int, help="end when so many queries are answered; all without it")
    parser.add_argument("--memory", type=int, default=1_000_000, help="queries whose memory is measured; 0 for none")
    parser.add_argument("--quick", action="store_true", help="few queries, which shows only that it runs")
    given = parser.parse_args()
    queries, memory, alone = (500, 2_000, 50) if given.quick else (given.queries, given.memory, 2_000)
    measure(200, 200)  # imports and compiles
    client_alone(50)
    made = measure(queries, given.answered or queries)
    print(f"{queries:,} queries, {made['calls']:,.0f} calls with answers")
    print(
        f"CPU per call: {made['cpu_ms']:.2f} ms; the client library alone, with its models: "
        f"{client_alone(alone):.2f} ms"
    )
    print(f"wall per call: {made['wall_ms']:.2f} ms")
    for whole in (True, False) if memory else ():
        _print_memory(memory, whole)


if __name__ == "__main__":
    main()
