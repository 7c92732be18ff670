# mypy: disallow-untyped-decorators=False
"""Numba kernels over the UTF-8 bytes of texts: what a text looks like, and which n-grams it holds how often.

The n-grams and their hashes are those of scikit-learn's `HashingVectorizer`: words of two letters or more and pairs of
them, and three and four characters within a word that has a space on either side; MurmurHash3 (x86, 32 bits, seed 0).
"""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit

WORD, SPACE, DIGIT, SIGN = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
"""Classes of characters, as bits: of ``\\w``, of ``\\s``, digits, and what is neither alphanumeric nor a space."""

BUCKETS = 2**18
"""Hashes of the words; as many of the n-grams of characters follow them."""

_MASK = np.uint32(BUCKETS - 1)
_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)
_F1, _F2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_FIVE, _ADDED = np.uint32(5), np.uint32(0xE6546B64)
_U8, _U13, _U15, _U16, _U17, _U19, _U24 = (np.uint32(bits) for bits in (8, 13, 15, 16, 17, 19, 24))
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_DE_BRUIJN, _TOP = np.uint64(0x03F79D71B4CB0A89), np.uint64(58)
_BIT = np.zeros(64, dtype=np.int64)  # the number of the only bit of a word, by what it times _DE_BRUIJN begins with
_BIT[[(0x03F79D71B4CB0A89 << bit) % 2**64 >> 58 for bit in range(64)]] = np.arange(64)


