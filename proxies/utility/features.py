"""Features of queries: what an estimator sees of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.proxies.engines.address import check_base_url
from robatch.proxies.utility.embeddings import from_endpoint, from_sentence_transformers
from robatch.proxies.utility.texts import KeptNgrams, looks, texts_with, weighted_ngrams


class HashedTfidf(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """TF-IDF of words, pairs of words and character n-grams, by hashes: holds no word of any text.

    Of the n-grams, the `max_features` most frequent are kept.
    """

    def __init__(self, max_features: int = 12_000) -> None:
        self.max_features = max_features

    def fit(self, X: Sequence[str], y: Any = None) -> HashedTfidf:  # noqa: N803
        """Learn which n-grams are frequent enough, and how rare each is."""
        texts, seen = len(X), texts_with(X)
        columns = np.flatnonzero(seen >= (2 if texts >= 20 else 1))
        if len(columns) > self.max_features:
            order = np.argsort(-seen[columns], kind="stable")[: self.max_features]
            columns = np.sort(columns[order])
        self.columns_ = columns
        self.idf_ = np.log((1.0 + texts) / (1.0 + seen[columns])) + 1.0
        _KEPT.pop(self, None)
        return self

    def transform(self, X: Sequence[str], beside: FloatArray | None = None) -> Any:  # noqa: N803
        """Return a sparse array of unit rows, (N, F), with the columns of `beside` after them: (N, F + E)."""
        kept = _KEPT.get(self)
        if kept is None:
            kept = _KEPT[self] = KeptNgrams.of(self.columns_, self.idf_)
        more = np.zeros((len(X), 0)) if beside is None else beside
        rows, columns, values = weighted_ngrams(X, kept, more)
        return sp.csr_array((values, columns, rows), shape=(len(X), len(kept.idf) + more.shape[1]))


_KEPT: WeakKeyDictionary[HashedTfidf, KeptNgrams] = WeakKeyDictionary()  # made anew rather than read from files


def surface(texts: Sequence[str]) -> FloatArray:
    """Count what a text looks like: logarithms of characters, words, digits, other signs and lines: (N, 5)."""
    return np.asarray(np.log1p(looks(texts)), dtype=np.float64)


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
        if self.source != "tfidf" and raw.shape[1] != self.n_features_:
            raise InputError(f"X has {raw.shape[1]} features: the proxy was fitted with {self.n_features_}")
        return self._finish(raw, X, self.reduction_)

    def _raw(self, X: Any) -> Any:  # noqa: N803
        if self.source == "given":
            return _numbers("X", X)
        texts = as_texts(X)
        if self.source == "tfidf":
            return self.tfidf_.transform(texts, None if self.dense else self._counts(texts))  # type: ignore[union-attr]
        if callable(self.source):
            found = self.source(texts)
        elif self.source.startswith("endpoint:"):
            found = from_endpoint(self.source, texts)
        else:
            found = from_sentence_transformers(self.source, texts)
        raw = _numbers("what features returned", found)
        if raw.shape[0] != len(texts):
            raise InputError(f"features returned {raw.shape[0]} rows for {len(texts)} texts: one each is needed")
        return raw

    def _counts(self, texts: Sequence[str]) -> FloatArray:
        # Few columns beside thousands: kept small so that the ridge treats them alike.
        scaler: Any = self.scaler_
        return np.asarray(0.3 * np.clip((surface(texts) - scaler.mean_) / scaler.scale_, -4.0, 4.0), dtype=np.float64)

    def _finish(self, raw: Any, X: Any, reduction: TruncatedSVD | None) -> Any:  # noqa: N803
        scaler: Any = self.scaler_
        if self.source == "tfidf":
            if not self.dense:
                return raw
            reduced = np.zeros((raw.shape[0], 0)) if reduction is None else raw @ reduction.components_.T
            return np.hstack([reduced, self._counts(as_texts(X))])
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
    if set(map(type, texts)) == {str}:
        return texts
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
