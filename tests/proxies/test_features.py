import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from robatch.instances.errors import InputError, MissingExtraError
from robatch.proxies.utility.diagnostics import diagnose
from robatch.proxies.utility.features import Features, HashedTfidf, surface
from robatch.proxies.utility.utility_proxy import UtilityProxy

TEXTS = [f"query {word} number {i}" for i, word in enumerate(["red", "green", "blue", "red"] * 10)]


def test_tfidf_has_unit_rows_and_new_texts_have_the_same_columns() -> None:
    fitted = HashedTfidf(max_features=50).fit(TEXTS)
    seen = fitted.transform([*TEXTS, "ein ganz anderer Satz", ""])
    assert seen.shape == (42, 50)
    assert sp.linalg.norm(seen[:40], axis=1) == pytest.approx(np.ones(40))
    assert np.isfinite(seen.toarray()).all()


def test_dense_features_are_few_and_repeatable() -> None:
    one, two = (Features(dense=True, random_state=3).fit_transform(TEXTS) for _ in range(2))
    assert one.shape[1] <= 64 + 5
    assert np.array_equal(one, two)
    features = Features(dense=True)
    assert features.fit_transform(TEXTS) == pytest.approx(features.transform(TEXTS), abs=1e-9)


def test_a_fold_has_no_part_in_the_features_that_its_routers_learn_from() -> None:
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(60)]
    texts = [" ".join(rng.choice(words, 12)) for _ in range(90)]
    fold = np.arange(90) % 3
    features = Features(dense=True)
    seen, views = features.fit_folded(texts, fold)
    assert np.array_equal(seen, features.transform(texts))
    assert len(views) == 3
    for part, view in enumerate(views):
        size = [np.linalg.norm(reduced[:, :-5], axis=1) for reduced in (seen, view)]
        assert (size[1][fold == part] < size[0][fold == part]).mean() > 0.9  # as those of new texts are
    sparse, same = Features().fit_folded(texts, fold)
    assert all(view is sparse for view in same)


def test_given_numbers_are_scaled_and_constant_columns_are_harmless() -> None:
    given = np.column_stack([np.arange(10.0) * 1e6, np.ones(10)])
    seen = Features("given").fit_transform(given)
    assert seen.std(axis=0) == pytest.approx([1.0, 0.0])
    features = Features("given")
    features.fit_transform(given)
    with pytest.raises(InputError, match="X has 3 features: the proxy was fitted with 2"):
        features.transform(np.ones((2, 3)))


def test_a_callable_is_used() -> None:
    features = Features(surface)
    assert features.fit_transform(TEXTS).shape == (40, 5)
    with pytest.raises(InputError, match="returned 1 rows for 40 texts"):
        Features(lambda texts: np.ones((1, 2))).fit_transform(TEXTS)


@pytest.mark.parametrize("source", ["bert", "endpoint:localhost#m", "endpoint:http://x", "sentence-transformers:", 3])
def test_unknown_sources_are_refused(source: Any) -> None:
    with pytest.raises(InputError, match=r"^features"):
        Features(source).fit_transform(TEXTS)


@pytest.mark.parametrize(
    "url",
    ["http://me:SECRET@127.0.0.1:9/v1", "http://me:SECRET#SECRET@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?key=SECRET"],
)
@pytest.mark.parametrize("model", ["#m", ""])
def test_an_endpoint_with_credentials_is_refused_and_not_repeated(url: str, model: str) -> None:
    y = np.random.default_rng(0).integers(0, 2, (40, 1)).astype(float)
    for use in (lambda proxy: proxy.fit(TEXTS, y), lambda proxy: diagnose(proxy, TEXTS, y)):
        with pytest.raises(InputError, match=r"^features.* without credentials") as caught:
            use(UtilityProxy(features=f"endpoint:{url}{model}"))
        assert "SECRET" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises((MissingExtraError, ImportError), match="sentence_transformers"):
        Features("sentence-transformers:some").fit_transform(TEXTS)


@pytest.mark.parametrize("wrong", [["a", 3], "a text", []])
def test_what_is_no_list_of_texts_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="X"):
        Features().fit_transform(wrong)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({**body, "key": self.headers["Authorization"], "path": self.path})
            data = [
                {"object": "embedding", "index": i, "embedding": [len(text), text.count("e"), 1]}
                for i, text in enumerate(body["input"])
            ]
            answer = {"object": "list", "model": body["model"], "data": data[::-1]}
            payload = json.dumps({**answer, "usage": {"prompt_tokens": 1, "total_tokens": 1}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-test")
    yield f"endpoint:http://127.0.0.1:{server.server_port}/v1#small", requests
    server.shutdown()
    server.server_close()


def test_an_endpoint_gives_embeddings_in_batches_in_order(endpoint: tuple[str, list[dict[str, Any]]]) -> None:
    source, requests = endpoint
    texts = ["e" * (i + 1) for i in range(100)]
    raw = Features(source)
    seen = raw.fit_transform(texts)
    assert np.array_equal(np.argsort(seen[:, 0]), np.arange(100))
    assert [len(request["input"]) for request in requests] == [64, 36]
    assert {request["key"] for request in requests} == {"Bearer key-of-the-test"}
    assert {request["model"] for request in requests} == {"small"}


def test_an_endpoint_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    with pytest.raises(InputError, match="did not answer") as caught:
        Features("endpoint:http://127.0.0.1:9/v1#m").fit_transform(["a"])
    assert "secret-key" not in str(caught.value)


def test_a_model_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    class Encoder:
        def __init__(self, name: str) -> None:
            loaded.append(name)

        def encode(self, texts: list[str], show_progress_bar: bool) -> np.ndarray:
            return surface(texts)

    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=Encoder))
    features = Features("sentence-transformers:only-of-this-test")
    features.fit_transform(TEXTS)
    features.transform(TEXTS)
    assert loaded == ["only-of-this-test"]


def test_a_diagnosis_asks_an_endpoint_for_each_text_once(endpoint: tuple[str, list[dict[str, Any]]]) -> None:
    source, requests = endpoint
    y = np.random.default_rng(0).integers(0, 2, (40, 1)).astype(float)
    diagnose(UtilityProxy(features=source), TEXTS, y)
    assert sum(len(request["input"]) for request in requests) == 40
