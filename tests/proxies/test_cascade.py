"""Cascades: against a loop over queries, against all cascades of a small grid, and what they refuse; the scorer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from robatch.instances import InputError
from robatch.proxies import AnswerScorer, Cascade, fit_cascade
from robatch.proxies.utility.cascade import MAX_CANDIDATES


def draw(n: int, states: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, utilities and costs; dearer states are better, and scores tell something."""
    rng = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(-(rng.normal(size=(n, 1)) + np.linspace(-0.5, 2.0, states))))
    utility = (rng.random((n, states)) < truth).astype(float)
    scores = np.clip(0.6 * truth + 0.25 * utility + rng.normal(0.0, 0.1, (n, states)), 0.0, 1.0)
    return scores, utility, np.geomspace(1.0, 20.0, states) * rng.uniform(0.7, 1.3, (n, states))


def naive(cascade: Cascade, scores: np.ndarray, utility: np.ndarray, costs: np.ndarray) -> list[tuple[Any, ...]]:
    rows = []
    for i in range(len(scores)):
        paid, asked = 0.0, 0
        for position, column in enumerate(cascade.columns):
            paid, asked = paid + costs[i, column], asked + 1
            last = position == len(cascade.columns) - 1
            if last or scores[i, column] >= cascade.thresholds[position]:
                rows.append((utility[i, column], paid, asked, column))
                break
    return rows


def everything(scores: np.ndarray, costs: np.ndarray, length: int, grid: int) -> Iterator[Cascade]:
    """All cascades by ascending mean cost with thresholds at quantiles."""
    order = np.argsort(costs.mean(axis=0))
    for size in range(1, length + 1):
        for columns in combinations(order.tolist(), size):
            levels = [np.quantile(scores[:, s], np.arange(1, grid) / grid) for s in columns[:-1]]
            for thresholds in product(*levels):
                yield Cascade(columns, tuple(float(value) for value in thresholds))


@pytest.mark.parametrize("seed", range(5))
def test_run_against_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, utility, costs = draw(60, 6, seed)
    scores = scores.round(1)  # so that some equal their threshold
    size = int(rng.integers(1, 6))
    cascade = Cascade(
        tuple(rng.permutation(6)[:size].tolist()), tuple(rng.uniform(0.0, 1.0, size - 1).round(1).tolist())
    )
    found = cascade.run(scores, utility, costs)
    for values, row in zip(zip(*found, strict=True), naive(cascade, scores, utility, costs), strict=True):
        assert values == pytest.approx(row, abs=1e-12)
    assert found.asked.dtype == found.column.dtype == np.int64


def test_thresholds_of_0_are_the_first_state_alone_and_above_1_ask_all() -> None:
    scores, utility, costs = draw(200, 4, 0)
    alone, first = (
        Cascade((1, 0, 3), (0.0, 0.0)).run(scores, utility, costs),
        Cascade((1,), ()).run(scores, utility, costs),
    )
    for one, two in zip(alone, first, strict=True):
        assert np.array_equal(one, two)
    assert np.array_equal(alone.utility, utility[:, 1])
    every = Cascade((1, 0, 3), (1.01, 1.01)).run(scores, utility, costs)
    assert np.array_equal(every.utility, utility[:, 3])
    assert every.cost == pytest.approx(costs[:, [1, 0, 3]].sum(axis=1))
    assert set(every.asked) == {3}
    assert set(every.column) == {3}


def test_costs_of_a_state_may_be_the_same_for_all_queries() -> None:
    scores, utility, costs = draw(50, 4, 1)
    mean = costs.mean(axis=0)
    cascade = fit_cascade(scores, utility, mean, 5.0)
    assert cascade == fit_cascade(scores, utility, np.tile(mean, (50, 1)), 5.0)
    assert np.array_equal(
        cascade.run(scores, utility, mean).cost, cascade.run(scores, utility, np.tile(mean, (50, 1))).cost
    )


@pytest.mark.parametrize("budget", [1.2, 2.5, 6.0, 15.0, 100.0])
@pytest.mark.parametrize(
    ("seed", "states", "length", "grid"), [(0, 5, 3, 4), (1, 4, 4, 3), (2, 5, 2, 10), (3, 5, 1, 3)]
)
def test_fit_is_the_best_of_all(seed: int, states: int, length: int, grid: int, budget: float) -> None:
    scores, utility, costs = draw(80, states, seed)
    if seed == 2:
        scores = scores.round(1)  # many equal scores, so that quantiles coincide
    best = (-1.0, math.inf)
    for cascade in everything(scores, costs, length, grid):
        run = cascade.run(scores, utility, costs)
        if run.cost.mean() <= budget:
            best = max(best, (round(run.utility.mean(), 12), -run.cost.mean()))
    found = fit_cascade(scores, utility, costs, budget, length=length, grid=grid)
    run = found.run(scores, utility, costs)
    assert run.cost.mean() <= budget
    assert (run.utility.mean(), -run.cost.mean()) == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_budget_is_kept_and_more_of_it_is_never_worse(seed: int) -> None:
    scores, utility, costs = draw(500, 8, seed)
    last = 0.0
    for budget in np.linspace(costs.mean(axis=0).min(), 30.0, 12):
        run = fit_cascade(scores, utility, costs, budget).run(scores, utility, costs)
        assert run.cost.mean() <= budget * (1 + 1e-12)  # a sum in another order
        assert run.utility.mean() >= last - 1e-9
        last = run.utility.mean()


