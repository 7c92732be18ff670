"""Texts as bytes for compiled code: what they look like, and the n-grams in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.proxies.utility.ngram_kernels import BUCKETS, DIGIT, SIGN, SPACE, WORD, look, weigh_ngrams

_CODE_POINTS = 0x110000


@lru_cache(maxsize=1)
def character_classes() -> npt.NDArray[np.uint8]:
    """Return the classes of all code points, as the running Python knows them."""
    letters = np.arange(_CODE_POINTS, dtype=np.uint32).view("U1")
    alphanumeric, space = np.strings.isalnum(letters), np.strings.isspace(letters)
    classes = np.where(alphanumeric, WORD, np.uint8(0)) | np.where(space, SPACE, np.uint8(0))
    classes |= np.where(np.strings.isdigit(letters), DIGIT, np.uint8(0))
    classes |= np.where(alphanumeric | space, np.uint8(0), SIGN)
    classes[ord("_")] |= WORD
    return np.asarray(classes, dtype=np.uint8)


def looks(texts: Sequence[str]) -> FloatArray:
    """Count the characters, words, digits, other signs and lines of each text: (N, 5)."""
    counts = np.empty((len(texts), 5))
    look(*_encoded(texts), character_classes(), counts)
    return counts


class KeptNgrams(NamedTuple):
    """The n-grams that have columns, checked: compiled code believes both.

    Attributes
    ----------
    place
        Column of each n-gram by its hash, words first, -1 where it has none: (2 * BUCKETS,).
    idf
        Weight of each column: (F,).
    """

    place: npt.NDArray[np.int32]
    idf: FloatArray

    @classmethod
    def of(cls, hashes: IntArray, idf: FloatArray) -> Self:
        """Give columns to n-grams by their hashes; ValueError if these, or their weights, are not what they must be."""
        if hashes.ndim != 1 or hashes.dtype.kind != "i" or idf.shape != hashes.shape:
            raise ValueError("n-grams need a hash and a weight each")
        if len(hashes) and not (hashes.min() >= 0 and hashes.max() < 2 * BUCKETS):
            raise ValueError(f"a hash of an n-gram is not from 0 to {2 * BUCKETS - 1}")
        place = np.full(2 * BUCKETS, -1, dtype=np.int32)
        place[hashes] = np.arange(len(hashes), dtype=np.int32)
        return cls(place, np.ascontiguousarray(idf, dtype=np.float64))


def texts_with(texts: Sequence[str]) -> IntArray:
    """Count the texts that hold each n-gram, by its hash: (2 * BUCKETS,)."""
    every = KeptNgrams.of(np.arange(2 * BUCKETS), np.ones(2 * BUCKETS))
    found = weighted_ngrams(texts, every, np.zeros((len(texts), 0)))[1]
    return np.bincount(found, minlength=2 * BUCKETS)


def weighted_ngrams(
    texts: Sequence[str], kept: KeptNgrams, beside: FloatArray
) -> tuple[IntArray, npt.NDArray[np.int32], FloatArray]:
    """Return rows, columns and values of a sparse array, as `ngram_kernels.weigh_ngrams` has them."""
    data, starts = _encoded([text.lower() for text in texts])
    sizes = np.diff(starts)
    most = int(np.minimum(3 * sizes, len(kept.idf)).sum()) + beside.size
    rows = np.empty(len(texts) + 1, dtype=np.int64)
    columns, values = np.empty(most, dtype=np.int32), np.empty(most)
    logs = _logs(int(sizes.max(initial=0)).bit_length())
    weigh_ngrams(data, starts, character_classes(), kept.place, logs, kept.idf, beside, rows, columns, values)
    return rows, columns[: rows[-1]], values[: rows[-1]]


@lru_cache(maxsize=4)
def _logs(bits: int) -> FloatArray:
    """Return the weight of a count below ``2**bits``: one more than its logarithm."""
    return np.concatenate([[0.0], 1.0 + np.log(np.arange(1, 2**bits, dtype=np.float64))])


def _encoded(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint8], IntArray]:
    """Return the UTF-8 bytes of all texts in a row, and where each begins: (N + 1,)."""
    try:
        parts = [text.encode() for text in texts]
    except UnicodeEncodeError as error:
        raise InputError(f"X holds {error.object[:60]!r}: valid Unicode is needed") from None
    starts = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)), out=starts[1:])
    return np.frombuffer(b"".join(parts), dtype=np.uint8), starts
