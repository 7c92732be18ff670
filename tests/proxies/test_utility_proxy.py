import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, SVR
from sklearn.utils.validation import check_is_fitted

from robatch.instances.errors import InputError
from robatch.proxies.online.router import OnlineRouter
from robatch.proxies.profiling.packing_tokens import Packing
from robatch.proxies.tasks.queries import Query
from robatch.proxies.utility import file as proxy_file
from robatch.proxies.utility.calibration import IDENTITY, Calibrator, calibrated, to_logit
from robatch.proxies.utility.estimator_parts import from_parts, to_parts
from robatch.proxies.utility.estimators import ESTIMATORS, all_scores, estimator_scores
from robatch.proxies.utility.scaling import SCALINGS
from robatch.proxies.utility.utility_proxy import UtilityProxy

SIZES = (1, 2, 4, 8, 16)
STATES = [(model, size) for model in ("a", "b") for size in SIZES]
KEPT = np.array([[1, 0.95, 0.9, 0.7, 0.4], [1, 0.99, 0.97, 0.92, 0.8]])


def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    base = 1 / (1 + np.exp(-(x @ np.array([[1, 0.8], [0.5, -0.3], [0, 0.5]]) + [0.3, 1.4])))
    truth = np.hstack([base[:, [k]] * KEPT[k] for k in range(2)])
    return x, base, truth, (rng.random(truth.shape) < truth).astype(float)


def test_base_utility_and_retention_are_recovered() -> None:
    x, _, _, y = draw(3000, 0)
    new, base, truth, _ = draw(1000, 1)
    proxy = UtilityProxy(STATES, scaling="isotonic", features="given").fit(x, y)
    assert np.abs(proxy.predict_base(new) - base).mean() < 0.035
    assert proxy.decomposition_.retention == pytest.approx(KEPT.ravel(), abs=0.04)
    assert np.abs(proxy.predict(new) - truth).mean() < 0.025


@pytest.mark.parametrize("router", ESTIMATORS)
def test_every_router_predicts_repeatably_and_near_the_measured_means(router: str) -> None:
    x, _, _, y = draw(250, 2)
    one, two = (UtilityProxy(STATES, router=router, features="given", random_state=4).fit(x, y) for _ in range(2))
    predicted = one.predict(x)
    assert predicted.dtype == np.float64
    assert predicted.shape == (250, 10)
    assert ((predicted >= 0) & (predicted <= 1)).all()
    assert np.array_equal(predicted, two.predict(x))
    assert one.cross_fitted_.mean() == pytest.approx(y.mean(), abs=0.01)
    assert one.cross_fitted_.mean(axis=0) == pytest.approx(y.mean(axis=0), abs=0.05)
    new, _, _, outcome = draw(600, 102)
    if router != "constant":
        constant = UtilityProxy(STATES, router="constant", features="given").fit(x, y)
        assert one.score(new, outcome) > constant.score(new, outcome)


@pytest.mark.parametrize("calibration", ["platt", "isotonic"])
def test_predicted_means_of_new_queries_are_nearer_than_the_measured_ones(calibration: str) -> None:
    off, free = [], []
    for seed in range(12):
        x, _, _, y = draw(80, seed)
        new, _, truth, _ = draw(2000, 100 + seed)
        proxy = UtilityProxy(STATES, features="given", calibration=calibration).fit(x, y)
        off.append(((proxy.predict(new).mean(axis=0) - truth.mean(axis=0)) ** 2).mean())
        free.append(((y.mean(axis=0) - truth.mean(axis=0)) ** 2).mean())
    assert np.mean(off) < 0.85 * np.mean(free)  # levels of 10 states share what their curves tell


