import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from robatch.cli import Commands
from robatch.cli.fit import fit
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.tasks.queries import Query, read_queries, write_queries
from robatch.proxies.tasks.recorded import query_hash
from robatch.proxies.utility.utility_proxy import UtilityProxy

CHOICES = ("red", "blue")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    queries = [Query(f"q{i:02d}", f"text {rng.integers(9)} of {i}", "red", "choice", CHOICES) for i in range(40)]
    rows: list[dict[str, Any]] = [
        {
            "task": "sort", "query_id": query.id, "model": model, "batch_size": size, "repeat": 0,
            "call": i // size, "call_size": size, "position": i % size, "score": float(rng.random() < 0.7),
            "parsed": True, "answer": "red", "input_tokens": 9.0, "output_tokens": 4.0,
            "call_input_tokens": 100, "call_output_tokens": 4 * size, "shared_tokens": 60, "seconds": 0.1,
            "finish_reason": "stop", "error": None,
        }
        for model in ("a", "b") for size in (1, 4) for i, query in enumerate(queries)
    ]  # fmt: skip
    models = [
        {"name": m, "price_in": 0.1, "price_out": 0.4, "context_window": 2048, "batch_sizes": [1, 4],
         "chat": False, "structured": "regex", "shared_tokens": {"sort": 60}}
        for m in ("a", "b")
    ]  # fmt: skip
    task = {"name": "sort", "template": {"instructions": "Sort.", "examples": [], "show_choices": False},
            "grader": "auto", "max_output_tokens": 16, "queries": 40, "kind": "choice",
            "choices": list(CHOICES)}  # fmt: skip
    provenance = {"kind": "measurements", "format": 2, "repeats": 1, "seed": 0, "tasks": [task], "models": models}
    Measurements.from_rows(rows, provenance).write(tmp_path / "m.parquet")
    write_queries(tmp_path / "q.jsonl", queries)
    return tmp_path


def run(folder: Path, *options: str) -> Result:
    group = Commands("robatch", commands={"fit": fit})
    names = ["fit", str(folder / "m.parquet"), "--queries", str(folder / "q.jsonl"), "-o", str(folder / "proxy")]
    return CliRunner().invoke(group, [*names, *options])


def test_a_proxy_is_fitted_written_and_judged(files: Path) -> None:
    result = run(files, "--plot", str(files / "plot.png"))
    assert result.exit_code == 0, result.output
    assert "Brier" in result.output
    assert "40 of 40 queries were measured" in result.output
    assert "routing by these predictions" in result.output
    assert (files / "plot.png").exists()
    proxy = UtilityProxy.load(files / "proxy")
    assert proxy.layout_.states == (("a", 1), ("a", 4), ("b", 1), ("b", 4))


def test_choices_by_state_means_alone_are_warned_of(files: Path) -> None:
    result = run(files, "--router", "constant")
    assert "not clearly better than treating all queries alike" in result.output


def test_figures_as_json(files: Path) -> None:
    result = run(files, "--json", "--router", "constant", "--scaling", "none", "--floor", "estimate")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["queries"] == 40
    assert len(found["states"]) == 4
    assert found["decision_value"]["gain"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "other"], "task 'other' is not measured"),
        (["--features", "bert"], "features is 'bert'"),
        (["--floor", "low"], "neither a number nor"),
        (["--router", "oracle"], "oracle"),
        (["--folds", "100000"], "is not in the range 2<=x<=50"),
        (["--plot", "{folder}/proxy"], "which --output is too"),
        (["--plot", "{folder}/q.jsonl"], "an input of this command"),
        (["-o", "{folder}/q.jsonl"], "an input of this command"),
        (["-o", "{folder}/sub/../m.parquet"], "an input of this command"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(files: Path, options: list[str], message: str) -> None:
    (files / "sub").mkdir()
    before = [(files / name).read_bytes() for name in ("q.jsonl", "m.parquet")]
    result = run(files, *(option.format(folder=files) for option in options))
    assert result.exit_code == 2
    assert [(files / name).read_bytes() for name in ("q.jsonl", "m.parquet")] == before
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (files / "proxy").exists()


def test_other_queries_under_the_measured_ids_are_refused(files: Path) -> None:
    queries = read_queries(files / "q.jsonl")
    measured = Measurements.read(files / "m.parquet")
    hashes = {query.id: query_hash(query) for query in queries}
    measured.provenance["tasks"][0]["query_hashes"] = hashes  # type: ignore[index]  # read from JSON
    measured.write(files / "m.parquet")
    write_queries(files / "q.jsonl", [*queries[:20:-1], Query("more", "Not measured.", "red", "choice", CHOICES)])
    result = run(files, "--router", "constant")
    assert "19 of 20 queries were measured" in result.output
    assert b"query_hashes" not in (files / "proxy").read_bytes()
    (files / "proxy").unlink()
    write_queries(
        files / "q.jsonl", [Query(query.id, "other " + query.text, "red", "choice", CHOICES) for query in queries]
    )
    result = run(files)
    assert result.exit_code == 2
    assert "measured for task 'sort'" in result.output
    assert not (files / "proxy").exists()


def test_the_queries_that_profile_wrote_are_found(files: Path) -> None:
    (files / "q.jsonl").rename(files / "m.queries.jsonl")
    group = Commands("robatch", commands={"fit": fit})
    names = ["fit", str(files / "m.parquet"), "-o", str(files / "proxy")]
    result = CliRunner().invoke(group, names)
    assert result.exit_code == 0, result.output
    assert "40 of 40 queries were measured" in result.output
    (files / "m.queries.jsonl").unlink()
    result = CliRunner().invoke(group, names)
    assert result.exit_code == 2
    assert "m.queries.jsonl" in result.output
