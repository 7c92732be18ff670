import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robatch.instances import InputError, Problem, from_table

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "tables"
CURVES = ROOT / "paper_repro" / "tables"

PRICES = {
    "strong": {"price_in": 10, "price_out": 30},
    "weak": {"price_in": 1, "price_out": 2},
    "other": (1, 1),
}
CURVE = {"weak": {4: 0.5}, "*": {1: 1.0, 2: 0.9, 8: 0.6}}
LONG = {
    "query_id": ["a", "b", "b", "a", "c", "c"],
    "model": ["weak", "strong", "weak", "strong", "strong", "weak"],
    "correct": [0.0, 1.0, 0.5, 1.0, 0.25, 0.75],
    "input_tokens": [10, 20, 20, 10, 30, 30],
    "output_tokens": [1, 2, 3, 4, 5, 6],
    "task": ["x", "y", "y", "x", "x", "x"],
}
# Costs of USD 1e-6 * (price_in * (100 + input) + price_out * output), with the numbers of LONG.
WIDE = {
    "sample_id": ["a", "b", "c"],
    "prompt": ["?", "?", "?"],
    "weak": [0.0, 0.5, 0.75],
    "strong": [1.0, 1.0, 0.25],
    "weak|total_cost": [112e-6, 126e-6, 142e-6],
    "strong|total_cost": [1220e-6, 1260e-6, 1450e-6],
    "strong|model_response": ["", "", ""],
    "input_tokens": [10, 20, 30],
    "task": ["x", "y", "x"],
}


def make(table: Any = None, prices: Any = None, degradation: Any = CURVE, **options: Any) -> Problem:
    table = pa.table(LONG) if table is None else table
    options = {"batch_sizes": (1, 2, 4, 16), "shared_tokens": 100, **options}
    return from_table(table, PRICES if prices is None else prices, degradation, **options)


def without(table: dict[str, list[Any]], *columns: str) -> pa.Table:
    return pa.table({name: values for name, values in table.items() if name not in columns})


def changed(table: dict[str, list[Any]], column: str, row: int, value: Any) -> pa.Table:
    values = [*table[column]]
    values[row] = value
    return pa.table({**table, column: values})


def check(problem: Problem) -> None:
    """Check that a problem is what LONG says, number by number."""
    assert [model.name for model in problem.models] == ["weak", "strong"]
    assert problem.query_ids.tolist() == ["a", "b", "c"]
    assert problem.base_utility.tolist() == [[0.0, 1.0], [0.5, 1.0], [0.75, 0.25]]
    assert problem.input_tokens[:, 0].tolist() == [10, 20, 30]
    np.testing.assert_allclose(problem.output_tokens, [[1, 4], [3, 2], [6, 5]], rtol=1e-9)
    # weak: linear in log2 from 1 at b = 1 to 0.5 at 4, then held; strong: 0.9 at 2, 0.75 half-way to 8.
    np.testing.assert_allclose(problem.retention, [[1, 0.75, 0.5, 0.5, 1, 0.9, 0.75, 0.6]])
    np.testing.assert_allclose(problem.amortized_costs()[:, 0] * 1e6, [112, 126, 142])
    np.testing.assert_allclose(problem.amortized_costs()[:, 4] * 1e6, [1220, 1260, 1450])
    assert problem.utilities()[2, 6] == pytest.approx(0.25 * 0.75)


# ---- every kind of table, both forms


def parquet(data: dict[str, Any], folder: Path) -> Path:
    pq.write_table(pa.table(data), folder / "t.parquet")
    return folder / "t.parquet"


def csv(data: dict[str, Any], folder: Path) -> Path:
    pd.DataFrame(data).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def tsv(data: dict[str, Any], folder: Path) -> Path:
    pd.DataFrame(data).to_csv(folder / "t.tsv", index=False, sep="\t")
    return folder / "t.tsv"


def records(data: dict[str, Any], folder: Path) -> Path:
    (folder / "t.json").write_text(json.dumps(pa.table(data).to_pylist()))
    return folder / "t.json"