@njit(cache=True, nogil=True, inner=True)
def _code(data: Array, at: int) -> tuple[np.int64, int]:
    """Return the code point that begins at a byte of valid UTF-8, and its bytes."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F, 2
    second = np.int64(data[at + 1]) & 0x3F
    third = np.int64(data[at + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, 3
    return (first & 0x07) << 18 | second << 12 | third << 6 | np.int64(data[at + 3]) & 0x3F, 4


@njit(cache=True, nogil=True)
def look(data: Array, starts: Array, classes: Array, counts: Array) -> None:
    """Count the characters, words, digits, other signs and line feeds of each text into `counts`: (N, 5).

    Text i is the UTF-8 of `data` from ``starts[i]`` to ``starts[i + 1]``; `classes` are by code point.
    """
    for i in range(starts.size - 1):
        at, end = starts[i], starts[i + 1]
        characters = words = digits = signs = lines = 0
        inside = False
        while at < end:
            code, size = _code(data, at)
            kind = classes[code]
            at += size
            characters += 1
            space = kind & SPACE != 0
            words += not space and not inside
            inside = not space
            digits += kind & DIGIT != 0
            signs += kind & SIGN != 0
            lines += code == 10
        counts[i, 0] = characters
        counts[i, 1] = words
        counts[i, 2] = digits
        counts[i, 3] = signs
        counts[i, 4] = lines


@njit(cache=True, nogil=True, inner=True)
def _mixed(block: np.uint32) -> np.uint32:
    block = np.uint32(block * _C1)
    block = np.uint32(np.uint32(block << _U15) | (block >> _U17))
    return np.uint32(block * _C2)


@njit(cache=True, nogil=True, inner=True)
def _stirred(state: np.uint32, block: np.uint32) -> np.uint32:
    """Take four bytes into the state of a hash."""
    state = np.uint32(state ^ _mixed(block))
    state = np.uint32(np.uint32(state << _U13) | (state >> _U19))
    return np.uint32(np.uint32(state * _FIVE) + _ADDED)


@njit(cache=True, nogil=True, inner=True)
def _bucket(state: np.uint32, size: int) -> np.int64:
    """Finish a hash of so many bytes: the last bits of its absolute value."""
    state = np.uint32(state ^ np.uint32(size))
    state = np.uint32(np.uint32(state ^ (state >> _U16)) * _F1)
    state = np.uint32(np.uint32(state ^ (state >> _U13)) * _F2)
    state = np.uint32(state ^ (state >> _U16))
    if state >> np.uint32(31):
        state = np.uint32(np.uint32(0) - state)
    return np.int64(state & _MASK)


@njit(cache=True, nogil=True, inner=True)
def _hashed(data: Array, begin: int, end: int) -> np.int64:
    """Return the bucket of some bytes."""
    state = np.uint32(0)
    at = begin
    while at + 4 <= end:
        block = np.uint32(data[at]) | np.uint32(np.uint32(data[at + 1]) << _U8)
        block |= np.uint32(np.uint32(data[at + 2]) << _U16) | np.uint32(np.uint32(data[at + 3]) << _U24)
        state = _stirred(state, np.uint32(block))
        at += 4
    if at < end:
        block = np.uint32(data[at])
        if at + 1 < end:
            block |= np.uint32(np.uint32(data[at + 1]) << _U8)
        if at + 2 < end:
            block |= np.uint32(np.uint32(data[at + 2]) << _U16)
        state = np.uint32(state ^ _mixed(np.uint32(block)))
    return np.int64(_bucket(state, end - begin))


@njit(cache=True, nogil=True, inner=True)
def _seen(bucket: int, place: Array, times: Array, held: Array) -> None:
    """Count an n-gram where it has a column."""
    column = place[bucket]
    if column >= 0:
        times[column] += 1
        held[column >> 6] |= _ONE << np.uint64(column & 63)


@njit(cache=True, nogil=True, inner=True)
def _count_words(
    data: Array, begin: int, end: int, classes: Array, buffer: Array, place: Array, times: Array, held: Array
) -> None:
    """Count the words of two letters or more, and the pairs that follow each other, with a space between them.

    They are copied one after the other, with that space, so that a word and its pair are bytes in a row.
    """
    at, filled, before = begin, 0, -1
    while at < end:
        first, letters = at, 0
        while at < end:
            code, size = _code(data, at)
            if not classes[code] & WORD:
                break
            letters += 1
            at += size
        if letters < 2:
            if letters == 0:
                at += size
            continue
        start = filled
        for byte in range(first, at):
            buffer[filled] = data[byte]
            filled += 1
        _seen(_hashed(buffer, start, filled), place, times, held)
        if before >= 0:
            _seen(_hashed(buffer, before, filled), place, times, held)
        before = start
        buffer[filled] = 32
        filled += 1


@njit(cache=True, nogil=True, inner=True)
def _count_characters(
    data: Array, begin: int, end: int, classes: Array, buffer: Array, place: Array, times: Array, held: Array
) -> None:
    """Count three and four characters in a row of each part between spaces, which has a space on either side.

    `one` to `four` are where the last characters begin, the latest last; `last` are the last four bytes.
    """
    at, filled = begin, 0
    inside = False
    one = two = three = four = -1
    last = np.uint32(0)
    while at <= end:
        code, size = _code(data, at) if at < end else (32, 1)
        space = classes[code] & SPACE != 0
        if space and not inside:
            at += size
            continue
        if not inside:
            inside = True
            buffer[filled] = 32
            one, two, three, four = -1, -1, -1, filled
            last = np.uint32(32 << 24)
            filled += 1
        one, two, three, four = two, three, four, filled
        if space:
            buffer[filled] = 32
            last = np.uint32((last >> _U8) | np.uint32(32 << 24))
            filled += 1
            inside = False
        else:
            for byte in range(at, at + size):
                buffer[filled] = data[byte]
                last = np.uint32((last >> _U8) | np.uint32(np.uint32(data[byte]) << _U24))
                filled += 1
        at += size
        if two >= 0:
            bucket = _bucket(_mixed(np.uint32(last >> _U8)), 3) if filled - two == 3 else _hashed(buffer, two, filled)
            _seen(bucket + BUCKETS, place, times, held)
        if one >= 0:
            bucket = _bucket(_stirred(np.uint32(0), last), 4) if filled - one == 4 else _hashed(buffer, one, filled)
            _seen(bucket + BUCKETS, place, times, held)


@njit(cache=True, nogil=True, error_model="numpy")
def weigh_ngrams(  # wide: texts, what is known of n-grams, and where the rows are written
    data: Array, starts: Array, classes: Array, place: Array, logs: Array, idf: Array, beside: Array,
    rows: Array, columns: Array, values: Array,
) -> None:  # fmt: skip
    """Write the unit row of each text's n-grams, by ascending column, and other numbers beside it.

    Parameters
    ----------
    data, starts, classes
        N texts in lower case, as in `look`.
    place
        Column of each n-gram by its hash, words first, negative where it has none: (2 * BUCKETS,).
    logs, idf
        Weight of an n-gram by how often it occurs, which is less often than the longest text has bytes; and by its
        column: (F,).
    beside
        What follows the n-grams in each row, where it is not 0: (N, E).
    rows, columns, values
        What is written, a sparse array by rows: (N + 1,), and (M,) twice. A text takes at most three places a byte,
        at most F, and E.
    """
    longest = 0
    for i in range(starts.size - 1):
        longest = max(longest, starts[i + 1] - starts[i])
    buffer = np.empty(2 * longest + 2, dtype=np.uint8)
    times = np.zeros(idf.size, dtype=np.int64)
    held = np.zeros((idf.size + 63) >> 6, dtype=np.uint64)
    filled = 0
    rows[0] = 0
    for i in range(starts.size - 1):
        _count_words(data, starts[i], starts[i + 1], classes, buffer, place, times, held)
        _count_characters(data, starts[i], starts[i + 1], classes, buffer, place, times, held)
        first, squares = filled, 0.0
        for part in range(held.size):
            bits = held[part]
            while bits != _ZERO:
                low = bits & (~bits + _ONE)
                column = (part << 6) + _BIT[np.int64((low * _DE_BRUIJN) >> _TOP)]
                value = logs[times[column]] * idf[column]
                squares += value * value
                columns[filled] = column
                values[filled] = value
                times[column] = 0
                filled += 1
                bits ^= low
            held[part] = _ZERO
        norm = np.sqrt(squares)
        for j in range(first, filled):
            values[j] /= norm
        for j in range(beside.shape[1]):
            if beside[i, j] != 0.0:
                columns[filled] = idf.size + j
                values[filled] = beside[i, j]
                filled += 1
        rows[i + 1] = filled
