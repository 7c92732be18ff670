"""Tokens of texts before anything is loaded or sent: counted by a model's own tokenizer, or bounded by their bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unicodedata import normalize

Counter = Callable[[Sequence[str]], list[int]]
"""From texts to the tokens of each."""

_MOST_BYTES = 32  # of a token, on average over a text


def token_counter(folder: Path | None, chat: bool) -> Counter | None:
    """Give what counts tokens by ``tokenizer.json`` in a model's folder.

    Through a chat template (`chat`) texts get its own special tokens, which are not counted then. None where there is
    no folder, or its tokenizer or the package ``tokenizers`` is not at hand, or the file cannot be read.
    """
    file = None if folder is None else folder / "tokenizer.json"
    if file is None or not file.is_file() or find_spec("tokenizers") is None:
        return None
    tokenizers: Any = import_module("tokenizers")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception:  # the library raises bare exceptions on a file that it cannot read
        return None
    # A file may say that texts are cut or filled up to one length.
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        return [len(coded) for coded in tokenizer.encode_batch(list(texts), add_special_tokens=not chat)]

    return count


def byte_bounds(texts: Sequence[str]) -> list[int]:
    """Give tokens that no tokenizer exceeds: one a byte, of a text as it is or as Unicode decomposes it."""
    return [max(_bytes(text), 0 if text.isascii() else _bytes(normalize("NFKD", text))) for text in texts]


def least_tokens(text: str) -> int:
    """Give tokens that no usual tokenizer goes below: one for every two words, and for every 32 bytes within them."""
    words = text.split()
    return max(len(words) // 2, _bytes("".join(words)) // _MOST_BYTES, 1 if words else 0)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
