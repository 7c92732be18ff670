"""Queries and configurations as other tools write them: read where their meaning is certain, else refused."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import pytest

from robatch.instances import InputError, InputWarning
from robatch.proxies import Query, read_config, read_queries
from robatch.proxies.execution.pool import override, pool_model
from robatch.proxies.execution.routing import route
from tests.proxies.configs import config_text
from tests.proxies.llm_server import Proxy, make_queries

TWO = [
    {"id": "1", "text": "Who?", "answer": "é", "kind": "text"},
    {"id": "2", "text": "How many?", "answer": "12.5", "kind": "number"},
]
WANTED = (Query("1", "Who?", "é", "text"), Query("2", "How many?", "12.5", "number"))
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in TWO)

QUERY_FILES: dict[str, bytes] = {
    "plain": LINES.encode(),
    "a byte-order mark": LINES.encode("utf-8-sig"),
    "UTF-16": LINES.encode("utf-16"),
    "CRLF and empty last lines": (LINES.replace("\n", "\r\n") + "\r\n\r\n \r\n").encode(),
    "a list": json.dumps(TWO).encode(),
    "a list on many lines": json.dumps(TWO, indent=2).encode("utf-8-sig"),
    "numbers": LINES.replace('"1"', "1").replace('"2"', "2.0").replace('"12.5"', "12.5").encode(),
    "null": LINES.replace('"kind"', '"choices": null, "kind"').encode(),
    "question": LINES.replace('"text":', '"question":').encode(),
}


@pytest.mark.parametrize("kind", QUERY_FILES)
def test_query_files_are_read(kind, tmp_path):
    (tmp_path / "q.jsonl").write_bytes(QUERY_FILES[kind])
    assert read_queries(tmp_path / "q.jsonl") == WANTED


@pytest.mark.parametrize(
    ("answer", "choices", "read"),
    [(1, [1, 2], "1"), (2.0, ["1", "2"], "2"), (0.5, [0.25, 0.5], "0.5"), (1e-7, [1e-7, 1], "0.0000001")],
)
def test_answers_and_choices_may_be_numbers(tmp_path, answer, choices, read):
    record = {"id": 7, "text": "?", "answer": answer, "choices": choices}
    (tmp_path / "q.jsonl").write_text(json.dumps(record))
    (query,) = read_queries(tmp_path / "q.jsonl")
    assert (query.id, query.answer) == ("7", read)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"id": "1", "id": "2", "text": "?", "kind": "text"}', "line 1: .*the key 'id' stands twice"),
        (b'\n[{"id": 1, "text": "?", "kind": "text", "answer": true}]', "entry 1: answer is True"),
        (b'{"id": NaN, "text": "?", "kind": "text"}', "line 1: id is nan"),
        (b'{"id": 1, "text": "?", "kind": "text"}\n{"id": 1.0, "text": "!", "kind": "text"}', "line 2: id '1' is alre"),
        (b'[{"id": 1, "text": "?", "kind": "text"}, {"id": 1, "text": "?", "kind": "text"}]', "entry 2: .* of entry 1"),
        ('{"id": 1, "text": "\u00e9", "kind": "text"}'.encode("latin-1"), "it is not UTF-8 text"),
        (b'{"id": 1, "text": 5, "kind": "text"}', "text is 5: a text"),
        (b'{"id": 1, "text": "?", "choices": [true, false]}', "choice True is not one line"),
        (b'{"id": [1], "text": "?", "kind": "text"}', r"id is \[1\]: a text"),
        (b"\xff\xfe{", "cannot read the queries"),
    ],
)  # fmt: skip
def test_faults_of_query_files_are_named(tmp_path, content, complaint):
    (tmp_path / "q.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=complaint) as error:
        read_queries(tmp_path / "q.jsonl")
    assert "\n" not in str(error.value)


CONFIG = config_text('generate = "support"\nqueries = 8', run="batch_sizes = [1, 2]")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_configurations_are_read(tmp_path, encoding, line):
    (tmp_path / "c.toml").write_bytes(CONFIG.replace("\n", line).encode(encoding))
    assert read_config(tmp_path / "c.toml").models[0].price_in == 0.1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"a = 0x{'f' * 5000}", "has a whole number of 20000 bits"),
        ("a = " + "[" * 5000, "is not TOML: it is nested too deeply"),
        ("a = 1\na = 2", "is not TOML: Cannot overwrite a value"),
        ("name = \u00e9", "is not TOML"),
        (CONFIG.replace("price_in = 0.1", 'price_in = "$0.10"'), r"price_in is '\$0.10': a number is needed"),
        (CONFIG.replace("price_in = 0.1", "price_in = 0,1"), "is not TOML"),
        (CONFIG.replace("[[models]]", "[models]"), r"models is \{.*: at least one \[\[models\]\] table is needed"),
        (re.sub("(?m)^name = .*", 'name = "a|b"', CONFIG), r"name is 'a\|b': .* without '\|', is needed"),
        (CONFIG.replace("[run]", "[run]\nmax_wait = -0.5"), "max_wait is -0.5: a finite number of at least 0"),
        (CONFIG.replace("[run]", "[run]\nmax_wait = inf"), "max_wait is inf: a finite number of at least 0"),
    ],
)
def test_faults_of_configurations_are_named(tmp_path, text, complaint):
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=complaint) as error:
        read_config(tmp_path / "c.toml")
    assert "\n" not in str(error.value)


def warned(work: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    return [str(one.message) for one in caught if one.category is InputWarning]


@pytest.mark.parametrize(
    ("prices", "unit"),
    [
        ("1e-7", "USD per token"),
        ("0.00005", "USD per token"),
        ("20000", "USD per billion tokens"),
        ("0", None),
        ("9.5", None),
    ],
)
def test_prices_of_another_unit_are_warned_of(tmp_path, prices, unit):
    (tmp_path / "c.toml").write_text(CONFIG.replace("price_in = 0.1", f"price_in = {prices}"))
    pool = tmp_path / "pool.toml"
    pool.write_text(f'[[models]]\nname = "small"\nprice_in = {prices}\nprice_out = {prices}\n')
    make_queries(tmp_path / "q.jsonl", 8)
    url = "http://127.0.0.1:9/v1"
    known = [pool_model(record) for record in Proxy(url).facts_.models]
    for work in (
        lambda: read_config(tmp_path / "c.toml"),
        lambda: override(known, pool),
        lambda: route(tmp_path / "q.jsonl", Proxy(url), budget_fraction=0.4, pool=pool),
    ):
        said = warned(work)
        assert all(f"looks like {unit}" in text for text in said)
        assert bool(said) == (unit is not None)
