"""The runner of the experiments, and what they share."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from paper_repro.common.arena import Arena
from paper_repro.common.curves import Curve, area, bootstrap, budget_range
from paper_repro.common.datasets import TASKS, _tasks, dataset
from paper_repro.common.settings import Settings
from paper_repro.common.strategies import STRATEGIES, check_predicted
from paper_repro.experiments.catalogue import NAMES, Experiment, experiment
from paper_repro.run import main, run_experiment
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
    for name in ("threshold, no batching", "router-only, kNN", "single model"):
        better = replace(curves[name], predicted=curves["router-only"].predicted + 1e-3)
        with pytest.raises(AssertionError, match=f"{name} beats router-only"):
            check_predicted(curves | {name: better})
    lost = replace(curves["exact"], predicted=np.full(4, np.nan))
    with pytest.raises(AssertionError, match="beats exact"):
        check_predicted(curves | {"exact": lost})


def test_hindsight_bounds_every_plan(curves):
    for name, curve in curves.items():
        whole = curve.answered == 1  # a budget that pays for a part may buy better answers to fewer queries
        assert whole.any(), name
        assert (curve.mean[whole] <= curves["oracle"].mean[whole] + 1e-9).all(), name


def test_a_budget_that_pays_for_a_part_answers_the_best_part(arena, curves):
    alone, costs = arena.dataset.smallest, arena.problem.amortized_costs()
    short = arena.budgets < costs[:, alone].min(axis=1).sum()
    assert short.any(), "the range begins below the price of every query alone"
    assert not short.all()
    curve = curves["router-only"]
    assert (np.isnan(curve.predicted) == short).all()
    assert ((curve.answered < 1) == short).all()
    guess = arena.guessed(arena.predictions().utilities, alone)
    for budget, mean in zip(arena.budgets[short], curve.mean[short], strict=True):
        rows = np.arange(len(arena.test))
        best = guess.utilities()[:, alone].argmax(axis=1)
        gain, price = guess.utilities()[rows, alone[best]], costs[rows, alone[best]]
        order, spent, naive = np.argsort(-gain / price), 0.0, 0.0
        for i in order:  # each query's best model, while the budget lasts
            if spent + price[i] <= budget:
                spent, naive = spent + price[i], naive + gain[i]
        chosen = arena.planned(guess, "exact")[list(arena.budgets).index(budget)]
        answered = chosen < arena.problem.n_states
        assert 0 < answered.sum() < len(rows)
        believed = guess.utilities()[rows, np.minimum(chosen, arena.problem.n_states - 1)]
        assert believed[answered].sum() >= naive - 1e-9
        assert costs[rows[answered], chosen[answered]].sum() <= budget * (1 + 1e-9)
        assert mean == pytest.approx(arena.truth[rows[answered], chosen[answered]].sum() / len(rows))


def test_whoever_can_answer_all_queries_does(arena, curves):
    costs, alone = arena.problem.amortized_costs(), arena.dataset.smallest
    for name, least in (
        ("single model", costs[:, alone].sum(axis=0).min()),
        ("batch-only", min(costs[:, arena.problem.state_model == k].min(axis=1).sum() for k in range(4))),
        ("exact", costs.min(axis=1).sum()),
    ):
        paid = arena.budgets >= least
        assert (curves[name].answered[paid] == 1).all(), name
        assert (curves[name].answered[~paid] < 1).all(), name


def test_a_cascade_spends_its_budget(arena, curves):
    cascade = curves["cascade, no batching"]
    dearest = arena.problem.amortized_costs()[:, arena.dataset.smallest].sum(axis=0).max()
    low = arena.budgets < 0.2 * dearest
    assert (cascade.cost[low] >= 0.8 * arena.budgets[low]).all()
    assert (np.diff(cascade.cost) >= -1e-12).all()
    assert 0 < cascade.answered[0] < 1 == cascade.answered[-1]
    assert cascade.mean[0] > 0, "a budget that is short buys a share of the best cascade"


def test_plans_as_billed_keep_the_budget_in_fact(arena, curves):
    assert (curves["greedy, as billed"].billed <= arena.budgets * (1 + 1e-9)).all()
    assert (curves["exact"].billed > arena.budgets).any(), "calls that are not full bill more than planned"


def test_curves_by_hand():
    cost = np.array([0.5, 1.0])
    curve = Curve(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([0.5, 1.0]), np.array([np.nan, 2.0]), cost, cost)
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
            made = experiment(name, quick)
            assert made.title
            if made.missing is None:
                assert made.module.cells(made.settings)


def test_tasks_are_those_of_the_recorded_profile():
    assert tuple(_tasks()) == TASKS


def test_an_experiment_run_twice_gives_the_same_tables_and_goes_on_where_it_ended(tmp_path):
    assert "results in" in run_experiment("noise", quick=True, folder=tmp_path / "a", workers=1)
    run_experiment("noise", quick=True, folder=tmp_path / "b", workers=1)
    first = (tmp_path / "a" / "noise" / "losses.csv").read_bytes()
    assert first == (tmp_path / "b" / "noise" / "losses.csv").read_bytes()
    rows = tmp_path / "a" / "noise" / "rows.jsonl"
    lines = rows.read_text(encoding="utf-8").splitlines()
    rows.write_text("\n".join(lines[:-1]) + '\n{"row": {"cel', encoding="utf-8")  # killed while it wrote
    (tmp_path / "a" / "noise" / "losses.csv").unlink()
    run_experiment("noise", quick=True, folder=tmp_path / "a", workers=1)
    assert (tmp_path / "a" / "noise" / "losses.csv").read_bytes() == first
    assert rows.read_text(encoding="utf-8").splitlines() == lines
    about = json.loads((tmp_path / "a" / "noise" / "run.json").read_text(encoding="utf-8"))
    assert about["settings"]["queries"] == 100
    assert (tmp_path / "a" / "noise" / "losses.png").stat().st_size > 0


def test_wrong_calls_are_one_sentence_and_exit_code_2(tmp_path, monkeypatch):
    monkeypatch.setattr("paper_repro.common.datasets.DATA", tmp_path / "nowhere")
    for arguments, message in (
        ([], "name experiments"),
        (["no-such"], "experiment is 'no-such'"),
        (["routing_tables", "--quick", "-o", str(tmp_path)], "routing_tables: not run: gsm8k needs"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert isinstance(result.exception, SystemExit)
        assert message in " ".join(result.output.split())
    with pytest.raises(InputError):
        experiment("no-such")


def test_data_that_are_not_here_are_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("paper_repro.common.datasets.DATA", tmp_path)
    with pytest.raises(InputError, match=r"gsm8k_zeroeval.parquet.*ROBATCH_DATA"):
        run_experiment("routing_tables", quick=True, folder=tmp_path)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "gsm8k_zeroeval.parquet").touch()
    assert "tasks/gsm8k.jsonl" in str(experiment("routing_tables", quick=True).missing)
    assert experiment("worth").missing is None
    with pytest.raises(InputError, match="dataset is 'nope'"):
        dataset("nope")


def test_configurations_that_are_damaged_are_named(tmp_path, monkeypatch):
    path = tmp_path / "noise.toml"
    monkeypatch.setattr("paper_repro.experiments.catalogue.FOLDER", tmp_path)
    for text, message in (
        ("title = ", "noise.toml is no TOML"),
        ("[settings]\nseeds = 1\n", "title of noise.toml is None"),
        ('title = "noise"\n[settings]\nseeds = 0\n', "leave nothing to compute"),
        ('title = "noise"\n[settings]\nseeds = 1\n', "setting 'queries' is not there"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            run_experiment("noise", folder=tmp_path, workers=1)


@pytest.fixture
def small_experiment(tmp_path, monkeypatch):
    """An experiment of four cells, one of which fails while a file is there."""
    (tmp_path / "small_experiment.py").write_text(
        """
