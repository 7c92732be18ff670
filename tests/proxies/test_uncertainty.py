import numpy as np
import pytest

from robatch.instances import Model, Problem
from robatch.instances.errors import InputError
from robatch.proxies.utility.uncertainty import Answers
from robatch.proxies.utility.utility_proxy import UtilityProxy
from robatch.solvers import solve

SIZES = (1, 4, 16)
MODELS = 3
STATES = [(f"m{k}", b) for k in range(MODELS) for b in SIZES]


def draw(rng: np.random.Generator, weights: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = rng.normal(size=(n, 4))
    hidden = 0.8 * rng.normal(size=(n, 1))  # what no feature tells
    base = 1 / (1 + np.exp(-(x @ weights + [-0.2, 0.6, 1.3] + hidden)))
    kept = np.exp(-np.outer([0.12, 0.06, 0.03], np.log2(SIZES))).ravel()
    utility = np.repeat(base, len(SIZES), axis=1) * kept
    return x, utility, (rng.random(utility.shape) < utility).astype(float)


def trial(seed: int, calibration: str) -> list[bool]:
    rng = np.random.default_rng(seed)
    weights = 0.4 * rng.normal(size=(4, MODELS)) + 0.6 * rng.normal(size=(4, 1))
    x, _, y = draw(rng, weights, 200)
    new, _, outcome = draw(rng, weights, 120)
    proxy = UtilityProxy(STATES, features="given", calibration=calibration).fit(x, y)
    prices = (0.1, 0.4, 2.0)
    problem = Problem(
        [Model(f"m{k}", price, 4 * price, 300, None, SIZES) for k, price in enumerate(prices)],
        rng.integers(30, 100, 120).astype(float),
        np.full(120, 5.0),
        utility=proxy.predict(new),
    )
    hits = []
    for part in (0.03, 0.1, 0.3, 0.6):
        budget = problem.cheapest_budget + part * (problem.dearest_budget - problem.cheapest_budget)
        plan = solve(problem, budget, solver="greedy", cost="amortized")
        chosen = np.asarray(plan.assignment)
        total = proxy.predict_total(new, chosen, level=0.9)
        hits.append(total.low <= outcome[np.arange(120), chosen].sum() <= total.high)
    return hits


@pytest.mark.parametrize("calibration", ["platt", "isotonic"])
def test_the_interval_holds_the_true_total_of_plans_made_with_the_predictions(calibration: str) -> None:
    hits = np.array([trial(seed, calibration) for seed in range(50)])
    assert 0.85 <= hits.mean() <= 0.99, hits.mean(axis=0)


def test_lower_bounds_hold_and_fall_with_the_level() -> None:
    rng = np.random.default_rng(5)
    weights = 0.7 * rng.normal(size=(4, MODELS))
    x = rng.normal(size=(600, 4))
    truth = np.repeat(1 / (1 + np.exp(-(x @ weights))), len(SIZES), axis=1)
    proxy = UtilityProxy(STATES, features="given").fit(x[:300], (rng.random((300, 9)) < truth[:300]).astype(float))
    mean, wide, wider = proxy.predict(x[300:]), *(proxy.predict_lower(x[300:], level) for level in (0.9, 0.99))
    assert (wider <= wide).all()
    assert (wide <= mean).all()
    assert (truth[300:] >= wide).mean() >= 0.85
    assert proxy.predict_lower(x[:5], 0.5) == pytest.approx(proxy.predict(x[:5]))


def test_few_measurements_make_wide_bounds() -> None:
    rng = np.random.default_rng(6)
    x, _, y = draw(rng, np.zeros((4, MODELS)), 200)
    y[10:, 2] = np.nan  # adaptive sampling: a prefix of the queries
    proxy = UtilityProxy(STATES, features="given").fit(x, y)
    gap = (proxy.predict(x) - proxy.predict_lower(x, 0.9)).mean(axis=0)
    assert gap[2] > 1.5 * gap[1]


def test_wrong_levels_and_assignments_are_refused() -> None:
    rng = np.random.default_rng(7)
    x, _, y = draw(rng, np.zeros((4, MODELS)), 50)
    proxy = UtilityProxy(STATES, features="given").fit(x, y)
    with pytest.raises(InputError, match="level is 1"):
        proxy.predict_lower(x, 1.0)
    with pytest.raises(InputError, match="assignment holds 0 to 9"):
        proxy.predict_total(x[:2], [0, 9])
    with pytest.raises(InputError, match="assignment has shape"):
        proxy.predict_total(x, [0])
    one = proxy.predict_total(x[:1], [3])
    assert 0 <= one.low <= one.mean <= one.high <= 1


@pytest.mark.parametrize(("fails", "params"), [(0.0, {"folds": 2}), (0.15, {})])
def test_the_interval_is_of_one_execution_whatever_was_repeated_and_fails_together(
    fails: float, params: dict[str, int]
) -> None:
    hits = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        p = np.clip(rng.normal(0.7, 0.25, 480), 0.02, 0.98)  # what no feature tells

        def outcome(rng: np.random.Generator = rng, p: np.ndarray = p) -> tuple[np.ndarray, np.ndarray]:
            call = rng.permutation(480) // 8
            lost = rng.random(60) < fails
            return (rng.random(480) < p) * ~lost[call], call

        repeats = [outcome() for _ in range(3)]
        scores = np.array([score for score, _ in repeats], dtype=float)
        calls = np.concatenate([call + 60 * r for r, (_, call) in enumerate(repeats)])
        rows = np.tile(np.arange(480), 3)
        keep = rows < 240  # the others are new
        answers = Answers(rows[keep], np.zeros(keep.sum(), int), scores.ravel()[keep], calls[keep])
        x = rng.normal(size=(480, 2))
        proxy = UtilityProxy([("m", 8)], features="given", **params)  # two folds are the least work
        proxy.fit(x[:240], scores.mean(axis=0)[:240, None], answers=answers)
        once, _ = outcome()
        total = proxy.predict_total(x[240:], np.zeros(240, int))
        hits.append(total.low <= once[240:].sum() <= total.high)
    assert np.mean(hits) >= 0.85


def test_what_a_choice_gains_by_luck_is_taken_off_its_total() -> None:
    off, corrected = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = (rng.random((360, 12)) < 0.5).astype(float)  # states that are all alike: choosing gains nothing
        x = rng.normal(size=(360, 2))
        proxy = UtilityProxy([(f"m{k}", 1) for k in range(12)], features="given", router="constant")
        proxy.fit(x[:120], y[:120])
        predicted = proxy.predict(x[120:])
        chosen = predicted.argmax(axis=1)
        truth = 0.5 * 240
        off.append(proxy.predict_total(x[120:], chosen).mean - truth)
        corrected.append(proxy.predict_total(x[120:], chosen, objective=predicted).mean - truth)
    assert np.mean(off) > 10.0
    assert abs(np.mean(corrected)) < 0.5 * np.mean(off)


def test_an_objective_of_another_shape_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    proxy = UtilityProxy([("m", 1)], features="given").fit(x, (x[:, :1] > 0).astype(float))
    with pytest.raises(InputError, match=r"objective has shape \(3, 1\): \(2, 1\) is needed"):
        proxy.predict_total(x[:2], [0, 0], objective=np.zeros((3, 1)))
