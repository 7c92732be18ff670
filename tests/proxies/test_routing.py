"""Routing: predict, solve, pack, and the plan's file."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from robatch.instances import InputError
from robatch.proxies.engines import offline
from robatch.proxies.engines.address import weights_sha256
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.pool import override, pool_model
from robatch.proxies.execution.routing import route
from robatch.proxies.tasks.queries import Query, write_queries
from robatch.proxies.utility.utility_proxy import UtilityProxy
from robatch.solvers import verify
from tests.proxies.llm_server import Proxy, make_queries

URL = "http://127.0.0.1:9/v1"


@pytest.fixture
def queries(tmp_path):
    make_queries(tmp_path / "q.jsonl", 24)
    return tmp_path / "q.jsonl"


@pytest.mark.parametrize("policy", ["order", "length", "random"])
def test_a_plan_is_kept_whole_by_its_file(tmp_path, queries, policy):
    made = route(queries, Proxy(URL), budget_fraction=0.4, policy=policy, seed=3)
    verify(made.problem, made.plan)
    made.write(tmp_path / "plan.parquet")
    back = RoutedPlan.read(tmp_path / "plan.parquet")
    assert back.problem == made.problem
    assert back.sha256 == made.sha256
    assert back.pool == made.pool
    assert back.template == made.template
    assert back.planned_cost == made.planned_cost <= made.plan.budget
    assert [call.queries.tolist() for call in back.calls] == [call.queries.tolist() for call in made.calls]
    assert [query.id for query in back.queries()] == made.problem.query_ids.tolist()
    assert sorted(np.concatenate([call.queries for call in back.calls])) == list(range(24))


def test_the_plan_holds_no_text_of_a_query(tmp_path, queries):
    import pyarrow.parquet as pq

    route(queries, Proxy(URL), budget_fraction=0.4).write(tmp_path / "plan.parquet")
    table = pq.read_table(tmp_path / "plan.parquet")
    assert "good number" not in str(table.to_pydict()) + str(table.schema.metadata)


def test_the_interval_comes_from_the_proxy(queries):
    proxy = Proxy(URL)
    proxy.predict_total = lambda texts, assignment, level, objective: (float(len(texts)), 1.0, level)
    made = route(queries, proxy, budget_fraction=0.4)
    assert made.predicted == {"utility": 24.0, "low": 1.0, "high": 0.9}


def test_the_interval_does_not_depend_on_the_solver(queries):
    seen = []
    proxy = Proxy(URL, sizes=(1, 2, 4))
    proxy.predict_total = lambda texts, assignment, level, objective: seen.append(objective) or (1.0, 1.0, 1.0)
    for solver in ("greedy", "exact", "highs"):
        made = route(queries, proxy, budget_fraction=0.4, solver=solver)
    assert made.plan.shadow_price is None
    assert seen[2] == pytest.approx(seen[0])
    assert seen[1] == pytest.approx(seen[0])


def test_queries_that_the_prompt_does_not_ask_are_refused(tmp_path, queries):
    proxy = Proxy(URL)
    proxy.facts_.task |= {"kind": "choice", "choices": ["good", "bad"]}
    route(queries, proxy, 1.0)
    proxy.to_problem = None  # nothing is predicted
    for query, words in (
        (Query("n", "How many?", kind="number"), "query 'n' is of kind 'number'"),
        (Query("c", "Which?", choices=("red", "blue")), "query 'c' has the choices"),
    ):
        write_queries(tmp_path / "other.jsonl", [query])
        with pytest.raises(InputError, match=words):
            route(tmp_path / "other.jsonl", proxy, 1.0)


def test_robust_is_handed_on(queries):
    plain = route(queries, Proxy(URL), 1.0)
    robust = route(queries, Proxy(URL), 1.0, robust=0.9)
    assert robust.plan.utility == pytest.approx(0.9 * plain.plan.utility)


def test_a_pool_changes_addresses_and_prices(tmp_path, queries):
    pool = tmp_path / "pool.toml"
    pool.write_text('[[models]]\nname = "large"\nserver = "http://example.org/v1"\nprice_in = 2.0\n', encoding="utf-8")
    made = route(queries, Proxy(URL), 1.0, pool=pool)
    assert [model.server for model in made.pool] == [URL, "http://example.org/v1"]
    assert made.problem.models[1].price_in == 2.0
    assert made.planned_cost > route(queries, Proxy(URL), 1.0).planned_cost
    pool.write_text('[[models]]\nname = "large"\nserver = "http://example.com/v1"\n', encoding="utf-8")
    assert made.with_pool(pool).sha256 == made.sha256  # the same plan, sent elsewhere
    pool.write_text('[[models]]\nname = "large"\nprice_out = 9.0\n', encoding="utf-8")
    with pytest.raises(InputError, match="route again"):
        made.with_pool(pool)


def test_a_provenance_of_a_local_model_is_understood():
    record = {
        "name": "m", "price_in": 0.1, "price_out": 0.2, "context_window": 2048, "batch_sizes": [1, 2], "chat": False,
        "structured": "regex", "path": None, "server": None, "model": None, "engine": "vllm offline",
        "engine_arguments": {"dtype": "bfloat16"}, "identity": {"folder": "smollm2-135m", "sha256": "0"},
    }  # fmt: skip
    made = pool_model(record)
    assert (made.path, made.server, made.chat, made.structured) == ("smollm2-135m", None, False, True)
    assert made.engine == {"dtype": "bfloat16"}
    assert pool_model(made.to_dict()) == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[models]]\nname = "huge"\n', "'huge'"),
        ('[[models]]\nname = "large"\ncolour = 1\n', "'colour'"),
        ('[[models]]\nname = "large"\nserver = "http://me:pass@example.org/v1"\n', "base URL"),
        ('[[models]]\nname = "large"\nprice_in = -1\n', "price_in"),
        ('[[models]]\nname = "large"\nengine = {hf_token = "x"}\n', "environment"),
        ('[[models]]\nname = "large"\nengine = {secret_thing = "x"}\n', "environment"),
        ('[[models]]\nname = "large"\nengine = {hf = {token = "x"}}\n', "environment"),
        ('[[models]]\nname = "large"\nengine = "x"\n', "a table"),
        ('[[models]]\nname = "large"\nstructured = "maybe"\n', "true or false"),
        ('[[models]]\nname = ["large"]\n', r"\['large'\]"),
        ("models = 3\n", r"\[\[models\]\]"),
        ("not toml", "TOML"),
    ],
)
def test_wrong_pools_are_refused(tmp_path, text, words):
    (tmp_path / "pool.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        override([pool_model({"name": "large", "price_in": 1, "price_out": 1, "server": URL})], tmp_path / "pool.toml")
    assert "pass@" not in str(caught.value)


def test_wrong_inputs_are_refused(tmp_path, queries):
    with pytest.raises(InputError, match="exactly one"):
        route(queries, Proxy(URL))
    with pytest.raises(InputError, match="budget"):
        route(queries, Proxy(URL), 1e-9)
    with pytest.raises(InputError, match="no such file"):
        route(tmp_path / "none.jsonl", Proxy(URL), 1.0)
    made = route(queries, Proxy(URL), 1.0)
    made.plan.write(tmp_path / "plain.parquet")
    with pytest.raises(InputError, match="routed plan"):
        RoutedPlan.read(tmp_path / "plain.parquet")


def test_features_are_for_the_file_of_a_proxy(queries, monkeypatch):
    seen = []
    monkeypatch.setattr(UtilityProxy, "load", lambda path, features: seen.append((path, features)) or Proxy(URL))
    route(queries, "proxy", 1.0, features="endpoint:http://127.0.0.1:9/v1#m")
    assert seen == [("proxy", "endpoint:http://127.0.0.1:9/v1#m")]
    with pytest.raises(InputError, match="features is 'tfidf'"):
        route(queries, Proxy(URL), 1.0, features="tfidf")
    with pytest.raises(InputError, match="without credentials") as caught:
        route(queries, "proxy", 1.0, features="endpoint:http://me:SECRET@127.0.0.1:9/v1#m")
    assert "SECRET" not in str(caught.value)


def test_other_weights_than_those_measured_are_refused(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(offline, "OfflineEngine", lambda path, *_: opened.append(path))
    monkeypatch.setenv("ROBATCH_MODELS", str(tmp_path / "models"))
    folders = [tmp_path / "models" / "small", tmp_path / "other"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_text(folder.name)
    record = {"name": "small", "price_in": 1, "price_out": 1, "engine": "vllm offline"}
    record["identity"] = {"folder": "small", "sha256": weights_sha256(folders[0])}
    model = pool_model(record)
    model.open(1, 1.0, 0)
    assert opened == [str(folders[0])]
    assert pool_model(model.to_dict()) == model, "a plan keeps what was measured"
    pool = tmp_path / "pool.toml"
    for text, words in (('path = "other"', "holds other weights"), ('path = "none"', "is neither here nor in")):
        pool.write_text(f'[[models]]\nname = "small"\n{text}\n', encoding="utf-8")
        with pytest.raises(InputError, match=words):
            override([model], pool)[0].open(1, 1.0, 0)
    for text in (f'path = "other"\nsha256 = "{weights_sha256(folders[1])}"', 'path = "owner/name"'):
        pool.write_text(f'[[models]]\nname = "small"\n{text}\n', encoding="utf-8")
        override([model], pool)[0].open(1, 1.0, 0)
    assert opened[1:] == [str(folders[1]), "owner/name"]


@pytest.fixture
def fitted(tmp_path):
    saved = gzip.decompress((Path(__file__).parent / "data" / "proxy_format_2_logistic.skops.gz").read_bytes())
    (tmp_path / "proxy.skops").write_bytes(saved)
    return UtilityProxy.load(tmp_path / "proxy.skops")


@pytest.fixture
def items(tmp_path):
    made = [Query(f"n{i}", f"{('red', 'soft')[i % 2]} {i}", choices=("good", "bad")) for i in range(12)]
    write_queries(tmp_path / "q.jsonl", made)
    return made


def test_a_proxy_gives_the_texts_that_it_predicts_the_total_of(queries):
    seen = []
    proxy = Proxy(URL)
    proxy.texts = lambda items: [f"{query.text} {query.choices}" for query in items]
    proxy.predict_total = lambda texts, *_: seen.extend(texts) or (1.0, 1.0, 1.0)
    route(queries, proxy, 1.0)
    assert seen[0] == "good number 0 ('good', 'bad')"


def test_what_a_proxy_changes_of_the_utility_proxy_counts(tmp_path, fitted, items):
    class Cautious(UtilityProxy):
        def to_problem(self, queries, robust=None, **fields):
            forbidden = np.tile([False, False, True, True], (len(queries), 1))
            return super().to_problem(queries, robust, forbidden=forbidden, **fields)

        def predict_total(self, *_):
            return 1.0, 0.5, 2.0

    class Constant(UtilityProxy):
        def predict(self, X):  # noqa: N803
            return np.full((len(X), 4), 0.25)

        def predict_lower(self, X, level=0.9):  # noqa: N803
            return np.full((len(X), 4), 0.125)

    fitted.__class__ = Cautious
    made = route(tmp_path / "q.jsonl", fitted, budget_fraction=1.0)
    assert made.problem.forbidden.all(axis=0).tolist() == [False, False, True, True]
    assert made.predicted == {"utility": 1.0, "low": 0.5, "high": 2.0}
    fitted.__class__ = Constant
    for robust, utility in ((None, 0.25), (0.9, 0.125)):
        assert (route(tmp_path / "q.jsonl", fitted, 1.0, robust=robust).problem.utilities() == utility).all()


@pytest.mark.parametrize("robust", [None, 0.9])
def test_a_route_looks_at_each_query_once(tmp_path, monkeypatch, fitted, items, robust):
    """The features are made once, and queries are checked once; the figures are those of separate predictions."""
    proxy = fitted
    expected = proxy.to_problem(items, robust)
    seen = []
    transform = proxy.features_.transform
    monkeypatch.setattr(proxy.features_, "transform", lambda texts: seen.append("features") or transform(texts))
    monkeypatch.setattr("robatch.proxies.utility.prediction.check_askable", lambda *_: seen.append("check"))
    monkeypatch.setattr("robatch.proxies.execution.routing.check_askable", lambda *_: seen.append("check"))
    made = route(tmp_path / "q.jsonl", proxy, budget_fraction=0.5, robust=robust)
    assert seen == ["check", "features"]
    assert np.array_equal(made.problem.utilities(), expected.utilities())
    objective = expected.utilities() - made.plan.shadow_price * expected.amortized_costs()
    total = proxy.predict_total(proxy.texts(items), made.plan.assignment, 0.9, objective)
    assert list(made.predicted.values()) == list(total)
