from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.neighbors import KNeighborsRegressor

from robatch.instances.errors import InputError
from robatch.proxies.profiling.packing_tokens import Packing
from robatch.proxies.tasks.queries import Query
from robatch.proxies.utility.decision_value import PRICES, decision_value
from robatch.proxies.utility.diagnostics import compare_with_per_state, diagnose, judge, reliability
from robatch.proxies.utility.fit_context import stack_tasks
from robatch.proxies.utility.utility_proxy import UtilityProxy

STATES = [("a", 1), ("a", 8), ("b", 1), ("b", 8)]


def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    base = 1 / (1 + np.exp(-(x @ rng.normal(size=(3, 2)))))
    truth = np.repeat(base, 2, axis=1) * [1, 0.8, 1, 0.6]
    return x, (rng.random((n, 4)) < truth).astype(float)


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.random((200, 1))
    measured = (rng.random((200, 1)) < predicted).astype(float)
    found = judge([("a", 1)], predicted, measured)
    assert found.brier == pytest.approx(brier_score_loss(measured[:, 0], predicted[:, 0]))
    assert found.log_loss == pytest.approx(log_loss(measured[:, 0], predicted[:, 0]))
    assert found.auc == pytest.approx(roc_auc_score(measured[:, 0], predicted[:, 0]))


def test_the_calibration_error_of_a_known_bias() -> None:
    assert judge([("a", 1)], np.full((100, 1), 0.7), np.full((100, 1), 0.5)).ece == pytest.approx(0.2)
    table = reliability(np.array([0.05, 0.95, 1.0]), np.array([0.0, 1.0, 0.0]))
    assert [(row["low"], row["count"], row["measured"]) for row in table] == [(0.0, 1, 0.0), (0.9, 2, 0.5)]


def test_a_good_proxy_is_better_than_the_means_and_a_constant_one_is_not() -> None:
    x, y = draw(400, 1)
    y[300:, 1] = np.nan
    good = diagnose(UtilityProxy(STATES, features="given"), x, y)
    assert good.brier < good.baseline_brier - 0.02
    assert good.ece < 0.06
    assert good.auc is not None
    assert good.auc > 0.6
    flat = diagnose(UtilityProxy(STATES, features="given", router="constant"), x, y)
    assert flat.brier == pytest.approx(flat.baseline_brier, abs=0.003)
    again = diagnose(UtilityProxy(STATES, features="given"), x, y)
    assert np.array_equal(again.predicted, good.predicted)