def test_the_cheapest_state_is_enough_for_its_own_mean_cost() -> None:
    scores, utility, costs = draw(333, 5, 4)
    cheapest = costs.mean(axis=0).min()
    assert fit_cascade(scores, utility, costs, cheapest) == Cascade((int(costs.mean(axis=0).argmin()),), ())
    with pytest.raises(InputError, match="the cheapest state costs"):
        fit_cascade(scores, utility, costs, 0.999 * cheapest)


def test_a_cascade_beats_each_state_on_new_queries() -> None:
    fitted, new = draw(4000, 6, 5), draw(4000, 6, 6)
    for budget in (2.0, 5.0, 10.0):
        alone, cascade = (fit_cascade(*fitted, budget, length=length).run(*new) for length in (1, 3))
        assert cascade.utility.mean() > alone.utility.mean() + 0.01
        assert cascade.cost.mean() < 1.05 * budget


def test_candidates() -> None:
    scores, utility, costs = draw(300, 6, 7)
    assert set(fit_cascade(scores, utility, costs, 100.0, candidates=[4, 2]).columns) <= {2, 4}
    assert fit_cascade(scores, utility, costs, 100.0, candidates=[3]).columns == (3,)
    many = MAX_CANDIDATES + 10
    scores, utility, costs = draw(100, many, 8)
    utility[:, 5] = 0.0  # dominated by all cheaper ones: in the last layer
    found = fit_cascade(scores, utility, costs, 10.0, length=2, grid=4)
    assert 5 not in found.columns
    assert found == fit_cascade(scores, utility, costs, 10.0, length=2, grid=4)


