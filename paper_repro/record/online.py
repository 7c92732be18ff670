"""Measure online decisions against the offline optimum on the same stream, and record the tables in results/online.

usage: python -m paper_repro.record.online     (some minutes; then `python -m paper_repro.pages online`)

Streams, samples and orders are seeded: all but the microseconds and the machine is the same in every run.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from itertools import product
from statistics import median
from typing import NamedTuple

import numpy as np

from paper_repro.common import markdown
from paper_repro.common.paths import BUNDLED, RESULTS
from paper_repro.common.profile_data import measured_queries
from robatch.bench.common.machine import describe
from robatch.instances import generate
from robatch.instances.arrays import IntArray
from robatch.instances.files import write_text
from robatch.instances.problem import Problem
from robatch.proxies.online.call_buffer import CallBuffer, OnlineCall
from robatch.proxies.online.pacing import sample_price
from robatch.proxies.online.router import OnlineRouter
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.tasks.queries import Query
from robatch.proxies.utility.utility_proxy import UtilityProxy
from robatch.solvers import solve

FAMILIES = ("realistic", "uncorrelated", "weakly-correlated")
FRACTIONS = (0.1, 0.3, 0.7)
HORIZONS = (1_000, 10_000)
LONGEST = 100_000  # one more horizon, of the first family alone
WAYS = ("hindsight price", "sample price", "paced", "paced, no sample", "budget a query")
SAMPLED_SHARE = 0.05  # of the stream, to learn a price from
COPIES = 20  # of each query with a measured answer
WAITS = (math.inf, 10.0, 1.0, 0.1)  # seconds
SEED = 5

Outcome = tuple[float, float, int]
"""Utility, USD billed, and queries refused."""


def optimum(problem: Problem, budget: float) -> tuple[float, float]:
    """Return the utility of the offline optimum under amortized cost, and its shadow price."""
    best = solve(problem, budget, "exact", "amortized", time_limit=600.0)
    if best.status != "optimal" or best.utility is None or best.shadow_price is None:
        raise SystemExit(f"the optimum of {problem.n_queries} queries was not found: {best.message}")
    return best.utility, best.shadow_price


def routed(problem: Problem, order: IntArray, router: OnlineRouter, gap: float = 0.0) -> Outcome:
    """Send a stream through a router, one query every `gap` seconds."""
    utilities = problem.utilities().astype(np.float64)
    inputs, outputs = problem.input_tokens.astype(np.float64), problem.output_tokens.astype(np.float64)
    total = 0.0
    for position, query in enumerate(order.tolist()):
        now = position * gap
        state = router.add(
            query, now, utilities=utilities[query], input_tokens=inputs[query], output_tokens=outputs[query]
        )
        router.due(now)
        total += 0.0 if state is None else float(utilities[query, state])
    router.flush()
    return total, router.spent, router.refused


def budget_a_query(problem: Problem, order: IntArray, budget: float) -> Outcome:
    """Give each query its best state that costs at most an equal part of the budget, amortized; no more, no less."""
    buffer = CallBuffer(problem.models)
    utilities, costs = problem.utilities(), problem.amortized_costs()
    own = problem.query_costs()[:, problem.state_model]
    allowed, allowance = problem.allowed(), budget / problem.n_queries
    total, refused = 0.0, 0
    for query in order.tolist():
        fits = allowed[query] & (own[query] + buffer.call_costs() <= budget * (1.0 - 1e-12) - buffer.spent)
        cheap = fits & (costs[query] <= allowance)
        if not fits.any():
            refused += 1
            continue
        state = int(np.argmax(np.where(cheap, utilities[query], -1.0)))
        if not cheap.any():
            state = int(np.argmin(np.where(fits, costs[query], np.inf)))
        buffer.place(query, state, float(own[query, state]), None, 0.0)
        total += float(utilities[query, state])
    return total, buffer.spent, refused


def outcomes(problem: Problem, order: IntArray, budget: float, hindsight: float, sample: IntArray) -> list[Outcome]:
    """Return what the router makes of a stream in each way, and what the baseline does."""
    models, n = problem.models, problem.n_queries
    price = sample_price(problem.take(sample), budget / n)
    routers = (
        OnlineRouter(models, hindsight, budget=budget),
        OnlineRouter(models, price, budget=budget),
        OnlineRouter(models, price, budget=budget, horizon=n),
        OnlineRouter(models, budget=budget, horizon=n),
    )
    return [*(routed(problem, order, router) for router in routers), budget_a_query(problem, order, budget)]


def streams_table(
    families: Sequence[str] = FAMILIES,
    horizons: Sequence[int] = HORIZONS,
    fractions: Sequence[float] = FRACTIONS,
) -> str:
    """Return the table of generated streams: utility in % of the offline optimum, budget used, queries refused."""
    lines = []
    for family, n in product(families, horizons):
        problem = generate(family, n, seed=SEED)
        rng = np.random.default_rng([SEED, n])
        order, sample = rng.permutation(n), rng.choice(n, max(1, round(SAMPLED_SHARE * n)), replace=False)
        for fraction in fractions:
            budget = problem.budget_at(fraction)
            best, price = optimum(problem, budget)
            real = solve(problem, budget, "greedy", cost="realized", seed=SEED)
            if real.utility is None:
                raise SystemExit(f"no plan of {family}, {n} queries, keeps the budget: {real.message}")
            cells = [
                _cell(f"{utility / best:.2%}", usd / budget, refused)
                for utility, usd, refused in outcomes(problem, order, budget, price, sample)
            ]
            lines.append([family, f"{n:,}", f"{fraction:g}", f"{real.utility / best:.2%}", *cells])
    return markdown.table(["family", "queries", "budget at", "offline, realized", *WAYS], lines)


def _cell(utility: str, spent: float, refused: int) -> str:
    return f"{utility}, {spent:.1%}" + f", {refused} refused" * bool(refused)


def waiting_table(n: int = 10_000, waits: Sequence[float] = WAITS, fraction: float = 0.3) -> str:
    """Return the table of waiting limits: ten queries a second, paced, by two shares of the shared prompt."""
    problem = generate("realistic", n, seed=SEED)
    budget = problem.budget_at(fraction)
    best, _ = optimum(problem, budget)
    order = np.random.default_rng([SEED, n]).permutation(n)
    lines = []
    for wait in waits:
        line = ["any time" if math.isinf(wait) else f"{wait:g} s"]
        for learn in (False, True):
            router = OnlineRouter(problem.models, budget=budget, horizon=n, max_wait=wait, learn_fill=learn)
            utility, usd, none = routed(problem, order, router, gap=0.1)
            line.append(f"{utility / best:.2%}, {usd / budget:.1%}, {none} refused")
        lines.append(line)
    return markdown.table(["waits at most", "as full calls", "as filled so far"], lines)


class Recorded(NamedTuple):
    """The recorded profile in two halves: queries to which a proxy is fitted, and new ones.

    `truth` has the measured utilities and tokens of the new queries.
    """

    proxy: UtilityProxy
    fitted: list[Query]
    new: list[Query]
    truth: Problem


def recorded() -> Recorded:
    """Read the recorded profile, write its queries' texts again, and fit a proxy to half of them."""
    measurements = Measurements.read(BUNDLED / "measured_profile.parquet")
    texts = {query.id: query for query in measured_queries(measurements, measurements.tasks[0])}
    ids, problem = measurements.query_ids(), measurements.to_problem()
    order = np.random.default_rng(SEED).permutation(len(ids))
    fitted, new = ([texts[ids[i]] for i in half] for half in np.array_split(order, 2))
    proxy = UtilityProxy.from_measurements(measurements, fitted)
    return Recorded(proxy, fitted, new, problem.take(order[len(fitted) :]))


