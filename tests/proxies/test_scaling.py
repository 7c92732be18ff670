import numpy as np
import pytest

from robatch.proxies.utility.scaling import SCALINGS, estimate_floor, fit_curve, paired_retention

SIZES = (1, 2, 4, 8, 16, 32)


@pytest.mark.parametrize("kind", SCALINGS)
def test_every_function_recovers_an_exact_curve_of_its_kind(kind: str) -> None:
    x = np.log2(SIZES)
    true = {
        "exponential": np.exp(-0.2 * x),
        "logistic-drop": (1 / (1 + np.exp(x - 4))) / (1 / (1 + np.exp(-4.0))),
    }.get(kind, np.array([1, 0.99, 0.9, 0.8, 0.8, 0.3]))
    curve = fit_curve(kind, SIZES, true, np.full(6, 300.0))
    assert curve.values == pytest.approx(true, abs=1e-4)
    assert curve(SIZES) == pytest.approx(true, abs=1e-4)
    assert curve.values[0] == 1.0
    assert curve([1000])[0] <= curve([32])[0]


@pytest.mark.parametrize("kind", ["isotonic", "exponential", "logistic-drop"])
def test_curves_never_rise_whatever_the_estimates(kind: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        estimates = np.concatenate([[1.0], rng.uniform(0.3, 1.3, 5)])
        curve = fit_curve(kind, SIZES, estimates, rng.integers(1, 50, 6).astype(float))
        fine = curve(list(range(1, 80)))
        assert (np.diff(fine) <= 1e-12).all()
        assert fine[0] == pytest.approx(1.0)
        assert ((fine >= 0) & (fine <= 1)).all()


def test_a_table_trusts_many_pairs_and_smooths_few() -> None:
    estimates = np.array([1.0, 0.7, 0.9])
    many = fit_curve("table", (1, 2, 4), estimates, np.full(3, 1e6)).values
    few = fit_curve("table", (1, 2, 4), estimates, np.full(3, 1.0)).values
    assert many == pytest.approx(estimates, abs=1e-3)
    assert few[1:] == pytest.approx([0.8, 0.8], abs=0.01)


def test_retention_is_of_pairs_and_ignores_other_queries() -> None:
    utility = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, np.nan], [np.nan, 1.0]])
    kept, pairs = paired_retention(utility, 0.0)
    assert pairs.tolist() == [4, 3]
    assert kept[1] == pytest.approx(1 - (1 / 3) / 0.75)
    assert np.isnan(paired_retention(np.array([[1.0, np.nan]]), 0.0)[0][1])


def test_a_model_at_chance_keeps_its_level() -> None:
    utility = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert paired_retention(utility, 0.25)[0].tolist() == [1.0, 1.0]


def test_the_floor_is_found() -> None:
    rng = np.random.default_rng(1)
    base = rng.uniform(0.3, 1.0, 4000)
    kept = np.array([0.8, 0.4, 0.1])
    truth = 0.25 + (base - 0.25)[:, None] * kept
    measured = (rng.random(truth.shape) < truth).astype(float)
    assert estimate_floor(base, measured) == pytest.approx(0.25, abs=0.05)


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(ValueError, match="scaling is 'cubic': one of"):
        fit_curve("cubic", SIZES, np.ones(6), np.ones(6))
