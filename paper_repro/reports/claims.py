"""The rules by which the paper's claims, which stand in README.md.jinja, are judged on the recorded results.

A rule states when a claim is the same here, and says in a sentence what was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from paper_repro.common.csv_tables import Table, distinct, where
from paper_repro.common.strategies import ALONE, BASELINES, EXACT
from paper_repro.experiments.comparison import TIE
from robatch.bench.common import heap_baseline

Results = Mapping[str, Mapping[str, Table]]
"""Recorded tables by experiment and name."""

SAME, SAME_DIRECTION, IN_PART = "same", "same direction, other figures", "same in part"
DIFFERENT, UNCLEAR, UNTESTED = "different", "not told apart", "not testable here"
VERDICTS = (SAME, SAME_DIRECTION, IN_PART, DIFFERENT, UNCLEAR, UNTESTED)
Found = tuple[str, str]
"""A verdict, and what was found."""

COMPARISONS = {"comparison": "measured tasks", "routing_tables": "routing tables *"}

CLOSE = 0.005
"""Mean gain in utility per query below which a step is called small."""

PAPER = "pareto"
"""The paper's scheduler, as reconstructed."""

STABLE = 8
"""Batch size to which the paper's harder task is said to be stable."""


def verdict(better: int, worse: int, enough: float) -> str:
    """Judge counts of what is clearly better and clearly worse, where so many better ones are enough."""
    if not better and not worse:
        return UNCLEAR
    return DIFFERENT if worse > better else SAME if better >= enough and not worse else IN_PART


def joint(verdicts: list[str]) -> str:
    """Join verdicts: one that is different decides, and one that is not the same leaves a part."""
    found = set(verdicts)
    return DIFFERENT if DIFFERENT in found else found.pop() if len(found) == 1 else IN_PART


def counts(rows: Table, low: str = "low", high: str = "high") -> tuple[int, int]:
    """Count rows whose interval is above 0, and below 0."""
    known = [row for row in rows if row[low] is not None]
    return sum(row[low] > TIE for row in known), sum(row[high] < -TIE for row in known)


class Counts(NamedTuple):
    """Cases in which plans are clearly better, and clearly worse, and all."""

    better: int
    worse: int
    cases: int


def grouped(tables: Mapping[str, Table], members: tuple[str, ...]) -> dict[str, tuple[Counts, Counts]]:
    """Count RoBatch's wins over some strategies: at all budgets, and at those that pay for every query alone."""
    paid = {(row["dataset"], row["budget"]) for row in tables["curves"]
            if row["strategy"] == ALONE and row["answered"] == 1}  # fmt: skip
    mine = [row for row in tables["leads"] if row["strategy"] in members]
    found = {}
    for plan in distinct(mine, "plan"):
        whole = where(mine, plan=plan)
        upper = [row for row in whole if (row["dataset"], row["budget"]) in paid]
        found[plan] = (Counts(*counts(whole), len(whole)), Counts(*counts(upper), len(upper)))
    return found


def _range(values: Iterable[float]) -> str:
    found = [100 * value for value in values]
    return f"{min(found):.1f} to {max(found):.1f} %"


def share(results: Results) -> Found:
    """Judge the shared prompt's part of the cost: the direction is the same if it falls for every model and task."""
    models = results["motivation"]["models"]
    falls = all(row["shared_share_largest"] < row["shared_share_alone"] for row in models)
    text = (
        f"{_range(row['shared_share_alone'] for row in models)} of the cost where queries go alone, "
        f"{_range(row['shared_share_largest'] for row in models)} in calls of {max(row['largest'] for row in models):.0f}, "
        f"over {len(distinct(models, 'model'))} models and {len(distinct(models, 'task'))} tasks. The paper's "
        "own figures depend on its tasks and prompts, which are others."
    )
    return (SAME_DIRECTION if falls else DIFFERENT), text