KINDS: dict[str, Any] = {
    "pandas": lambda data, _: pd.DataFrame(data, index=range(7, 7 + len(next(iter(data.values()))))),
    "pandas-categories": lambda data, _: pd.DataFrame(data).astype(dict.fromkeys({"model"} & set(data), "category")),
    "polars": lambda data, _: pl.DataFrame(data),
    "polars-categories": lambda data, _: pl.DataFrame(data).with_columns(pl.col(pl.String).cast(pl.Categorical)),
    "pyarrow": lambda data, _: pa.table(data),
    "pyarrow-chunks": lambda data, _: pa.concat_tables([pa.table(data)[:2], pa.table(data)[2:]]),
    "parquet": parquet,
    "csv": csv,
    "tsv": tsv,
    "json": records,
    "str-path": lambda data, folder: str(parquet(data, folder)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["long", "wide"])
def test_every_kind_of_table(kind, form, tmp_path):
    check(make(KINDS[kind](LONG if form == "long" else WIDE, tmp_path)))


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "parquet", "csv", "json"])
def test_every_kind_of_price_and_degradation_table(kind, tmp_path):
    prices = {
        "note": ["n"] * 3,
        "model": ["strong", "weak", "other"],
        "price_in": [10, 1, 1],
        "price_out": [30, 2, 1],
    }
    curves = {"model": ["weak", "*", "*"], "batch_size": [4, 8, 2], "retention": [0.5, 0.6, 0.9]}
    (tmp_path / "p").mkdir()
    check(make(prices=KINDS[kind](prices, tmp_path / "p"), degradation=KINDS[kind](curves, tmp_path)))


def test_json_objects(tmp_path):
    (tmp_path / "prices.json").write_text(json.dumps(PRICES))
    (tmp_path / "curves.json").write_text(
        json.dumps({name: {str(b): r for b, r in c.items()} for name, c in CURVE.items()})
    )
    check(make(prices=tmp_path / "prices.json", degradation=str(tmp_path / "curves.json")))


