"""The measured queries beside the measurements: named by one rule, written whole, and never over something else."""

from __future__ import annotations

import re

import pytest

from robatch.instances import InputError
from robatch.proxies import ModelAnswer, profile, read_config, read_queries, write_queries
from robatch.proxies.profiling import run as profiling
from robatch.proxies.profiling.config import parse_config
from robatch.proxies.profiling.query_files import query_files
from tests.proxies.configs import model_text

FIRST = '[[tasks]]\ngenerate = "support"\nqueries = 5\n'
SECOND = '[[tasks]]\ngenerate = "arithmetic"\nname = "sums/easy"\nqueries = 3\n'
MODEL = f"\n[run]\nbatch_sizes = [1, 2]{model_text()}"


class Scripted:
    """Answers "billing" to everything, and counts."""

    def __init__(self):
        self.asked = 0

    def run(self, calls):
        for index, call in enumerate(calls):
            slots = len(re.findall(r"^Q\d+: ", call.prompt, re.MULTILINE))
            self.asked += slots
            text = "\n".join(f"A{i}: billing" for i in range(1, slots + 1))
            yield index, ModelAnswer(text, 100, 5, 0.1, "stop")

    def describe(self):
        return {"engine": "scripted"}

    def close(self):
        pass


@pytest.fixture
def engine(monkeypatch):
    engine = Scripted()
    monkeypatch.setattr(profiling, "open_engine", lambda *_, **__: engine)
    return engine


@pytest.fixture
def configure(tmp_path):
    def configure(*tasks):
        (tmp_path / "config.toml").write_text("".join(tasks) + MODEL, encoding="utf-8")
        return read_config(tmp_path / "config.toml")

    return configure


def test_names_follow_one_rule(tmp_path):
    assert query_files(tmp_path / "m.parquet", ["a"]) == {"a": tmp_path / "m.queries.jsonl"}
    assert query_files("m", ["a"])["a"].name == "m.queries.jsonl"
    several = query_files(tmp_path / "m.parquet", ["a", "../b c", "ü"])
    names = [path.name for path in several.values()]
    assert names == ["m.a.queries.jsonl", "m...%2Fb%20c.queries.jsonl", "m.%C3%BC.queries.jsonl"]
    assert {path.parent for path in several.values()} == {tmp_path}


def test_the_queries_of_one_task_and_of_several_are_written(configure, tmp_path, engine):
    for tasks in ((FIRST,), (FIRST, SECOND)):
        config, output = configure(*tasks), tmp_path / f"{len(tasks)}.parquet"
        measured = profile(config, output)
        files = query_files(output, measured.tasks)
        assert {name: read_queries(path) for name, path in files.items()} == {
            task.name: task.queries for task in config.tasks
        }
        for task, path in zip(config.tasks, files.values(), strict=True):
            write_queries(tmp_path / "expected", task.queries)
            assert path.read_bytes() == (tmp_path / "expected").read_bytes()


def test_a_finished_run_gets_them_too(configure, tmp_path, engine):
    config, output = configure(FIRST), tmp_path / "m.parquet"
    profile(config, output)
    (tmp_path / "m.queries.jsonl").unlink()
    asked = engine.asked
    profile(config, output)
    assert read_queries(tmp_path / "m.queries.jsonl") == config.tasks[0].queries
    assert engine.asked == asked


def test_something_else_is_not_written_over_and_nothing_is_asked(configure, tmp_path, engine):
    config, theirs = configure(FIRST), tmp_path / "m.queries.jsonl"
    for text in ("my notes", '{"id": "1", "text": "a", "kind": "number"}\n'):
        theirs.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"m\.queries\.jsonl', where the queries of task 'support' are written"):
            profile(config, tmp_path / "m.parquet")
        assert theirs.read_text(encoding="utf-8") == text
    assert engine.asked == 0
    assert not (tmp_path / "m.parquet").exists()


def test_a_file_with_the_same_queries_stays_as_it_is(configure, tmp_path, engine):
    text = '{"choices": ["billing", "x"], "id": "1", "question": "Which team?", "answer": "x"}\n'
    (tmp_path / "m.queries.jsonl").write_text(text, encoding="utf-8")
    profile(configure('[[tasks]]\nfile = "m.queries.jsonl"\n'), tmp_path / "m.parquet")
    assert (tmp_path / "m.queries.jsonl").read_text(encoding="utf-8") == text
    assert engine.asked == 2


def test_a_stopped_run_leaves_none(configure, tmp_path, engine, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        profile(configure(FIRST), tmp_path / "m.parquet")
    assert not list(tmp_path.glob("*.queries.jsonl"))


def test_a_name_that_no_file_can_have_is_refused_first(configure, tmp_path, engine):
    config = configure(FIRST, SECOND.replace("sums/easy", "x" * 300))
    with pytest.raises(InputError, match="at most 200 are allowed"):
        profile(config, tmp_path / "m.parquet")
    assert engine.asked == 0


def test_a_run_without_its_models_is_refused(configure, tmp_path, engine):
    model = {"name": "m", "path": "nowhere", "price_in": 1, "price_out": 1, "context_window": 9}
    table = {"models": [model], "tasks": [{"generate": "support", "queries": 4}]}
    with pytest.raises(InputError, match="'nowhere': there is no such folder"):
        parse_config(table, tmp_path)
    config = parse_config(table, tmp_path, allow_missing=True)
    assert config.missing == ("m",)
    with pytest.raises(InputError, match="model 'm' cannot be measured: its folder 'nowhere' is neither"):
        profile(config, tmp_path / "m.parquet")
    assert engine.asked == 0