def proxy_table(data: Recorded, copies: int = COPIES, fractions: Sequence[float] = FRACTIONS) -> str:
    """Return the table of a stream whose utilities a proxy predicts: measured utility a query, and budget billed."""
    proxy, known = data.proxy, data.proxy.to_problem(data.fitted)
    utility, inputs, outputs = proxy.vectors(data.new)
    order = np.random.default_rng(SEED).permutation(np.repeat(np.arange(len(data.new)), copies))
    n = len(order)
    predicted = Problem(known.models, inputs[order], outputs[order], utility=utility[order])
    right, own = data.truth.utilities(), data.truth.query_costs()
    inputs, outputs = data.truth.input_tokens[order], data.truth.output_tokens[order]
    true = Problem(known.models, inputs, outputs, utility=right[order])
    names = [model.name for model in known.models]
    place = {query.id: i for i, query in enumerate(data.new)}

    def settle(router: OnlineRouter, calls: Sequence[OnlineCall]) -> None:
        for call in calls:
            k = names.index(call.state.model)
            rows = [place[query.id] for query in call.queries]
            router.settle(call, known.models[k].call_price + float(own[rows, k].sum()))

    lines = []
    for fraction in fractions:
        budget = predicted.budget_at(fraction)
        plan = solve(predicted, budget, "exact", "amortized", time_limit=600.0)
        if plan.assignment is None:
            raise SystemExit(f"no plan keeps the budget: {plan.message}")
        reached = float(right[order, plan.assignment].mean())
        line = [f"{fraction:g}", f"{optimum(true, budget)[0] / n:.3f}", f"{reached:.3f}"]
        price = sample_price(known, budget / n)
        for start, horizon in ((price, None), (price, n), (None, n)):
            router = OnlineRouter(proxy, start, budget=budget, horizon=horizon)
            total = 0.0
            for i in order.tolist():
                state = router.add(data.new[i], 0.0)
                total += 0.0 if state is None else float(right[i, state])
                settle(router, router.due(0.0))
            settle(router, router.flush())
            line.append(_cell(f"{total / n:.3f}", router.spent / budget, router.refused))
        lines.append(line)
    return markdown.table(["budget at", "best in hindsight", "offline, predicted", *WAYS[1:4]], lines, left=0)


