"""Ten thousand files and tables, right, odd and broken: each is read or refused with one sentence, and nothing else."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robatch.cli import main
from robatch.instances import InputError, InputWarning, Model, from_table, read
from robatch.instances.price_tables import price_models, retentions
from robatch.instances.problem_file import KEY
from robatch.proxies import read_config, read_queries
from robatch.proxies.execution.pool import override, pool_model
from robatch.proxies.profiling.config import RUN_KEYS
from robatch.proxies.profiling.model_config import MODEL_KEYS
from robatch.proxies.profiling.task_config import TASK_KEYS
from tests.proxies.configs import config_text

LONGEST = 1500  # letters of a sentence; paths of temporary files among them


def some(inputs: int) -> Callable[[Any], Any]:
    """Return the settings of a test of so many inputs, the same in every run."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=inputs, derandomize=True, deadline=None, database=None, suppress_health_check=checks)


def taken(work: Callable[[], Any]) -> Any:
    """Return what is read, or the sentence of the refusal; anything else is an error of the reader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        try:
            return work()
        except InputError as error:
            sentence = str(error)
            assert sentence
            assert len(sentence) < LONGEST
            return sentence


CHANCE = st.integers(0, 2**32).map(random.Random)
CELLS = st.one_of(
    st.sampled_from(
        ["", "1", "0.5", "0,5", "1,234", "1.234,5", "$0.10", "50%", "TRUE", "false", "nan", "N/A", "inf", "1e999", "-1",
         "q1", "q2", "a", "b", "*", '"', 'x"y', "é", "\x00", "2024-01-01", "12:30", "[1]", '{"x": 1}', "null", " 1 ",
         "9" * 400, "\ufeff", "\ud800", "1_000", "0x10", "10" * 15, "a;b", "x\ny", "1e-7", "1.5"]
    ),
    st.text(max_size=6),
)  # fmt: skip
VALUES = st.one_of(
    CELLS, st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["x", "score"]), st.integers(), max_size=2),
)  # fmt: skip
LONG = ["query_id", "model", "score", "input_tokens", "output_tokens"]
WIDE = ["sample_id", "a", "b", "a|total_cost", "b|total_cost"]
NAMES = st.one_of(st.just(LONG), st.just(WIDE), st.lists(st.sampled_from([*LONG, *WIDE, "", "x"]), max_size=6))
RIGHT = {
    "query_id": "q{0}",
    "sample_id": "q{0}",
    "model": "{1}",
    "a": "0.5",
    "b": "1",
    "score": "0.5",
    "input_tokens": "10",
}
RULES = st.fixed_dictionaries(
    {
        "duplicates": st.sampled_from(["error", "mean", "first"]),
        "missing": st.sampled_from(["error", "drop", "zero"]),
        "input_tokens": st.sampled_from([None, 10, "x"]),
        "group": st.sampled_from([None, None, "model", "x.y"]),
    }
)


@st.composite
def rows(draw: Any, values: Any) -> tuple[list[str], list[list[Any]]]:
    """Draw a table: most of its cells are right, some are anything."""
    names = draw(NAMES)
    made = [
        [RIGHT.get(name, "5").format(row // 2, "ab"[row % 2]) for name in names]
        for row in range(draw(st.integers(0, 4)))
    ]
    for _ in range(draw(st.integers(0, 3))):
        if made and names:
            made[draw(st.integers(0, len(made) - 1))][draw(st.integers(0, len(names) - 1))] = draw(values)
    return names, made


@st.composite
def delimited(draw: Any) -> list[bytes]:
    """Draw a CSV file of any dialect; whole and broken."""
    names, made = draw(rows(CELLS))
    mark, line = draw(st.sampled_from([",", ";", "\t"])), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoted = draw(st.booleans())
    lines = [["sep=" + mark]] if draw(st.integers(0, 9)) == 0 else []
    lines += [names, *made, *[[""] * draw(st.integers(0, 6))] * draw(st.integers(0, 2))]
    text = line.join(
        mark.join('"' + cell.replace('"', '""') + '"' if quoted else cell for cell in one) for one in lines
    )  # fmt: skip
    content = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])), "replace")
    return broken(content, draw(CHANCE))


def broken(content: bytes, chance: random.Random) -> list[bytes]:
    """Return a file as it is, cut, with another byte, and with a line twice: four inputs."""
    where = chance.randrange(len(content) + 1)
    lines = content.splitlines(keepends=True) or [b""]
    twice = chance.randrange(len(lines))
    return [
        content,
        content[:where],
        content[:where] + bytes([chance.randrange(256)]) + content[where + 1 :],
        b"".join([*lines[: twice + 1], *lines[twice:]]),
    ]


@st.composite
def objects(draw: Any, one_a_line: bool) -> list[bytes]:
    """Draw a file of JSON objects; whole and broken."""
    names, made = draw(rows(VALUES))
    records: list[Any] = [dict(zip(names, row, strict=True)) for row in made]
    if draw(st.integers(0, 9)) == 0:
        records.append(draw(VALUES))
    if one_a_line:
        text = "\n".join(map(json.dumps, records))
    else:
        columns = {name: [row[i] for row in made] for i, name in enumerate(names)}
        text = json.dumps(columns if draw(st.integers(0, 4)) == 0 else records)
    return broken(text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"]))), draw(CHANCE))


PRICES = {"a": [0.1, 0.2], "b": [1, 2]}


def table(source: Any, options: dict[str, Any]) -> Any:
    made = taken(lambda: from_table(source, PRICES, batch_sizes=(1, 2), shared_tokens=1, **options))
    if not isinstance(made, str):
        assert np.isfinite(made.amortized_costs()).all()
        assert made.base_utility.min() >= 0
        assert made.base_utility.max() <= 1
    return made


@some(500)
@given(contents=delimited(), options=RULES)
def test_csv(tmp_path, contents, options):
    for content in contents:
        (tmp_path / "t.csv").write_bytes(content)
        table(tmp_path / "t.csv", options)


@some(350)
@given(contents=objects(True), options=RULES)
def test_json_lines(tmp_path, contents, options):
    for content in contents:
        (tmp_path / "t.jsonl").write_bytes(content)
        table(tmp_path / "t.jsonl", options)


@some(250)
@given(contents=objects(False), options=RULES)
def test_json(tmp_path, contents, options):
    for content in contents:
        (tmp_path / "t.json").write_bytes(content)
        table(tmp_path / "t.json", options)


@some(600)
@given(drawn=rows(VALUES), options=RULES, parquet=st.booleans())
def test_frames_and_parquet(tmp_path, drawn, options, parquet):
    frame: Any = pd.DataFrame(drawn[1], columns=drawn[0], dtype=object)
    if parquet:
        try:
            pq.write_table(pa.Table.from_pandas(frame), tmp_path / "t.parquet")
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            return
    table(tmp_path / "t.parquet" if parquet else frame, options)


@some(300)
@given(
    drawn=rows(VALUES),
    contents=delimited(),
    names=st.sampled_from([["model", "price_in", "price_out"], ["model", "batch_size", "retention"], ["model", "x"]]),
)
def test_prices_and_curves(tmp_path, drawn, contents, names):
    cells = [row[: len(names)] for row in drawn[1]]
    mapping = {str(row[0]): dict(zip(names[1:], row[1:], strict=False)) for row in cells if row}
    frame = pd.DataFrame([row for row in cells if len(row) == len(names)], columns=names, dtype=object)
    sources: list[Any] = [mapping, frame]
    for number, content in enumerate(contents):
        sources.append(tmp_path / f"{number}.csv")
        sources[-1].write_bytes(",".join(names).encode() + b"\n" + content.partition(b"\n")[2])
    for number, length in enumerate([None, 40]):
        sources.append(tmp_path / f"{number}.json")
        sources[-1].write_bytes(json.dumps(mapping).encode()[:length])
    for source in sources:
        made = taken(lambda source=source: price_models(source, ["a", "b"], (1, 2), 1))
        assert isinstance(made, str) or [model.name for model in made] == ["a", "b"]
        kept = taken(lambda source=source: retentions(source, [Model("a", 1, 1, batch_sizes=(1, 2))]))
        assert isinstance(kept, str) or (kept.min() >= 0 and kept.max() <= 1)


TEXTS = st.one_of(CELLS, st.sampled_from(["small", "http://127.0.0.1:9/v1", "owner/name", "a\0b", "text", "number"]))
LITERALS = st.one_of(
    st.sampled_from(["0.1", "-1", "nan", "inf", "0xffff", "[]", "{}", "[1, 2]", "true", "1979-05-27", '"""', "1e-7",
                     "[[1]]", "0x" + "f" * 3000, "1" * 5000, "{token = 1}", "[[" * 60]),
    TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)),
)  # fmt: skip
CONFIG = config_text('generate = "support"\nqueries = 2', run="batch_sizes = [1, 2]")
KEYS = [*MODEL_KEYS, *TASK_KEYS, *RUN_KEYS, "sha256", "x"]


