"""Tables as spreadsheets, databases and other tools write them: read where their meaning is certain, else refused."""

import json
import re
import uuid
import warnings
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from robatch.cli import main
from robatch.instances import InputError, InputWarning, Problem, from_table, read

PRICES = {"a": [0.15, 0.6], "b": [1, 2]}
ROWS = [
    {"query_id": "q1", "model": "a", "score": 1.0, "input_tokens": 10, "output_tokens": 5},
    {"query_id": "q1", "model": "b", "score": 0.5, "input_tokens": 10, "output_tokens": 6},
    {"query_id": "q2", "model": "a", "score": 0.25, "input_tokens": 20, "output_tokens": 7},
    {"query_id": "q2", "model": "b", "score": 0.75, "input_tokens": 20, "output_tokens": 8},
]
WANTED = [[1.0, 0.5], [0.25, 0.75]]
LONG = pd.DataFrame(ROWS)
COSTS = {"a|total_cost": [1e-4] * 2, "b|total_cost": [1e-3] * 2}
WIDE = pd.DataFrame({"sample_id": ["q1", "q2"], "a": [1.0, 0.25], "b": [0.5, 0.75], **COSTS})
CSV = LONG.to_csv(index=False)


def made(table: Any, prices: Any = None, **options: Any) -> Problem:
    return from_table(table, PRICES if prices is None else prices, batch_sizes=(1, 2), shared_tokens=10, **options)


def refused(work: Any) -> str:
    with pytest.raises(InputError) as error:
        work()
    assert "\n" not in str(error.value)
    return str(error.value)


def check(problem: Problem, wanted: Any = None) -> None:
    """Check that a problem is what ROWS say."""
    assert [model.name for model in problem.models] == ["a", "b"]
    assert problem.base_utility.tolist() == (WANTED if wanted is None else wanted)
    assert problem.input_tokens.tolist() == [[10], [20]]
    assert problem.output_tokens.tolist() == [[5, 6], [7, 8]]


def spaced(text: str, mark: str = ";") -> str:
    """Return the table with another delimiter, and with decimal commas."""
    return text.replace(",", mark).replace(".", ",")


def lines(rows: Any) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


# ---- files