@pytest.mark.parametrize("scaling", [*SCALINGS, None])
@pytest.mark.parametrize("router", [LogisticRegression(), Ridge(), RandomForestClassifier(10)])
def test_estimators_of_scikit_learn_are_routers(router: Any, scaling: str | None) -> None:
    x, _, _, y = draw(200, 4)
    new, _, truth, _ = draw(400, 104)
    proxy, constant = (
        UtilityProxy(STATES, router=made, scaling=scaling, features="given").fit(x, y) for made in (router, "constant")
    )
    assert np.abs(proxy.predict(new) - truth).mean() < np.abs(constant.predict(new) - truth).mean()
    with pytest.raises(NotFittedError):  # a clone was fitted
        check_is_fitted(router)


def test_retention_never_rises_and_missing_cells_are_allowed() -> None:
    x, _, truth, y = draw(400, 5)
    rng = np.random.default_rng(0)
    for s in range(10):
        y[rng.integers(20, 400) :, s] = np.nan
    y[:, 9] = np.nan  # not measured at all
    proxy = UtilityProxy(STATES, features="given").fit(x, y)
    assert (np.diff(proxy.decomposition_.retention.reshape(2, 5), axis=1) <= 0).all()
    assert np.abs(proxy.predict(x) - truth).mean() < 0.12


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("router", ESTIMATORS)
def test_tiny_samples(n: int, router: str) -> None:
    texts = [f"text {i}" for i in range(n)]
    y = (np.arange(n * 10).reshape(n, 10) % 3 > 0).astype(float)
    proxy = UtilityProxy(STATES, router=router).fit(texts, y)
    assert np.isfinite(proxy.predict([*texts, "another"])).all()
    assert (proxy.predict_lower(texts) <= proxy.predict(texts)).all()


def test_one_class_constant_features_and_equal_texts() -> None:
    y = draw(60, 6)[3]
    y[:, 0], y[:, 5:] = 1.0, 0.0
    for x in (np.ones((60, 2)), ["same"] * 60):
        features = "tfidf" if isinstance(x, list) else "given"
        predicted = UtilityProxy(STATES, features=features).fit(x, y).predict(x)
        assert np.ptp(predicted, axis=0) == pytest.approx(np.zeros(10), abs=1e-9)
        assert predicted[0] == pytest.approx(y.mean(axis=0), abs=0.06)
        assert 0.95 < predicted[0, 0] < 1.0
        assert 0.0 < predicted[0, 5] < 0.03


def test_scikit_learn_conventions() -> None:
    x, _, _, y = draw(120, 7)
    states = list(STATES)
    proxy = UtilityProxy(states, router="knn", features="given")
    assert proxy.get_params()["states"] is states
    assert clone(proxy.set_params(folds=3)).get_params()["folds"] == 3
    with pytest.raises(NotFittedError):
        proxy.predict(x)
    assert cross_val_predict(proxy, x, y, cv=3).shape == y.shape
    y[60:, 3] = np.nan
    assert cross_val_predict(proxy, x, y, cv=3).shape == y.shape
    piped = make_pipeline(PCA(2), UtilityProxy(STATES, features="given")).fit(x, y)
    assert piped.predict(x).shape == y.shape
    assert UtilityProxy(features="given").fit(x, y[:, 0]).predict(x).shape == (120, 1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"router": "oracle"}, "router is 'oracle'"),
        ({"scaling": "cubic"}, "scaling is 'cubic'"),
        ({"calibration": "beta"}, "calibration is 'beta'"),
        ({"features": "bert"}, "features is 'bert'"),
        ({"floor": 1.0}, "floor is 1.0"),
        ({"folds": 1}, "folds is 1"),
        ({"states": [("a", 1)]}, "y has 10 columns"),
        ({"states": ["a"] * 10}, "a state is 'a'"),
    ],
)
def test_wrong_parameters_are_one_sentence(params: dict[str, Any], message: str) -> None:
    x, _, _, y = draw(20, 8)
    with pytest.raises(InputError, match=message):
        UtilityProxy(**{"states": STATES, "features": "given", **params}).fit(x, y)