@st.composite
def toml(draw: Any) -> list[bytes]:
    """Draw a configuration with changed, added and doubled lines; whole and broken."""
    lines = CONFIG.split("\n")
    for _ in range(draw(st.integers(0, 3))):
        where = draw(st.integers(0, len(lines) - 1))
        lines[where : where + draw(st.integers(0, 1))] = [f"{draw(st.sampled_from(KEYS))} = {draw(LITERALS)}"]
    content = "\n".join(lines).encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])), "replace")
    return broken(content, draw(CHANCE))


POOL = [pool_model({"name": "m", "price_in": 1, "price_out": 2, "server": "http://127.0.0.1:9/v1"})]


@some(400)
@given(contents=toml())
def test_toml(tmp_path, contents):
    for content in contents:
        (tmp_path / "c.toml").write_bytes(content)
        taken(lambda: read_config(tmp_path / "c.toml"))
        taken(lambda: override(POOL, tmp_path / "c.toml"))


@st.composite
def queries(draw: Any) -> list[bytes]:
    """Draw a file of queries; whole and broken."""
    records = []
    for number in range(draw(st.integers(0, 3))):
        record: dict[str, Any] = {"id": number, "text": "?", "answer": "x", "choices": ["x", "y"]}
        for _ in range(draw(st.integers(0, 2))):
            record[draw(st.sampled_from([*record, "kind", "question"]))] = draw(st.one_of(VALUES, TEXTS))
        records.append(record)
    text = json.dumps(records) if draw(st.booleans()) else "\n".join(map(json.dumps, records))
    return broken(text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))), draw(CHANCE))