def microseconds(data: Recorded, n: int = 20_000) -> str:
    """Return the table of times: medians of five runs over n queries of 24 states, in one thread."""
    problem = generate("realistic", n, seed=SEED)
    utilities, inputs, outputs = problem.utilities(), problem.input_tokens, problem.output_tokens
    budget, costs = problem.budget_at(0.3), problem.amortized_costs()
    price = sample_price(problem.take(np.arange(min(n, 500))), budget / n)
    router = OnlineRouter(problem.models, price)

    def by_numpy() -> None:
        for query in range(n):
            np.argmax(utilities[query] - price * costs[query])

    def by_decide() -> None:
        for query in range(n):
            router.decide(utilities[query], inputs[query], outputs[query])

    texts = OnlineRouter(data.proxy, price)

    def by_route() -> None:
        for query in data.new:
            texts.route(query)

    ways = {
        "`route`, one query, its text's features and utilities predicted by a proxy": by_route,
        "`decide`, one query": by_decide,
        "`decide_many`, a query of a block": lambda: router.decide_many(utilities, inputs, outputs),
        "`add` and `due`, paced and filling calls": lambda: routed(
            problem, np.arange(n), OnlineRouter(problem.models, price, budget=budget, horizon=n)
        ),
        "numpy's `argmax` alone, costs ready-made, windows and budget unchecked": by_numpy,
    }
    lines = []
    for name, way in ways.items():
        seconds = []
        for _ in range(6):
            begun = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - begun)
        count = len(data.new) if way is by_route else n
        lines.append([name, f"{median(seconds[1:]) / count * 1e6:.2f}"])  # the first warms up
    return markdown.table(["", "microseconds"], lines)


def main() -> None:
    """Measure and record everything."""
    data, folder, machine = recorded(), RESULTS / "online", describe()
    about = {
        "models": len(data.proxy.layout_.models), "states": len(data.proxy.layout_.states),
        "fitted": len(data.fitted), "new": len(data.new), "copies": COPIES,
        "cpu": machine["cpu"], "cores": machine["cores"], "python": machine["python"],
        "packages": {name: machine["packages"][name] for name in ("numpy", "numba")},
    }  # fmt: skip
    longest = streams_table(FAMILIES[:1], (LONGEST,)).splitlines()[2:]
    tables = {
        "streams": "\n".join([streams_table(), *longest]),
        "predicted": proxy_table(data),
        "waiting": waiting_table(),
        "times": microseconds(data),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_text(folder / f"{name}.md", table + "\n")
    write_text(folder / "about.json", json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
