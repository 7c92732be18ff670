"""The paper's claims, as far as they are known, beside what was found here.

Verdicts and sentences are made of the recorded results, each by the rule that its function states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from paper_repro.common.csv_tables import Table
from paper_repro.common.strategies import PEERS
from paper_repro.experiments.comparison import TIE

Results = Mapping[str, Mapping[str, Table]]
"""Recorded tables by experiment and name."""

CLOSE = 0.005
"""Mean utility per query below which a lead is called small."""

RUN = "`python -m paper_repro.run {}`"
PAPER = "pareto"
"""The paper's scheduler, as reconstructed."""

SAME, IN_PART, DIFFERENT, UNTESTED = "same", "same in part", "different", "not testable here"
Found = tuple[str, str]
"""A verdict, and what was found."""


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    text, source
        What is claimed; ``"abstract"`` if read there, ``"second-hand"`` if told by others about the full text.
    found
        From the results to a verdict and what was found here.
    command
        What makes the figures again.
    """

    text: str
    source: str
    found: Callable[[Results], Found]
    command: str


def _where(table: Table, **values: Any) -> Table:
    return [row for row in table if all(row[key] == value for key, value in values.items())]


def _range(values: Iterable[float]) -> str:
    found = [100 * value for value in values]
    return f"{min(found):.1f} to {max(found):.1f} %"


def _names(names: Iterable[str]) -> str:
    found = [f"`{name}`" for name in dict.fromkeys(names)]
    return ", ".join(found) if found else "none"


def _counts(rows: Table, low: str, high: str) -> tuple[int, int]:
    """Count rows whose interval is above 0, and below 0."""
    return sum(row[low] > TIE for row in rows), sum(row[high] < -TIE for row in rows)


def share(results: Results) -> Found:
    """Judge the shared prompt's part of the cost: the same if it falls for every model and task."""
    models = results["motivation"]["models"]
    falls = all(row["shared_share_largest"] < row["shared_share_alone"] for row in models)
    text = (
        f"From {_range(row['shared_share_alone'] for row in models)} alone to "
        f"{_range(row['shared_share_largest'] for row in models)} at b = {max(row['largest'] for row in models):.0f}, "
        f"over {len({row['model'] for row in models})} models and {len({row['task'] for row in models})} tasks."
    )
    return (SAME if falls else DIFFERENT), text


def stability(results: Results) -> Found:
    """Judge who loses first: the same if every model loses in no larger part of its tasks than each smaller one."""
    models = results["motivation"]["models"]
    judged = [row for row in models if not row["guesses"]]
    counts, parts = [], []
    for model in dict.fromkeys(row["model"] for row in models):
        mine = _where(judged, model=model)
        lost = [row for row in mine if row["loses_from"] is not None]
        if mine:
            counts.append(len(lost) / len(mine))
            where = ", ".join(f"{row['task'].replace('_', ' ')} from b = {row['loses_from']:.0f}" for row in lost)
            parts.append(f"`{model}` loses in {len(lost)} of {len(mine)}" + (f" ({where})" if where else ""))
    ordered = all(first >= second for first, second in pairwise(counts))
    text = (
        f"Of {len(models)} pairs of model and task, {len(models) - len(judged)} guess when queries go alone and have nothing "
        f"to lose. Of the others, from the smallest model up: {'; '.join(parts)}."
    )
    return (SAME if ordered and counts[:1] > counts[-1:] else IN_PART), text


def parts(results: Results) -> Found:
    """Judge routing with batching: the same if better than either in all tasks, by the upper budgets too."""
    areas = _where(results["comparison"]["areas"], kind="measured")
    tasks = len({row["dataset"] for row in areas})
    text, verdict = [], SAME
    for name, what in (("router-only", "routing alone"), ("batch-only", "batching alone"),
                       ("state means", "batching and models, but no routing of single queries")):  # fmt: skip
        here = _where(areas, strategy=name)
        better, worse = _counts(here, "ahead_low", "ahead_high")
        upper, upper_worse = _counts(here, "upper_ahead_low", "upper_ahead_high")
        text.append(
            f"{what}: better in {better}, worse in {worse} of {tasks} tasks over all budgets, {upper} and {upper_worse} over "
            "those that pay for every query alone"
        )
        if better < tasks or upper < tasks:
            verdict = IN_PART
    return verdict, "Areas under the curve of the proxy's exact plans against " + "; ".join(text) + "."


def peers(results: Results) -> Found:
    """Judge it against peers: the same if clearly better in most cells, clearly worse in none, and close to none."""
    text, verdict = [], SAME
    for name, where in (("comparison", "measured tasks"), ("routing_tables", "routing tables (semi-synthetic)")):
        curves = [row for row in results[name]["curves"] if row["strategy"] in PEERS]
        wins = [row for row in results[name]["wins"] if row["strategy"] in PEERS]
        better, worse = _counts(curves, "ahead_low", "ahead_high")
        close = [row["strategy"] for row in wins if row["mean_ahead"] < CLOSE]
        text.append(
            f"On {where}, exact plans are clearly better than peers in {better} and clearly worse in {worse} of "
            f"{len(curves)} pairs of peer and budget; on average less than {CLOSE:g} behind or ahead: {_names(close)}"
        )
        if worse or better < len(curves) / 2 or close:
            verdict = IN_PART
    return verdict, ". ".join(text) + "."


