"""N-grams and looks of texts by compiled code, against scikit-learn's hashing and Python's own strings, bit for bit."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import HashingVectorizer

from robatch.instances.errors import InputError
from robatch.proxies.utility import blocks
from robatch.proxies.utility.features import HashedTfidf, surface
from robatch.proxies.utility.ngram_kernels import BUCKETS, DIGIT, SIGN, SPACE, WORD
from robatch.proxies.utility.texts import KeptNgrams, character_classes
from robatch.proxies.utility.utility_proxy import UtilityProxy

HASHERS = tuple(
    HashingVectorizer(n_features=BUCKETS, ngram_range=grams, analyzer=kind, norm=None, alternate_sign=False)
    for kind, grams in (("word", (1, 2)), ("char_wb", (3, 4)))
)
# Lower case of another length, by what stands around it, or of no case at all; marks and joiners; spaces of all kinds.
ODD = (
    "İıßẞǅǄΣσςŉΐﬃÅ\u0301\u0345\u200d\u200b\ufe0f👩🏽𝔄𐐀𐐨Ⅷⓐ٣²½一あ\x00\x1c\x1f\x85\xa0\u1680\u180e\u2028\u3000_-'\n\t .a1"
)
ALPHABETS = {
    "ASCII": [chr(code) for code in range(128)],
    "words": [*"aeinrst    ", "İ", "é"],
    "odd": list(ODD),
    "BMP": [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000],
    "all": [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000],
}
EDGES = [
    "",
    " ",
    "a",
    "I",
    "ab",
    "a b",
    " a ",
    "abc",
    "_ __",
    "a_b c-d",
    "x" * 5000,
    "ab " * 3000,
    "ΑΣ ΑΣΑ ΣΑ Σ",
    "\n\n \x00",
]


def ngrams(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return text, hash and count of each n-gram that a text holds."""
    parts = [hasher.transform(texts) for hasher in HASHERS]
    rows = [np.repeat(np.arange(len(texts)), np.diff(part.indptr)) for part in parts]
    hashes = [part.indices.astype(np.int64) + i * BUCKETS for i, part in enumerate(parts)]
    return np.concatenate(rows), np.concatenate(hashes), np.concatenate([part.data for part in parts])


def expected_tfidf(fitted: HashedTfidf, texts: Sequence[str]) -> sp.csr_array:
    rows, found, counts = ngrams(texts)
    place = np.searchsorted(fitted.columns_, found)
    known = place < len(fitted.columns_)
    known[known] = fitted.columns_[place[known]] == found[known]
    rows, place = rows[known], place[known]
    values = (1.0 + np.log(counts[known])) * fitted.idf_[place]
    norms = np.sqrt(np.bincount(rows, weights=values**2, minlength=len(texts)))
    return sp.csr_array((values / norms[rows], (rows, place)), shape=(len(texts), len(fitted.columns_)))


def expected_surface(texts: Sequence[str]) -> np.ndarray:
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


def drawn(alphabet: str, count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    letters = ALPHABETS[alphabet]
    return ["".join(letters[i] for i in rng.integers(0, len(letters), rng.integers(0, 60))) for _ in range(count)]


def same(one: sp.csr_array, other: sp.csr_array) -> bool:
    parts = ("indptr", "indices", "data")
    return one.shape == other.shape and all(
        getattr(one, part).dtype == getattr(other, part).dtype
        and getattr(one, part).tobytes() == getattr(other, part).tobytes()
        for part in parts
    )


def test_every_code_point_has_the_class_that_python_gives_it() -> None:
    letters = list(map(chr, range(sys.maxunicode + 1)))
    words, spaces = (set(re.findall(pattern, "".join(letters))) for pattern in (r"\w", r"\s"))
    signs = (letter for letter in letters if not letter.isalnum() and not letter.isspace())
    classes = np.zeros(len(letters), dtype=np.uint8)
    for bit, members in ((WORD, words), (SPACE, spaces), (DIGIT, filter(str.isdigit, letters)), (SIGN, signs)):
        classes[list(map(ord, members))] |= bit
    assert np.array_equal(character_classes(), classes)


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("max_features", [7, 12_000])
def test_features_are_those_of_scikit_learn_to_the_bit(alphabet: str, max_features: int) -> None:
    texts = [*drawn(alphabet, 60, seed=1), *EDGES]
    fitted = HashedTfidf(max_features).fit(texts[:40])
    seen = np.bincount(ngrams(texts[:40])[1])
    assert (seen[fitted.columns_] >= 2).all()
    assert len(fitted.columns_) == min(max_features, (seen >= 2).sum())
    assert fitted.idf_.tobytes() == (np.log(41.0 / (1.0 + seen[fitted.columns_])) + 1.0).tobytes()
    assert same(fitted.transform(texts), expected_tfidf(fitted, texts))
    assert surface(texts).tobytes() == expected_surface(texts).tobytes()


@pytest.mark.parametrize("text", EDGES)
def test_edges_alone(text: str) -> None:
    fitted = HashedTfidf().fit(EDGES)
    assert same(fitted.transform([text]), expected_tfidf(fitted, [text]))
    assert surface([text]).tobytes() == expected_surface([text]).tobytes()


@pytest.mark.nojit
def test_numbers_beside_the_ngrams_are_appended_where_they_are_not_0() -> None:
    texts = [*drawn("words", 15, seed=2), *drawn("odd", 15, seed=2)]
    fitted = HashedTfidf().fit(texts)
    assert surface(texts).tobytes() == expected_surface(texts).tobytes()
    beside = np.random.default_rng(0).integers(-1, 2, (30, 3)) / 3.0
    expected = sp.csr_array(sp.hstack([expected_tfidf(fitted, texts), sp.csr_array(beside)], format="csr"))
    assert same(fitted.transform(texts, beside), expected)


def test_a_new_fit_has_other_columns() -> None:
    fitted = HashedTfidf().fit(EDGES)
    fitted.transform(EDGES)
    texts = drawn("words", 30, seed=3)
    assert same(fitted.fit(texts).transform(texts), expected_tfidf(HashedTfidf().fit(texts), texts))


@pytest.mark.parametrize("text", ["\ud800", "half \udc00 of a character"])
def test_what_is_no_unicode_is_one_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"X holds .*: valid Unicode is needed"):
        surface(["a", text])
    with pytest.raises(InputError, match=r"X holds .*: valid Unicode is needed"):
        HashedTfidf().fit([text])


