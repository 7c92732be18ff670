"""The runner of the experiments, and what they share."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from paper_repro.common.curves import Curve, area, bootstrap, budget_range
from paper_repro.common.datasets import TASKS, dataset
from paper_repro.common.strategies import STRATEGIES, Arena, check_predicted
from paper_repro.run import NAMES, experiment, main, run
from robatch.instances.errors import InputError


@pytest.fixture(scope="module")
def arena():
    found = dataset("arithmetic")
    order = np.random.default_rng(0).permutation(found.problem.n_queries)
    train, test = np.sort(order[:120]), np.sort(order[120:160])
    return Arena(found, train, test, budget_range(found.problem.take(test), 4))


@pytest.fixture(scope="module")
def curves(arena):
    return {name: strategy(arena) for name, strategy in STRATEGIES.items() if "MLP" not in name}


def test_no_strategy_spends_more_than_the_budget(arena, curves):
    for name, curve in curves.items():
        assert (curve.cost <= arena.budgets * (1 + 1e-9)).all(), name
        assert curve.truth.shape == (4, 40)
        assert ((curve.truth >= 0) & (curve.truth <= 1)).all(), name


def test_the_exact_plan_is_worth_most_by_the_predictions_and_a_better_one_is_a_bug(curves):
    check_predicted(curves)
    better = replace(curves["tradeoff"], predicted=curves["exact"].predicted + 0.1)
    with pytest.raises(AssertionError, match="tradeoff beats exact"):
        check_predicted(curves | {"tradeoff": better})


def test_hindsight_bounds_every_plan(curves):
    for name, curve in curves.items():
        whole = ~np.isnan(curve.predicted)  # a budget that pays for a part may buy better answers to fewer queries
        assert (curve.mean[whole] <= curves["oracle"].mean[whole] + 1e-9).all(), name


def test_a_budget_that_pays_for_a_part_answers_that_part(arena, curves):
    alone = arena.problem.amortized_costs()[:, arena.dataset.smallest].sum(axis=0).min()
    shares = np.minimum(1.0, arena.budgets / alone)
    assert (shares < 1).any(), "the range begins below the price of every query alone"
    short = shares < 1
    assert curves["single model"].cost[short] == pytest.approx(arena.budgets[short])


def test_plans_as_billed_keep_the_budget_in_fact(arena, curves):
    assert (curves["greedy, as billed"].billed <= arena.budgets * (1 + 1e-9)).all()
    assert (curves["exact"].billed > arena.budgets).any(), "calls that are not full bill more than planned"


def test_curves_by_hand():
    curve = Curve(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([1.0, 2.0]), np.array([0.5, 1.0]), np.array([0.5, 1.0]))
    assert curve.mean.tolist() == [0.5, 1.0]
    assert area(curve.mean) == pytest.approx(0.75)


def test_the_bootstrap_is_seeded_and_has_the_standard_error_of_a_mean():
    figures = np.random.default_rng(0).normal(size=(1, 400))
    draws = bootstrap(figures, 3000)
    assert np.array_equal(draws, bootstrap(figures, 3000))
    assert draws.std() == pytest.approx(figures.std() / 20, rel=0.08)
    assert draws.mean() == pytest.approx(figures.mean(), abs=0.01)


def test_every_experiment_has_a_title_and_cells_in_both_sizes():
    for name in NAMES:
        for quick in (False, True):
            module, settings, title = experiment(name, quick)
            assert title
            if getattr(module, "missing", lambda _: None)(settings) is None:
                assert module.cells(settings)


def test_tasks_are_those_of_the_recorded_profile():
    for name in TASKS:
        assert dataset(name).kind == "measured"


def test_an_experiment_run_twice_gives_the_same_tables_and_goes_on_where_it_ended(tmp_path):
    assert "results in" in run("noise", quick=True, folder=tmp_path / "a", workers=1)
    run("noise", quick=True, folder=tmp_path / "b", workers=1)
    first = (tmp_path / "a" / "noise" / "losses.csv").read_bytes()
    assert first == (tmp_path / "b" / "noise" / "losses.csv").read_bytes()
    rows = tmp_path / "a" / "noise" / "rows.jsonl"
    lines = rows.read_text(encoding="utf-8").splitlines()
    rows.write_text("\n".join(lines[:-1]) + '\n{"row": {"cel', encoding="utf-8")  # killed while it wrote
    (tmp_path / "a" / "noise" / "losses.csv").unlink()
    run("noise", quick=True, folder=tmp_path / "a", workers=1)
    assert (tmp_path / "a" / "noise" / "losses.csv").read_bytes() == first
    assert rows.read_text(encoding="utf-8").splitlines() == lines
    about = json.loads((tmp_path / "a" / "noise" / "run.json").read_text(encoding="utf-8"))
    assert about["settings"]["queries"] == 100
    assert (tmp_path / "a" / "noise" / "losses.png").stat().st_size > 0


def test_wrong_calls_are_one_sentence_and_exit_code_2():
    for arguments, message in (([], "name experiments"), (["no-such"], "experiment is 'no-such'")):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert message in result.output
    assert "Traceback" not in result.output
    with pytest.raises(InputError):
        experiment("no-such")


def test_data_that_are_not_here_are_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("paper_repro.common.datasets.DATA", tmp_path / "nowhere")
    said = run("routing_tables", quick=True, folder=tmp_path)
    assert "not run: the routing tables are not in" in said
    assert "ROBATCH_DATA" in said
