"""Input tokens of packed calls, where a tokenizer counts other than the sum of the parts: from profile to proxy."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from robatch.proxies import ModelAnswer, UtilityProxy, profile, read_config
from robatch.proxies.profiling import run as profiling
from robatch.proxies.profiling.packing_tokens import CallTokens, fit_packing
from tests.proxies.configs import config_text


def tokens_of(pattern):
    """Give a counter by a real tokenizer, one token for each match of a pattern and for what is between."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    return lambda text: len(tokenizer.encode(text).ids)


COUNTERS = {
    "words": lambda text: len(text.split()),
    "ends of lines merge with what follows": tokens_of(r"\w+|\n+Q|[^\w\s]"),
    "quote, end of line and number merge": tokens_of(r'"\nQ\d+: "|\w+|\s+'),
    "each slot costs one more": lambda text: 50 + len(text.split()) + max(0, len(re.findall(r"^Q\d", text, re.M)) - 1),
    "one more by call alone": lambda text: len(text.split()) + 3 * ("Q1: " in text),
}


class Counting:
    """Stands for a model: answers every slot, and counts a prompt by a counter."""

    chunk = 8

    def __init__(self, counter):
        self.counter = counter

    def run(self, calls):
        for index, call in enumerate(calls):
            slots = len(re.findall(r"^Q\d+: ", call.prompt, re.MULTILINE))
            text = "\n".join(f"A{i}: billing" for i in range(1, slots + 1))
            yield index, ModelAnswer(text, self.counter(call.prompt), 5 * slots or 1, 0.1, "stop")

    def describe(self):
        return {"engine": "counting"}

    def close(self):
        pass


@pytest.mark.parametrize("name", COUNTERS)
@pytest.mark.parametrize("sizes", [(1, 2, 8), (2, 5)])
def test_packed_calls_are_predicted_as_they_are_counted(name, sizes, tmp_path, monkeypatch):
    path = tmp_path / "c.toml"
    run = f"batch_sizes = {list(sizes)}"
    path.write_text(config_text('generate = "support"\nqueries = 40', run=run, name="m", price_in=1.0, price_out=1.0))
    monkeypatch.setattr(profiling, "open_engine", lambda *_, **__: Counting(COUNTERS[name]))
    measured = profile(path, tmp_path / "m.parquet")
    (task,) = read_config(path).tasks
    proxy = UtilityProxy.from_measurements(measured, task.queries)
    problem = proxy.to_problem(task.queries)
    for size in sizes:
        calls = [task.queries[i : i + size] for i in range(0, len(task.queries), size)]
        counted = sum(COUNTERS[name](task.template.render(call)) for call in calls)
        predicted = len(calls) * problem.models[0].shared_tokens + problem.input_tokens.sum()
        assert predicted == pytest.approx(counted, rel=0.01)
    # Measured queries: exact where each was asked alone, but for what a line cannot have
    (packing,) = measured.packing()
    if sizes[0] == 1:
        own = measured.tokens()[0][:, 0]
        for size in sizes:
            call = task.queries[:size]
            mine = [measured.query_ids().index(query.id) for query in call]
            expected = packing.shared + size * packing.seam + own[mine].sum()
            assert expected == pytest.approx(COUNTERS[name](task.template.render(call)), abs=1.0)


@pytest.mark.parametrize(
    ("beside", "packing"),
    [
        ({1: 100, 4: 94, 8: 86}, (102, -2)),
        ({1: 100, 4: 103}, (99, 1)),
        ({4: 100}, (77, 0)),  # of one size: the prompt as it was sent alone
        ({1: 1, 9: 41}, (0, 370 / 82)),  # never below 0
        ({1: 100, 9: 20}, (110, -3)),  # no seam takes more than the shortest query has
    ],
)
def test_a_line_by_size(beside, packing):
    calls = [CallTokens(size, tokens + 3.0 * size, 3.0 * size) for size, tokens in beside.items()]
    assert fit_packing(calls, 77, np.array([3.0, np.nan, 5.0])) == pytest.approx(packing, abs=1e-6)
