"""Embeddings of texts by networks: a model of sentence-transformers, or an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError, require

_ENDPOINT_BATCH = 64  # texts a request


def from_sentence_transformers(source: str, texts: Sequence[str]) -> Any:
    """Return the embeddings of texts by ``sentence-transformers:NAME``: (N, F)."""
    return _encoder(source).encode(list(texts), show_progress_bar=False)


@lru_cache(maxsize=1)
def _encoder(source: str) -> Any:
    """Load a model once: it takes seconds."""
    module = require("sentence_transformers", "embeddings", f"features={source!r}")
    make: Callable[..., Any] = module.SentenceTransformer
    return make(source.partition(":")[2])


def from_endpoint(source: str, texts: Sequence[str]) -> FloatArray:
    """Return the embeddings of texts by ``endpoint:URL#MODEL``: (N, F).

    Raises
    ------
    InputError
        If the endpoint does not answer.
    """
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