def stability(results: Results) -> Found:
    """Judge where models begin to lose, among those that are clearly better than guessing.

    Stable: nobody loses at `STABLE` or below. Small first: of two models on a task the smaller loses from a smaller batch size
    on, or is the only one to lose. The same if all are stable, a smaller one loses first somewhere and a larger one
    nowhere; different if most are not stable and as many larger ones lose first as smaller ones.
    """
    models = results["motivation"]["models"]
    judged = [row | {"from": np.inf if row["loses_from"] is None else row["loses_from"]} for row in models
              if not row["guesses"]]  # fmt: skip
    size = {model: place for place, model in enumerate(distinct(models, "model"))}  # from the smallest up
    late = sum(row["from"] > STABLE for row in judged)
    pairs = [(small, large) for place, small in enumerate(judged) for large in judged if small["task"] == large["task"]
             and size[large["model"]] > size[small["model"]]]  # fmt: skip
    first, last = (sum(sign * (large["from"] - small["from"]) > 0 for small, large in pairs
                       if large["from"] != small["from"]) for sign in (1, -1))  # fmt: skip
    parts = []
    for model in distinct(judged, "model"):
        sizes = [f"{row['task'].replace('_', ' ')} " + ("never" if np.isinf(row["from"]) else f"b = {row['from']:.0f}")
                 for row in where(judged, model=model)]  # fmt: skip
        parts.append(f"`{model}`: {', '.join(sizes)}")
    text = (
        f"Of {len(models)} pairs of model and task, {len(models) - len(judged)} are not clearly better than guessing even "
        f"alone. The others have clearly lost accuracy from these sizes on: {'; '.join(parts)}. Stable to b = "
        f"{STABLE}: {late} of {len(judged)}. Of two models on a task, the smaller loses first in {first}, the larger in "
        f"{last}, both at once in {len(pairs) - first - last}."
    )
    if late == len(judged) and not last and first:
        return SAME, text
    return (DIFFERENT if 2 * late < len(judged) and last >= first else IN_PART), text


def parts(results: Results) -> Found:
    """Judge routing with batching, by the paper's scheduler: better than either in all tasks, at the upper budgets too.

    Different if either is clearly ahead in more tasks than behind.
    """
    leads = where(results["comparison"]["area_leads"], kind="measured")
    tasks = len(distinct(leads, "dataset"))
    text, verdicts = [], []
    for name, what in (("router-only", "routing alone"), ("batch-only", "batching alone")):
        said = []
        for plan in (PAPER, EXACT):
            here = where(leads, plan=plan, strategy=name)
            whole, upper = counts(here), counts(here, "upper_low", "upper_high")
            said.append(
                f"`{plan}` is clearly better in {whole[0]} and worse in {whole[1]} of {tasks} tasks over all budgets, and in "
                f"{upper[0]} and {upper[1]} over the budgets that pay for every query alone"
            )
            if plan == PAPER:
                verdicts += [verdict(*whole, tasks), verdict(*upper, tasks)]
        text.append(f"Against {what}, {'; '.join(said)}")
    return joint(verdicts), ". ".join(text) + "."


def baselines(results: Results) -> Found:
    """Judge the paper's scheduler against baselines at each budget: the same if better at most, and nowhere worse.

    Different if they are ahead at more budgets than behind, measured or on tables, over all budgets or those that pay
    for every query alone. Peers are no part of the claim.
    """
    text, verdicts = [], []
    for name, words in COMPARISONS.items():
        found = grouped(results[name], BASELINES)
        said = []
        for plan in (PAPER, EXACT):
            whole, upper = found[plan]
            said.append(
                f"`{plan}` is clearly better in {whole.better} and worse in {whole.worse} of {whole.cases}, at budgets that pay "
                f"for every query alone in {upper.better} and {upper.worse} of {upper.cases}"
            )
        verdicts += [verdict(one.better, one.worse, one.cases / 2) for one in found[PAPER]]
        text.append(f"On {words}, of cases of baseline, dataset and budget, {'; '.join(said)}")
    return joint(verdicts), ". ".join(text) + ". Peers: see the comparison below."


