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


def saved(tmp_path, name):
    """Unpack a file of format 2: a proxy of 4 states, with what it predicted then."""
    path = tmp_path / "proxy.skops"
    path.write_bytes(gzip.decompress((DATA / f"proxy_format_2_{name}.skops.gz").read_bytes()))
    return path, json.loads((DATA / "proxy_format_2.json").read_text(encoding="utf-8"))[name]


def predicted(proxy, rows):
    """Return what a proxy predicts of texts or, where its features are given, of numbers."""
    made = {
        "utility": proxy.predict(rows),
        "lower": proxy.predict_lower(rows, 0.9),
        "base": proxy.predict_base(rows),
        "total": proxy.predict_total(rows, [0, 3]),
        "output_tokens": proxy.predict_output_tokens(rows),
    }
    return made if proxy.input_tokens_ is None else made | {"input_tokens": proxy.predict_input_tokens(rows)}


@pytest.mark.parametrize("name", ["logistic", "knn", "mlp", "boosting", "constant", "per_state"])
def test_a_proxy_of_format_2_predicts_the_same_bits(tmp_path, name):
    """The last four know no measurements, and have other scalings, calibrations and features than the default."""
    path, expected = saved(tmp_path, name)
    tolerance = 1e-12 if name == "mlp" else 0.0  # how a processor sums the products of a network is its own affair
    proxy = UtilityProxy.load(path)
    for _ in range(2):
        rows = expected.get("X")
        if rows is None:
            rows = proxy.texts(QUERIES)
            assert rows == expected["texts"]
            vectors = proxy.vectors(QUERIES)
            assert all(
                map(np.array_equal, vectors, (expected[f] for f in ("utility", "input_tokens", "output_tokens")))
            )
        elif proxy.features == "given":
            rows = np.array(rows)
        made = predicted(proxy, rows)
        assert {*made} == {*expected} - {"X", "texts"}
        for figure, values in made.items():
            assert np.allclose(values, expected[figure], rtol=0.0, atol=tolerance), figure
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
