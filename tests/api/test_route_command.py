"""`robatch route` and `robatch execute` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from robatch.cli import Commands
from robatch.cli.execute import execute
from robatch.cli.route import route
from robatch.proxies.utility.utility_proxy import UtilityProxy
from tests.proxies.llm_server import Proxy, Server, make_queries


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_queries("q.jsonl", 20)
    with Server() as made:
        monkeypatch.setattr(UtilityProxy, "load", lambda path, features: Proxy(made.url))
        yield made


def robatch(*arguments):
    group = Commands("robatch", commands={"route": route, "execute": execute})
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def routed(*arguments):
    return robatch("route", "q.jsonl", "--proxy", "proxy", "-o", "plan.parquet", *arguments)


def test_route_then_execute(server):
    result = routed("--budget", 1.0, "--json")
    assert result.exit_code == 0, result.output
    plan = json.loads(result.output)
    assert plan["queries"] == 20
    assert plan["predicted"]["utility"] == pytest.approx(plan["utility"])
    assert sum(state["queries"] for state in plan["states"]) == 20
    dry = robatch("execute", "plan.parquet", "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    assert json.loads(dry.output)["expected"] == pytest.approx(plan["planned_cost"])
    assert server.asked == []
    result = robatch("execute", "plan.parquet", "-o", "a.jsonl", "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.output)
    assert made["answered"] == made["actual"] == 20
    assert made["billed"] == pytest.approx(plan["planned_cost"])
    assert len(Path("a.jsonl").read_text(encoding="utf-8").splitlines()) == 20
    text = robatch("execute", "plan.parquet", "-o", "a.jsonl")
    assert text.exit_code == 0
    assert "20 answered" in text.output


def test_text_output(server):
    result = routed("--budget-fraction", 0.5)
    assert result.exit_code == 0, result.output
    assert "planned cost" in result.output
    assert "predicted utility" in result.output
    assert "worst USD" in robatch("execute", "plan.parquet", "--dry-run").output


def test_a_budget_that_does_not_suffice_ends_with_exit_code_1(server):
    assert routed("--budget-fraction", 0.05).exit_code == 0
    server.dear_out = server.dear_in = 3.0
    result = robatch("execute", "plan.parquet", "-o", "a.jsonl")
    assert result.exit_code == 1
    assert "were not sent" in result.output
    assert len(Path("a.jsonl").read_text(encoding="utf-8").splitlines()) == 20  # unanswered ones too


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "exactly one"),
        (("--budget", 1, "--budget-fraction", 0.5), "exactly one"),
        (("--budget", 1, "--solver", "none"), "none"),
        (("--budget", 1, "--policy", "similarity"), "--vectors"),
        (("--budget", 1, "--pool", "none.toml"), "no such file"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(server, arguments, words):
    result = routed(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert words in result.stderr
    assert not Path("plan.parquet").exists()


def test_another_file_is_no_plan(server):
    result = robatch("execute", "q.jsonl")
    assert result.exit_code == 2
    assert "Parquet" in result.stderr


def test_an_output_that_is_an_input_is_refused(server):
    before = Path("q.jsonl").read_bytes()
    Path("link").symlink_to("q.jsonl")
    for path in ("q.jsonl", "link", Path("q.jsonl").absolute()):
        result = robatch("route", "q.jsonl", "--proxy", "proxy", "-o", path, "--budget", 1.0)
        assert result.exit_code == 2
        assert "an input of this command" in result.stderr
    assert Path("q.jsonl").read_bytes() == before


def test_names_are_not_read_as_markup(server, monkeypatch):
    class Named(Proxy):
        def __init__(self, url):
            super().__init__(url)
            self.models = [model.replace(name=f"{model.name}[/b]") for model in self.models]
            for record in self.facts_.models:
                record["name"] += "[/b]"

    monkeypatch.setattr(UtilityProxy, "load", lambda path, features: Named(server.url))
    assert routed("--budget", 1.0, "--json").exit_code == 0
    for arguments in (["--dry-run"], ["-o", "a.jsonl"]):
        result = robatch("execute", "plan.parquet", *arguments)
        assert result.exit_code == 0, result.output
        assert "large[/b]" in result.output


def test_features_and_queries_can_be_named(server, monkeypatch):
    seen = []
    monkeypatch.setattr(UtilityProxy, "load", lambda path, features: seen.append(features) or Proxy(server.url))
    assert routed("--budget", 1.0, "--features", "endpoint:http://127.0.0.1:9/v1#m").exit_code == 0
    assert seen == ["endpoint:http://127.0.0.1:9/v1#m"]
    Path("q.jsonl").rename("moved.jsonl")
    assert "--queries" in robatch("execute", "plan.parquet").stderr
    assert robatch("execute", "plan.parquet", "--queries", "moved.jsonl").exit_code == 0


@pytest.mark.parametrize(
    "arguments", [("--timeout", "nan"), ("--timeout", "inf"), ("--overrun", "nan"), ("--overrun", "-1")]
)
def test_numbers_that_are_none_are_refused(server, arguments):
    assert routed("--budget", 1.0).exit_code == 0
    result = robatch("execute", "plan.parquet", *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr
    assert server.asked == []


def test_a_dry_run_refuses_the_outputs_that_the_run_refuses(server):
    assert routed("--budget", 1.0).exit_code == 0
    for output in ("none/a.jsonl", ".", "q.jsonl"):
        run, dry = (robatch("execute", "plan.parquet", "-o", output, *more) for more in ((), ("--dry-run",)))
        assert run.exit_code == dry.exit_code == 2
        assert run.stderr == dry.stderr


def test_an_overrun_pays_for_the_last_calls(server):
    assert routed("--budget-fraction", 0.05).exit_code == 0
    result = robatch("execute", "plan.parquet", "-o", "a.jsonl")
    assert result.exit_code == 1
    assert "USD are left" in result.stderr
    assert robatch("execute", "plan.parquet", "-o", "b.jsonl", "--overrun", 0.001).exit_code == 0


def test_a_table_is_planned_each_text_once_and_copied(server):
    lines = ["ticket,text,customer"]
    lines += [f"{i},{('good', 'bad')[i % 2]} number {i // 2 * 2},c{i}" for i in range(12)]
    Path("t.csv").write_text("\n".join([*lines, "12,good number 0,c0", "13,,c1"]), encoding="utf-8")
    rows = ("--id", "ticket", "--choices", "good,bad", "--empty", "skip")
    result = robatch("route", "t.csv", *rows, "--proxy", "proxy", "-o", "plan.parquet", "--budget", 1.0, "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.output)
    assert (made["queries"], made["copies"]["rows"]) == (12, 1)
    assert made["copies"]["usd_saved"] > 0
    for _ in range(2):  # the second time the file of answers is compared with the journal
        assert robatch("execute", "plan.parquet", "-o", "a.jsonl").exit_code == 0
        answers = [json.loads(line) for line in Path("a.jsonl").read_text(encoding="utf-8").splitlines()]
        assert len(answers) == 13
    copy = next(line for line in answers if line["id"] == "12")
    assert (copy["answer"], copy["copy_of"], copy["cost"]) == ("good", "0", 0.0)
    assert sum(len(texts) for _, texts in server.asked) == 12


@pytest.mark.parametrize(("goal", "least"), [(("--of-best", 0.9), 0.9), (("--mean", 0.6), None), (("--of-best", 1), 1)])
def test_the_least_cost_of_a_utility_is_planned(goal, least, server):
    dear = json.loads(routed("--budget", 1.0, "--json").output)
    result = routed(*goal, "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.output)
    assert made["planned_cost"] <= dear["planned_cost"]
    assert made["budget"] == pytest.approx(1.25 * made["planned_cost"])
    assert made["utility"] >= (0.6 * 20 if least is None else least * dear["utility"]) * (1 - 1e-9)
    assert robatch("execute", "plan.parquet", "-o", "a.jsonl").exit_code == 0


def test_the_curve_and_the_break_even_need_no_output(server):
    result = robatch("route", "q.jsonl", "--proxy", "proxy", "--curve", "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.output)
    costs = [point["cost"] for point in made["curve"]]
    assert [point["of_best"] for point in made["curve"]] == [0.9, 0.95, 0.97, 0.99, 1.0]
    assert costs == sorted(costs)
    assert max(state["mean"] for state in made["single_states"]) == pytest.approx(0.8)
    text = robatch("route", "q.jsonl", "--proxy", "proxy", "--curve")
    assert "break-even: all queries to large at batch size 1" in text.output
    assert not Path("plan.parquet").exists()


@pytest.mark.parametrize("given", [(), ("--budget", 1, "--budget-fraction", 0.5), ("--of-best", 0.9, "--mean", 0.5)])
def test_goals_that_exclude_each_other_are_refused(given, server):
    result = routed(*given)
    assert result.exit_code == 2
    assert "budget" in result.output or "of_best and mean are both given" in result.output