def optimum(results: Results) -> Found:
    """Judge greedy scheduling: the same if it misses a proven optimum by more than rounding."""
    gaps = [row for row in results["gap"]["by_family_and_queries"] if row["worst_gap"] is not None]
    realistic = where(gaps, family="realistic")
    most = max(row["queries"] for row in realistic)
    large = {row["solver"]: row for row in where(realistic, queries=most)}
    worst = {solver: max(where(gaps, solver=solver), key=lambda row: row["worst_gap"]) for solver in (PAPER, "greedy")}
    said = "; ".join(
        f"`{solver}` {100 * row['worst_gap']:.0f} % (`{row['family']}`, {row['queries']:.0f} queries)"
        for solver, row in worst.items()
    )
    text = (
        f"On generated problems of the family `realistic` with {most:,.0f} queries, `{PAPER}` misses "
        f"{100 * large[PAPER]['mean_gap']:.2g} % on average, `greedy` {100 * large['greedy']['mean_gap']:.1g} %. The worst "
        f"of all {len(distinct(gaps, 'family'))} families and sizes, where an optimum is proven: {said}."
    )
    return (SAME if worst[PAPER]["worst_gap"] > TIE else DIFFERENT), text


def scheduling(results: Results) -> Found:
    """Judge the time of scheduling against that of prediction, by the reconstructed scheduler.

    The same if it takes twice as long, compiled, at the greatest size; different if it takes less than half as long at
    any size, in plain Python, too. Between, machines and languages decide.
    """
    times, before = results["scheduling"]["times"], results["scheduling"]["parts"]
    predict, answer = (row["us_per_query"] for row in before)
    said, longest = [], {}
    for solver in distinct(times, "solver"):
        here = sorted(where(times, solver=solver), key=lambda row: row["queries"])
        ends = [f"{row['us_per_query']:.2g} ({row['queries']:,.0f} queries)" for row in (here[0], here[-1])]
        longest[solver] = max(row["us_per_query"] for row in here)
        said.append(f"`{solver}` {' to '.join(ends)}")
    last = max(where(times, solver=PAPER), key=lambda row: row["queries"])
    text = (
        f"Microseconds a query on one core, {last['states']:.0f} states: {'; '.join(said)}. Predicting utilities from texts by "
        f"word counts and logistic regression takes {predict:.3g}, an answer of the fastest state recorded {answer:,.0f} "
        "(vLLM on two cores). `python-heap` is the reconstructed scheduler in plain Python, which was not run with more "
        "queries, and whose time per query grows."
    )
    if last["us_per_query"] > 2 * predict:
        return SAME, text
    return (DIFFERENT if max(longest[name] for name in (PAPER, heap_baseline.NAME)) < predict / 2 else IN_PART), text


def proxy(results: Results) -> Found:
    """Judge the proxy against state means: better in every measured task; different if worse in more than better."""
    rows = where(results["worth"]["overall"], step="state means to proxy")
    better, worse = counts(rows)
    tables = where(results["worth_tables"]["overall"], step="state means to proxy")
    also, also_worse = counts(tables)
    text = (
        f"Against planning by state means, utility on the truth is clearly better in {better} and worse in {worse} of "
        f"{len(rows)} measured tasks ({np.mean([row['worth'] for row in rows]):+.4f} per query on average), in {also} and "
        f"{also_worse} of {len(tables)} routing tables ({np.mean([row['worth'] for row in tables]):+.4f})."
    )
    return verdict(better, worse, len(rows)), text


def judged(results: Results) -> dict[str, Found]:
    """Return the verdict on each claim, and what was found here, by the name of its rule."""
    rules = (share, stability, parts, baselines, optimum, scheduling, proxy)
    return {rule.__name__: rule(results) for rule in rules}