def test_pandas_and_polars_are_not_imported():
    import subprocess
    import sys

    code = (
        "import sys, robatch.instances\n"
        "heavy = {'pyarrow', 'pandas', 'polars', 'sklearn', 'numba', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---- options


def test_column_names_can_be_given():
    table = pa.table({**LONG, "q": LONG["query_id"], "llm": LONG["model"], "f1": LONG["correct"]})
    table = table.drop_columns(["query_id", "model", "correct"])
    check(make(table, query="q", model="llm", score="f1"))


def test_usual_names_and_types():
    table = without({**LONG, "query": LONG["query_id"], "score": LONG["correct"]}, "query_id", "correct")
    check(make(table))
    right = [value > 0.5 for value in LONG["correct"]]
    assert make(pa.table({**LONG, "correct": right})).base_utility.tolist() == [[0, 1], [0, 1], [1, 0]]
    numbered = [7 if name == "a" else 3 if name == "b" else 5 for name in LONG["query_id"]]
    assert make(pa.table({**LONG, "query_id": numbered})).query_ids.tolist() == [7, 3, 5]


@pytest.mark.parametrize("table", [LONG, WIDE])
def test_models_are_selected_in_the_order_given(table):
    problem = make(pa.table(table), models=["strong", "weak"])
    assert [model.name for model in problem.models] == ["strong", "weak"]
    assert problem.base_utility.tolist() == [[1.0, 0.0], [1.0, 0.5], [0.25, 0.75]]
    np.testing.assert_allclose(problem.output_tokens, [[4, 1], [2, 3], [5, 6]], rtol=1e-9)
    one = make(pa.table(table), prices={"strong": (10, 30)}, models=["strong"])
    np.testing.assert_allclose(one.amortized_costs()[:, 0] * 1e6, [1220, 1260, 1450])


def test_queries_that_only_other_models_answered_are_dropped():
    problem = make(pa.table(LONG)[:5], models=["weak"])
    assert problem.query_ids.tolist() == ["a", "b"]
    np.testing.assert_allclose(problem.amortized_costs()[:, 0] * 1e6, [112, 126])


@pytest.mark.parametrize("table", [LONG, WIDE])
def test_groups(table):
    assert make(pa.table(table)).groups is None
    assert make(pa.table(table), group="task").groups.tolist() == ["x", "y", "x"]


def test_tokens_can_be_given_where_the_table_has_none():
    problem = make(without(LONG, "input_tokens", "output_tokens"), input_tokens=50, output_tokens=7.5)
    assert problem.input_tokens.tolist() == [[50]] * 3
    assert problem.output_tokens.tolist() == [[7.5]] * 3
    assert make(input_tokens=50).input_tokens[:, 0].tolist() == [10, 20, 30]  # the table's own come first


def test_tokenizers_may_differ():
    problem = make(changed(LONG, "input_tokens", 1, 25))
    assert problem.input_tokens.tolist() == [[10, 10], [20, 25], [30, 30]]


def test_shared_tokens_and_windows_of_the_price_table():
    prices = pd.DataFrame(
        {
            "model": ["weak", "strong"],
            "price_in": [1, 10],
            "price_out": [2, 30],
            "shared_tokens": [np.nan, 60],
            "context_window": [np.nan, 4096.0],
        }
    )
    weak, strong = make(prices=prices, shared_tokens=30).models
    assert (weak.shared_tokens, weak.context_window) == (30, None)
    assert (strong.shared_tokens, strong.context_window) == (60, 4096)


def test_no_degradation_means_no_loss():
    assert make(degradation=None).retention.tolist() == [[1.0] * 8]


def test_float32():
    problem = make(dtype="float32")
    assert problem.dtype == np.float32
    assert problem.retention.dtype == np.float32


@pytest.mark.parametrize("given", [None, 5])
def test_wide_form_without_input_tokens_keeps_costs(given):
    problem = make(without(WIDE, "input_tokens"), input_tokens=given)
    np.testing.assert_allclose(problem.amortized_costs()[:, [0, 4]] * 1e6, [[112, 1220], [126, 1260], [142, 1450]])
    assert problem.input_tokens[:, 0].tolist() == [given or 0] * 3


def test_wide_form_without_ids():
    assert make(without(WIDE, "sample_id")).query_ids is None


def test_wide_form_of_free_models_and_calls_without_output():
    prices = {"weak": (1, 0), "strong": (0, 0)}
    table = pa.table({**WIDE, "weak|total_cost": [110e-6, 120e-6, 130e-6], "strong|total_cost": [0.0] * 3})
    assert make(table, prices=prices).output_tokens.tolist() == [[0, 0]] * 3


# ---- errors

E = "column 'correct' of the routing table"
ERRORS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "missing cell": (
        pa.table(LONG)[1:],
        {},
        "has 1 missing cells of 3 queries x 2 models, first query 'a', model 'weak'",
    ),
    "doubled": (
        pa.concat_tables([pa.table(LONG), pa.table(LONG)[2:3]]),
        {},
        "has 1 pairs of query and model more than once, first query 'b', model 'weak'",
    ),
    "NaN": (
        changed(LONG, "correct", 2, float("nan")),
        {},
        f"{E} is missing in 1 rows, first in query 'b', model 'weak'",
    ),
    "null": (
        changed(LONG, "correct", 2, None),
        {},
        f"{E} is missing in 1 rows, first in query 'b', model 'weak'",
    ),
    "too large": (
        changed(LONG, "correct", 1, 1.5),
        {},
        f"{E} is 1.5 in query 'b', model 'strong': a finite number from 0 to 1",
    ),
    "negative": (
        changed(LONG, "output_tokens", 0, -1),
        {},
        "column 'output_tokens' of the routing table is -1 in query 'a'",
    ),
    "text": (
        pa.table({**LONG, "correct": ["yes"] * 6}),
        {},
        f"{E} is 'yes' in query 'a', model 'weak': a finite number from 0 to 1",
    ),
    "no score": (
        without(LONG, "correct"),
        {},
        "has no column 'correct', 'score' or 'utility' of a long table, and no column that ends in '|total_cost'",
    ),
    "no query": (without(LONG, "query_id"), {}, "has no column 'query_id'"),
    "no model": (without(LONG, "model"), {}, "has no column 'model'"),
    "no tokens": (without(LONG, "output_tokens"), {}, "has no column 'output_tokens'"),
    "asked column": (None, {"score": "f1"}, "has no column 'f1'"),
    "no query name": (
        changed(LONG, "query_id", 3, None),
        {},
        "column 'query_id' of the routing table is missing in 1 rows",
    ),
    "query numbers": (
        pa.table({**LONG, "query_id": [0.5] * 6}),
        {},
        "is 0.5, of type double, in row 1 of 6: strings or whole numbers",
    ),
    "groups": (changed(LONG, "task", 1, "z"), {"group": "task"}, "differs between the rows of query 'b'"),
    "no group": (None, {"group": "tenant"}, "has no column 'tenant'"),
    "no rows": (pa.table(LONG)[:0], {}, "the routing table has no rows"),
    "list": ([1, 2], {}, "the routing table is a list: a pandas, polars or pyarrow table"),
    "models": (None, {"models": ["weak", "huge"]}, "has no model 'huge': its models are weak, strong"),
    "models text": (None, {"models": "weak"}, "models is 'weak': a list of names is needed"),
    "models twice": (None, {"models": ["weak", "weak"]}, "each only once"),
    "shared": (
        None,
        {"shared_tokens": None},
        "shared_tokens of model 'weak' is not known: give shared_tokens",
    ),
    "shared < 0": (None, {"shared_tokens": -1}, "shared_tokens of model 'weak' is -1"),
    "tokens given": (without(LONG, "input_tokens"), {"input_tokens": -4}, "input_tokens is -4"),
    "batch sizes": (None, {"batch_sizes": (0,)}, "a batch size of model 'weak' is 0"),
    "dtype": (None, {"dtype": "int8"}, "dtype is 'int8'"),
    "no price": (None, {"prices": {"weak": (1, 2)}}, "the price table has no price of 'strong'"),
    "price": (None, {"prices": {**PRICES, "weak": (1, -2)}}, "price_out of model 'weak' is -2"),
    "price text": (None, {"prices": {**PRICES, "weak": 3}}, "the price table has 3 for model 'weak'"),
    "price gap": (
        None,
        {"prices": {**PRICES, "weak": {"price_in": 1}}},
        "price_out of model 'weak', in USD per million tokens, is missing",
    ),
    "price columns": (
        None,
        {"prices": pa.table({"model": ["weak"]})},
        "the price table has no column 'price_in'",
    ),
    "price twice": (
        None,
        {"prices": pa.table({"model": ["weak"] * 2, "price_in": [1, 2], "price_out": [1, 2]})},
        "the price table holds model 'weak' twice",
    ),
    "no curve": (None, {"degradation": {"weak": {2: 0.5}}}, "no curve for model 'strong', and none for '*'"),
    "empty curves": (None, {"degradation": {}}, "the degradation table is empty"),
    "curve at 1": (
        None,
        {"degradation": {"*": {1: 0.9}}},
        "at batch size 1 is 0.9 in the degradation table: it is 1",
    ),
    "curve above 1": (
        None,
        {"degradation": {"*": {2: 1.2}}},
        "retention of model '*' at batch size 2 in the degradation",
    ),
    "curve NaN": (None, {"degradation": {"*": {2: float("nan")}}}, "the degradation table is nan"),
    "curve size": (
        None,
        {"degradation": {"*": {0: 0.5}}},
        "batch size of model '*' in the degradation table is 0",
    ),
    "curve text": (None, {"degradation": {"*": 0.5}}, "the degradation table has 0.5 for model '*'"),
    "curve twice": (
        None,
        {"degradation": pa.table({"model": ["*"] * 2, "batch_size": [2, 2], "retention": [0.5, 0.6]})},
        "the degradation table holds model '*' at batch size 2 twice",
    ),
    "wide without score": (without(WIDE, "strong"), {}, "has no column 'strong'"),
    "wide doubled": (changed(WIDE, "sample_id", 2, "a"), {}, "has query 'a' in more than one row"),
    "wide NaN": (
        changed(WIDE, "weak|total_cost", 1, float("nan")),
        {},
        "column 'weak|total_cost' of the routing table is missing in 1 rows, first in query 'b'",
    ),
    "wide negative": (
        pa.table(WIDE),
        {"shared_tokens": 114},
        "the total cost of query 'a', model 'weak' in the routing table is 0.000112 USD, "
        "less than the 0.000124 USD of its shared prompt and input",
    ),
    "wide free output": (
        pa.table(WIDE),
        {"prices": {"weak": (1, 0), "strong": (1, 1)}},
        "its price_out of 0 cannot make",
    ),
    "wide output": (
        pa.table(WIDE),
        {"output_tokens": 5},
        "output_tokens is 5: the routing table is of the wide form",
    ),
}
ERRORS["missing cells"] = (
    pa.concat_tables([pa.table(LONG)[:1], pa.table(LONG)[4:5], pa.table(LONG)[1:2]]),
    {},
    "has 3 missing cells of 3 queries x 2 models, first query 'a', model 'strong'",
)


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_what_and_where(case):
    table, options, message = ERRORS[case]
    with pytest.raises(InputError) as error:
        make(table, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "json"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe garbage \x80\n\n,,,\n", b"PAR1half a file", b'{"a": 1'])
def test_garbage_files(tmp_path, suffix, content):
    path = tmp_path / f"t.{suffix}"
    path.write_bytes(content)
    for arguments in ({"table": path}, {"prices": path}, {"degradation": path}):
        with pytest.raises(InputError) as error:
            make(**arguments)
        assert repr(str(path)) in str(error.value)
        assert "\n" not in str(error.value)


def test_truncated_parquet(tmp_path):
    path = parquet(LONG, tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"cannot read the routing table .* it is not a complete PARQUET file"):
        make(path)


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "none.json", ".", "table.xlsx"])
def test_missing_files(tmp_path, name):
    for field in ("table", "prices", "degradation"):
        with pytest.raises(InputError, match=r"cannot read the (routing|price|degradation) table"):
            make(**{field: tmp_path / name})