@pytest.mark.parametrize("kind", ["list", "array", "groups", "one task", "series"])
def test_nothing_is_learned_from_a_twin(kind: str) -> None:
    rng = np.random.default_rng(2)
    texts = [f"unique{i}" for i in range(60)] * 2  # every text twice, with the same answer
    y = np.tile(rng.integers(0, 2, (60, 4)).astype(float), (2, 1))
    groups = {"groups": np.arange(120) // 60 + np.arange(120) % 60 * 2, "one task": ["task"] * 120}.get(kind)
    x = {"array": np.array(texts), "series": pd.Series(texts, index=rng.permutation(120))}.get(kind, texts)
    found = diagnose(UtilityProxy(STATES, router=KNeighborsRegressor(n_neighbors=1)), x, y, groups=groups)
    assert found.auc is not None
    assert found.auc < 0.56


def test_rows_of_pandas_are_counted_and_not_looked_up() -> None:
    x, y = draw(200, 8)
    frame = pd.DataFrame(x, index=np.random.default_rng(0).permutation(200))
    proxy = UtilityProxy(STATES, features="given")
    assert diagnose(proxy, frame, y).brier == diagnose(proxy, x, y).brier


def test_whole_groups_are_left_out() -> None:
    x, y = draw(200, 3)
    group = np.arange(200) % 4
    marks = np.eye(4)[group]
    y[:] = (group < 2)[:, None]  # the group alone tells the answer, so that a group left out cannot be known
    by_query = diagnose(UtilityProxy(STATES, features="given"), marks, y)
    by_group = diagnose(UtilityProxy(STATES, features="given"), marks, y, groups=group, folds=4)
    assert by_query.brier < 0.05
    assert by_group.baseline_brier == pytest.approx(((by_group.plain - y) ** 2).mean())
    for g in range(4):  # its own answers have no part in it
        assert by_group.plain[group == g] == pytest.approx(
            (y[group != g].sum(axis=0) + 0.5) / 151.0 + np.zeros((50, 4))
        )
    assert by_group.brier > 0.2
    with pytest.raises(InputError, match="groups has shape"):
        diagnose(UtilityProxy(STATES, features="given"), x, y, groups=[1, 2])


def test_one_router_per_state_is_compared_on_the_same_cells() -> None:
    x, y = draw(150, 4)
    found = compare_with_per_state(UtilityProxy(STATES, features="given"), x, y)
    assert set(found) == {"decomposed", "per state"}
    assert np.array_equal(found["decomposed"].measured, found["per state"].measured)
    assert found["decomposed"].brier < found["per state"].brier + 0.005


def test_a_plot_is_a_picture(tmp_path: Path) -> None:
    x, y = draw(60, 5)
    diagnose(UtilityProxy(STATES, features="given"), x, y).plot(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_more_folds_than_there_is_to_leave_out_are_refused() -> None:
    x, y = draw(60, 6)
    proxy = UtilityProxy(STATES, router="constant", features="given")
    with pytest.raises(InputError, match="folds is 61: a whole number from 2 to 60 is needed for 60 different queries"):
        diagnose(proxy, x, y, folds=61)
    with pytest.raises(InputError, match="folds is 100000"):
        proxy.set_params(folds=100_000).fit(x, y)
    with pytest.raises(InputError, match="from 2 to 50 is needed for 3 groups"):
        diagnose(proxy.set_params(folds=5), x, y, np.arange(60) % 3, folds=60)
    assert diagnose(proxy, x[:20], y[:20], folds=50).plain.shape == (20, 4)  # leaves out one at a time


def test_one_class_has_no_auc_and_one_query_nothing_to_leave_out() -> None:
    x, y = draw(60, 6)
    y[:, 0] = 1.0
    assert diagnose(UtilityProxy(STATES, features="given"), x, y).per_state[0]["auc"] is None
    with pytest.raises(InputError, match="nothing to leave out"):
        diagnose(UtilityProxy(STATES, features="given"), x[:1], y[:1])


def test_choices_by_good_predictions_gain_and_by_constants_do_not() -> None:
    measured = np.array([[1.0, 1.0], [0.0, 1.0]] * 50)
    constant = np.tile(measured.mean(axis=0), (100, 1))
    same = decision_value(constant, constant, measured, [1e-3, 4e-3])
    assert (same.gain, same.clear) == (0.0, False)
    known = decision_value(measured, constant, measured, [1e-3, 4e-3])
    # All take the dear state as long as it costs less than the half that it adds; who knows, half of the time.
    prices = np.array(PRICES)
    assert [record["price"] for record in known.per_price] == pytest.approx(prices / 4e-3)
    assert known.gain == pytest.approx((0.5 * 0.75 * prices).mean())
    assert known.clear
    measured[:50] = np.nan
    assert decision_value(constant, constant, measured, np.ones((100, 2))).per_price[0]["queries"] == 50
    with pytest.raises(InputError, match="costs has shape"):
        decision_value(constant, constant, measured, [1.0])
    x, y = draw(100, 9)
    assert diagnose(UtilityProxy(STATES, features="given"), x, y).decisions is None
    assert diagnose(UtilityProxy(STATES, features="given"), x, y, costs=[1, 2, 3, 4]).decisions is not None


class TwoTasks:
    """What is needed of the measurements of two tasks, whose queries have the same ids."""

    tasks = ("easy", "hard")
    states = tuple(STATES)

    def __init__(self) -> None:
        self.provenance = {
            "models": [{"name": name, "shared_tokens": {}} for name in ("a", "b")],
            "tasks": [{"name": name, "template": {"show_choices": False}} for name in self.tasks],
        }
        rows = [(task, f"q{i}", "a", 1, 0, i, float(task == "easy")) for task in self.tasks for i in range(40)]
        names = ("task", "query_id", "model", "batch_size", "repeat", "call", "score")
        self.table = {name: pa.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}

    def utilities(self, task: str) -> tuple[tuple[str, ...], np.ndarray]:
        return tuple(f"q{i}" for i in range(40)), np.full((40, 4), float(task == "easy"))

    def tokens(self, task: str) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((40, 2)), np.ones((40, 2))

    def packing(self, task: str) -> tuple[Packing, ...]:
        return (Packing(0.0, 0.0),) * 2


def test_a_proxy_is_judged_by_query_and_by_task() -> None:
    measured: Any = TwoTasks()
    queries = {
        task: [Query(f"q{i}", f"{task} text {i}", "1", "number") for i in range(count)]
        for task, count in (("easy", 40), ("hard", 30))
    }
    found = stack_tasks(measured, queries)
    assert found.tasks == ["easy"] * 40 + ["hard"] * 30
    assert found.utility[:, 0].tolist() == [1.0] * 40 + [0.0] * 30
    by_query = diagnose(UtilityProxy(STATES), found.texts, found.utility)
    by_task = diagnose(UtilityProxy(STATES), found.texts, found.utility, groups=found.tasks, folds=2)
    assert by_query.brier < 0.1  # its text tells the task
    assert by_task.brier > 0.8  # the other task tells the opposite
    with pytest.raises(InputError, match="queries is empty"):
        stack_tasks(measured, {})