@some(400)
@given(contents=queries())
def test_queries(tmp_path, contents):
    for content in contents:
        (tmp_path / "q.jsonl").write_bytes(content)
        made = taken(lambda: read_queries(tmp_path / "q.jsonl"))
        assert isinstance(made, str) or len({query.id for query in made}) == len(made) > 0


PROBLEM = from_table(pd.DataFrame({"query_id": [1], "a": [1], "b": [0.5]}), PRICES, input_tokens=1, output_tokens=1,
                     shared_tokens=1, batch_sizes=(1, 2))  # fmt: skip


@some(300)
@given(
    key=st.sampled_from(["version", "models", "columns", "retention", "conflicts", "constraints", "window_margin"]),
    value=VALUES,
)
def test_problem_files(tmp_path, key, value):
    PROBLEM.write(tmp_path / "p.parquet")
    made = pq.read_table(tmp_path / "p.parquet")
    meta = json.loads(made.schema.metadata[KEY]) | {key: value}
    pq.write_table(made.replace_schema_metadata({KEY: json.dumps(meta)}), tmp_path / "p.parquet")
    taken(lambda: read(tmp_path / "p.parquet"))


def test_problem_files_that_are_broken(tmp_path):
    PROBLEM.write(tmp_path / "p.parquet")
    content = (tmp_path / "p.parquet").read_bytes()
    for seed in range(150):
        for one in broken(content, random.Random(seed)):
            (tmp_path / "p.parquet").write_bytes(one)
            taken(lambda: read(tmp_path / "p.parquet"))


@some(40)
@given(contents=delimited())
@pytest.mark.filterwarnings("ignore::robatch.instances.InputWarning")
def test_the_command_writes_a_whole_file_or_none(tmp_path, contents):
    table, prices, folder = tmp_path / "t.csv", tmp_path / "p.json", tmp_path / "out"
    folder.mkdir(exist_ok=True)
    prices.write_text(json.dumps(PRICES))
    command = ["import", table, "--prices", prices, "--shared-tokens", 1, "-o", folder / "o.parquet"]
    for content in contents:
        table.write_bytes(content)
        result = CliRunner().invoke(main, list(map(str, command)))
        written = list(folder.iterdir())
        if result.exit_code == 0:
            assert written == [folder / "o.parquet"]
            read(written[0])
            written[0].unlink()
        else:
            assert (result.exit_code, written) == (2, [])
            assert result.stderr.startswith("Error: ")
            assert result.stderr.count("\n") == 1