@pytest.mark.parametrize(
    ("given", "sizes"),
    [({"degradation": None}, (1,)), ({"degradation": None, "batch_sizes": (1, 8)}, (1, 8)),
     ({"degradation": {"*": {8: 0.5}}}, (1, 2, 4, 8, 16, 32)),
     ({"degradation": {"*": {8: 0.5}}, "batch_sizes": (2,)}, (2,))],
)  # fmt: skip
def test_without_curves_there_is_batch_size_1_alone(given, sizes):
    problem = from_table(LONG, PRICES, shared_tokens=10, **given)
    assert {model.batch_sizes for model in problem.models} == {sizes}
    if given["degradation"] is None:
        assert (problem.retention == 1).all()


# ---- real tables, which are not part of the project


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real tables are not part of the project: no {DATA.name}/ beside it")
@pytest.mark.parametrize(
    ("table", "prices", "queries", "models", "extremes"),
    [
        ("mmlu_pro", "mmlu_pro_prices", 12_032, 26, (0.183, 0.628)),
        ("gsm8k_zeroeval", "gsm8k_prices", 1_319, 43, (0.516, 0.967)),
    ],
)
def test_real_tables(table, prices, queries, models, extremes):
    problem = from_table(
        DATA / f"{table}.parquet",
        CURVES / f"{prices}.csv",
        CURVES / "degradation.csv",
        batch_sizes=(1, 2, 4, 8),
        shared_tokens=900,
        group="category",
    )
    assert (problem.n_queries, problem.n_models, problem.n_states) == (queries, models, 4 * models)
    accuracy = np.asarray(problem.base_utility).mean(axis=0)
    np.testing.assert_allclose([accuracy.min(), accuracy.max()], extremes, atol=0.0006)
    # One cell by hand, found in the table by other means.
    frame = pd.read_parquet(DATA / f"{table}.parquet")
    row = frame.iloc[len(frame) // 3]
    price = pd.read_csv(CURVES / f"{prices}.csv").set_index("model").loc[row["model"]]
    expected = price["price_in"] * (900 / 4 + row["input_tokens"]) + price["price_out"] * row["output_tokens"]
    query = problem.query_ids.tolist().index(row["query_id"])
    state = problem.state_index(row["model"], 4)
    assert problem.amortized_costs()[query, state] * 1e6 == pytest.approx(expected)
    assert problem.utilities()[query, state] == pytest.approx(row["correct"] * problem.retention[0, state])
    assert problem.groups[query] == row["category"]


def test_price_and_degradation_files_of_the_project_are_sound():
    for name in ("mmlu_pro_prices", "gsm8k_prices"):
        prices = pd.read_csv(CURVES / f"{name}.csv")
        assert prices["model"].is_unique
        assert (prices[["price_in", "price_out"]] > 0).all(axis=None)
        assert set(prices["source"]) == {"list", "assigned"}
    curves = pd.read_csv(CURVES / "degradation.csv")
    assert (curves.loc[curves["batch_size"] == 1, "retention"] == 1).all()
    figures = curves.set_index(["model", "batch_size"])["retention"]
    assert figures["Meta-Llama-3-8B-Instruct", 10] == pytest.approx(0.616 / 0.723, abs=1e-4)
    assert figures["gpt-4o-2024-08-06", 64] == pytest.approx(0.787 / 0.915, abs=1e-4)
