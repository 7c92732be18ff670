"""Features of queries: what an estimator sees of a text."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError, require
from robatch.proxies.engines.address import check_base_url

_BUCKETS = 2**18
_ENDPOINT_BATCH = 64  # texts a request


class HashedTfidf(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """TF-IDF of words, pairs of words and character n-grams, by hashes: holds no word of any text.

    Of the n-grams, the `max_features` most frequent are kept.
    """

    def __init__(self, max_features: int = 12_000) -> None:
        self.max_features = max_features

    def fit(self, X: Sequence[str], y: Any = None) -> HashedTfidf:  # noqa: N803
        """Learn which n-grams are frequent enough, and how rare each is."""
        _, found, _ = _ngrams(X)
        texts, seen = len(X), np.bincount(found)
        columns = np.flatnonzero(seen >= (2 if texts >= 20 else 1))
        if len(columns) > self.max_features:
            order = np.argsort(-seen[columns], kind="stable")[: self.max_features]
            columns = np.sort(columns[order])
        self.columns_ = columns
        self.idf_ = np.log((1.0 + texts) / (1.0 + seen[columns])) + 1.0
        return self

    def transform(self, X: Sequence[str]) -> Any:  # noqa: N803
        """Return a sparse array of unit rows: (N, F)."""
        rows, found, counts = _ngrams(X)
        place = np.searchsorted(self.columns_, found)
        known = place < len(self.columns_)
        known[known] = self.columns_[place[known]] == found[known]
        rows, place = rows[known], place[known]
        values = (1.0 + np.log(counts[known])) * self.idf_[place]
        norms = np.sqrt(np.bincount(rows, weights=values**2, minlength=len(X)))
        return sp.csr_array((values / norms[rows], (rows, place)), shape=(len(X), len(self.columns_)))


_HASHERS = tuple(
    HashingVectorizer(n_features=_BUCKETS, ngram_range=grams, analyzer=kind, norm=None, alternate_sign=False)
    for kind, grams in (("word", (1, 2)), ("char_wb", (3, 4)))
)


def _ngrams(texts: Sequence[str]) -> tuple[IntArray, IntArray, FloatArray]:
    """Return text, hash and count of each n-gram that a text holds."""
    parts = [hasher.transform(texts) for hasher in _HASHERS]
    rows = [np.repeat(np.arange(len(texts)), np.diff(part.indptr)) for part in parts]
    hashes = [part.indices.astype(np.int64) + i * _BUCKETS for i, part in enumerate(parts)]
    return np.concatenate(rows), np.concatenate(hashes), np.concatenate([part.data for part in parts])


def surface(texts: Sequence[str]) -> FloatArray:
    """Count what a text looks like: logarithms of characters, words, digits, other signs and lines: (N, 5)."""
    rows = [
        (
            len(text),
            len(text.split()),
            sum(letter.isdigit() for letter in text),
            sum(not letter.isalnum() and not letter.isspace() for letter in text),
            text.count("\n"),
        )
        for text in texts
    ]
    return np.log1p(np.array(rows, dtype=np.float64).reshape(len(rows), 5))


class Features(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Texts or arrays to the features that an estimator sees.

    Parameters
    ----------
    source
        ``"tfidf"``: `HashedTfidf` and the counts of `surface`. ``"given"``: X is numbers already, (N, F), dense or
        sparse. A callable from a list of texts to an array (N, F). ``"sentence-transformers:NAME"``: a model of that
        package (extra ``embeddings``). ``"endpoint:URL#MODEL"``: an OpenAI-compatible embeddings endpoint such as
        vLLM's, URL up to and with ``/v1``; its key is that of the environment variable ``OPENAI_API_KEY``.
    dense
        Whether few dense features are needed: sparse ones are then reduced to at most 64 components.
    random_state
        Seed of that reduction.
    """

    def __init__(self, source: Any = "tfidf", dense: bool = False, random_state: int = 0) -> None:
        self.source = source
        self.dense = dense
        self.random_state = random_state

    def fit_transform(self, X: Any) -> Any:  # noqa: N803
        """Learn from the queries of a fit, and return their features: (N, F)."""
        return self._finish(self._learn(X), X, self.reduction_)

    def fit_folded(self, X: Any, fold: IntArray) -> tuple[Any, list[Any]]:  # noqa: N803
        """Learn from the queries of a fit; return their features, and those as learned without each fold.

        A reduction fits the rows that it learns from better than new ones, whose features come out smaller: estimators
        that are to predict a fold must not learn from features that this fold has shaped.
        """
        raw = self._learn(X)
        seen = self._finish(raw, X, self.reduction_)
        parts = np.unique(fold)
        if self.reduction_ is None or len(parts) < 2:
            return seen, [seen] * len(parts)
        return seen, [self._finish(raw, X, self._reduction(raw[np.flatnonzero(fold != part)])) for part in parts]

    def _learn(self, X: Any) -> Any:  # noqa: N803
        check_source(self.source)
        self.tfidf_ = self.scaler_ = self.reduction_ = None
        if self.source == "tfidf":
            texts = as_texts(X)
            self.tfidf_ = HashedTfidf().fit(texts)
            self.scaler_ = StandardScaler().fit(surface(texts))
        raw = self._raw(X)
        self.n_features_ = raw.shape[1]
        if self.dense and sp.issparse(raw) and min(raw.shape) > 2:
            self.reduction_ = self._reduction(raw)
        if self.source != "tfidf":
            self.scaler_ = (MaxAbsScaler() if sp.issparse(raw) else StandardScaler()).fit(raw)
        return raw

    def _reduction(self, raw: Any) -> TruncatedSVD:
        size = max(1, min(64, raw.shape[0] - 1, raw.shape[1] - 1))
        return TruncatedSVD(size, algorithm="randomized", random_state=self.random_state).fit(raw)

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return the features of queries: (N, F)."""
        raw = self._raw(X)
        if raw.shape[1] != self.n_features_:
            raise InputError(f"X has {raw.shape[1]} features: the proxy was fitted with {self.n_features_}")
        return self._finish(raw, X, self.reduction_)

    def _raw(self, X: Any) -> Any:  # noqa: N803
        if self.source == "given":
            return _numbers("X", X)
        texts = as_texts(X)
        if self.source == "tfidf":
            return self.tfidf_.transform(texts)  # type: ignore[union-attr]  # set by fit_transform
        if callable(self.source):
            found = self.source(texts)
        elif self.source.startswith("endpoint:"):
            found = _from_endpoint(self.source, texts)
        else:
            found = _from_sentence_transformers(self.source, texts)
        raw = _numbers("what features returned", found)
        if raw.shape[0] != len(texts):
            raise InputError(f"features returned {raw.shape[0]} rows for {len(texts)} texts: one each is needed")
        return raw

    def _finish(self, raw: Any, X: Any, reduction: TruncatedSVD | None) -> Any:  # noqa: N803
        scaler: Any = self.scaler_
        if self.source == "tfidf":
            # The counts are few columns beside thousands: kept small so that the ridge treats them alike.
            counts = 0.3 * np.clip((surface(as_texts(X)) - scaler.mean_) / scaler.scale_, -4.0, 4.0)
            if not self.dense:
                return sp.csr_array(sp.hstack([raw, sp.csr_array(counts)], format="csr"))
            reduced = np.zeros((raw.shape[0], 0)) if reduction is None else raw @ reduction.components_.T
            return np.hstack([reduced, counts])
        if reduction is not None:
            return reduction.transform(raw)
        scaled = scaler.transform(raw)
        return scaled if not (self.dense and sp.issparse(scaled)) else scaled.toarray()


def embedded(source: Any, X: Any) -> Any:  # noqa: N803
    """Return what a network gives for texts as an array, to be used several times; None for other sources."""
    if isinstance(source, str) and source.startswith(("endpoint:", "sentence-transformers:")):
        check_source(source)
        return Features(source)._raw(X)
    return None


def check_source(source: Any) -> None:
    """Refuse what is no source of features."""
    if callable(source) or source in ("tfidf", "given"):
        return
    if isinstance(source, str):
        kind, _, rest = source.partition(":")
        url, _, model = rest.rpartition("#")
        if kind == "sentence-transformers" and rest:
            return
        if kind == "endpoint" and url and model and "@" not in rest:
            check_base_url(url, "features")
            return
    secret = any(mark in str(source) for mark in "@?")  # a URL may hold a password or a key
    shown = "not repeated here" if secret else repr(source)
    raise InputError(
        f"features is {shown}: 'tfidf', 'given', a callable from texts to an array, 'sentence-transformers:NAME' "
        "or 'endpoint:URL#MODEL', the URL without credentials, is needed"
    )


def as_rows(X: Any) -> Any:  # noqa: N803
    """Return X as a list, an array or a CSR array, whose rows are counted from 0: pandas counts by labels."""
    if sp.issparse(X):
        return sp.csr_array(X)
    if hasattr(X, "iloc"):
        X = X.to_numpy()  # noqa: N806
    if hasattr(X, "shape"):
        return X.tolist() if len(X.shape) == 1 and np.asarray(X).dtype.kind in "OUT" else X
    return X if isinstance(X, str) else list(X)


def n_rows(X: Any) -> int:  # noqa: N803
    """Return the number of queries in what `as_rows` gave."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def as_texts(X: Any) -> list[str]:  # noqa: N803
    """Return the texts of queries as a list.

    Raises
    ------
    InputError
        If there is something else among them, or nothing at all.
    """
    if isinstance(X, str):
        raise InputError("X is one text: a sequence of texts is needed")
    texts = list(X)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"X[{i}] is of type {type(text).__name__}: texts are needed, or features='given'")
    if not texts:
        raise InputError("X is empty: at least one query is needed")
    return [str(text) for text in texts]