@pytest.mark.parametrize(
    ("columns", "thresholds", "words"),
    [
        ((), (), "at least one state"),
        ((1, 1), (0.5,), "each only once"),
        ((-1,), (), "a column is -1"),
        ((0, 1), (), "1 are needed"),
        ((0,), (0.5,), "0 are needed"),
        ((0, 1), (math.nan,), "a threshold is nan"),
    ],
)
def test_bad_cascades(columns: tuple[int, ...], thresholds: tuple[float, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Cascade(columns, thresholds)


def test_bad_arrays() -> None:
    scores, utility, costs = draw(10, 3, 0)
    cascade = Cascade((0, 2), (0.5,))
    nan, high = scores.copy(), scores.copy()
    nan[2, 1], high[1, 0] = np.nan, 1.5
    for bad, words in (
        ((nan, utility, costs), r"scores\[2, 1\] is nan"),
        ((high, utility, costs), r"scores\[1, 0\] is 1\.5"),
        ((scores, 2 * utility + 1, costs), "utility.*from 0 to 1"),
        ((scores, utility, -costs), "costs.*at least 0"),
        ((scores, utility[:, :2], costs), "utility has shape"),
        ((scores, utility[:5], costs), "utility has shape"),
        ((scores, utility, costs[:5]), "costs has shape"),
        ((scores[0], utility, costs), "scores has shape"),
        ((scores[:0], utility[:0], costs[:0]), "scores has no rows"),
        ((scores[:, :0], utility[:, :0], costs[:, :0]), "scores has shape"),
    ):
        with pytest.raises(InputError, match=words):
            cascade.run(*bad)
        with pytest.raises(InputError, match=words):
            fit_cascade(*bad, 10.0)
    with pytest.raises(InputError, match="columns from 0 to 1"):
        cascade.run(scores[:, :2], utility[:, :2], costs[:, :2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": math.nan}, "budget is nan"),
        ({"budget": -1.0}, "budget is -1"),
        ({"length": 0}, "length is 0"),
        ({"length": 6}, "length is 6"),
        ({"grid": 1}, "grid is 1"),
        ({"grid": 500, "length": 5}, "too many"),
        ({"candidates": []}, "at least one state"),
        ({"candidates": [0, 0]}, "each only once"),
        ({"candidates": [3]}, "a candidate is 3"),
    ],
)
def test_bad_fits(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        fit_cascade(*draw(10, 3, 0), **{"budget": 50.0, **changes})


# ---- the scorer


def answered(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of queries, utilities of two states, and a feature of each answer that tells whether it is right."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    utility = (rng.random((n, 2)) < 1 / (1 + np.exp(-(x[:, :1] + [0.0, 1.0])))).astype(float)
    return x, utility, 100.0 + 20.0 * (utility + rng.normal(size=(n, 2)))


def auc(utility: np.ndarray, scores: np.ndarray) -> float:
    return float(np.mean([roc_auc_score(utility[:, s], scores[:, s]) for s in range(utility.shape[1])]))


def test_what_an_answer_looks_like_is_learned() -> None:
    x, utility, looks = answered(1500, 0)
    new, truth, new_looks = answered(1500, 1)
    plain = AnswerScorer(features="given").fit(x, utility)
    scorer = AnswerScorer(features="given").fit(x, utility, looks)
    assert auc(truth, scorer.predict(new, new_looks)) > auc(truth, plain.predict(new)) + 0.05
    assert auc(utility, scorer.cross_fitted_) == pytest.approx(auc(truth, scorer.predict(new, new_looks)), abs=0.03)
    predicted = scorer.predict(new, new_looks)
    assert predicted.shape == scorer.cross_fitted_.shape == (1500, 2)
    assert predicted.mean(axis=0) == pytest.approx(truth.mean(axis=0), abs=0.03)
    assert np.array_equal(predicted, scorer.predict(new, new_looks[:, :, None]))


@pytest.mark.parametrize("router", ["logistic", "knn", "boosting"])
def test_scores_of_the_fit_are_of_queries_left_out(router: str) -> None:
    rng = np.random.default_rng(2)
    x, utility = rng.normal(size=(240, 5)), (rng.random((240, 1)) < 0.5).astype(float)
    scorer = AnswerScorer(router, features="given").fit(x, utility, rng.normal(size=(240, 1, 2)))
    assert auc(utility, scorer.cross_fitted_) < 0.6  # nothing to learn


def test_a_seed_repeats_and_another_deals_other_folds() -> None:
    x, utility, looks = answered(200, 3)
    one, two, other = (AnswerScorer(features="given", random_state=seed).fit(x, utility, looks) for seed in (4, 4, 5))
    assert np.array_equal(one.cross_fitted_, two.cross_fitted_)
    assert np.array_equal(one.predict(x, looks), two.predict(x, looks))
    assert not np.array_equal(one.cross_fitted_, other.cross_fitted_)


def test_groups_are_left_out_together() -> None:
    rng = np.random.default_rng(6)
    place = np.repeat(np.arange(30), 8)
    x, utility = np.eye(30)[place], (rng.random((30, 1)) < 0.5).astype(float)[place]
    scorer = AnswerScorer("knn", features="given").fit(x, utility)
    assert auc(utility, scorer.cross_fitted_) > 0.9
    scorer.fit(x, utility, groups=place)
    assert auc(utility, scorer.cross_fitted_) < 0.7


def test_texts_missing_measurements_and_estimators() -> None:
    rng = np.random.default_rng(7)
    texts = [f"{'easy' if i % 2 else 'hard'} question {i} of {'sums' if i % 3 else 'words'}" for i in range(120)]
    utility = np.column_stack([np.arange(120) % 2, (rng.random(120) < 0.5)]).astype(float)
    utility[::5, 0] = np.nan
    for router in ("logistic", "mlp", LogisticRegression(C=2.0)):
        scorer = clone(AnswerScorer(router)).fit(texts, utility, rng.normal(size=(120, 2, 3)))
        known = ~np.isnan(utility[:, 0])
        assert roc_auc_score(utility[known, 0], scorer.cross_fitted_[known, 0]) > 0.9
        assert scorer.predict(texts[:3], np.zeros((3, 2, 3))).shape == (3, 2)


def test_scorer_and_cascade_together() -> None:
    x, utility, looks = answered(2000, 8)
    scorer = AnswerScorer(features="given").fit(x, utility, looks)
    cascade = fit_cascade(scorer.cross_fitted_, utility, [1.0, 4.0], 3.0)
    assert cascade.columns == (0, 1)
    new, truth, new_looks = answered(2000, 9)
    run = cascade.run(scorer.predict(new, new_looks), truth, [1.0, 4.0])
    assert run.cost.mean() == pytest.approx(3.0, abs=0.2)
    assert run.utility.mean() > 0.5 * truth.mean(axis=0).sum() + 0.05  # more than a coin between the two


def test_bad_answers() -> None:
    x, utility, looks = answered(40, 10)
    scorer = AnswerScorer(features="given")
    with pytest.raises(NotFittedError):
        scorer.predict(x)
    empty = utility.copy()
    empty[:, 1] = np.nan
    for bad, words in (
        ((x[:30], utility, looks), "X has 30 queries and y 40"),
        ((x, utility, looks[:30]), "answers has shape"),
        ((x, utility, looks[:, :1]), "answers has shape"),
        ((x, utility, np.where(looks > looks.min(), looks, np.nan)), "answers holds nan"),
        ((x, utility, [["a"]]), "answers is not an array"),
        ((x, empty, looks), "no measurement in column 1"),
        ((x, 2 * utility + 1, looks), "y holds"),
    ):
        with pytest.raises(InputError, match=words):
            scorer.fit(*bad)
    with pytest.raises(InputError, match="folds is 1"):
        AnswerScorer(features="given", folds=1).fit(x, utility)
    with pytest.raises(InputError, match="router is 'tree'"):
        AnswerScorer("tree", features="given").fit(x, utility)
    scorer.fit(x, utility, looks)
    with pytest.raises(InputError, match="answers has 0 features"):
        scorer.predict(x)
