"""Verdicts follow from figures: each rule can say that the paper is right, and that it is not."""

from __future__ import annotations

import pytest

from paper_repro.common.strategies import BASELINES, LONE_PEERS, PEERS
from paper_repro.reports import claims
from paper_repro.reports.claims import DIFFERENT, IN_PART, SAME, SAME_DIRECTION, UNCLEAR, grouped

TASKS = ("one", "two", "three")
BETTER, EVEN, WORSE = (0.1, 0.2), (-0.1, 0.1), (-0.2, -0.1)


def motivation(*losses, guesses=()):
    """Models from small to large: the batch size from which each loses, by task."""
    rows = [
        {"task": task, "model": f"m{place}", "guesses": int((task, place) in guesses), "loses_from": lost,
         "largest": 32.0, "shared_share_alone": 0.8, "shared_share_largest": 0.1}
        for task, here in zip(TASKS, losses, strict=False) for place, lost in enumerate(here)
    ]  # fmt: skip
    return {"motivation": {"models": rows}}


def test_the_share_of_the_prompt():
    found = motivation((None, None))
    assert claims.share(found)[0] == SAME_DIRECTION
    found["motivation"]["models"][0]["shared_share_largest"] = 0.9
    assert claims.share(found)[0] == DIFFERENT


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        (((16, None), (16, 32)), SAME),
        (((2, 16), (2, None)), IN_PART),  # small first, but not stable
        (((None, 16), (32, 16)), IN_PART),  # stable, but large first
        (((None, 2), (4, 2)), DIFFERENT),
        (((2, 2), (4, 4)), DIFFERENT),
        (((8, 16), (16, 32)), IN_PART),  # lost at 8 is not stable to 8
    ],
)
def test_stability(losses, verdict):
    assert claims.stability(motivation(*losses))[0] == verdict


def test_models_that_guess_are_not_judged():
    found = claims.stability(motivation((None, 2), (16, 32), guesses={("one", 0), ("one", 1)}))
    assert found[0] == SAME
    assert "Of 4 pairs of model and task, 2 are not clearly better than guessing" in found[1]


def leads(pareto, strategies=("router-only", "batch-only")):
    return [
        {"dataset": task, "kind": "measured", "plan": plan, "strategy": strategy,
         "low": low, "high": high, "upper_low": low, "upper_high": high}
        for strategy in strategies
        for plan, found in (("pareto", pareto), ("exact", [BETTER] * 3))
        for task, (low, high) in zip(TASKS, found, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pareto", "verdict"),
    [
        ([BETTER] * 3, SAME),
        ([BETTER, BETTER, EVEN], IN_PART),
        ([BETTER, BETTER, WORSE], IN_PART),
        ([EVEN] * 3, UNCLEAR),
        ([BETTER, WORSE, WORSE], DIFFERENT),
    ],
)
def test_both_parts_together_are_judged_by_the_paper_s_scheduler(pareto, verdict):
    assert claims.parts({"comparison": {"area_leads": leads(pareto)}})[0] == verdict


@pytest.mark.parametrize("strategy", ["router-only", "batch-only"])
@pytest.mark.parametrize("part", ["", "upper_"])
def test_one_part_that_is_better_alone_decides(strategy, part):
    rows = leads([BETTER] * 3)
    for row in rows:
        if (row["strategy"], row["plan"]) == (strategy, "pareto"):
            row[f"{part}low"], row[f"{part}high"] = WORSE
    assert claims.parts({"comparison": {"area_leads": rows}})[0] == DIFFERENT


@pytest.mark.parametrize(
    ("pareto", "verdict"),
    [
        ([BETTER] * 3, SAME),
        ([BETTER, BETTER, EVEN], SAME),
        ([BETTER, BETTER, WORSE], IN_PART),
        ([BETTER, EVEN, EVEN], IN_PART),
        ([EVEN] * 3, UNCLEAR),
        ([WORSE] * 3, DIFFERENT),
    ],
)
def test_budgets_are_judged_by_the_paper_s_scheduler_against_baselines(pareto, verdict):
    found = leads(pareto, strategies=BASELINES) + leads([WORSE] * 3, strategies=(*PEERS, *LONE_PEERS))
    curves = [{"strategy": "router-only", "dataset": task, "budget": 0, "answered": 1.0} for task in TASKS]
    one = {"leads": [row | {"budget": 0} for row in found], "curves": curves}
    assert claims.baselines({"comparison": one, "routing_tables": one})[0] == verdict


def test_the_budgets_that_pay_for_every_query_alone_count_by_themselves():
    found = leads([BETTER] * 3, strategies=BASELINES)
    low = [row | {"budget": budget} for row in found for budget in (0, 1)]
    high = [row | {"budget": 2, "low": -0.2, "high": -0.1} for row in found]
    curves = [{"strategy": "router-only", "dataset": task, "budget": budget, "answered": share}
              for task in TASKS for budget, share in ((0, 0.5), (1, 0.9), (2, 1.0))]  # fmt: skip
    one = {"leads": low + high, "curves": curves}
    cases = len(TASKS) * len(BASELINES)
    assert grouped(one, BASELINES)["pareto"] == ((2 * cases, cases, 3 * cases), (0, cases, cases))
    assert claims.baselines({"comparison": one, "routing_tables": one})[0] == DIFFERENT


@pytest.mark.parametrize(("gap", "verdict"), [(0.1, SAME), (0.0, DIFFERENT)])
def test_the_optimum(gap, verdict):
    rows = [{"family": "realistic", "queries": 10.0, "solver": solver, "worst_gap": gap, "mean_gap": gap}
            for solver in ("pareto", "greedy")]  # fmt: skip
    assert claims.optimum({"gap": {"by_family_and_queries": rows}})[0] == verdict


@pytest.mark.parametrize(
    ("pareto", "heap", "verdict"), [(170, 900, SAME), (90, 900, IN_PART), (9, 90, IN_PART), (9, 10, DIFFERENT)]
)
def test_scheduling(pareto, heap, verdict):
    times = [
        {"solver": solver, "queries": queries, "states": 24.0, "us_per_query": micros}
        for solver, micros, queries in (("python-heap", heap, 100.0), ("pareto", 1.0, 100.0), ("pareto", pareto, 1e7))
    ]
    parts = [{"us_per_query": 80.0}, {"us_per_query": 1e4}]
    assert claims.scheduling({"scheduling": {"times": times, "parts": parts}})[0] == verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [([BETTER] * 3, SAME), ([BETTER, EVEN, EVEN], IN_PART), ([EVEN, EVEN, WORSE], DIFFERENT), ([EVEN] * 3, UNCLEAR)],
)
def test_the_proxy(found, verdict):
    rows = [{"step": "state means to proxy", "worth": 0.1, "low": low, "high": high} for low, high in found]
    assert claims.proxy({"worth": {"overall": rows}, "worth_tables": {"overall": rows}})[0] == verdict