def test_routers_that_do_not_fit_are_one_sentence() -> None:
    x, _, _, y = draw(40, 8)
    for router, message in ((SVC(), "predict_proba"), (KNeighborsRegressor(50), "cannot predict")):
        with pytest.raises(InputError, match=message):
            UtilityProxy(STATES, router=router, features="given").fit(x, y)


def test_the_last_step_of_a_pipeline_gets_the_weights() -> None:
    x, _, _, y = draw(60, 8)
    alone, piped = (
        UtilityProxy(STATES, router=router, features="given").fit(x, y)
        for router in (LogisticRegression(), make_pipeline(FunctionTransformer(), LogisticRegression()))
    )
    assert np.array_equal(alone.predict(x), piped.predict(x))


def test_neighbours_do_not_depend_on_what_else_is_predicted() -> None:
    texts = [f"question {i} about {'cats' if i % 3 else 'dogs'} number {i * 7 % 13}" for i in range(60)]
    proxy = UtilityProxy(STATES, router="knn").fit(texts, draw(60, 1)[3])
    alone = np.vstack([proxy.predict([text]) for text in texts])
    assert np.array_equal(alone, proxy.predict(texts))


def test_states_are_calibrated_together_as_each_by_itself() -> None:
    def alone(one: Calibrator, column: np.ndarray) -> np.ndarray:
        if len(one.line) == 0:
            return column
        straight = expit(one.line[0] + one.line[1] * to_logit(column))
        return straight if one.share == 0.0 else one.share * np.interp(column, *one.steps) + (1 - one.share) * straight

    steps = np.array([[0.2, 0.5, 0.9], [0.1, 0.6, 0.6]])
    line = Calibrator(np.array([0.3, 0.8]), np.zeros((2, 0)))
    states = [line, IDENTITY, Calibrator(np.array([-1.0, 1.2]), steps, 0.7), IDENTITY, line]
    values = np.vstack([np.random.default_rng(0).random((50, 5)), np.zeros(5), np.ones(5)])
    expected = np.column_stack([alone(one, column) for one, column in zip(states, values.T, strict=True)])
    assert np.array_equal(calibrated(states, values), expected)
    assert np.array_equal(calibrated([IDENTITY] * 5, values), values)


def test_neighbours_that_are_sought_once_are_those_of_each_estimator() -> None:
    rng = np.random.default_rng(0)
    x, new = rng.integers(0, 3, (80, 6)).astype(float), rng.normal(size=(40, 6))  # many are equally near
    fits = [(x, 9, "uniform"), (x, 9, "uniform"), (x[:70], 9, "uniform"), (x, 5, "uniform"), (x, 9, "distance")]
    estimators: list[Any] = [
        KNeighborsRegressor(count, algorithm="kd_tree", weights=weights).fit(rows, rng.random(len(rows)))
        for rows, count, weights in fits
    ]
    estimators += [0.25, Ridge().fit(x, rng.random(80))]
    alone = np.column_stack([estimator_scores(estimator, new) for estimator in estimators])
    assert np.array_equal(all_scores(estimators, new), alone)


def test_unknown_output_tokens_are_not_free() -> None:
    x, _, _, y = draw(40, 1)
    tokens = np.full((40, 2), 5.0)
    tokens[:, 1] = np.nan
    proxy = UtilityProxy(STATES, features="given").fit(x, y, output_tokens=tokens)
    with pytest.raises(InputError, match="no output tokens of model 'b'"):
        proxy.predict_output_tokens(x)


def test_given_numbers_are_checked_as_scikit_learn_does() -> None:
    x, _, _, y = draw(40, 1)
    proxy = UtilityProxy(STATES, features="given").fit(x, y)
    assert proxy.n_features_in_ == 3
    for wrong, message in ((x[:, :2], "2 features"), (x[0], "1D"), (x + 1j, "[Cc]omplex")):
        with pytest.raises(InputError, match=message):
            proxy.predict(wrong)


