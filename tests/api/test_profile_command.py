"""``robatch profile --pool`` and the GPU memory of its dry run."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from robatch.cli import main
from robatch.proxies import ModelAnswer

TASKS = '[run]\nbatch_sizes = [1, 2]\n[[tasks]]\ngenerate = "support"\nqueries = 8\n'
MODEL = """
[[models]]
name = "{}"
path = "owner/name"
price_in = 0.1
price_out = 0.2
context_window = 32768
engine = {{ max_num_seqs = 16 }}
"""
SIZE = "size = { parameters = 4_022_468_096, layers = 36, kv_heads = 8, head_dim = 128 }\n"


@pytest.fixture
def files(tmp_path):
    config, pool = tmp_path / "config.toml", tmp_path / "pool.toml"
    config.write_text(TASKS, encoding="utf-8")
    pool.write_text(MODEL.format("sized") + SIZE + MODEL.format("other"), encoding="utf-8")
    return [str(config), "--pool", str(pool)]


def dry_run(*words):
    done = CliRunner().invoke(main, ["profile", *words, "--dry-run"], env={"COLUMNS": "150"})
    assert done.exit_code == 0, done.output
    return done.output


def memory(text):
    lines = text[text.index("GPU memory") :].splitlines()
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line.startswith(("sized", "other"))}


def test_the_dry_run_prints_gpu_memory(files):
    shown = memory(dry_run(*files))
    assert shown["sized"] == "1 7.5 4.50 72.0 (16)"
    assert set(shown["other"].split()) == {"not", "known"}
    assert memory(dry_run(*files, "--gpu-memory", "40"))["sized"].endswith("72.0 (16) 6")
    assert memory(dry_run(*files, "--gpu-memory", "12"))["sized"].endswith("does not fit")


def test_json_has_it_too(files):
    told = json.loads(dry_run(*files, "--gpu-memory", "12", "--json"))
    assert told["total"]["calls"] == 2 * (1 + 8 + 4)
    sized, other = told["gpu_memory_gib"]
    assert (sized["model"], sized["context"], sized["fits"], sized["contexts_that_fit"]) == ("sized", 4.5, False, 0)
    assert sized["available"] == pytest.approx(10.8)
    assert set(other.values()) == {"other", None}


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--gpu-memory", "80", "-o", "m.parquet"], 2, "belongs to '--dry-run'"),
        (["--dry-run", "--gpu-memory", "0"], 2, "--gpu-memory"),
        (["--dry-run", "--gpu-memory", "nan"], 2, "the GPU memory is nan"),
        (["--dry-run", "--pool", "none.toml"], 2, "cannot read the pool 'none.toml'"),
    ],
)
def test_refusals(files, words, code, complaint):
    done = CliRunner().invoke(main, ["profile", *files, *words])
    assert done.exit_code == code, done.output
    assert complaint in done.output + str(done.exception)


def test_a_run_measures_the_pool(files, tmp_path, monkeypatch):
    seen = []

    def run(config, output, progress):
        seen.extend(model.name for model in config.models)
        raise KeyboardInterrupt

    monkeypatch.setattr("robatch.proxies.profiling.run.profile", run)
    done = CliRunner().invoke(main, ["profile", *files, "-o", str(tmp_path / "m.parquet")])
    assert done.exit_code != 0
    assert seen == ["sized", "other"]


class Scripted:
    """Answers "billing" to every other message."""

    def run(self, calls):
        for index, call in enumerate(calls):
            slots = call.prompt.count("\nQ") - call.prompt.count("\nQ:")
            words = ["billing" if (index + i) % 2 else "account" for i in range(slots)]
            text = "\n".join(f"A{i}: {word}" for i, word in enumerate(words, start=1))
            yield index, ModelAnswer(text, 100 + 20 * slots, 5 * slots or 1, 0.1, "stop")

    def describe(self):
        return {"engine": "scripted"}

    def close(self):
        pass


def test_what_profile_writes_is_what_fit_takes(files, tmp_path, monkeypatch):
    monkeypatch.setattr("robatch.proxies.profiling.run.open_engine", lambda *_, **__: Scripted())
    tasks = '[run]\nbatch_sizes = [1, 4]\n[[tasks]]\ngenerate = "support"\nqueries = 40\n'
    (tmp_path / "config.toml").write_text(tasks, encoding="utf-8")
    output, queries = tmp_path / "m.parquet", tmp_path / "m.queries.jsonl"
    done = CliRunner().invoke(main, ["profile", *files, "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"written to {output}, the queries to {queries}"
    again = CliRunner().invoke(main, ["profile", *files, "-o", str(output), "--json"])
    assert json.loads(again.output)["queries"] == {"support": str(queries)}
    words = ["--queries", str(queries), "-o", str(tmp_path / "p.skops"), "--router", "constant"]
    fitted = CliRunner().invoke(main, ["fit", str(output), *words])
    assert fitted.exit_code == 0, fitted.output
    assert "40 of 40 queries were measured" in fitted.output


def test_several_tasks_have_a_file_each(files, tmp_path, monkeypatch):
    monkeypatch.setattr("robatch.proxies.profiling.run.open_engine", lambda *_, **__: Scripted())
    with (tmp_path / "config.toml").open("a", encoding="utf-8") as file:
        file.write('[[tasks]]\ngenerate = "reviews"\nqueries = 4\n')
    done = CliRunner().invoke(main, ["profile", *files, "-o", str(tmp_path / "m.parquet")])
    assert done.exit_code == 0, done.output
    for task in ("support", "reviews"):
        assert str(tmp_path / f"m.{task}.queries.jsonl") in done.output.splitlines()[-1]
        assert (tmp_path / f"m.{task}.queries.jsonl").exists()