@pytest.mark.parametrize(
    ("hashes", "idf"),
    [
        (np.array([0, 2 * BUCKETS]), np.ones(2)),
        (np.array([-1]), np.ones(1)),
        (np.array([1, 2]), np.ones(3)),
        (np.array([1.0]), np.ones(1)),
        (np.array([[1]]), np.ones((1, 1))),
    ],
)
def test_columns_that_compiled_code_must_not_see_are_refused(hashes: np.ndarray, idf: np.ndarray) -> None:
    with pytest.raises(ValueError, match="n-gram"):
        KeptNgrams.of(hashes, idf)


@pytest.fixture(scope="module")
def proxies() -> dict[str, UtilityProxy]:
    y = np.random.default_rng(0).integers(0, 2, (60, 4)).astype(float)
    states = [(model, size) for model in "ab" for size in (1, 4)]
    tokens = np.full((60, 2), 5.0)
    given = {"input_tokens": tokens, "output_tokens": tokens}
    texts = drawn("words", 60, seed=4)
    return {name: UtilityProxy(states, router=name).fit(texts, y, **given) for name in ("logistic", "boosting")}


@pytest.mark.parametrize("router", ["logistic", "boosting"])
@pytest.mark.parametrize(("rows", "threads"), [(64, 1), (64, 3), (128, 2), (4096, 1)])
def test_predictions_do_not_depend_on_blocks_threads_or_repeated_texts(
    proxies: dict[str, UtilityProxy], monkeypatch: pytest.MonkeyPatch, router: str, rows: int, threads: int
) -> None:
    proxy = proxies[router]
    texts = [*drawn("words", 200, seed=5), *EDGES]
    once = [predict(texts) for predict in (proxy.predict, proxy.predict_lower, proxy.predict_base)]
    assert np.array_equal(once[0][[0, 70, -1]], np.vstack([proxy.predict([texts[i]]) for i in (0, 70, -1)]))
    order = np.random.default_rng(1).integers(0, len(texts), 500)
    asked = [texts[i] for i in order]
    monkeypatch.setattr(blocks, "_ROWS", rows)
    monkeypatch.setattr(blocks, "thread_count", lambda _: threads)
    for predict, alone in zip((proxy.predict, proxy.predict_lower, proxy.predict_base), once, strict=True):
        assert np.array_equal(predict(asked), alone[order])


def test_a_text_that_stands_twice_is_predicted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def lengths(texts: Sequence[str]) -> np.ndarray:
        seen.extend(texts)
        return np.array([[len(text), 1.0] for text in texts])

    texts = drawn("words", 40, seed=6)
    proxy = UtilityProxy(features=lengths).fit(texts, np.arange(40.0)[:, None] % 2)
    seen.clear()
    assert np.array_equal(proxy.predict(["b", "a", "b", "b"]), proxy.predict(["b", "a"])[[0, 1, 0, 0]])
    assert seen == ["b", "a", "b", "a"]


@pytest.mark.parametrize(("length", "rows"), [(1, 4096), (600, 3456), (10**5, 64)])
def test_a_block_of_long_texts_has_few(length: int, rows: int) -> None:
    given: list[int] = []
    texts = [f"{i:04}".ljust(length) for i in range(5000 if length < 10**5 else 200)]
    blocks.over_blocks(texts, lambda part: given.append(len(part)) or (np.ones((len(part), 1)),), [1], 1)
    assert given[0] == rows
    assert sum(given) == len(texts)
