"""The paper's claims, as far as they are known, beside what was found here: sentences made of the recorded results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from paper_repro.common.csv_tables import Table

Results = Mapping[str, Mapping[str, Table]]
"""Recorded tables by experiment and name."""

RUN = "`python -m paper_repro.run {}`"
UPGRADES = "pareto"


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    text, source
        What is claimed; ``"abstract"`` if read there, ``"second-hand"`` if told by others about the full text.
    verdict
        ``"same"``, ``"same in part"``, ``"different"`` or ``"not testable here"``.
    found
        From the results to what was found here.
    command
        What makes the figures again.
    """

    text: str
    source: str
    verdict: str
    found: Callable[[Results], str]
    command: str


def _where(table: Table, **values: Any) -> Table:
    return [row for row in table if all(row[key] == value for key, value in values.items())]


def _range(values: Iterable[float], percent: bool = True) -> str:
    found = list(values)
    scale = 100 if percent else 1
    low, high = scale * min(found), scale * max(found)
    return f"{low:.1f} to {high:.1f}" + (" %" if percent else "")


def _mean(table: Table, column: str, **values: Any) -> float:
    return float(np.mean([row[column] for row in _where(table, **values)]))


def _share(results: Results) -> str:
    models = results["motivation"]["models"]
    return (
        f"From {_range(row['shared_share_alone'] for row in models)} alone to "
        f"{_range(row['shared_share_largest'] for row in models)} at b = 32, over four small models and five tasks."
    )


def _stability(results: Results) -> str:
    models = results["motivation"]["models"]
    names = list(dict.fromkeys(row["model"] for row in models))
    largest, other = names[-1], names[1:-1]
    stable = [int(row["stable_to"]) for row in _where(models, model=largest)]
    early = sum(row["stable_to"] == 1 for row in models if row["model"] in other)
    count = sum(row["model"] in other for row in models)
    return (
        f"The largest of four small models, `{largest}`, keeps its utility to b = {min(stable)} to {max(stable)} by task; "
        f"the two below lose from b = 2 on in {early} of {count} cases, and have nothing to lose where they guess. None of "
        "the paper's models or tasks."
    )


def _parts(results: Results) -> str:
    areas = _where(results["comparison"]["areas"], kind="measured")
    full, alone, one = (_mean(areas, "area", strategy=name) for name in (UPGRADES, "router-only", "batch-only"))
    tasks = len({row["dataset"] for row in areas})
    return (
        f"Mean area under the curve of utility over {tasks} tasks, queries held out: proxy and `{UPGRADES}` {full:.3f}, "
        f"routing alone {alone:.3f}, batching alone {one:.3f}. Much of routing's loss is at budgets that do not pay for "
        "every query alone."
    )


def _peers(results: Results) -> str:
    wins = results["comparison"]["wins"]
    better = sum(row["exact_better"] for row in wins if row["strategy"] != "oracle")
    worse = [row for row in wins if row["exact_worse"] and row["strategy"] != "oracle"]
    total = sum(row["budgets"] for row in wins if row["strategy"] != "oracle")
    text = (
        f"Proxy and exact plans against every other strategy, by budget and task: clearly better in {int(better)} of "
        f"{int(total)}, clearly worse in {int(sum(row['exact_worse'] for row in worse))}"
    )
    close = [
        f"`{row['strategy']}`" for row in wins if abs(row["mean_ahead"]) < 0.005 and row["strategy"] not in ("greedy",)
    ]
    text += f". Peers that are given the same predictions and batch prompting come close: {', '.join(close)}."
    tables = results.get("routing_tables")
    if tables:
        lost = [row for row in tables["wins"] if row["exact_worse"] and row["strategy"] != "oracle"]
        text += (
            f" On routing tables (semi-synthetic) it loses to {', '.join('`' + row['strategy'] + '`' for row in lost)} at "
            "some budgets, where the proxy is too weak to route by."
            if lost
            else " On routing tables (semi-synthetic) no strategy is clearly better."
        )
    return text