def test_wrong_data_is_one_sentence() -> None:
    x, _, _, y = draw(20, 9)
    proxy = UtilityProxy(STATES, features="given")
    with pytest.raises(InputError, match="y holds 2"):
        proxy.fit(x, y + 1)
    with pytest.raises(InputError, match="X has 20 queries and y 19"):
        proxy.fit(x, y[1:])
    y[:, 5:] = np.nan
    with pytest.raises(InputError, match="no measurement of model 'b'"):
        proxy.fit(x, y)


@pytest.mark.parametrize("router", [*ESTIMATORS, Ridge()])
def test_a_saved_proxy_predicts_the_same(router: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["secretword", "red", "blue", "ship"], 4)) for _ in range(80)]
    y = draw(80, 10)[3]
    proxy = UtilityProxy(STATES, router=router, calibration="isotonic").fit(texts, y)
    proxy.save(tmp_path / "proxy")
    loaded = UtilityProxy.load(tmp_path / "proxy")
    assert np.array_equal(loaded.predict(texts), proxy.predict(texts))
    assert np.array_equal(loaded.predict_lower(texts), proxy.predict_lower(texts))
    assert loaded.predict_total(texts, np.zeros(80, int)) == proxy.predict_total(texts, np.zeros(80, int))
    assert loaded.get_params(deep=False).keys() == proxy.get_params(deep=False).keys()
    with zipfile.ZipFile(tmp_path / "proxy") as archive:
        assert not any(b"secretword" in archive.read(name) for name in archive.namelist())


def test_what_cannot_be_saved_is_one_sentence(tmp_path: Path) -> None:
    texts, y = [f"text {i % 9}" for i in range(40)], draw(40, 11)[3]
    with pytest.raises(InputError, match="features is a callable"):
        UtilityProxy(STATES, features=lambda t: np.array([[len(i)] for i in t])).fit(texts, y).save(tmp_path / "p")
    with pytest.raises(InputError, match="RandomForestClassifier"):
        UtilityProxy(STATES, router=RandomForestClassifier(3)).fit(texts, y).save(tmp_path / "p")
    with pytest.raises(NotFittedError):
        UtilityProxy().save(tmp_path / "p")
    assert not list(tmp_path.iterdir())


def test_foreign_and_manipulated_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "proxy"
    with pytest.raises(InputError, match="there is no such file"):
        UtilityProxy.load(path)
    path.write_bytes(b"PK not a zip")
    with pytest.raises(InputError, match="not a proxy"):
        UtilityProxy.load(path)
    x, _, _, y = draw(40, 12)
    UtilityProxy(STATES, router="boosting", features="given").fit(x, y).save(path)
    data = path.read_bytes()
    for cut in (10, len(data) // 2, len(data) - 5):
        path.write_bytes(data[:cut])
        with pytest.raises(InputError, match="not a proxy"):
            UtilityProxy.load(path)
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    changed = {
        "robatch.proxies.utility.decomposition": "os",
        "robatch utility proxy": "another thing",
        '"Layout"': '"Curve"',
        "layout_": "lay_out",
    }
    for old, new in changed.items():
        schema = parts["schema.json"].decode()
        assert old in schema
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, schema.replace(old, new) if name == "schema.json" else part)
        with pytest.raises(InputError):
            UtilityProxy.load(path)
    assert json.loads(parts["schema.json"])


