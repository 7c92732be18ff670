"""Every kind of output on terminals whose encoding cannot show all of it: escaped, and never a traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

import robatch
from robatch.cli import main

NAME = "modèle-✓-模型"  # of each: in Latin-1, nowhere but in Unicode, in Chinese and Japanese encodings
ENCODINGS = ["ascii", "cp1252", "latin-1", "cp437", "koi8-r", "shift_jis", "gb2312", "utf-8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a problem whose model has that name, and a plan of it; the files have it too."""
    folder = tmp_path_factory.mktemp("encodings")
    problem = robatch.generate("realistic", queries=6, models=2, batch_sizes=(1, 2), seed=0)
    names = [NAME, "other"]
    models = [model.replace(name=name) for model, name in zip(problem.models, names, strict=True)]
    problem = problem.replace(models=models)
    for name in (NAME, "plain"):
        problem.write(folder / f"{name}.parquet")
    robatch.solve(problem, problem.cheapest_budget * 1.5, "greedy", cost="amortized").write(folder / "plan.parquet")
    return folder


def shown(arguments, encoding, monkeypatch, errors="strict"):
    """Run a command with both streams in an encoding; return its exit code and what each stream shows."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding, errors) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments], prog_name="robatch")
    for stream in streams:
        stream.flush()
    monkeypatch.undo()
    return ended.value.code, *(stream.buffer.getvalue().decode(encoding) for stream in streams)


def escaped(text, encoding):
    return text.encode(encoding, "backslashreplace").decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_sentences_json_and_errors_are_shown(folder, encoding, monkeypatch):
    problem, plan = folder / f"{NAME}.parquet", folder / "plan.parquet"
    solve = ["solve", problem, "--budget-fraction", 0.3, "--solver", "greedy"]
    code, out, _ = shown(solve, encoding, monkeypatch)
    assert code == 0
    assert escaped(NAME, encoding) in out  # a table
    written = folder / f"{NAME}.{encoding}.json"
    code, out, _ = shown([*solve, "-o", written.with_suffix(".parquet")], encoding, monkeypatch)
    assert code == 0
    assert escaped(NAME, encoding) in out.splitlines()[-1]  # a sentence
    code, out, _ = shown([*solve, "--json"], encoding, monkeypatch)
    assert code == 0
    assert NAME in {state["model"] for state in json.loads(out)["states"]}
    code, out, error = shown(["verify", folder / f"{NAME}.missing", plan], encoding, monkeypatch)
    assert (code, out) == (2, "")
    assert escaped(NAME, encoding) in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "command", [["--help"], ["solvers"], ["version"], ["execute", "--help"], ["generate", "--help"]]
)
def test_what_the_product_says_itself_is_shown(command, monkeypatch):
    code, out, _ = shown(command, "ascii", monkeypatch)
    assert code == 0
    assert len(out) > 100


@pytest.mark.parametrize("errors", ["replace", "ignore", "xmlcharrefreplace"])
def test_a_handler_that_the_user_chose_stays(folder, errors, monkeypatch):
    code, _, error = shown(["verify", folder / NAME, folder / "plan.parquet"], "cp1252", monkeypatch, errors)
    assert code == 2
    assert NAME.encode("cp1252", errors).decode("cp1252") in error


@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}, {"LANG": "C"}],
    ids=["C", "ascii", "LANG"],
)
def test_in_a_process_of_its_own(folder, variables):
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}
    command = [sys.executable, "-m", "robatch", "solve", folder / "plain.parquet", "--budget-fraction", "1"]
    done = subprocess.run(command, env=kept | variables, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"mod" in done.stdout
    command[4] = folder / f"{NAME}.missing"
    done = subprocess.run(command, env=kept | variables, capture_output=True, timeout=300)
    assert done.returncode == 2
    assert b"mod" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_files_whose_names_are_not_utf8(folder, suffix, monkeypatch):
    monkeypatch.chdir(folder)
    odd, table = "caf\udce9", pa.table({"query_id": ["q", "r"], "a": [1.0, 0.5], "tokens": [7, 7]})
    if suffix == "parquet":
        pq.write_table(table, "t.parquet")
    elif suffix == "csv":
        pc.write_csv(table, "t.csv")
    else:
        rows = list(map(json.dumps, table.to_pylist()))
        Path(f"t.{suffix}").write_text("\n".join(rows) if suffix == "jsonl" else f"[{', '.join(rows)}]")
    os.replace(f"t.{suffix}", f"{odd}.{suffix}")
    Path(f"{odd}.p.json").write_text('{"a": [1, 2]}')
    options = ["--prices", f"{odd}.p.json", "--shared-tokens", 9, "--input-tokens", "tokens", "--output-tokens", 5]
    command = ["import", f"{odd}.{suffix}", *options, "-o", f"{odd}.problem.parquet"]
    assert shown(command, "utf-8", monkeypatch)[0] == 0
    monkeypatch.chdir(folder)
    plan = ["-o", f"{odd}.plan.parquet", "--write-model", f"{odd}.mps"]
    code, out, err = shown(["solve", f"{odd}.problem.parquet", "--budget", 1, *plan], "utf-8", monkeypatch)
    assert code == 0, err
    assert "caf\\udce9" in out
    monkeypatch.chdir(folder)
    assert robatch.Plan.read(f"{odd}.plan.parquet").utility == 1.5
    assert Path(f"{odd}.mps").stat().st_size > 0
