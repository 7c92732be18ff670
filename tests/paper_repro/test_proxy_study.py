"""The study of the proxy: its parts on a small synthetic profile, and its page against the recorded tables."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from paper_repro.common import curves
from paper_repro.common.arena import guessed
from paper_repro.common.csv_tables import as_csv, parsed, read_tables
from paper_repro.common.paths import PROFILE, REPORTS, RESULTS
from paper_repro.common.profile_data import part, read_tasks
from paper_repro.proxy import checks, plans, splits
from paper_repro.proxy import study as run
from paper_repro.record import profile_tasks_features as features
from paper_repro.reports import proxy_figures, proxy_page
from robatch.instances.errors import InputError
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.tasks.queries import generate_task


@pytest.fixture
def tasks(synthetic, tmp_path):
    measurements, table = synthetic
    pq.write_table(table, tmp_path / "features.parquet")
    return read_tasks(measurements, tmp_path / "features.parquet")


# ---- data


def test_answers_of_a_part_are_those_of_its_queries(tasks):
    rows, columns = np.array([7, 3, 40]), np.array([True, False, True, True, False, True])
    answers = part(tasks[0].answers, rows, columns)
    mean = np.full((3, 6), np.nan)
    for i in range(3):
        for s in range(6):
            scores = answers.score[(answers.row == i) & (answers.column == s)]
            assert len(scores) == (2 if columns[s] else 0)
            mean[i, s] = scores.mean() if columns[s] else np.nan
    assert np.array_equal(mean[:, columns], tasks[0].utility[rows][:, columns])


def test_shares_of_the_bills_add_up(synthetic, tasks):
    for task in tasks:
        for s, record in enumerate(synthetic[0].summary(task.name)):
            assert task.billed[:, s].sum() == pytest.approx(record["cost"] * len(task.utility) * 2)


def test_a_query_without_features_is_named(synthetic, tmp_path):
    measurements, table = synthetic
    pq.write_table(table.slice(1), tmp_path / "features.parquet")
    with pytest.raises(InputError, match="'sums-000' of task 'sums' has no row"):
        read_tasks(measurements, tmp_path / "features.parquet")


def test_features_know_texts_and_no_answers():
    queries = generate_task("reviews", 40, 1)
    other = [replace(query, answer=query.choices[0]) for query in queries]
    table = features.features({"reviews": queries, "sums": generate_task("arithmetic", 20, 1)})
    again = features.features({"reviews": other, "sums": generate_task("arithmetic", 20, 1)})
    assert table.equals(again)
    assert table["query_id"].to_pylist()[:40] == [query.id for query in queries]
    assert {len(row) for row in table["own"].to_pylist()} == {features.SIZE}
    assert not np.allclose(table["common"].to_pylist()[0], table["common"].to_pylist()[1])


# ---- plans


def test_area_is_the_mean_height():
    assert curves.area(np.full((5, 2), 0.3)) == pytest.approx(0.3)
    assert curves.area(np.array([0.0, 0.5, 1.0])) == pytest.approx(0.5)


def test_plans_keep_the_budget_and_the_oracle_is_best(tasks):
    problem = tasks[0].problem.take(np.arange(30))
    budgets = curves.budget_range(problem, plans.BUDGETS)
    means = tasks[0].utility[30:].mean(axis=0)
    guess = np.random.default_rng(0).random((30, 6))
    solved = plans.planned(guessed(problem, guess), budgets)
    costs = problem.amortized_costs()
    for budget, states in zip(budgets, solved.states, strict=True):
        assert costs[np.arange(30), states].sum() <= budget * (1 + 1e-9)
    found = plans.values(problem, guess, means, budgets)
    assert tuple(found) == plans.STRATEGIES
    for name, curve in found.items():
        assert (curve.mean(axis=1) <= found["oracle"].mean(axis=1) + 1e-9).all(), name


def test_a_budget_too_small_for_all_answers_a_part(tasks):
    problem = tasks[0].problem.take(np.arange(30))
    alone = np.flatnonzero(problem.state_batch_size == 1)
    price = problem.amortized_costs().sum(axis=0)[alone].min()
    solved = plans.planned(guessed(problem, np.zeros((30, 6)), alone), np.array([price / 4, price * 1.01]))
    assert solved.answered == pytest.approx([0.25, 1.0])
    assert set(solved.states.ravel()) <= set(alone)
    assert solved.values(np.ones((30, 6)))[0] == pytest.approx(0.25)


def test_bootstrap_skips_what_was_trained_on():
    figure = np.random.default_rng(0).random((4, 50))
    figure[:, ::2] += np.nan
    drawn = curves.bootstrap(figure, 500)
    assert np.array_equal(drawn, curves.bootstrap(figure, 500))
    assert abs(drawn.mean() - np.nanmean(figure)) < 0.02
    assert np.quantile(drawn, 0.05) < np.nanmean(figure) < np.quantile(drawn, 0.95)
    assert curves.bootstrap(np.full((2, 9), 0.5)) == pytest.approx(0.5)


# ---- splits and checks


def test_halves_share_no_query():
    train, held_out = curves.divide(61, 3)
    assert sorted([*train, *held_out]) == list(range(61))
    assert len(train) == 30
    assert not np.array_equal(train, curves.divide(61, 4)[0])


def test_designs_cost_the_same(tasks):
    task, train = tasks[0], np.arange(30)
    costs = {}
    for design in splits.DESIGNS:
        measured = splits.measured_states(task, design)
        rows = splits.bought(task, train, measured, 0.5, 0)
        costs[design] = task.billed[rows][:, measured].sum()
    assert max(costs.values()) == pytest.approx(min(costs.values()), rel=0.05)
    assert splits.bought(task, train, np.arange(6) == 0, 1.0, 0) is None


def test_a_split_tells_of_held_out_queries_alone(tasks):
    found = splits.run_split(tasks[0], 0)
    train, held_out = curves.divide(60, 0)
    for figure in found.figures.values():
        assert np.isnan(figure[..., train]).all()
        assert not np.isnan(figure[..., held_out]).any()
    assert len(found.coverage) == plans.BUDGETS
    proxy, alike = (found.figures["area", name, "all budgets"] for name in ("proxy", "state means"))
    assert np.nanmean(proxy) > np.nanmean(alike)  # the first feature tells right from wrong


def test_replay_stops_by_the_rule(synthetic):
    measurements, _ = synthetic
    loose, tight = checks.replay(measurements, 0.45), checks.replay(measurements, 0.001)
    assert loose["queries"] == pytest.approx(32 / 60)
    assert loose["stopped"] == loose["cells"] == 12
    assert 0 < loose["usd"] < 1
    assert loose["most"] >= loose["error"] > 0
    assert tight["queries"] == tight["usd"] == tight["even"] == 1
    assert tight["most"] == pytest.approx(0)


# ---- tables and page


@pytest.mark.parametrize(("low", "high", "expected"), [(0.1, 0.2, 1), (-0.1, 0.2, 0), (-0.2, -0.1, -1)])
def test_signs_of_intervals(low, high, expected):
    assert proxy_page.sign({"gain_low": low, "gain_high": high}, "gain") == expected


def test_the_whole_study(synthetic, tasks, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        found = run.study(synthetic[0], tasks, pool, splits=2, compared=1, estimators=("logistic", "constant"))
    texts = {name: as_csv(table) for name, table in found.items()}
    results = {name: parsed(text) for name, text in texts.items()}
    page = proxy_page.page(results, 2, 1)
    proxy = next(r for r in results["areas"] if (r["task"], r["strategy"]) == ("sums", "proxy"))
    assert f"{proxy['mean']:.3f} (" in page
    assert "Against `state means`, the proxy is" in page
    routers = {r["router"]: r for r in results["routers"] if r["task"] == "all" and r["scaling"] == "isotonic"}
    assert routers["logistic"]["area_gain"] == 0
    assert routers["constant"]["brier"] > routers["logistic"]["brier"]
    proxy_figures.draw_curves(results, tmp_path / "curves.png")
    proxy_figures.draw_checks(results, tmp_path / "checks.png")
    assert (tmp_path / "checks.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_says_where_the_proxy_does_not_help():
    row = {"strategy": "state means", "mean": 0.5, "gain": 0.1}
    rows = [
        row | {"task": "one", "gain_low": 0.05, "gain_high": 0.2},
        row | {"task": "two", "gain_low": -0.05, "gain_high": 0.2},
        row | {"task": "three", "gain_low": -0.2, "gain_high": -0.1},
    ]
    said = proxy_page.help_sentences(rows)
    assert "better in one; not told apart in two; worse in three." in said
    assert "So in two and three telling queries from each other brings nothing" in said


def test_the_page_is_made_from_the_recorded_tables():
    page = proxy_page.page(read_tables(RESULTS / "proxy"), run.SPLITS, run.COMPARED)
    assert (REPORTS / "PROXY.md").read_text(encoding="utf-8") == page


def test_tables_measured_again_are_those_recorded():
    measurements = Measurements.read(PROFILE)
    with (RESULTS / "proxy" / "sampling.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    again = as_csv([checks.replay(measurements, checks.PRECISIONS[0])])
    assert next(csv.DictReader(again.splitlines())) == rows[0]