def optimum(results: Results) -> Found:
    """Judge greedy scheduling: the same if it misses the optimum by more than rounding."""
    gaps = [row for row in results["gap"]["by_family_and_queries"] if row["worst_gap"] is not None]
    most = max(row["queries"] for row in gaps)
    large = {row["solver"]: row for row in _where(gaps, queries=most, family="realistic")}
    worst = {solver: max(_where(gaps, solver=solver), key=lambda row: row["worst_gap"]) for solver in (PAPER, "greedy")}
    said = "; ".join(
        f"`{solver}` {100 * row['worst_gap']:.0f} % (`{row['family']}`, {row['queries']:.0f} queries)"
        for solver, row in worst.items()
    )
    text = (
        f"Realistic problems of {most:,.0f} queries: `{PAPER}` misses {100 * large[PAPER]['mean_gap']:.2g} % on average, "
        f"`greedy`, along the hulls, {100 * large['greedy']['mean_gap']:.1g} %. The worst of all families and sizes: {said}."
    )
    return (SAME if worst[PAPER]["worst_gap"] > TIE else DIFFERENT), text


def scheduling(results: Results) -> Found:
    """Judge the time of scheduling: the same if the reconstructed scheduler takes longer than prediction at any size."""
    times, before = results["scheduling"]["times"], results["scheduling"]["parts"]
    predict, answer = (row["us_per_query"] for row in before)
    most = max(row["queries"] for row in times)
    here = {row["solver"]: row for row in _where(times, queries=most)}
    slowest = max(row["us_per_query"] for row in _where(times, solver=PAPER))
    text = (
        f"On one core, at {most:,.0f} queries x {here[PAPER]['states']:.0f} states, "
        + ", ".join(f"`{name}` takes {row['us_per_query']:.2g}" for name, row in here.items())
        + f" microseconds a query; predicting utilities from texts takes {predict:.3g}, and an answer of the fastest state "
        f"recorded {answer:,.0f}."
    )
    return (SAME if slowest > predict else DIFFERENT), text


def proxy(results: Results) -> Found:
    """Judge the proxy: the same if it clearly gains against state means in every measured task."""
    rows = _where(results["worth"]["overall"], kind="measured")
    better, worse = _counts(_where(rows, step="state means to proxy"), "low", "high")
    tasks = len({row["dataset"] for row in rows})
    steps = {
        step: float(np.mean([row["worth"] for row in _where(rows, step=step)]))
        for step in dict.fromkeys(r["step"] for r in rows)
    }
    said = "; ".join(f"{step} {value:+.4f}" for step, value in steps.items())
    text = (
        f"Against planning by state means the proxy is clearly better in {better}, clearly worse in {worse} of {tasks} "
        f"measured tasks. True utility gained per query, mean over budgets and tasks: {said}."
    )
    return (SAME if better == tasks else IN_PART), text


def _said(verdict: str, text: str) -> Callable[[Results], Found]:
    return lambda results: (verdict, text)


CLAIMS = (
    Claim(
        "Route with Batching is NP-hard.",
        "abstract",
        _said(SAME, "A knapsack is a special case: `from_knapsack` and `Knapsack.from_problem`, tested both ways."),
        "`pytest tests/instances/test_knapsack.py`",
    ),
    Claim(
        "The shared prompt's part of the cost falls from 59.5 % to 8.4 % (AG News), from 90.1 % to 53.2 % (GSM8K).",
        "second-hand",
        share,
        RUN.format("motivation"),
    ),
    Claim(
        "Accuracy is stable to about b = 16 (AG News) and 8 (GSM8K), then falls fast, small models first.",
        "second-hand",
        stability,
        RUN.format("motivation"),
    ),
    Claim(
        "Routing and batching are complementary: both together do better than one.",
        "abstract",
        parts,
        RUN.format("comparison"),
    ),
    Claim(
        "The trade-off of cost and utility is better than that of routing and batching baselines throughout.",
        "second-hand",
        peers,
        RUN.format("comparison routing_tables"),
    ),
    Claim("The greedy scheduler may not find the global optimum.", "second-hand", optimum, RUN.format("gap")),
    Claim("Scheduling, not prediction, is the dominant overhead.", "second-hand", scheduling, RUN.format("scheduling")),
    Claim(
        "A utility per model times a scaling by batch size, recalibrated, is a proxy good enough to plan by.",
        "abstract",
        proxy,
        RUN.format("worth"),
    ),
    Claim(
        "All of this for Qwen3 4B, 14B, 32B and Gemma3 on GSM8K, AG News, IMDB, MMLU and two more benchmarks.",
        "second-hand",
        _said(UNTESTED, "No GPU was at hand. `profile_hub.toml` with `pool_gpu.toml` is ready, and was not run by us."),
        "`robatch profile paper_repro/profile_hub.toml --pool paper_repro/pool_gpu.toml --dry-run`",
    ),
)