def _numbers(name: str, X: Any) -> Any:  # noqa: N803
    if sp.issparse(X):
        array = sp.csr_array(X, dtype=np.float64)
        finite = np.isfinite(array.data).all()
    else:
        try:
            array = np.asarray(X, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"{name} is not an array of numbers (N, F)") from None
        finite = np.isfinite(array).all()
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"{name} has shape {array.shape}: (N, F) is needed, with at least one row and column")
    if not finite:
        raise InputError(f"{name} holds values that are not finite numbers")
    return array


def _from_sentence_transformers(source: str, texts: Sequence[str]) -> Any:
    return _encoder(source).encode(list(texts), show_progress_bar=False)


@lru_cache(maxsize=1)
def _encoder(source: str) -> Any:
    """Load a model once: it takes seconds."""
    module = require("sentence_transformers", "embeddings", f"features={source!r}")
    make: Callable[..., Any] = module.SentenceTransformer
    return make(source.partition(":")[2])


def _from_endpoint(source: str, texts: Sequence[str]) -> FloatArray:
    openai = require("openai", "server", f"features={source!r}")
    url, _, model = source.partition(":")[2].rpartition("#")
    # A server of one's own needs no key, but the client insists on one.
    client = openai.OpenAI(base_url=url, api_key=os.environ.get("OPENAI_API_KEY") or "none", max_retries=3)
    rows: list[Any] = []
    try:
        for start in range(0, len(texts), _ENDPOINT_BATCH):
            answer = client.embeddings.create(
                model=model, input=list(texts[start : start + _ENDPOINT_BATCH]), encoding_format="float"
            )
            rows += [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
    except openai.OpenAIError as error:
        raise InputError(f"the embeddings endpoint {url!r} did not answer: {type(error).__name__}") from error
    finally:
        client.close()
    return np.array(rows, dtype=np.float64)
