"""Proxies that earlier versions wrote are read, and predict the same bits."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from robatch.instances import InputError
from robatch.proxies.tasks.queries import Query
from robatch.proxies.utility.file import FORMAT
from robatch.proxies.utility.utility_proxy import UtilityProxy

DATA = Path(__file__).with_name("data")
QUERIES = [Query(name, text, choices=("good", "bad")) for name, text in (("n1", "red 2"), ("n2", "soft and blue"))]


def saved(tmp_path, router):
    """Unpack a file of format 2: a proxy of 12 queries, 2 models and 2 batch sizes, with what it predicted then."""
    path = tmp_path / "proxy.skops"
    path.write_bytes(gzip.decompress((DATA / f"proxy_format_2_{router}.skops.gz").read_bytes()))
    return path, json.loads((DATA / "proxy_format_2.json").read_text(encoding="utf-8"))[router]


@pytest.mark.parametrize("router", ["logistic", "knn"])
def test_a_proxy_of_format_2_predicts_the_same_bits(tmp_path, router):
    path, expected = saved(tmp_path, router)
    proxy = UtilityProxy.load(path)
    for _ in range(2):
        texts = proxy.texts(QUERIES)
        assert texts == expected["texts"]
        utility, inputs, outputs = proxy.vectors(QUERIES)
        made = {
            "utility": utility,
            "lower": proxy.predict_lower(texts, 0.9),
            "base": proxy.predict_base(texts),
            "total": proxy.predict_total(texts, [0, 3]),
            "input_tokens": inputs,
            "output_tokens": outputs,
        }
        for name, values in made.items():
            assert np.array_equal(np.array(values), np.array(expected[name])), name
        proxy.save(path)  # in today's format, which predicts the same once more
        proxy = UtilityProxy.load(path)


def test_a_format_to_come_is_refused(tmp_path, monkeypatch):
    path, _ = saved(tmp_path, "logistic")
    proxy = UtilityProxy.load(path)
    monkeypatch.setattr("robatch.proxies.utility.file.FORMAT", FORMAT + 1)
    proxy.save(path)
    monkeypatch.undo()
    with pytest.raises(InputError, match=f"has format {FORMAT + 1}: this version of robatch reads formats 2 and"):
        UtilityProxy.load(path)