LINES = LONG.to_json(orient="records", lines=True)
QUOTED = LONG.astype(str).map(lambda text: text.replace(".0", "").replace(".", ",")).to_csv(index=False, quoting=1)
FILES: dict[str, tuple[str, bytes]] = {
    "plain": ("t.csv", CSV.encode()),
    "byte-order mark": ("t.csv", CSV.encode("utf-8-sig")),
    "UTF-16": ("t.csv", CSV.encode("utf-16")),
    "UTF-16, big": ("t.csv", b"\xfe\xff" + CSV.encode("utf-16-be")),
    "Unicode text of Excel": ("t.tsv", spaced(CSV, "\t").encode("utf-16")),
    "semicolons": ("t.csv", CSV.replace(",", ";").encode()),
    "decimal commas": ("t.csv", spaced(CSV).encode()),
    "decimal commas and a mark": ("t.csv", spaced(CSV).encode("utf-8-sig")),
    "three decimals": ("t.csv", spaced(CSV).replace("0,25", "0,250").encode()),
    "tabs": ("t.csv", CSV.replace(",", "\t").encode()),
    "tabs by name": ("t.tsv", CSV.replace(",", "\t").encode()),
    "sep=": ("t.csv", ("sep=;\r\n" + spaced(CSV)).encode()),
    "CRLF": ("t.csv", CSV.replace("\n", "\r\n").encode()),
    "empty last rows": ("t.csv", (CSV + ",,,,\n,,,,\n").encode()),
    "empty last rows of semicolons": ("t.csv", (spaced(CSV) + ";;;;\r\n;;;;").encode()),
    "empty rows of other lengths": ("t.csv", (CSV + ",,\n,,,,,,,\n").encode()),
    "an empty row between": ("t.csv", CSV.replace("\nq2", "\n,,,,\nq2", 1).encode()),
    "a last empty column": ("t.csv", CSV.replace("\n", ",\n").encode()),
    "spaces": ("t.csv", CSV.replace(",", ", ").encode()),
    "quotes": ("t.csv", LONG.astype(str).to_csv(index=False, quoting=1).encode()),
    "quoted decimal commas": ("t.csv", QUOTED.encode()),
    "percent": ("t.csv", CSV.replace("1.0", "100%").replace("0.5", "50%").replace("0.25", "25 %").encode()),
    "TRUE": ("t.csv", CSV.replace("1.0", "TRUE").encode()),
    "JSON": ("t.json", json.dumps(ROWS).encode()),
    "JSON with a mark": ("t.json", json.dumps(ROWS, indent=2).encode("utf-8-sig")),
    "JSON by column": ("t.json", LONG.to_json().encode()),
    "JSON of lists": ("t.json", json.dumps(LONG.to_dict("list")).encode()),
    "JSON of texts": ("t.json", json.dumps([{k: str(v) for k, v in row.items()} for row in ROWS]).encode()),
    "JSONL": ("t.jsonl", LINES.encode()),
    "JSONL with a mark": ("t.jsonl", LINES.encode("utf-8-sig")),
    "JSONL in UTF-16": ("t.jsonl", LINES.encode("utf-16")),
    "NDJSON": ("t.ndjson", (LINES + "\n\n").encode()),
    "JSONL of other keys": ("t.jsonl", lines({f"k{i}": i} | row for i, row in enumerate(ROWS))),
    "JSONL of mixed types": ("t.jsonl", lines(row | {"x": [1, "x", {}, None][i]} for i, row in enumerate(ROWS))),
    "a list in a JSONL file": ("t.jsonl", json.dumps(ROWS, indent=1).encode()),
    "JSONL deep in a column": ("t.jsonl", lines(ROWS).replace(b"}", b', "x": ' + b"[" * 600 + b"]" * 600 + b"}")),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_files_are_read(kind, tmp_path):
    name, content = FILES[kind]
    (tmp_path / name).write_bytes(content)
    problem = made(tmp_path / name)
    check(problem)
    assert problem.query_ids.tolist() == ["q1", "q2"]


FAULTS: dict[str, tuple[str, str, str]] = {
    "ragged": ("t.csv", CSV + "q3,a,1\n", "line 6 has 3 cells where 5 are needed: 'q3,a,1'"),
    "latin-1 names": ("t.csv", CSV.replace("q1", "\udce9"), "it is not UTF-8 text: save it as CSV UTF-8"),
    "UTF-16 without a mark": ("t.csv", CSV.replace("", "\0"), "it is not UTF-8 text: save it as CSV UTF-8"),
    "thousands": ("t.csv", CSV.replace("10,5", '"1,234",5', 1), "'1,234' in query 'q1', model 'a': .*write it without"),
    "euros": ("t.csv", CSV.replace(",20,", ",€20,"), "'€20' in query 'q2'"),
    "a gap": ("t.csv", CSV.replace("0.25", ""), "'score' .* is missing in 1 rows, first in query 'q2', model 'a'"),
    "N/A": ("t.csv", CSV.replace("0.25", "n/a"), "'score' .* is missing in 1 rows, first in query 'q2', model 'a'"),
    "no id": ("t.csv", CSV.replace("q2,a", ",a"), "'query_id' .* is missing in 1 rows, first in row 3 of 4"),
    "percent without a sign": ("t.csv", CSV.replace("1.0", "100"), "is 100 in query 'q1'.*as in 50%"),
    "percent of tokens": ("t.csv", CSV.replace(",20,", ",20%,"), "'input_tokens' .* is '20%' in query 'q2'"),
    "TRUE tokens": ("t.csv", CSV.replace(",20,", ",TRUE,"), "'TRUE' in query 'q2'"),
    "all TRUE": ("t.csv", re.sub(",[12]0,", ",TRUE,", CSV), "is True in query 'q1'"),
    "dollars of score": ("t.csv", CSV.replace("1.0", "$1.0"), "is '\\$1.0' in query 'q1'"),
    "words": ("t.csv", CSV.replace("1.0", "correct"), "is 'correct' in query 'q1', model 'a': .*right is 1"),
    "doubled key": ("t.json", '[{"query_id": 1, "query_id": 2}]', "the key 'query_id' stands twice in one object"),
    "doubled key of a line": ("t.jsonl", '{"a": 1}\n{"b": {"c": 1, "c": 2}}', "line 2 is not JSON .the key 'c' stands"),
    "latin-1 lines": ("t.jsonl", LINES.replace("q1", "\udce9"), "'query_id' .* label that is not UTF-8 text"),
    "half a line": ("t.jsonl", '{"a": 1}\n{"b": ', "line 2 is not JSON"),
    "no objects": ("t.jsonl", "[1]\n[2]", "one object a row is needed"),
    "too deep": ("t.jsonl", '{"a":' + "[" * 3_000, "line 1 is not JSON"),
    "empty": ("t.jsonl", "\n\n", "has no rows"),
    "nothing": ("t.jsonl", "", "has no rows"),
    "a sheet": ("t.xlsx", "", "save the sheet as CSV"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_of_files_are_named(kind, tmp_path):
    name, text, words = FAULTS[kind]
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert re.search(words, refused(lambda: made(tmp_path / name))), kind


@pytest.mark.parametrize("source", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("day", ["2024-01-01", "2024-01-01 10:00", "2024-01-01T10:00:00+02:00"])
def test_texts_that_look_like_times_stay_texts(source, day, tmp_path):
    nested = [{"x": day}] * 4 if source == "jsonl" else day
    for more in ({"at": day}, {"at": nested}, {}):
        table = LONG.assign(query_id=[day, day, f"{day}Z", f"{day}Z"], **more)
        text = table.to_csv() if source == "csv" else table.to_json(orient="records", lines=source == "jsonl")
        (tmp_path / f"t.{source}").write_text(text)
        assert made(tmp_path / f"t.{source}").query_ids.tolist() == [day, f"{day}Z"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["1.234,5", "2.345,25"], [1234.5, 2345.25]),
        (["1,234.5", "0.5"], [1234.5, 0.5]),
        (["1.234.567", "7"], [1234567, 7]),
        (["0,5", "1,234"], [0.5, 1.234]),
        (["12,25", "1.234"], "'1.234' in query 'q2'"),  # thousands, or decimals?
        (["1.234,5", "1.234"], "'1.234' in query 'q2'"),
        (["1,234.5", "1,234"], "'1,234' in query 'q2'"),
        (["0.5", "0,5"], [0.5, 0.5]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_column_of_numbers_has_one_decimal_mark(written, read, delimiter, tmp_path):
    rows = [
        ["query_id", "a", "input_tokens", "output_tokens"],
        ["q1", "1", written[0], "1"],
        ["q2", "1", written[1], "1"],
    ]
    lines = [delimiter.join(f'"{cell}"' for cell in row) for row in rows]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    if isinstance(read, str):
        message = refused(lambda: made(tmp_path / "t.csv"))
        assert read in message
        assert "may mean two numbers" in message
    else:
        assert made(tmp_path / "t.csv").input_tokens.ravel().tolist() == read


# ---- columns

IDS: dict[str, tuple[Any, list[Any]]] = {
    "UUIDs": ([uuid.UUID(int=i) for i in (7, 7, 9, 9)], [str(uuid.UUID(int=i)) for i in (7, 9)]),
    "whole floats": ([7.0, 7.0, 9.0, 9.0], [7, 9]),
    "decimals": ([Decimal(7), Decimal(7), Decimal(9), Decimal(9)], [7, 9]),
    "whole numbers and whole floats": (pd.Series([7, 7.0, 9, np.float64(9)], dtype=object), [7, 9]),
    "categories": (pd.Categorical(["x", "x", "y", "y"]), ["x", "y"]),
    "dates": ([date(2024, 1, day) for day in (1, 1, 2, 2)], ["2024-01-01", "2024-01-02"]),
    "bytes": ([b"x", b"x", b"y", b"y"], ["x", "y"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("source", ["frame", "parquet"])
def test_ids_are_read(kind, source, tmp_path):
    values, ids = IDS[kind]
    table: Any = LONG.assign(query_id=values)
    if source == "parquet" and kind != "whole numbers and whole floats":
        pq.write_table(pa.Table.from_pandas(table), tmp_path / "t.parquet")
        table = tmp_path / "t.parquet"
    problem = made(table)
    check(problem)
    assert problem.query_ids.tolist() == ids


SCORES: dict[str, Any] = {
    "categories": lambda: pd.Categorical([1, 0, 1, 1]),
    "categories of truth": lambda: pd.Categorical([True, False, True, True]),
    "categories of texts": lambda: pd.Categorical(["1", "0", "1.0", "TRUE"]),
    "texts": lambda: ["TRUE", "false", "100%", "1"],
    "values of several types": lambda: pd.Series([True, 0, 1.0, Decimal(1)], dtype=object),
    "numbers and texts": lambda: pd.Series([1, "0", "100 %", np.float32(1)], dtype=object),
    "decimals": lambda: [Decimal("1.0"), Decimal("0"), Decimal("1"), Decimal("1")],
    "Arrow": lambda: pd.array([1, 0, 1, 1], dtype="Int64"),
    "truth with a type for gaps": lambda: pd.array([True, False, True, True], dtype="boolean"),
}


@pytest.mark.parametrize("kind", SCORES)
def test_scores_are_read(kind):
    check(made(LONG.assign(score=SCORES[kind]())), [[1, 0], [1, 1]])


OTHERS: dict[str, Any] = {
    "mixed": ["x", 1, None, 2],
    "nested": [1, [2], {"a": 1}, None],
    "objects": [object(), object(), int, len],
    "huge": [10**4000, 1, -1, 2.5],
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_that_are_not_needed_need_not_convert(kind, library):
    if library == "pandas":
        frame: Any = LONG.assign(x=np.array([*OTHERS[kind], None], dtype=object)[:4])
    else:
        frame = pl.DataFrame(ROWS).with_columns(pl.Series("x", OTHERS[kind], dtype=pl.Object))
    check(made(frame))
    message = refused(lambda: made(frame, query="x"))
    assert message.startswith("column 'x' of the routing table")
    message = refused(lambda: made(frame, score="x"))
    assert re.search(r"column 'x' of the routing table is .* in query 'q\d', model '[ab]'", message)


MIXED: dict[str, tuple[list[Any], str]] = {
    "numbers and texts": ([1, 1, "x", "x"], "is 1 in row 1 of 4 and 'x' in row 3 of 4: strings or whole numbers"),
    "texts and UUIDs": (["x", "x", uuid.UUID(int=1), "y"], "is 'x' in row 1 of 4 and UUID('00000000"),
    "fractions": ([1.0, 1.0, 2.5, 2.5], "is 2.5, of type double, in row 3 of 4"),
    "beyond floats": ([1e17, 1e17, 2.0, 2.0], "is 1e+17, of type double, in row 1 of 4"),
    "what two whole numbers are as floats": ([2.0**53] * 2 + [1.0] * 2, "whole numbers below 2**53 are needed"),
    "months": (list(pd.period_range("2024-01", periods=4, freq="M")), "is of type extension<pandas.period"),
    "truth": ([True, True, False, False], "is of type bool: strings or whole numbers"),
    "truth and numbers": ([True, 1, 2, 2], "is True in row 1 of 4 and 1 in row 2 of 4"),
    "lists": ([[1], [1], [2], [2]], "is of type list<"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MIXED)
def test_labels_of_several_kinds_are_named(kind):
    values, words = MIXED[kind]
    series = pd.Series(values, dtype=object if "and" in kind else None)
    assert words in refused(lambda: made(LONG.assign(query_id=series)))


def test_what_else_frames_may_be():
    below = pd.DataFrame([{}, {}], columns=LONG.columns, dtype=object)
    sheet = pd.concat([LONG, below])
    check(made(sheet))
    arrow = pa.Table.from_pandas(sheet, preserve_index=False)
    check(made(arrow))
    views = arrow[:4].set_column(1, "model", arrow["model"][:4].cast(pa.string_view()))
    check(made(views, models=["a", "b"]))
    check(made(pl.DataFrame(ROWS), models=["a", "b"]))
    assert "is missing in 2 rows" in refused(lambda: made(sheet.rename_axis("an index that means something")))
    check(made(ROWS))
    check(made(LONG.to_dict("list")))
    check(made(LONG.to_dict("series")))
    check(made({name: column.to_numpy() for name, column in LONG.items()}))
    check(made({name: tuple(column) for name, column in LONG.items()}))
    assert "columns of one length" in refused(lambda: made(LONG.to_dict("list") | {"model": ["a"]}))
    assert "has no rows" in refused(lambda: made([]))
    check(made(LONG.set_index("query_id")))
    check(made(LONG.set_index(["query_id", "model"])))
    check(made(LONG.rename(columns={"query_id": "\ufeffquery_id"})))
    check(made(pl.DataFrame(ROWS).with_columns(pl.col("score").cast(pl.Decimal(10, 3)))))
    check(made(pa.table(LONG).set_column(1, "model", pa.array(["a", "b"] * 2).dictionary_encode())))
    assert "more than one column 'score'" in refused(lambda: made(pd.concat([LONG, LONG[["score"]]], axis=1)))
    assert "is 1.0000001 in query 'q1'" in refused(lambda: made(LONG.assign(score=[1.0000001, 1, 1, 1])))
    assert "null character" in refused(lambda: made(LONG.assign(query_id=["a", "a", "a\0", "a\0"])))


# ---- nested fields

NESTED = [
    {"id": r["query_id"], "by": {"llm": r["model"]}, "result": {"score": {"f1": r["score"]}}, "u.p": r["input_tokens"],
     "usage": {"completion": r["output_tokens"]}}
    for r in ROWS
]  # fmt: skip
NAMES = {"query": "id", "model": "by.llm", "score": "result.score.f1", "input_tokens": "u.p"}


@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet", "pandas", "polars", "mixed.jsonl"])
def test_dotted_names_lead_into_nested_fields(kind, tmp_path):
    table: Any = tmp_path / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(NESTED), table)
    elif kind in ("pandas", "polars"):
        table = pd.DataFrame(NESTED) if kind == "pandas" else pl.DataFrame(NESTED)
    elif kind == "json":
        table.write_text(json.dumps(NESTED))
    else:
        rows = [row | ({"x": [1, "x"][i % 2]} if kind == "mixed.jsonl" else {}) for i, row in enumerate(NESTED)]
        table.write_text("\n".join(map(json.dumps, rows)))
    check(made(table, **NAMES, output_tokens="usage.completion"))
    assert "no column 'result.score.f2'" in refused(lambda: made(table, **NAMES | {"score": "result.score.f2"}))
    message = refused(lambda: made(table, **NAMES, output_tokens="completion"))
    assert "has no column 'completion'" in message
    assert "nested fields are named as in 'usage.completion'" in message


def test_the_command_reads_nested_lines_and_names_the_fields_of_a_price(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, NESTED)))
    names = ["--query", "id", "--model-column", "by.llm", "--score", "result.score.f1", "--shared-tokens", "10"]
    tokens = ["--input-tokens", "u.p", "--output-tokens", "usage.completion"]

    def run(prices: Any) -> Any:
        (tmp_path / "p.json").write_text(json.dumps(prices))
        given = ["--prices", str(tmp_path / "p.json"), "-o", str(tmp_path / "o.parquet")]
        return CliRunner().invoke(main, ["import", str(tmp_path / "t.jsonl"), *names, *tokens, *given])

    wrong = run({"a": {"input_price": 0.1, "output_price": 0.2}, "b": [1, 2]})
    assert wrong.exit_code == 2
    assert "price_in of model 'a', in USD per million tokens, is missing" in wrong.stderr
    assert "'input_price', 'output_price'" in wrong.stderr
    assert not (tmp_path / "o.parquet").exists()
    good = run(PRICES | {"a": [1.5e-7, 6e-7]})
    assert good.exit_code == 0, good.output
    assert good.stderr.startswith("Warning: price_in of model 'a' in the price table")
    check(read(tmp_path / "o.parquet"))


# ---- prices

PRICE_FILES: dict[str, tuple[str, str]] = {
    "dollars": ("p.csv", "model,price_in,price_out\na,$0.15,$0.60\nb,$1,US$ 2.00\n"),
    "decimal commas": ("p.csv", "model;price_in;price_out\na;0,15;0,60\nb;1,00;2,00\n;;\n"),
    "dollars and decimal commas": ("p.csv", "model;price_in;price_out\na;0,15 $;0,60 $\nb;1,00 $;2,00 $\n"),
    "a mark": ("p.csv", "\ufeffmodel,price_in,price_out\na,0.15,0.6\nb,1,2\n"),
    "other models": ("p.csv", "model,price_in,price_out\nc,on request,?\nc,?,?\na,0.15,0.6\nb,1,2\n"),
    "lines": (
        "p.jsonl",
        '{"model": "a", "price_in": 0.15, "price_out": 0.6}\n{"model": "b", "price_in": 1, "price_out": 2}',
    ),
    "texts": ("p.json", '{"a": {"price_in": "$0.15", "price_out": "0.60"}, "b": ["1", "2"], "c": 7}'),
    "columns": ("p.json", '{"model": ["a", "b"], "price_in": [0.15, "1"], "price_out": [0.6, 2]}'),
    "windows": ("p.csv", "model,price_in,price_out,context_window\na,0.15,0.6,8192.0\nb,1,2,n/a\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PRICE_FILES)
def test_price_files_are_read(kind, tmp_path):
    name, text = PRICE_FILES[kind]
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = [(model.price_in, model.price_out) for model in made(LONG, tmp_path / name).models]
    assert found == [(0.15, 0.6), (1, 2)]


@pytest.mark.parametrize(
    "prices",
    [
        {"a": [Decimal("0.15"), Decimal("0.6")], "b": (1, 2)},
        {"a": {"price_in": "$0.15", "price_out": np.float32(0.5)}, "b": (1, 2)},
        pa.table({"model": ["a", "b"], "price_in": [Decimal("0.15"), Decimal(1)], "price_out": [Decimal("0.6")] * 2}),
        pd.DataFrame({"model": pd.Categorical(["a", "b"]), "price_in": ["0.15", "1"], "price_out": [Decimal(1), 2]}),
        pd.DataFrame({"model": ["a", "b", "c"], "price_in": [0.15, 1, None], "price_out": [0.6, 2, "?"]}),
        {"model": ["a", "b"], "price_in": ["$0.15", 1], "price_out": [0.6, 2]},
        [{"model": "a", "price_in": 0.15, "price_out": 0.6}, {"model": "b", "price_in": 1, "price_out": 2}],
    ],
)  # fmt: skip
def test_prices_in_memory_are_read(prices):
    assert [model.price_in for model in made(LONG, prices).models] == [0.15, 1]


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ({"a": ["about 1", 1], "b": [1, 2]}, "of model 'a' in the price table is 'about 1': .*as in 0.15 or \\$0.15"),
        ({"a": ["1,250", 1], "b": [1, 2]}, "is '1,250': .*may mean two numbers"),
        ({"a": ["5%", 1], "b": [1, 2]}, "is '5%'"),
        ({"a": [Decimal("sNaN"), 1], "b": [1, 2]}, "price_in of model 'a' is inf"),
        ({"a": pd.Series([1, 2]), "b": [1, 2]}, "has 0    1 1    2 dtype: int64 for model 'a'"),
        ({"a": {"input": 1}, "b": [1, 2]}, "price_in of model 'a', .* is missing in the price table: .*'input'"),
        (pd.DataFrame({"model": ["a", "b"], "price_in": ["?", "1"], "price_out": 1}), "'\\?' in the row of model 'a'"),
        (pd.DataFrame({"model": ["a", "b"], "price_in": [True] * 2, "price_out": 1}), "True in the row of model 'a'"),
        ({"a": {"price_in": 1, "price_out": 10**5000}, "b": [1, 2]}, "is a whole number of 16610 bits"),
    ],
)  # fmt: skip
def test_prices_that_are_no_numbers_are_named(prices, words):
    assert re.search(words, refused(lambda: made(LONG, prices)))


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ({"a": [1.5e-7, 6e-7], "b": [2.5e-6, 1e-5]}, "price_in of model 'a' .* 1.5e-07: .*USD per token, .*3 more"),
        ({"a": [1.0, 6e-7], "b": [1, 2]}, "price_out of model 'a' .* is 6e-07.*USD per token"),
        ({"a": [71000.0, 2.0], "b": [1, 2]}, "price_in of model 'a' .* is 71000.*USD per billion tokens"),
        (pd.DataFrame({"model": ["a", "b"], "price_in": [1, 2e-6], "price_out": [1, 1]}), "price_in of model 'b'"),
        ({"a": [0, 0], "b": [1e-4, 1e4]}, None),  # free, and the edges
        ({"a": [1, 1], "b": [1, 1], "c": [1e-7, 1e-7]}, None),  # a model that is not asked for
    ],
)
def test_prices_of_another_unit_are_warned_of(prices, words):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made(LONG, prices)
    assert [warning.category for warning in caught] == [InputWarning] * (words is not None)
    if words:
        assert re.search(words, str(caught[0].message))
        assert "USD per million tokens" in str(caught[0].message)


@pytest.mark.parametrize("curve", [{"*": {"1": 1, "2": "90%"}}, {"*": {2: Decimal("0.9")}}, {"*": {"2": "0,9"}}])
def test_curves_are_read(curve):
    assert made(LONG, degradation=curve).retention.tolist() == [[1, 0.9, 1, 0.9]]


# ---- wide tables without costs


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ({}, {"input_tokens": 10, "output_tokens": 5}),
        ({"input_tokens": [10, 10], "output_tokens": [5, 5]}, {}),
        ({f"{model}|{side}_tokens": n for model in "ab" for side, n in (("input", 10), ("output", 5))}, {}),
        ({"tin": [10] * 2, "tout": ["5", "5"]}, {"input_tokens": "tin", "output_tokens": "tout"}),
        ({"score": ["?", "?"], "note": [1, 2]}, {"input_tokens": 10, "output_tokens": 5, "models": ["a", "b"]}),
    ],
)  # fmt: skip
def test_wide_tables_without_costs(more, options):
    problem = made(WIDE[["sample_id", "a", "b"]].assign(**more), **options)
    assert problem.base_utility.tolist() == WANTED
    assert np.array_equal(np.unique(problem.input_tokens), [10])
    assert np.array_equal(np.unique(problem.output_tokens), [5])


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (WIDE[["sample_id", "a", "b"]], {}, "wide form without costs, and input_tokens .--input-tokens. is missing"),
        (
            WIDE[["sample_id", "a", "b"]],
            {"input_tokens": 1},
            "and output_tokens .--output-tokens. is missing: .*'a.output_",
        ),
        (WIDE[["sample_id", "a"]], {"input_tokens": 1, "output_tokens": 1, "models": ["a", "b"]}, "has no model 'b'"),
        (WIDE.assign(**{"knn|k:5|total_cost": 1e-3}), {}, "'knn.k:5' .*name the models that are wanted .*--models"),
        (WIDE.rename(columns={"a": "A"}), {}, "has no column 'a' with the scores"),
        (WIDE.assign(a=["?", "1"]), {}, "'a' of the routing table is '\\?' in query 'q1'"),
        (WIDE, {"output_tokens": 5}, "holds costs instead"),
        (WIDE, {"score": "a"}, "score is 'a': .* is of the wide form"),
    ],
)
def test_wide_tables_that_lack_something(table, options, words):
    assert re.search(words, refused(lambda: made(table, **options)))


def test_wide_costs_in_dollars():
    table = WIDE.assign(**{"a|total_cost": ["$0.0001", "0.0001 USD"]})
    assert np.array_equal(made(table).output_tokens, made(WIDE).output_tokens)
    assert made(WIDE.assign(**{"knn|total_cost": 1}), models=["a", "b"]) == made(WIDE)


# ---- rules for what is doubled and missing


def with_failures() -> pd.DataFrame:
    """Return a table with a doubled pair, a failed call, and a query that one model never saw."""
    more = pd.DataFrame(
        {"query_id": ["q1", "q3", "q3", "q4"], "model": ["a", "a", "b", "a"], "score": [0.0, None, 1.0, 0.6],
         "input_tokens": [30, None, 40, 50], "output_tokens": [15, None, 10, 9]}
    )  # fmt: skip
    return pd.concat([LONG, more], ignore_index=True)


@pytest.mark.parametrize(
    ("duplicates", "missing", "ids", "scores", "inputs", "outputs"),
    [
        ("mean", "drop", ["q1", "q2"], [[0.5, 0.5], [0.25, 0.75]], [[20, 10], [20, 20]], [[10, 6], [7, 8]]),
        ("first", "drop", ["q1", "q2"], WANTED, [[10], [20]], [[5, 6], [7, 8]]),
        (
            "first", "zero", ["q1", "q2", "q3", "q4"], [*WANTED, [0, 1], [0.6, 0]],
            [[10], [20], [40], [50]], [[5, 6], [7, 8], [7, 10], [9, 8]],
        ),
        (
            "mean", "zero", ["q1", "q2", "q3", "q4"], [[0.5, 0.5], [0.25, 0.75], [0, 1], [0.6, 0]],
            [[20, 10], [20, 20], [40, 40], [50, 50]], [[10, 6], [7, 8], [26 / 3, 10], [9, 8]],
        ),
    ],
)  # fmt: skip
def test_rules_say_what_is_doubled_and_missing(duplicates, missing, ids, scores, inputs, outputs):
    said = (
        "2 of 4 queries, which are left out" if missing == "drop" else "2 scores, which count as 0, and tokens .* of 2"
    )
    with pytest.warns(InputWarning, match=said):
        problem = made(with_failures(), duplicates=duplicates, missing=missing)
    assert problem.query_ids.tolist() == ids
    assert problem.base_utility.tolist() == scores
    assert problem.input_tokens.tolist() == inputs
    np.testing.assert_allclose(problem.output_tokens, outputs, rtol=1e-15)


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (with_failures(), {}, "1 pairs of query and model more than once, first query 'q1', model 'a': .*--duplicates"),
        (with_failures(), {"duplicates": "first"}, "1 missing cells of 4 queries x 2 models, first .*'q4'.*--missing"),
        (with_failures()[:7], {"duplicates": "mean"}, "'score' .* is missing in 1 rows, first in query 'q3'"),
        (LONG.assign(score=[None, 1, 1, 1]), {}, "'score' .* is missing in 1 rows, first in query 'q1', model 'a'"),
        (LONG.assign(score=[None, 1, None, 1]), {"missing": "drop"}, "missing='drop' leaves none"),
        (LONG.assign(output_tokens=[None, 1, None, 1]), {"missing": "zero"}, "output tokens or costs of model 'a'"),
        (pd.concat([WIDE, WIDE[:1]]), {}, "'q1' in more than one row: .*--duplicates"),
        (LONG, {"duplicates": "last"}, "duplicates is 'last': 'error', 'mean' or 'first' is needed"),
        (LONG, {"missing": None}, "missing is None: 'error', 'drop' or 'zero' is needed"),
        (LONG.assign(query_id=["q1", "q1", None, "q2"]), {"missing": "drop"}, "'query_id' .* is missing in 1 rows"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::robatch.instances.InputWarning")
def test_without_a_rule_the_first_is_named(table, options, words):
    assert re.search(words, refused(lambda: made(table, **options)))


@pytest.mark.parametrize("missing", ["drop", "zero"])
def test_rules_hold_for_wide_tables(missing):
    table = pd.concat([WIDE, WIDE[:1].assign(a=0.0), WIDE[:1].assign(sample_id="q3", b=None, **{"b|total_cost": None})])
    with pytest.warns(InputWarning, match="1 of 3 queries|lacks 1 scores, which count as 0, and tokens or costs of 1 "):
        problem = made(table, duplicates="mean", missing=missing, group="sample_id")
    assert problem.base_utility.tolist() == [[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]][: problem.n_queries]
    assert problem.n_queries == (2 if missing == "drop" else 3)
    assert np.ptp(problem.output_tokens, axis=0) == pytest.approx([0, 0])
    assert problem.groups.tolist() == problem.query_ids.tolist()


def test_rules_change_nothing_where_nothing_is_wrong(recwarn):
    assert made(LONG, duplicates="mean", missing="drop") == made(LONG, duplicates="first", missing="zero") == made(LONG)
    assert not recwarn.list


def test_the_command_takes_the_rules(tmp_path):
    with_failures().to_csv(tmp_path / "t.csv", index=False)
    Path(tmp_path / "p.csv").write_text("model,price_in,price_out\na,1,2\nb,2,3\n")
    command = ["import", f"{tmp_path}/t.csv", "--prices", f"{tmp_path}/p.csv", "-o", f"{tmp_path}/o.parquet"]
    command += ["--shared-tokens", "10"]
    assert CliRunner().invoke(main, command).exit_code == 2
    done = CliRunner().invoke(main, [*command, "--duplicates", "first", "--missing", "drop"])
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("Warning: the routing table")
    check(read(tmp_path / "o.parquet"))


@pytest.mark.parametrize("folder", ["model=b", "query_id=q9", "k=007", "score=0.5"])
def test_names_of_folders_are_no_columns(folder, tmp_path, small):
    """DuckDB 2.0.1 puts them in the place of a file's own columns (findings/duckdb-folder-column.sh)."""
    place = tmp_path / folder
    place.mkdir()
    LONG.to_parquet(place / "table.parquet")
    check(made(place / "table.parquet"))
    small().write(place / "problem.parquet")
    assert read(place / "problem.parquet") == small()


@pytest.mark.parametrize(
    "ids", [["0x1A", "0x2B"], ["007", "7"], ["+5", "5"], ["2026-11-30", "2026-12-01"], ["1e3", "1e4"]]
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json"])
def test_ids_and_names_stay_as_they_are_written(ids, suffix, tmp_path):
    """pyarrow 26.0.1 takes 0x1A of a CSV file for 26, and +5 for 5.0 (findings/arrow-csv-hex.sh)."""
    table = LONG.assign(query_id=np.repeat(ids, 2), model=[*ids, *ids])
    path = tmp_path / f"table{suffix}"
    if suffix in (".csv", ".tsv"):
        table.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    else:
        table.to_json(path, orient="records", lines=suffix == ".jsonl")
    problem = made(path, prices=dict(zip(ids, PRICES.values(), strict=True)))
    assert problem.query_ids is not None
    assert problem.query_ids.tolist() == ids
    assert [model.name for model in problem.models] == ids