def rewritten(path: Path, old: str, new: str, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = parts["schema.json"].decode()
    assert old in schema
    parts["schema.json"] = schema.replace(old, new).encode()
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


@pytest.mark.parametrize("source", ["endpoint:http://127.0.0.1:9/v1#m", "sentence-transformers:some/model"])
def test_a_file_does_not_choose_where_texts_are_sent(source: str, tmp_path: Path) -> None:
    path = tmp_path / "proxy"
    x, _, _, y = draw(40, 12)
    proxy = UtilityProxy(STATES, features="given").fit(x, y)
    proxy.features_.source = source
    proxy.save(path)
    with pytest.raises(InputError, match="not a proxy"):  # says 'given', and is not
        UtilityProxy.load(path)
    proxy.features = source
    proxy.save(path)
    for named in (None, "endpoint:http://127.0.0.1:9/v1#other", "given"):
        with pytest.raises(InputError, match="features"):
            UtilityProxy.load(path, features=named)
    assert UtilityProxy.load(path, features=source).features == source


def test_no_class_but_those_of_proxies_is_read(tmp_path: Path) -> None:
    path = tmp_path / "proxy"
    x, _, _, y = draw(40, 12)
    proxy = UtilityProxy(STATES, features="given").fit(x, y)
    proxy.save(path)
    rewritten(path, '"StandardScaler"', '"PolynomialFeatures"')
    with pytest.raises(InputError, match="which no proxy needs"):
        UtilityProxy.load(path)
    proxy.save(path)
    rewritten(path, "}", "}", zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="compressed"):
        UtilityProxy.load(path)
    for router in (SVR(), RandomForestClassifier(3)):
        proxy.estimators_[0] = router.fit(x, y[:, 0])
        with pytest.raises(InputError, match="files hold LogisticRegression"):
            proxy.save(path)


def test_a_file_that_grows_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "proxy"
    x, _, _, y = draw(40, 12)
    UtilityProxy(STATES, features="given").fit(x, y).save(path)
    monkeypatch.setattr(proxy_file, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(InputError, match="a proxy has at most"):
        UtilityProxy.load(path)


@pytest.mark.parametrize("router", ["logistic", "knn", "mlp", "boosting", Ridge()])
def test_changed_arrays_of_a_router_are_refused(router: Any) -> None:
    x, _, _, y = draw(60, 12)
    proxy = UtilityProxy(STATES, router=router, features="given").fit(x, y)
    parts = to_parts(proxy.estimators_[0])
    assert isinstance(parts, dict)
    assert np.array_equal(from_parts(parts).predict(x), proxy.estimators_[0].predict(x))
    for name, value in parts.items():
        if name == "trees":
            nodes = [tree.copy() for tree in value]
            nodes[0]["left"][0] = 2**31
            with pytest.raises(ValueError, match="follow"):
                from_parts({**parts, "trees": nodes})
        for wrong in (None, [np.zeros((2, 2))], np.zeros((3, 3, 3)), "text", {"verbose": len}):
            with pytest.raises((ValueError, AttributeError, TypeError)):
                from_parts({**parts, name: wrong} if name != "params" else {**parts, "params": {"alpha": len, "C": len,
                           "p": len, "tol": len}})  # fmt: skip


class Measured:
    """What a proxy needs of measurements."""

    tasks = ("sort",)
    states = tuple(STATES)

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.texts = [" ".join(rng.choice(["red", "green", "blue"], rng.integers(1, 30))) for _ in range(90)]
        self.utility = draw(90, 13)[3]
        record = {"context_window": 4096, "batch_sizes": list(SIZES), "shared_tokens": {"sort": 120}}
        self.provenance = {
            "tasks": [{"name": "sort", "template": {"instructions": "Sort.", "show_choices": False}, "grader": "auto"}],
            "models": [{"name": m, "price_in": p, "price_out": 2 * p, **record} for m, p in (("a", 0.1), ("b", 1.0))],
        }

    @property
    def table(self) -> dict[str, pa.Array]:
        rows = [("sort", f"q{i}", *STATES[s], 0, i // STATES[s][1], float(self.utility[i, s]))
                for i in range(90) for s in range(10)]  # fmt: skip
        names = ("task", "query_id", "model", "batch_size", "repeat", "call", "score")
        return {name: pa.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}

    def utilities(self, task: str) -> tuple[tuple[str, ...], np.ndarray]:
        return tuple(f"q{i}" for i in range(90)), self.utility

    def tokens(self, task: str) -> tuple[np.ndarray, np.ndarray]:
        characters = np.array([len(text) for text in self.texts], dtype=float)
        inputs = np.column_stack([5 + 0.25 * characters, 3 + 0.3 * characters])
        outputs = np.column_stack([np.full(90, 4.0), 2 + 0.1 * characters])
        outputs[0] = np.nan
        return inputs, outputs

    def packing(self, task: str) -> tuple[Packing, ...]:
        return (Packing(120.0, 0.0),) * 2


def test_from_measurements_to_a_problem(tmp_path: Path) -> None:
    measured: Any = Measured()
    queries = [Query(f"q{i}", text, "red", "choice", ("red", "blue")) for i, text in enumerate(measured.texts)]
    proxy = UtilityProxy.from_measurements(measured, queries[:80])
    assert proxy.facts_ is not None
    assert proxy.facts_.queries == 80
    proxy.save(tmp_path / "p")
    for made in (proxy, UtilityProxy.load(tmp_path / "p")):
        problem = made.to_problem(queries[80:])
        assert [tuple(state) for state in problem.states] == STATES
        assert problem.query_ids is not None
        assert problem.query_ids.tolist() == [f"q{i}" for i in range(80, 90)]
        assert [model.shared_tokens for model in problem.models] == [120, 120]
        inputs, outputs = measured.tokens("sort")
        assert problem.input_tokens == pytest.approx(inputs[80:])
        assert problem.output_tokens[:, 0] == pytest.approx(np.full(10, 4.0))
        assert np.abs(problem.output_tokens[:, 1] - outputs[80:, 1]).mean() < 1.0
        assert made.pool() == problem.models
        cautious = made.to_problem(queries[80:], robust=0.9, window_margin=0.1)
        assert (cautious.utilities() <= problem.utilities()).all()
    with pytest.raises(InputError, match="none of the 1 queries was measured"):
        UtilityProxy.from_measurements(measured, [Query("x", "red", "red", "choice", ("red", "blue"))])
    with pytest.raises(InputError, match="task 'other' is not measured"):
        UtilityProxy.from_measurements(measured, queries, task="other")
    with pytest.raises(InputError, match="parameter 'state' is not known"):
        UtilityProxy.from_measurements(measured, queries, state=3)
    with pytest.raises(InputError, match="knows no prices"):
        UtilityProxy(STATES).fit(measured.texts, measured.utility).to_problem(queries)


def test_queries_that_the_prompt_does_not_ask_are_refused() -> None:
    measured: Any = Measured()
    measured.provenance["tasks"][0] |= {"kind": "choice", "choices": ["red", "blue"]}
    queries = [Query(f"q{i}", text, "red", "choice", ("red", "blue")) for i, text in enumerate(measured.texts)]
    proxy = UtilityProxy.from_measurements(measured, queries)
    router = OnlineRouter(proxy, 1.0)
    assert router.add(Query("new", "green", choices=("blue", "red")), 0.0) is not None
    for query, words in (
        (Query("n", "How many?", kind="number"), "query 'n' is of kind 'number'"),
        (Query("c", "Which?", choices=("red", "green")), "query 'c' has the choices"),
    ):
        for ask in (lambda one: proxy.to_problem([one]), router.route, lambda one: router.add(one, 1.0)):
            with pytest.raises(InputError, match=words):
                ask(query)
    assert router.count == 1


def test_queries_are_routed_online_on_lower_bounds() -> None:
    measured: Any = Measured()
    queries = [Query(f"q{i}", text, "red", "choice", ("red", "blue")) for i, text in enumerate(measured.texts)]
    proxy = UtilityProxy.from_measurements(measured, queries)

    class Cautious:
        pool = staticmethod(proxy.pool)

        def to_problem(self, queries: Any) -> Any:
            return proxy.to_problem(queries, robust=0.9)

    state = OnlineRouter(Cautious(), 1.0).route(queries[0])
    net = proxy.to_problem(queries[:1], robust=0.9)
    assert state == int((net.utilities() - net.amortized_costs())[0].argmax())
