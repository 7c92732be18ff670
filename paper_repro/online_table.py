"""Measure online decisions against the offline optimum on the same stream; write the page ONLINE.md.

usage: python paper_repro/online_table.py [PAGE]     (default: paper_repro/ONLINE.md; one to two minutes)

Streams, samples and orders are seeded: all but the microseconds and the machine is the same in every run.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from robatch.bench.machine import describe
from robatch.instances import generate
from robatch.instances.files import write_text
from robatch.instances.problem import IntArray, Problem
from robatch.proxies.online.filling import Filler
from robatch.proxies.online.pacing import sample_price
from robatch.proxies.online.router import OnlineRouter
from robatch.solvers import solve

FAMILIES = ("realistic", "uncorrelated", "weakly-correlated")
FRACTIONS = (0.1, 0.3, 0.7)
HORIZONS = (1_000, 10_000)
LONG = 100_000  # one more horizon, of the first family alone
POLICIES = ("hindsight price", "sample price", "paced", "paced, no sample", "budget a query")
SAMPLE = 0.05
WAITS = (math.inf, 10.0, 1.0, 0.1)
SEED = 5

Outcome = tuple[float, float, int]
"""Utility, USD billed, and queries refused."""


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
    filler = Filler(problem.models)
    utilities, costs = problem.utilities(), problem.amortized_costs()
    own = problem.query_costs()[:, problem.state_model]
    allowed, allowance = problem.allowed(), budget / problem.n_queries
    total, refused = 0.0, 0
    for query in order.tolist():
        fits = allowed[query] & (own[query] + filler.entry() <= budget * (1.0 - 1e-12) - filler.spent)
        cheap = fits & (costs[query] <= allowance)
        if not fits.any():
            refused += 1
            continue
        state = int(np.argmax(np.where(cheap, utilities[query], -1.0)))
        if not cheap.any():
            state = int(np.argmin(np.where(fits, costs[query], np.inf)))
        filler.place(query, state, float(own[query, state]), None, 0.0)
        total += float(utilities[query, state])
    return total, filler.spent, refused


def outcomes(problem: Problem, order: IntArray, budget: float, hindsight: float, sample: IntArray) -> list[Outcome]:
    """Return what each of the policies makes of a stream."""
    models, n = problem.models, problem.n_queries
    price = sample_price(problem.take(sample), budget / n)
    routers = (
        OnlineRouter(models, hindsight, budget=budget),
        OnlineRouter(models, price, budget=budget),
        OnlineRouter(models, price, budget=budget, horizon=n),
        OnlineRouter(models, budget=budget, horizon=n),
    )
    return [*(routed(problem, order, router) for router in routers), budget_a_query(problem, order, budget)]


def markdown(lines: Sequence[Sequence[str]], left: int) -> str:
    """Return rows as a Markdown table whose first columns are text."""
    rule = ["---"] * left + ["---:"] * (len(lines[0]) - left)
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))


def policies_table(
    families: Sequence[str] = FAMILIES,
    horizons: Sequence[int] = HORIZONS,
    fractions: Sequence[float] = FRACTIONS,
    time_limit: float = 20.0,
) -> str:
    """Return the table of policies: utility in % of the offline optimum, budget used, queries refused."""
    lines = [["family", "queries", "budget at", "offline, realized", *POLICIES]]
    for family in families:
        for n in horizons:
            problem = generate(family, n, seed=SEED)
            rng = np.random.default_rng([SEED, n])
            order, sample = rng.permutation(n), rng.choice(n, max(1, round(SAMPLE * n)), replace=False)
            for fraction in fractions:
                budget = problem.budget_at(fraction)
                best = solve(problem, budget, "exact", time_limit=time_limit)
                real = solve(problem, budget, "greedy", cost="realized", seed=SEED)
                made = outcomes(problem, order, budget, best.shadow_price or 0.0, sample)
                worth = 0.0 if real.utility is None else real.utility / (best.utility or 1.0)
                cells = [
                    f"{utility / (best.utility or 1.0):.2%}, {usd / budget:.1%}" + (f", {none} refused" * bool(none))
                    for utility, usd, none in made
                ]
                lines.append([family, f"{n:,}", f"{fraction:g}", f"{worth:.2%}", *cells])
    return markdown(lines, 1)


def waiting_table(n: int = 10_000, waits: Sequence[float] = WAITS, fraction: float = 0.3) -> str:
    """Return the table of waiting limits: ten queries a second, paced, with full and with learnt fill."""
    problem = generate("realistic", n, seed=SEED)
    budget = problem.budget_at(fraction)
    best = solve(problem, budget, "exact", time_limit=20.0)
    order = np.random.default_rng([SEED, n]).permutation(n)
    lines = [["waits at most", "full calls reckoned", "mean fill learnt"]]
    for wait in waits:
        line = ["any time" if math.isinf(wait) else f"{wait:g} s"]
        for learn in (False, True):
            router = OnlineRouter(problem.models, budget=budget, horizon=n, max_wait=wait, learn_fill=learn)
            utility, usd, none = routed(problem, order, router, gap=0.1)
            line.append(f"{utility / (best.utility or 1.0):.2%}, {usd / budget:.1%}, {none} refused")
        lines.append(line)
    return markdown(lines, 1)


def microseconds(n: int = 20_000) -> str:
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

    ways = {
        "`decide`, one query": by_decide,
        "`decide_many`, a query of a block": lambda: router.decide_many(utilities, inputs, outputs),
        "`add` and `due`, paced and filling calls": lambda: routed(
            problem, np.arange(n), OnlineRouter(problem.models, price, budget=budget, horizon=n)
        ),
        "numpy's `argmax` alone, costs ready-made, windows and budget unchecked": by_numpy,
    }
    lines = [["", "microseconds"]]
    for name, way in ways.items():
        seconds = []
        for _ in range(6):
            begun = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - begun)
        lines.append([name, f"{median(seconds[1:]) / n * 1e6:.2f}"])  # the first warms up
    return markdown(lines, 1)


INTRODUCTION = """\
# Online decisions against the offline optimum