def _optimum(results: Results) -> str:
    gaps = results["gap"]["by_family_and_queries"]
    large = [row for row in gaps if row["queries"] == 1000 and row["family"] == "realistic"]
    found = {row["solver"]: row["mean_gap"] for row in large}
    worst = {
        solver: max(row["worst_gap"] for row in gaps if row["solver"] == solver and row["worst_gap"] is not None)
        for solver in ("pareto", "greedy")
    }
    return (
        f"Confirmed that it may miss it. Realistic, 1,000 queries: the reconstructed `pareto` misses {found['pareto']:.1%} "
        f"on average, `greedy` along the hulls {found['greedy']:.1e}; the worst over all families and sizes are "
        f"{worst['pareto']:.0%} and {worst['greedy']:.0%} (tiny or adversarial problems)."
    )


def _scheduling(results: Results) -> str:
    times = results["scheduling"]["times"]
    most = max(row["queries"] for row in times)
    here = {row["solver"]: row for row in _where(times, queries=most)}
    ratios = ", ".join(
        f"`{name}` {1 / row['ratio_to_pareto']:.1f} times as fast" for name, row in here.items() if name != "pareto"
    )
    return (
        f"At {most:,.0f} queries x {here['pareto']['states']:.0f} states `pareto` takes "
        f"{here['pareto']['us_per_query']:.2f} µs a query on one core; {ratios}. One call of a model takes "
        "longer than the schedule of thousands of queries."
    )


def _proxy(results: Results) -> str:
    rows = _where(results["worth"]["by_budget"], kind="measured")
    steps = {step: _mean(rows, "mean_worth", step=step) for step in dict.fromkeys(row["step"] for row in rows)}
    return (
        "Utility gained per query, mean over budgets and tasks: from state means to the proxy "
        f"{steps['state means to proxy']:+.3f}, by four times the profile {steps['four times the profile']:+.3f}, from "
        f"`pareto` to `greedy` {steps['pareto to greedy']:+.3f}, from `greedy` to `exact` {steps['greedy to exact']:+.4f}; a "
        f"perfect proxy would add {steps['proxy to truth']:+.3f}."
    )


def _nothing(text: str) -> Callable[[Results], str]:
    return lambda results: text


CLAIMS = (
    Claim(
        "Route with Batching is NP-hard.",
        "abstract",
        "same",
        _nothing(
            "A knapsack is a special case: `from_knapsack` and `Knapsack.from_problem` go both ways, and are tested."
        ),
        "`pytest tests/instances/test_knapsack.py`",
    ),
    Claim(
        "The shared prompt's part of the cost falls from 59.5 % to 8.4 % (AG News), from 90.1 % to 53.2 % (GSM8K).",
        "second-hand",
        "same",
        _share,
        RUN.format("motivation"),
    ),
    Claim(
        "Accuracy is stable to about b = 16 (AG News) and 8 (GSM8K), then falls fast, small models first.",
        "second-hand",
        "same in part",
        _stability,
        RUN.format("motivation"),
    ),
    Claim(
        "Existing approaches optimize routing or batching alone; both together do better.",
        "abstract",
        "same",
        _parts,
        RUN.format("comparison"),
    ),
    Claim(
        "RoBatch's trade-off of cost and utility is superior to that of routing and batching baselines throughout.",
        "second-hand",
        "same in part",
        _peers,
        RUN.format("comparison routing_tables"),
    ),
    Claim(
        "The greedy scheduler may not find the global optimum.",
        "second-hand",
        "same",
        _optimum,
        RUN.format("gap"),
    ),
    Claim(
        "Scheduling is the dominant overhead.",
        "second-hand",
        "different",
        _scheduling,
        RUN.format("scheduling"),
    ),
    Claim(
        "A utility per model times a scaling by batch size, recalibrated, is a proxy good enough to plan by.",
        "abstract",
        "same in part",
        _proxy,
        RUN.format("worth"),
    ),
    Claim(
        "All of this for Qwen3 4B, 14B, 32B and Gemma3 on GSM8K, AG News, IMDB, MMLU and two more benchmarks.",
        "second-hand",
        "not testable here",
        _nothing(
            "No GPU was at hand. The configuration is ready: `profile_hub.toml` with `pool_gpu.toml`; not run by us."
        ),
        "`robatch profile paper_repro/profile_hub.toml --pool paper_repro/pool_gpu.toml --dry-run`",
    ),
)
