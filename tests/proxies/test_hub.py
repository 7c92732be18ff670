"""Queries from datasets: the mapping on a stand-in for the package, and the package itself on local files."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from robatch.instances import InputError
from robatch.instances.errors import MissingExtraError
from robatch.proxies.tasks.hub import Source, dataset_queries


class Rows(list):
    """A split as the package gives it."""

    @property
    def column_names(self):
        return list(self[0])


NEWS = Rows({"text": f"news {i}", "label": i % 3} for i in range(9))
SUMS = Rows({"question": f"q{i}", "answer": f"He has 12 #### 7, then\n#### 1,{i}00"} for i in range(3))
EXAM = Rows({"question": "Which?", "choices": ["red", "blue", "red"], "answer": 1, "key": "k"} for _ in range(1))


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Read all rows of a split by a mapping."""
    asked = []

    def use(rows, **mapping):
        def load_dataset(*args, **options):
            asked.append((args, options))
            return rows

        monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
        source = Source("t", mapping.pop("dataset", "owner/name"), tmp_path, **mapping)
        return dataset_queries(source, lambda count: range(count)), asked[-1]

    return use


def test_labels_become_choices(load):
    queries, asked = load(NEWS, labels=("World", "Sports", "Business"), config="c", split="test")
    assert asked == (("owner/name", "c"), {"split": "test"})
    assert [query.answer for query in queries[:4]] == ["World", "Sports", "Business", "World"]
    assert queries[0].choices == ("World", "Sports", "Business")
    assert [query.id for query in queries[:2]] == ["t/0", "t/1"]


def test_the_last_place_of_the_answer_counts(load):
    queries, _ = load(SUMS, fields={"text": "question"}, kind="number", answer_pattern=r"#### (-?[\d,.]+)")
    assert [query.answer for query in queries] == ["1000", "1100", "1200"]


def test_options_are_lettered(load):
    fields = {"text": "question", "options": "choices", "id": "key"}
    (query,), _ = load(EXAM, fields=fields)
    assert (query.id, query.text) == ("t/k", "Which?\nA) red\nB) blue\nC) red")
    assert (query.answer, query.choices) == ("B", ("A", "B", "C"))


@pytest.mark.parametrize(
    ("rows", "mapping", "complaint"),
    [
        (NEWS, {"labels": ("a", "b")}, "row 2: answer is 2: a label from 0 to 1"),
        (
            NEWS,
            {"fields": {"text": "body"}},
            r"fields.text is 'body': the columns of the dataset are \['text'",
        ),
        (SUMS, {"fields": {"text": "question"}, "answer_pattern": "%%"}, "row 0: .* answer_pattern finds nothing"),
        (SUMS, {"answer_pattern": "("}, "it is not a regular expression"),
        (SUMS, {"fields": {"text": "question"}, "kind": "number"}, "row 0: answer is .*: a number"),
        ({"train": NEWS, "test": NEWS}, {}, "'split' is missing: the dataset has the splits test, train"),
    ],
)
def test_what_does_not_fit_is_named(load, rows, mapping, complaint):
    with pytest.raises(InputError, match=complaint):
        load(rows, **mapping)


def test_labels_that_are_missing_are_no_answers(load):
    (query,), _ = load(Rows([{"text": "t", "label": -1}]), labels=("a", "b"))
    assert query.answer is None


def test_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"robatch\[datasets\]"):
        dataset_queries(Source("t", "owner/name", tmp_path), range)


def test_the_package_reads_local_files(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "news.jsonl").write_text("\n".join(json.dumps(row) for row in NEWS))
    pq.write_table(pa.Table.from_pylist(NEWS), tmp_path / "news.parquet")
    read = [
        dataset_queries(Source("t", name, tmp_path, labels=("x", "y", "z")), range)
        for name in ("news.jsonl", "news.parquet")
    ]
    assert read[0] == read[1]
    assert [query.answer for query in read[0][:3]] == ["x", "y", "z"]
    with pytest.raises(InputError, match=r"'none/such' cannot be loaded"):
        dataset_queries(Source("t", "none/such", tmp_path), range)