This page is written by `python paper_repro/online_table.py`. Queries arrive one by one in random order, utilities and
tokens are those of generated problems (4 models, 24 states) and known exactly on arrival: what is measured is the price
of not knowing the future, not that of predicting utilities.

A cell shows the utility in % of the offline optimum of the same stream (`exact`, amortized cost), and the part of the
budget that was billed, with the whole shared prompt of every call; the budget is at a fraction between the cheapest
(0) and the dearest (1). "n refused": so many queries got no answer as the budget was over; they count as utility 0.
No call waits for time here: those that are not full at the end are sent as they are.

- **offline, realized**: the plan of `greedy` under realized cost, which pays for partly filled calls, too.
- **hindsight price**: the shadow price of the whole stream, kept to the end.
- **sample price**: the shadow price of 5 % of the stream, kept to the end.
- **paced**: starts with that price, adapts it after every query.
- **paced, no sample**: starts with a guess from the first query.
- **budget a query**: each query gets its best state that costs at most budget / queries.
"""

WAITING = """\
`realistic`, 10,000 queries, ten a second, budget at 0.3, paced without a sample. A call is sent when it is full, or
when its first query has waited so long. Utility in % of the offline optimum without limits, budget billed, queries
refused. "Mean fill learnt" is `learn_fill=True`: a state's share of the shared prompt is reckoned with how full its
calls were.
"""

WAITED = """
Short waits cost utility whatever is done, since few queries pay for a shared prompt. The utility of a state is counted
as that of its full batch, though in a call with fewer queries answers may be better.
"""


def page() -> str:
    """Return the page as Markdown."""
    machine = describe()
    return "\n".join(
        [
            INTRODUCTION,
            policies_table(),
            *policies_table(FAMILIES[:1], (LONG,)).splitlines()[2:],
            "\n## Waiting limits\n",
            WAITING,
            waiting_table(),
            WAITED,
            "\n## Time of a decision\n",
            microseconds(),
            f"\nMedian of five runs over 20,000 queries, on {machine['cpu']} ({machine['cores']} cores in use by other",
            f"programs, too), {machine['python']}, numpy {machine['packages']['numpy']}, "
            f"numba {machine['packages']['numba']}. The times change from run to run; the rest does not.\n",
        ]
    )


if __name__ == "__main__":
    write_text(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "ONLINE.md", page())
