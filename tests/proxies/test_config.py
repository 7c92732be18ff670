"""The configuration of a profiling run: read, and refused with the field, its value and what is allowed."""

from __future__ import annotations

import json

import pytest

from robatch.instances import InputError
from robatch.proxies import read_config
from tests.proxies.configs import config_text

GOOD = config_text('generate = "support"\nqueries = 8', run="batch_sizes = [1, 2]")


def write(folder, text):
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def with_task(task):
    return GOOD.replace('generate = "support"\nqueries = 8', task)


def test_a_good_one_is_read(tmp_path):
    config = read_config(write(tmp_path, GOOD))
    (task,) = config.tasks
    assert (task.name, len(task.queries), task.grader, task.max_output_tokens) == ("support", 8, "auto", 16)
    assert config.models[0].batch_sizes == (1, 2)
    assert config.models[0].price_out == 0.2
    assert (config.repeats, config.precision) == (1, None)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("price_in = 0.1", "price_in = -0.1", "price_in is -0.1"),
        ("price_in = 0.1", 'price_in = "free"', "price_in is 'free'"),
        ("price_in = 0.1", "price_in = nan", "price_in is nan"),
        ("price_in = 0.1\n", "", "price_in"),
        ("batch_sizes = [1, 2]", "batch_sizes = []", "batch_sizes"),
        ("batch_sizes = [1, 2]", "batch_sizes = [0]", "batch_sizes"),
        ("batch_sizes = [1, 2]", "batch_sizes = [2, 2]", "batch_sizes"),
        ("batch_sizes = [1, 2]", "repeats = 0", "run.repeats is 0: a whole number of at least 1"),
        ("batch_sizes = [1, 2]", "repeats = 1001", "run.repeats is 1001: .* at most 1,000"),
        ("batch_sizes = [1, 2]", "precision = 0.5", "run.precision is 0.5: a number above 0 and below 0.5"),
        ("batch_sizes = [1, 2]", "max_output_tokens = 16", r"run\.max_output_tokens"),
        ("queries = 8", "querries = 8", "querries"),
        ("queries = 8", 'queries = 8\nform = "xml"', r"tasks\[0\].form is 'xml': one of"),
        ("queries = 8", 'queries = 8\ngrader = "best"', "grader is 'best'"),
        ("queries = 8", "queries = 8\nmax_output_tokens = 0", "max_output_tokens is 0"),
        ("queries = 8", 'queries = 8\nsplit = "test"', r"'tasks\[0\].split' belongs to a task with 'dataset'"),
        ("queries = 8", 'queries = 8\nexamples = [["a"]]', r"examples: a list of pairs"),
        ("queries = 8", 'queries = 8\nfile = "q.jsonl"', "one of 'file'"),
        (
            "queries = 8",
            "queries = 8\nqueries_by_batch_size = {1 = 9}",
            "is 9 at batch size 1: a whole number",
        ),
        ("queries = 8", "queries = 8\nqueries_by_batch_size = {4 = 2}", r"names 4: one of \[1, 2\]"),
        ("queries = 8", "queries = 8\nqueries_by_batch_size = {all = 2}", "key 'all': a batch size"),
        ('generate = "support"', 'generate = "poems"', "poems"),
        ('generate = "support"\nqueries = 8', 'file = "none.jsonl"', "none.jsonl"),
        ('server = "http://127.0.0.1:9/v1"\nmodel = "m"', 'path = "no-such-folder"', "no-such-folder"),
        ('server = "http://127.0.0.1:9/v1"', 'server = "ftp://x"', "ftp://x"),
        ("context_window = 1024", "context_window = 0", "context_window is 0"),
        ("context_window = 1024", f"context_window = 1{'0' * 20}", "at most 100,000,000 tokens"),
        ("context_window = 1024", "context_window = 1024\nengine = {hf = {token = 1}}", "engine"),
        ("batch_sizes = [1, 2]", f"timeout = 1{'0' * 400}", "timeout has 401 digits"),
        ("[[models]]", "[models]", "models"),
        ("[[tasks]]", "[tasks]", "tasks is"),
        ("[[tasks]]", "[task]", "'task' is not known"),
        ("[[tasks]]", "[[tasks]", "TOML"),
    ],
)
def test_bad_ones_are_refused(tmp_path, old, new, complaint):
    assert old in GOOD
    with pytest.raises(InputError, match=complaint):
        read_config(write(tmp_path, GOOD.replace(old, new)))


def test_two_models_of_one_name_and_a_missing_file(tmp_path):
    block = GOOD[GOOD.index("[[models]]") :]
    with pytest.raises(InputError, match="'m'"):
        read_config(write(tmp_path, GOOD + block))
    with pytest.raises(InputError, match=r"cannot read the configuration .*nothing.toml.: there is no such file"):
        read_config(tmp_path / "nothing.toml")


def test_several_tasks_have_names_and_ids_of_their_own(tmp_path):
    second = '[[tasks]]\ngenerate = "{}"\nname = "{}"\nqueries = 4\n'
    config = read_config(write(tmp_path, second.format("arithmetic", "sums") + GOOD))
    assert [task.name for task in config.tasks] == ["sums", "support"]
    assert [task.kind for task in config.tasks] == ["number", "choice"]
    with pytest.raises(InputError, match="task name 'support' occurs twice"):
        read_config(write(tmp_path, second.format("arithmetic", "support") + GOOD))
    with pytest.raises(InputError, match="query id 'support-0001' occurs in the tasks 'again' and 'support'"):
        read_config(write(tmp_path, second.format("support", "again") + GOOD))


def test_a_file_is_taken_from_the_front_or_drawn_by_a_seed(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    lines = [
        json.dumps({"id": str(i), "question": f"How many is {i}?", "answer": str(i), "kind": "number"})
        for i in range(20)
    ]
    (folder / "counts.jsonl").write_text("\n".join(lines))
    monkeypatch.setenv("ROBATCH_TASKS", str(folder))

    def ids(more):
        (task,) = read_config(write(tmp_path, with_task(f'file = "counts.jsonl"\n{more}'))).tasks
        assert task.name == "counts"
        return [query.id for query in task.queries]

    assert ids("queries = 3") == ["0", "1", "2"]
    drawn = ids("queries = 6\nseed = 1")
    assert drawn == ids("queries = 6\nseed = 1") != ids("queries = 6\nseed = 2")
    assert set(ids("queries = 3\nseed = 1")) < set(drawn)
    assert len(ids("")) == 20
    with pytest.raises(InputError, match=r"queries is 21: 'counts\.jsonl' holds only 20"):
        ids("queries = 21")


def test_parts_of_a_template_may_be_given(tmp_path):
    text = with_task('generate = "reviews"\nqueries = 4\nform = "json"\nshow_choices = true\ninstructions = "Judge."')
    (task,) = read_config(write(tmp_path, text)).tasks
    assert (task.template.form, task.template.show_choices, task.template.instructions) == ("json", True, "Judge.")
    assert task.template.examples, "a generated task keeps the examples that nothing replaces"
