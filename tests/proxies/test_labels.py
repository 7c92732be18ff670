"""Answers where there are none: by a model asked alone, by people, and what is then said of measurements and plans."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from robatch.cli import main
from robatch.instances import InputError
from robatch.proxies import Measurements, Query, UtilityProxy, read_config, read_queries, route, write_queries
from robatch.proxies.labels import agreement, fill_table, filled, judge, label
from robatch.proxies.profiling import profile
from robatch.proxies.tasks.recorded import queries_sha256
from tests.proxies.llm_server import Server, make_queries

PROMPT = "Sort each message: good or bad."


def pool_text(url: str, *names: str) -> str:
    return "".join(
        f'[[models]]\nname = "{name}"\nserver = "{url}"\nmodel = "{name}"\nprice_in = {k}\nprice_out = {4 * k}\n'
        f"context_window = 4096\nbatch_sizes = [1, 2]\n"
        for k, name in enumerate(names, start=1)
    )


@pytest.fixture
def server():
    with Server() as made:
        yield made


@pytest.fixture
def pool(server, tmp_path):
    (tmp_path / "pool.toml").write_text(pool_text(server.url, "small", "large"))
    return tmp_path / "pool.toml"


@pytest.fixture
def queries(tmp_path):
    make_queries(tmp_path / "queries.jsonl", 24, graded=False)
    return tmp_path / "queries.jsonl"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_dearest_model_labels_a_draw_of_queries_alone(server, pool, queries, tmp_path):
    made = label(queries, pool, tmp_path / "labels.jsonl", count=10, seed=3, instructions=PROMPT)
    written = read_queries(tmp_path / "labels.jsonl")
    assert written == made.queries
    assert len(written) == 10
    assert all(query.answer == query.text.split()[0] and query.by == "large" for query in written)
    assert {model for model, _ in server.asked} == {"large"}
    assert all(len(texts) == 1 for _, texts in server.asked)
    assert made.spent == pytest.approx(sum(2e-6 * i + 8e-6 * o for _, i, o in server.bill))
    assert made.spent < made.most
    again = label(queries, pool, tmp_path / "labels.jsonl", count=10, seed=3, instructions=PROMPT)
    assert (again.queries, len(server.asked)) == (made.queries, 10)  # nothing is asked twice
    more = label(queries, pool, tmp_path / "more.jsonl", count=12, seed=3, model="small", instructions=PROMPT)
    assert {query.id for query in made.queries} <= {query.id for query in more.queries}
    with pytest.raises(InputError, match="holds other queries than those that are drawn"):
        label(queries, pool, tmp_path / "labels.jsonl", count=12, seed=3)


def test_a_server_that_dies_loses_no_answer(pool, server, queries, tmp_path):
    server.die_after = 6
    with pytest.raises(InputError):
        label(queries, pool, tmp_path / "labels.jsonl", concurrency=1, instructions=PROMPT)
    server.die_after = 1000
    made = label(queries, pool, tmp_path / "labels.jsonl", concurrency=1, instructions=PROMPT)
    assert all(query.by == "large" for query in made.queries)
    assert len(server.asked) == 24


@pytest.mark.parametrize(
    ("more", "complaint"),
    [({"model": "huge"}, "model is 'huge': the pool .* has small, large"), ({"count": 99}, "from 1 to 24"),
     ({"count": 0}, "from 1 to 24"), ({"budget": -1.0}, "budget is -1")],
)  # fmt: skip
def test_what_cannot_be_labelled_is_named(more, complaint, pool, queries, tmp_path):
    with pytest.raises(InputError, match=complaint):
        label(queries, pool, tmp_path / "labels.jsonl", **more)
    assert not (tmp_path / "labels.jsonl").exists()


def test_whose_an_answer_is_stays_with_it(tmp_path):
    one = Query("a", "text", "yes", "choice", ("yes", "no"), "M")
    write_queries(tmp_path / "q.jsonl", [one, Query("b", "text", "3", "number")])
    assert [query.by for query in read_queries(tmp_path / "q.jsonl")] == ["M", None]
    for wrong in ({"answer": None}, {"by": " "}, {"by": 3}):
        with pytest.raises(InputError, match="by is"):
            Query(**{"id": "a", "text": "t", "answer": "1", "kind": "number", "by": "M", **wrong})
    true = Query("a", "text", "yes", "choice", ("yes", "no"))
    assert queries_sha256([one]) != queries_sha256([true])
    old = "4f6f05d86fb4d32b788f024e9d34ea08d21c46ee09a870059682ed53efc3a80f"  # from before queries could say so
    assert queries_sha256([true]) == old


def test_measurements_proxies_plans_and_reports_speak_of_agreement(server, pool, queries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    label(queries, pool, "labels.jsonl", instructions=PROMPT)
    task = f'[[tasks]]\nname = "sort"\nfile = "labels.jsonl"\ninstructions = "{PROMPT}"\n'
    Path("config.toml").write_text(task + pool_text(server.url, "small", "large"))
    measured = profile(read_config("config.toml"), "m.parquet")
    assert measured.measure() == "agreement with large"
    assert Measurements.read("m.parquet").measure("sort") == "agreement with large"
    shown = run("profile", "config.toml", "-o", "m.parquet")
    assert ("agreement with large" in shown.output, "accuracy" in shown.output) == (True, False)
    words = ["m.parquet", "--queries", "m.queries.jsonl", "--router", "constant", "--scaling", "none", "--folds", "2"]
    fitted = run("fit", *words, "-o", "proxy.skops")
    assert "utility is agreement with large, no accuracy" in fitted.output, fitted.output
    made = route("queries.jsonl", UtilityProxy.load("proxy.skops"), budget_fraction=0.5)
    assert made.measure == "agreement with large"
    made.write("plan.parquet")
    executed = run("execute", "plan.parquet", "-o", "answers.jsonl", "--json", "--pool", "pool.toml")
    report = json.loads(executed.stdout)
    assert report["predicted_measure"] == "agreement with large"
    assert report["actual_measure"] == "accuracy"  # none of these is graded


# ---- people


@pytest.mark.parametrize("mark", [",", ";"])
def test_people_fill_in_a_table(mark, queries, tmp_path):
    items = read_queries(queries)
    assert fill_table(items, tmp_path / "fill.csv", 6, seed=1) == 6
    text = (tmp_path / "fill.csv").read_text("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert all(row["choices"] == "good | bad" and not row["answer"] for row in rows)
    for row in rows[:5]:
        row["answer"] = f" {row['text'].split()[0].upper()} "
    with open(tmp_path / "fill.csv", "w", encoding="utf-8-sig", newline="") as file:  # as a spreadsheet saves it
        writer = csv.DictWriter(file, rows[0], delimiter=mark)
        writer.writeheader()
        writer.writerows(rows)
    made = filled(items, tmp_path / "fill.csv")
    assert [(query.id, query.answer, query.by) for query in made] == [
        (row["id"], row["text"].split()[0], None) for row in rows[:5]
    ]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [("q1,maybe", r"row 1 of 1 .* has the answer 'maybe': one of good, bad"), ("q99,good", "the id 'q99', which no"),
     ("q1,good\nq1,bad", "the id 'q1' for a second time"), ("q1,", "holds no answer"), (",good", "has the id")],
)  # fmt: skip
def test_what_people_filled_in_wrongly_is_named(rows, complaint, queries, tmp_path):
    (tmp_path / "fill.csv").write_text(f"id,answer\n{rows}\n")
    with pytest.raises(InputError, match=complaint):
        filled(read_queries(queries), tmp_path / "fill.csv")


def test_agreement_is_a_share_with_an_interval():
    def answered(*answers, by=None):
        return [Query(f"q{i}", "t", answer, "number", (), by) for i, answer in enumerate(answers)]

    found = agreement(answered("1", "2", "3", "4", by="M"), answered("1", "2.0", "30", "4"))
    assert (found.by, found.queries, found.agreed, found.differing) == ("M", 4, 3.0, ("q2",))
    assert 0.2 < found.low < 0.75 < found.high < 1.0
    assert str(found).startswith("M agrees with people in 3 of 4 queries (75%, 95 % interval 30% to 95%)")
    with pytest.raises(InputError, match="no query in common"):
        agreement(answered("1"), answered("1"))


def test_the_command_from_a_csv_to_the_check(server, pool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tickets.csv").write_text(
        "id,text,lang\n" + "".join(f"t{i},{('good', 'bad')[i % 2]} no {i},en\n" for i in range(9))
    )
    choices = ("--choices", "good,bad")
    Path("prompt.txt").write_text(PROMPT)
    done = run(
        "label", "tickets.csv", *choices, "--pool", pool, "--prompt", "prompt.txt", "--check", 4, "-o", "labels.jsonl"
    )
    assert done.exit_code == 0, done.output
    assert "9 of 9 queries answered by large" in done.output
    assert "agreement with large, no accuracy" in done.output
    text = Path("labels.jsonl.check.csv").read_text("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    answers = [row["text"].split()[0] for row in rows]
    answers[0] = {"good": "bad", "bad": "good"}[answers[0]]
    lines = [f"{row['id']},{answer}" for row, answer in zip(rows, answers, strict=True)]
    Path("labels.jsonl.check.csv").write_text("id,answer\n" + "\n".join(lines))
    told = run("label", "labels.jsonl", "--filled", "labels.jsonl.check.csv", "-o", "people.jsonl")
    assert "large agrees with people in 3 of 4 queries" in told.output, told.output
    assert [query.by for query in read_queries("people.jsonl")] == [None] * 4
    as_json = json.loads(run("label", "labels.jsonl", "--filled", "labels.jsonl.check.csv", "--json").stdout)
    assert (as_json["agreement"]["agreed"], as_json["agreement"]["differing"]) == (3.0, [rows[0]["id"]])
    assert run("label", "tickets.csv", *choices, "--fill", 3, "-o", "fill.csv").exit_code == 0
    for wrong in (
        ["-o", "x"],
        ["--pool", pool],
        ["--pool", pool, "--fill", 3, "-o", "x"],
        ["--fill", 3, "--check", 2, "-o", "x"],
    ):
        refused = run("label", "tickets.csv", *choices, *wrong)
        assert (refused.exit_code, "Traceback" in refused.output) == (2, False), refused.output


# ---- a judge


class Judge(Server):
    """Grades 5 what holds "very good", 1 what holds "very bad", and says nothing of the rest."""

    def answer(self, body):
        text = body["messages"][0]["content"]
        self.asked.append((body["model"], (text,)))
        grade = "A1: 5" if "very good" in text else "A1: 1" if "very bad" in text else "no idea"
        usage = {"prompt_tokens": 50, "completion_tokens": 3, "total_tokens": 53}
        choice = {"index": 0, "message": {"role": "assistant", "content": grade}, "finish_reason": "stop"}
        reply = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"], "usage": usage}
        return 200, reply | {"choices": [choice]}


def test_a_judge_grades_free_text_by_a_rubric(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_queries("q.jsonl", [Query(f"q{i}", f"How is {i}?", None, "text") for i in range(12)])
    given = {f"q{i}": ("very good", "very bad")[i % 2] for i in range(11)}
    Path("answers.jsonl").write_text("".join(json.dumps({"id": id, "answer": one}) + "\n" for id, one in given.items()))
    Path("rubric.txt").write_text("A good answer is friendly.")
    with Judge() as server:
        Path("pool.toml").write_text(pool_text(server.url, "small", "large"))
        found = judge(
            "q.jsonl", "answers.jsonl", "pool.toml", "grades.jsonl", "A good answer is friendly.", model="large"
        )
        assert found.scores == {id: float(one == "very good") for id, one in given.items()}
        assert found.by == "large"
        assert all("A good answer is friendly." in texts[0] for _, texts in server.asked)
        words = ["q.jsonl", "--judge", "answers.jsonl", "--rubric", "rubric.txt", "--pool", "pool.toml", "--check", 3]
        done = run("label", *words, "-o", "grades2.jsonl")
        assert "mean score 0.545, by large's judgement, no accuracy" in done.output, done.output
    rows = list(csv.DictReader(Path("grades2.jsonl.check.csv").read_text("utf-8-sig").splitlines()))
    assert {row["choices"] for row in rows} == {"1 | 2 | 3 | 4 | 5"}
    for wrong in ({"answers": {}}, {"rubric": " "}, {"answers": "none.jsonl"}):
        with pytest.raises(InputError):
            judge(
                **{"queries": "q.jsonl", "answers": given, "pool": "pool.toml", "output": "x", "rubric": "r", **wrong}
            )
    refused = run("label", "q.jsonl", "--judge", "answers.jsonl", "--pool", "pool.toml", "-o", "x")
    assert (refused.exit_code, "belong together" in refused.output) == (2, True)
