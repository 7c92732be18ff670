"""What `route` takes a query, by stage: CPU time of reading, features, predictions, and all of it with plan and calls.

``python -m robatch.bench.scale.prediction`` plans generated reviews of some 90 characters, no two alike, and texts of
1,000 characters made of them, with a proxy fitted to generated utilities of four models at six batch sizes. The CPU
time is that of all threads together; the wall time beside it shows how far they share the work.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from robatch.proxies.execution.routing import route
from robatch.proxies.tasks import reviews
from robatch.proxies.tasks.prompts import Template
from robatch.proxies.tasks.queries import Query, read_queries, write_queries
from robatch.proxies.utility.fit_context import FitContext
from robatch.proxies.utility.utility_proxy import UtilityProxy

MODELS, SIZES = 4, (1, 2, 4, 8, 16, 32)
LONG = 1000  # characters of the longer texts
MEASURED = 320  # queries that the proxy is fitted to
TEMPLATE = Template("Sort each review: positive or negative.", (("Fine.", "positive"),))


def made_texts(count: int, characters: int, seed: int = 0) -> list[str]:
    """Return texts of at least so many characters, no two alike: reviews, each with the number of its order."""
    rng = random.Random(seed)
    texts = []
    for i in range(count):
        text = ""
        while True:
            text += reviews.message(rng.choice(reviews.ANSWERS), rng.choice(reviews.GRADES), rng)
            if len(text) >= characters:
                break
            text += " "
        texts.append(f"{text} Order {i}.")
    return texts


def made_proxy(texts: list[str], router: str = "logistic", seed: int = 0) -> UtilityProxy:
    """Fit a proxy to utilities that depend on a text's length and on what is in it, with records of its models."""
    rng = np.random.default_rng(seed)
    states = [(f"m{k}", size) for k in range(MODELS) for size in SIZES]
    hard = np.array([("but" in text or "though" in text) + len(text) / LONG for text in texts])
    skill = np.array([k - 0.1 * np.log2(size) for k in range(MODELS) for size in SIZES])
    chance = 1.0 / (1.0 + np.exp(hard[:, None] - skill))
    tokens = np.array([[len(text) / 4.0] * MODELS for text in texts])
    proxy = UtilityProxy(states, router=router)
    proxy.fit(texts, (rng.random(chance.shape) < chance).astype(float), input_tokens=tokens, output_tokens=tokens / 9)
    models = tuple(
        {
            "name": f"m{k}", "price_in": 0.1 * 4**k, "price_out": 0.4 * 4**k, "shared_tokens": {"sort": 120},
            "context_window": 65_536, "chat": True, "server": "http://127.0.0.1:9/v1",
        }
        for k in range(MODELS)
    )  # fmt: skip
    task = {"name": "sort", "template": TEMPLATE.to_dict(), "grader": "auto", "max_output_tokens": 16}
    proxy.facts_ = FitContext(models, task, len(texts))
    return proxy


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a call returns, and its CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = run()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def measure(count: int, characters: int, router: str = "logistic", repeated: int = 1) -> dict[str, tuple[float, float]]:
    """Measure the stages on so many texts, each of which stands `repeated` times among them.

    Returns
    -------
    dict
        Microseconds a query by stage, as CPU and as wall time.
    """
    proxy = made_proxy(made_texts(MEASURED, characters, seed=1), router)
    texts = made_texts(count // repeated, characters) * repeated
    queries = [Query(f"q{i}", text, choices=reviews.ANSWERS) for i, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "queries.jsonl")
        write_queries(path, queries[:100])
        route(path, proxy, budget_fraction=0.5)  # imports and compiles
        write_queries(path, queries)
        route(path, proxy, budget_fraction=0.5)  # what this many queries need is compiled too
        stages: dict[str, Callable[[], Any]] = {
            "reading": lambda: read_queries(path),
            "features": lambda: proxy.features_.transform(texts),
            "predict": lambda: proxy.predict(texts),
            "predict_queries": lambda: proxy.predict_queries(queries),
            "predict_queries, robust": lambda: proxy.predict_queries(queries, 0.9),
            "route": lambda: route(path, proxy, budget_fraction=0.5),
        }
        found = {}
        for name, run in stages.items():
            _, cpu, wall = timed(run)
            found[name] = (1e6 * cpu / len(texts), 1e6 * wall / len(texts))
    return found


def main() -> None:
    """Print the microseconds of each stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", type=int, default=200_000, help="reviews of some 90 characters")
    parser.add_argument("--long", type=int, default=50_000, help=f"texts of {LONG:,} characters")
    parser.add_argument("--router", default="logistic", help="the estimator of the proxy")
    parser.add_argument("--repeated", type=int, default=1, help="how often each text stands among the queries")
    parser.add_argument("--quick", action="store_true", help="few queries, which shows only that it runs")
    given = parser.parse_args()
    for count, characters in ((given.short, 1), (given.long, LONG)):
        used = 200 if given.quick else count
        if not used:
            continue
        found = measure(used, characters, given.router, given.repeated)
        print(f"{used:,} texts of {'some 90' if characters == 1 else f'{LONG:,}'} characters, {given.router}:")
        for name, (cpu, wall) in found.items():
            print(f"  {name:<24} {cpu:9.1f} us of CPU a query, {wall:9.1f} us of wall time")


if __name__ == "__main__":
    main()