from pathlib import Path

def cells(settings):
    return [{"cell": cell} for cell in range(4)]

def compute(settings, cell):
    if cell["cell"] == 1 and Path(settings["fails"]).exists():
        raise RuntimeError("cell 1 failed")
    if cell["cell"] == 2 and Path(settings["fails"]).exists():
        return [{"cell": 2, "square": float("nan")}]  # JSON has no such number
    return [{"cell": cell["cell"], "square": cell["cell"] ** 2}]

def tables(settings, rows):
    return {"squares": rows}

def draw(tables, folder):
    if Path(settings_of_draw).exists():
        raise RuntimeError("no figure")

settings_of_draw = Path(__file__).with_name("draw-fails")
""",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = Settings(fails=str(tmp_path / "fails"))
    made = Experiment("small", importlib.import_module("small_experiment"), settings, "squares")
    monkeypatch.setattr("paper_repro.run.experiment", lambda name, quick=False: made)
    yield tmp_path
    del sys.modules["small_experiment"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cell_that_fails_loses_no_other(small_experiment, workers):
    (small_experiment / "fails").touch()
    with pytest.raises((RuntimeError, ValueError), match=r"cell 1 failed|not JSON"):
        run_experiment("small", folder=small_experiment, workers=workers)
    rows = small_experiment / "small" / "rows.jsonl"
    kept = [json.loads(line)["row"]["cell"]["cell"] for line in rows.read_text(encoding="utf-8").splitlines()[1:]]
    assert sorted(kept) == [0, 3]
    assert not (small_experiment / "small" / "run.json").exists()
    (small_experiment / "fails").unlink()
    assert "4 cells" in run_experiment("small", folder=small_experiment, workers=workers)
    about = json.loads((small_experiment / "small" / "run.json").read_text(encoding="utf-8"))
    assert about["seconds"] is None, "a part was there already"


def test_results_never_stand_beside_the_record_of_others(small_experiment):
    run_experiment("small", folder=small_experiment, workers=1)
    about = small_experiment / "small" / "run.json"
    assert about.exists()
    (small_experiment / "draw-fails").touch()
    with pytest.raises(RuntimeError, match="no figure"):
        run_experiment("small", folder=small_experiment, workers=1)
    assert not about.exists()
