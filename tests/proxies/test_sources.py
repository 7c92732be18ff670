"""Queries from tables: files, folders, patterns and frames; ids, templates, empty and doubled texts."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robatch.instances import InputError
from robatch.proxies.profiling.task_config import read_task
from robatch.proxies.sources.rows import NO_QUERY, RowRules, read_rows, rows_of
from robatch.proxies.sources.table import read_table
from robatch.proxies.tasks.queries import Query

ROWS = [
    {"no": 7, "subject": "Late", "body": "Where is it?", "zip": "007"},
    {"no": 8, "subject": "", "body": "", "zip": "010"},
    {"no": 9, "subject": "Late", "body": "Where is it?", "zip": "020"},
    {"no": 10, "subject": "Bill", "body": 'Twice,\n"again"', "zip": "030"},
]
RULES = RowRules(id="no", text=r"{subject}\n{body}", empty="skip", choices=("yes", "no"))
TEXTS = ["Late\nWhere is it?", 'Bill\nTwice,\n"again"']


def write(kind, path):
    frame = pd.DataFrame(ROWS)
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    else:
        path.write_text(json.dumps(ROWS), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl", "json", "pandas", "polars", "arrow"])
def test_any_table_gives_the_same_queries(kind, tmp_path):
    frames = {"pandas": pd.DataFrame(ROWS), "polars": pl.DataFrame(ROWS), "arrow": pa.Table.from_pylist(ROWS)}
    rows = read_rows(frames[kind] if kind in frames else write(kind, tmp_path / f"t.{kind}"), RULES)
    assert [query.text for query in rows.queries] == TEXTS
    assert [query.id for query in rows.queries] == ["7", "10"]
    assert rows.query.tolist() == [0, NO_QUERY, 0, 1]
    assert rows.copied_ids() == {"7": ("9",)}
    assert (rows.empty, rows.copies) == (1, 1)
    assert rows.table["zip"].to_pylist() == ["007", "010", "020", "030"]  # as it stands there


@pytest.mark.parametrize("given", ["t", "t/*/*/*.csv", "t/**/*.csv", "t/year=2026/*/x.csv"])
def test_folders_and_patterns_keep_the_columns_that_folders_name(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for month in ("a", "b%20c"):
        folder = tmp_path / "t" / "year=2026" / f"month={month}"
        folder.mkdir(parents=True)
        write("csv", folder / "x.csv")
    (tmp_path / "t" / "_SUCCESS").touch()
    (tmp_path / "t" / ".x.csv").write_text("no,other\n1,2\n", encoding="utf-8")
    table = read_table(given)
    assert table.num_rows == 8
    assert table["year"].to_pylist() == ["2026"] * 8
    assert table["month"].to_pylist() == ["a"] * 4 + ["b c"] * 4


@pytest.mark.parametrize("ids", [[1.0, 2.0, np.nan], ["a", None, "c"], ["a", " ", "c"]])
def test_an_id_that_is_missing_is_named(ids):
    with pytest.raises(InputError, match=r"row \d: the id, column 'no', is empty"):
        read_rows(pd.DataFrame({"no": ids, "text": ["x", "y", "z"]}), RowRules(id="no"))


@pytest.mark.parametrize(
    ("ids", "shown"), [([1, 2], ["1", "2"]), ([1.0, 2.0], ["1", "2"]), (["01", "2"], ["01", "2"]), (None, ["1", "2"])]
)
def test_ids_are_texts_and_row_numbers_without_a_column(ids, shown):
    frame = pd.DataFrame({"text": ["x", "y"]} | ({} if ids is None else {"id": ids}))
    assert [query.id for query in read_rows(frame).queries] == shown


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"text": "{subject} {bodi}"}, "there is no column 'bodi', the columns are no, subject, body, zip"),
        ({"text": "hello"}, "a column or a template with"),
        ({"text": "{subject!r}"}, "without a format"),
        ({"text": "{subject"}, "a brace itself is written twice"),
        ({"id": "nr", "text": "body"}, "id is 'nr'"),
        ({"answer": "gold", "text": "body"}, "answer is 'gold'"),
        ({}, "has no column 'text'"),
        ({"text": "body"}, "row 2: the text is empty"),
        ({"text": "body", "empty": "drop"}, "empty is 'drop': 'error' or 'skip'"),
        ({"text": "body", "empty": "skip", "kind": "choice"}, "row 1: choices is"),
    ],
)
def test_a_rule_that_does_not_fit_is_said_in_one_sentence(rules, message):
    with pytest.raises(InputError, match=message):
        read_rows(pd.DataFrame(ROWS), RowRules(**rules))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t/a.csv", "no\n1\n", "several kinds"),
        ("t/b.jsonl", '{"other": 1}\n', "other columns than the parts before it"),
        ("t/no=1/c.jsonl", '{"no": 1}\n', "its folder names too"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(name, content, message, tmp_path):
    (tmp_path / "t" / "no=1").mkdir(parents=True)
    (tmp_path / "t" / "a.jsonl").write_text('{"no": 1}\n', encoding="utf-8")
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "t")


@pytest.mark.parametrize("source", ["none.csv", "none*.csv", "empty"])
def test_what_is_not_there_is_said(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=source.replace("*", r"\*")):
        read_table(source)


def test_one_id_with_two_texts_is_refused_and_a_doubled_row_is_a_copy():
    rows = rows_of([Query("1", "x", kind="text"), Query("1", "x", "gold", kind="text")])
    assert (len(rows.queries), rows.copies, rows.queries[0].answer) == (1, 1, "gold")
    with pytest.raises(InputError, match="row 2: id '1' is that of row 1, whose text differs"):
        rows_of([Query("1", "x", kind="text"), Query("1", "y", kind="text")])


def test_choices_stand_in_a_column_as_lists_or_as_json():
    for choices in (["yes", "no"], '["yes", "no"]'):
        rows = read_rows(pa.table({"text": ["x"], "choices": [choices], "answer": ["no"]}))
        assert rows.queries[0] == Query("1", "x", "no", "choice", ("yes", "no"))
    with pytest.raises(InputError, match="choices is no JSON list"):
        read_rows(pa.table({"text": ["x"], "choices": ["yes/no"]}))


def test_a_task_takes_a_table_with_fields(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    row = {
        "file": "t.parquet", "fields": {"id": "no", "text": "{subject}: {body}", "answer": "zip"}, "kind": "number",
        "empty": "skip",
    }  # fmt: skip
    task = read_task(row, "tasks[0].", tmp_path)
    assert [query.text for query in task.queries] == ["Late: Where is it?", 'Bill: Twice,\n"again"']
    with pytest.raises(InputError, match="'empty' belongs to a task with 'file'"):
        read_task({"generate": "reviews", "empty": "skip"}, "", tmp_path)
