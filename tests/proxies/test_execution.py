"""The execution of plans against a real local server: the budget, resuming, splitting, planning again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from robatch.instances import InputError
from robatch.proxies.execution.dispatch import Dispatcher
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.preview import dry_run
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute, journal_path, report_path
from robatch.proxies.execution.state import Execution
from robatch.proxies.journal import Journal, read_lines
from robatch.proxies.tasks.queries import Query, write_queries
from tests.proxies.llm_server import Proxy, Server, make_queries

PRICES = {"small": (0.1, 0.4), "large": (1.0, 4.0)}


def billed(server) -> float:
    return sum((PRICES[m][0] * i + PRICES[m][1] * o) * 1e-6 for m, i, o in server.bill)


def plan_for(folder, server, rows=40, fraction=0.5, graded=True, **options):
    make_queries(folder / "q.jsonl", rows, graded)
    return route(folder / "q.jsonl", Proxy(server.url), budget_fraction=fraction, **options)


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_answers_every_query_once_and_reports_what_was_billed(tmp_path):
    with Server() as server:
        routed = plan_for(tmp_path, server)
        made = execute(routed, tmp_path / "a.jsonl")
    found = lines(tmp_path / "a.jsonl")
    assert sorted(line["id"] for line in found) == sorted(f"q{i}" for i in range(40))
    assert all(line["answer"] == ("good", "bad")[int(line["id"][1:]) % 2] for line in found)
    assert made.complete
    assert made.answered == made.actual == made.graded == 40
    assert made.billed == pytest.approx(billed(server))
    assert sum(line["cost"] for line in found) == pytest.approx(made.billed)
    assert made.billed <= routed.plan.budget
    assert sum(made.difference.values()) == pytest.approx(made.billed - made.amortized)
    assert sum(row["billed"] for row in made.states) == pytest.approx(made.billed)
    assert sum(row["planned_cost"] for row in made.states) == pytest.approx(made.planned)
    assert json.loads(report_path(tmp_path / "a.jsonl").read_text(encoding="utf-8"))["answered"] == 40


def test_as_predicted_and_with_money_to_spare_the_plan_is_sent_as_it_is(tmp_path):
    with Server() as server:
        make_queries(tmp_path / "q.jsonl")
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        made = execute(routed, tmp_path / "a.jsonl")
    assert made.replans == made.splits == 0
    assert made.billed == pytest.approx(made.planned)
    assert len(server.asked) == len(routed.columns)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dear", [(1.0, 3.0), (1.5, 1.0), (2.0, 3.0)])
def test_the_bill_never_exceeds_the_budget(tmp_path, dear, seed):
    fraction = (0.02, 0.2, 0.6, 1.0)[seed]
    with Server(dear_in=dear[0], dear_out=dear[1], readable=(8, 4, 2, 8)[seed]) as server:
        routed = plan_for(tmp_path, server, 30, fraction, seed=seed, policy="random")
        made = execute(routed, tmp_path / "a.jsonl", concurrency=1 + 3 * seed)
    assert billed(server) <= routed.plan.budget
    assert made.billed == pytest.approx(billed(server))
    found = lines(tmp_path / "a.jsonl")
    assert sorted(line["id"] for line in found) == sorted(f"q{i}" for i in range(30))
    assert made.answered + made.unread + made.unanswered == 30
    assert sum(line["status"] == "unanswered" for line in found) == made.unanswered
    assert sum(made.difference.values()) == pytest.approx(made.billed - made.amortized)


def test_dearer_than_predicted_is_planned_again(tmp_path):
    with Server(dear_out=3.0) as server:
        routed = replace(plan_for(tmp_path, server, 60, 0.6), predicted={"utility": 50.0, "low": 0.0, "high": 60.0})
        made = execute(routed, tmp_path / "a.jsonl")
    assert made.replans > 0
    assert made.within_interval is None  # the interval is that of another plan
    assert made.answered == 60  # in cheaper states, and near the end in those whose bounds fit
    assert 0.9 * made.budget < made.billed < made.budget
    assert made.difference["output_tokens"] > 0
    assert made.difference["replanning"] < 0
    events = [line["event"] for line in lines(journal_path(tmp_path / "a.jsonl"))]
    assert events.count("replanned") == made.replans


def test_a_malformed_call_is_asked_again_in_halves(tmp_path):
    with Server(readable=2) as server:
        make_queries(tmp_path / "q.jsonl", 16)
        proxy = Proxy(server.url, sizes=(8,))
        proxy.to_problem = lambda queries, robust=None: _one_size(proxy, queries)
        routed = route(tmp_path / "q.jsonl", proxy, 1.0)
        made = execute(routed, tmp_path / "a.jsonl")
    assert sorted(len(texts) for _, texts in server.asked) == [2] * 8 + [4] * 4 + [8] * 2
    assert made.answered == 16
    assert made.splits == 12
    assert made.difference["splits"] > 0


def _one_size(proxy, queries):
    from robatch.instances import Problem

    return Problem(
        proxy.models, [4.0] * len(queries), [3.0] * len(queries), [[0.5, 0.9]] * len(queries),
        query_ids=[query.id for query in queries],
    )  # fmt: skip


def test_what_cannot_be_read_even_alone_is_null(tmp_path):
    with Server(readable=0) as server:
        routed = plan_for(tmp_path, server, 4, 1.0)
        made = execute(routed, tmp_path / "a.jsonl")
    assert made.unread > 0
    found = lines(tmp_path / "a.jsonl")
    assert {line["answer"] for line in found} == {None}
    assert all(line["error"] for line in found)
    assert made.actual == 0


def test_ungraded_queries(tmp_path):
    with Server() as server:
        made = execute(plan_for(tmp_path, server, 10, graded=False), tmp_path / "a.jsonl")
    assert made.answered == 10
    assert (made.graded, made.actual, made.predicted_graded) == (0, None, None)


def test_goes_on_after_the_server_died(tmp_path):
    with Server(die_after=5) as server:
        routed = plan_for(tmp_path, server, 40, 0.9)
        with pytest.raises(InputError, match="rerun"):
            execute(routed, tmp_path / "a.jsonl", concurrency=2)
        assert len(server.asked) == 5
        server.die_after = float("inf")
        made = execute(routed, tmp_path / "a.jsonl", concurrency=2)
    asked = [texts for _, texts in server.asked]
    twice = sum(asked.count(texts) > 1 for texts in set(asked))
    assert twice <= 2
    assert made.lost_calls <= 2
    assert billed(server) <= routed.plan.budget
    assert made.answered == 40


def test_a_server_that_is_away_is_charged_nothing(tmp_path):
    with Server(die_after=5) as server:
        routed = plan_for(tmp_path, server, 40, 0.9)
        with pytest.raises(InputError, match="rerun"):
            execute(routed, tmp_path / "a.jsonl", concurrency=2)
    for _ in range(3):
        with pytest.raises(InputError, match="cannot be reached"):
            execute(routed, tmp_path / "a.jsonl", concurrency=2)
    events = lines(journal_path(tmp_path / "a.jsonl"))
    assert not any(line["event"] == "lost" or line.get("unknown") for line in events)
    assert all(line["input_tokens"] == 0 for line in events if line["event"] == "faulted")


def test_a_refused_key_costs_nothing_however_often(tmp_path):
    with Server() as server:
        answer, server.answer = server.answer, lambda body: (401, {"error": {"message": "no"}})
        routed = plan_for(tmp_path, server, 12, 1.0)
        for _ in range(8):
            with pytest.raises(InputError, match="refused the API key"):
                execute(routed, tmp_path / "a.jsonl")
        server.answer = answer
        made = execute(routed, tmp_path / "a.jsonl")
    assert (made.answered, made.lost, made.lost_calls) == (12, 0.0, 0)


def test_a_query_that_a_content_filter_refuses_is_alone_unread(tmp_path):
    with Server() as server:
        answer = server.answer
        refused = (400, {"error": {"message": "filtered by the content management policy", "code": "content_filter"}})
        server.answer = lambda body: refused if 'number 3"' in body["messages"][0]["content"] else answer(body)
        made = execute(plan_for(tmp_path, server, 12, 1.0), tmp_path / "a.jsonl")
    assert (made.answered, made.unread, made.unanswered, made.lost) == (11, 1, 0, 0.0)
    (line,) = [line for line in lines(tmp_path / "a.jsonl") if line["answer"] is None]
    assert line["id"] == "q3"
    assert line["error"] == "the provider refused the prompt's content"


@pytest.mark.parametrize("concurrency", [1, 8])
def test_queries_denser_than_all_before_do_not_exceed_the_budget(tmp_path, concurrency):
    with Server() as server:
        answer = server.answer

        def denser(body):
            status, reply = answer(body)
            late = [int(n) >= 40 for n in re.findall(r"number (\d+)", body["messages"][0]["content"])]
            if late[-1]:  # as if the later queries were written in another script
                with server.lock:
                    place = server.bill.index((body["model"], *list(reply["usage"].values())[:2]))
                    model, tokens_in, tokens_out = server.bill[place]
                    server.bill[place] = (model, 4 * tokens_in, tokens_out)
                    reply["usage"]["prompt_tokens"] *= 4
            return status, reply

        server.answer = denser
        routed = plan_for(tmp_path, server, 80, 1.0)
        made = execute(routed, tmp_path / "a.jsonl", concurrency=concurrency)
    assert made.billed == pytest.approx(billed(server))
    assert billed(server) <= routed.plan.budget
    assert made.over_budget == 0.0


def test_tries_that_time_out_but_are_billed_are_charged(tmp_path):
    with Server() as server:
        answer, seen = server.answer, set()

        def slow_at_first(body):
            reply = answer(body)
            if body["messages"][0]["content"] not in seen and len(seen) < 3:
                seen.add(body["messages"][0]["content"])
                time.sleep(0.6)
            return reply

        server.answer = slow_at_first
        routed = plan_for(tmp_path, server, 12, 1.0)
        made = execute(routed, tmp_path / "a.jsonl", concurrency=2, timeout=0.3)
        time.sleep(0.7)
    assert made.lost_calls >= 3
    assert made.billed < billed(server) <= made.billed + made.lost
    assert billed(server) <= routed.plan.budget


@pytest.mark.parametrize("measured", [True, False])
def test_a_long_chat_template_is_reserved(tmp_path, measured):
    with Server() as server:
        answer = server.answer

        def long(body):
            status, reply = answer(body)
            with server.lock:
                place = server.bill.index((body["model"], *list(reply["usage"].values())[:2]))
                server.bill[place] = (body["model"], server.bill[place][1] + 3000, server.bill[place][2])
            reply["usage"]["prompt_tokens"] += 3000
            return status, reply

        server.answer = long
        make_queries(tmp_path / "q.jsonl", 40)
        proxy = Proxy(server.url)
        if measured:
            proxy.models = [model.replace(shared_tokens=model.shared_tokens + 3000) for model in proxy.models]
        routed = route(tmp_path / "q.jsonl", proxy, budget_fraction=0.6)
        if measured:
            assert all(row["worst"] > row["expected"] for row in dry_run(routed))
        made = execute(routed, tmp_path / "a.jsonl")
    assert made.billed == pytest.approx(billed(server))
    sent = {c: (w, b) for line in lines(journal_path(tmp_path / "a.jsonl")) for c, w, b in line.get("calls", [])
            if line["event"] == "sent"}  # fmt: skip
    answered = [line for line in lines(journal_path(tmp_path / "a.jsonl")) if line["event"] == "answered"]
    beyond = [line["call"] for line in answered if line["input_tokens"] > sent[line["call"]][1]]
    assert len(beyond) <= (0 if measured else 2)  # at most the first call of each model
    if measured:
        assert made.billed <= made.budget


def test_a_rerun_with_another_model_is_refused(tmp_path):
    pool = tmp_path / "pool.toml"
    pool.write_text('[[models]]\nname = "large"\nmodel = "tiny"\n', encoding="utf-8")
    with Server() as server:
        routed = plan_for(tmp_path, server, 12, 1.0)
        execute(routed, tmp_path / "a.jsonl")
        with pytest.raises(InputError, match="another plan"):
            execute(routed.with_pool(pool), tmp_path / "a.jsonl")
        execute(routed.with_pool(pool), tmp_path / "b.jsonl")
    sent = [line for line in lines(journal_path(tmp_path / "b.jsonl")) if line["event"] == "sent"]
    assert "tiny" in {line["model"] for line in sent}
    assert "large" not in {line["model"] for line in sent}
    assert {line["server"] for line in sent} == {server.url}


def test_a_rerun_in_another_engine_is_told(tmp_path, monkeypatch):
    with Server(die_after=5) as server:
        make_queries(tmp_path / "q.jsonl", 12)
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        with pytest.raises(InputError, match="rerun"):
            execute(routed, tmp_path / "a.jsonl", concurrency=1)
        server.die_after = float("inf")
        monkeypatch.setattr("robatch.proxies.engines.server.vllm_version", lambda *_: "0.2")
        made = execute(routed, tmp_path / "a.jsonl", concurrency=1)
        again = execute(routed, tmp_path / "a.jsonl", concurrency=1)
    assert [about["vllm"] for about in made.engines["large"]] == [None, "0.2"]
    assert again.engines == made.engines
    assert json.loads(report_path(tmp_path / "a.jsonl").read_text(encoding="utf-8"))["engines"] == made.engines


def test_a_plan_sends_no_secret_that_the_user_did_not_name(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_SECRET", "hidden")
    pool = tmp_path / "pool.toml"
    pool.write_text('[[models]]\nname = "large"\napi_key_env = "SOME_SECRET"\n', encoding="utf-8")
    with Server() as server:
        make_queries(tmp_path / "q.jsonl", 8)
        route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=1.0, pool=pool).write(tmp_path / "p.parquet")
        with pytest.raises(InputError, match="SOME_SECRET to http"):
            execute(tmp_path / "p.parquet", tmp_path / "a.jsonl")
        assert server.asked == []
        assert execute(tmp_path / "p.parquet", tmp_path / "a.jsonl", key_variables=["SOME_SECRET"]).complete
        assert execute(RoutedPlan.read(tmp_path / "p.parquet").with_pool(pool), tmp_path / "b.jsonl").complete


def test_base_models_are_stopped_where_they_were_in_the_profile(tmp_path):
    for form, stop in (("json", ["\nQ"]), ("lines", ["\nQ", "\n\n"])):
        with Server() as server:
            routed = plan_for(tmp_path, server, 4)
        routed = replace(
            routed,
            template=replace(routed.template, form=form),
            pool=tuple(replace(m, chat=False) for m in routed.pool),
        )
        state = Execution.begin(routed)
        ready = Dispatcher(routed, routed.queries(), state).ready(state.queue[0])
        assert list(ready.message.stop) == stop


def test_any_text_of_a_model_is_kept(tmp_path):
    said = {"answer": "caf\ud83d \u00e9\u2028"}
    journal = Journal(tmp_path / "j")
    journal.append([said])
    journal.close()
    journal = Journal(tmp_path / "j")
    assert list(journal.lines()) == [said]
    journal.close()


def test_a_rerun_of_what_is_finished_sends_nothing(tmp_path):
    with Server() as server:
        routed = plan_for(tmp_path, server)
        first = execute(routed, tmp_path / "a.jsonl")
        asked = len(server.asked)
        before = (tmp_path / "a.jsonl").read_bytes()
        again = execute(routed, tmp_path / "a.jsonl")
    assert len(server.asked) == asked
    assert again == first
    assert (tmp_path / "a.jsonl").read_bytes() == before


def test_answers_that_were_lost_come_back_from_the_journal(tmp_path):
    with Server() as server:
        routed = plan_for(tmp_path, server)
        execute(routed, tmp_path / "a.jsonl")
        whole = lines(tmp_path / "a.jsonl")
        text = (tmp_path / "a.jsonl").read_text(encoding="utf-8")
        (tmp_path / "a.jsonl").write_text(text[: len(text) // 2], encoding="utf-8")  # the last line is torn
        execute(routed, tmp_path / "a.jsonl")
    assert sorted(lines(tmp_path / "a.jsonl"), key=lambda line: line["id"]) == sorted(
        whole, key=lambda line: line["id"]
    )


def test_a_journal_drops_a_torn_line_and_refuses_other_damage(tmp_path):
    path = tmp_path / "j"
    journal = Journal(path, '{"n": ', sync_every=60.0)
    journal.append([{"n": 1}])
    journal.append([{"n": 2}, {"n": 3}])
    assert len(path.read_bytes().splitlines()) == 3, "lines are handed to the system at once"
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"n": 4')
    journal = Journal(path, '{"n": ')
    assert [line["n"] for line in journal.lines()] == [1, 2, 3]
    journal.append([{"n": 5}])
    journal.close()
    assert [line["n"] for line in read_lines(path)] == [1, 2, 3, 5]
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'{"n": 2}', b'{"n": 2'))
    with pytest.raises(InputError, match="damaged in line 2"):
        list(read_lines(path))
    for foreign in (b"notes", b'{"id": 3}', b'{"id": 3}\n'):
        path.write_bytes(foreign)
        with pytest.raises(InputError, match="something else"):
            Journal(path, '{"n": ')
        assert path.read_bytes() == foreign


def test_two_runs_of_one_output_are_refused(tmp_path):
    with Server() as server:
        routed = plan_for(tmp_path, server)
        journal = Journal(journal_path(tmp_path / "a.jsonl"))
        try:
            with pytest.raises(InputError, match="another run"):
                execute(routed, tmp_path / "a.jsonl")
        finally:
            journal.close()
    assert server.asked == []


def test_changed_queries_and_foreign_outputs_are_refused(tmp_path):
    with Server() as server:
        routed = plan_for(tmp_path, server)
        (tmp_path / "other.jsonl").write_text("{}\n", encoding="utf-8")
        with pytest.raises(InputError, match="journal"):
            execute(routed, tmp_path / "other.jsonl")
        execute(routed, tmp_path / "a.jsonl")
        asked = len(server.asked)
        dearer = plan_for(tmp_path, server, fraction=0.9)
        with pytest.raises(InputError, match="another plan"):
            execute(dearer, tmp_path / "a.jsonl")
        with (tmp_path / "q.jsonl").open("a", encoding="utf-8") as file:
            file.write("\n")
        with pytest.raises(InputError, match="changed"):
            execute(routed, tmp_path / "b.jsonl")
    assert len(server.asked) == asked


def test_a_dry_run_sends_nothing(tmp_path):
    with Server() as server:
        routed = plan_for(tmp_path, server)
        rows = dry_run(routed)
    assert server.asked == []
    assert sum(row["expected"] for row in rows) == pytest.approx(routed.planned_cost)
    assert all(row["worst"] > row["expected"] for row in rows)
    assert sum(row["queries"] for row in rows) == 40
    assert sum(row["done"] for row in rows) == 0


def test_a_dry_run_leaves_out_what_is_answered(tmp_path):
    with Server(die_after=5) as server:
        make_queries(tmp_path / "q.jsonl", 40)
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)  # enough not to be planned again
        with pytest.raises(InputError, match="rerun"):
            execute(routed, tmp_path / "a.jsonl", concurrency=2)
        before = journal_path(tmp_path / "a.jsonl").read_bytes()
        rows = dry_run(routed, tmp_path / "a.jsonl")
        assert journal_path(tmp_path / "a.jsonl").read_bytes() == before
        server.die_after = float("inf")
        made = execute(routed, tmp_path / "a.jsonl", concurrency=2)
        with pytest.raises(InputError, match="another plan"):
            dry_run(plan_for(tmp_path, server, 40, 0.5), tmp_path / "a.jsonl")
    assert sum(row["done"] for row in rows) == 5
    assert sum(row["calls"] for row in rows) == made.calls - 5
    assert sum(row["queries"] for row in rows) == 40 - sum(len(texts) for _, texts in server.asked[:5])


def test_queries_move_with_the_plan_or_are_named(tmp_path):
    with Server() as server:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        plan_for(tmp_path / "one", server, 8).write(tmp_path / "one" / "p.parquet")
        for name in ("q.jsonl", "p.parquet"):
            (tmp_path / "one" / name).rename(tmp_path / "two" / name)
        assert len(RoutedPlan.read(tmp_path / "two" / "p.parquet").queries()) == 8
        (tmp_path / "two" / "q.jsonl").rename(tmp_path / "q.jsonl")
        routed = RoutedPlan.read(tmp_path / "two" / "p.parquet")
        with pytest.raises(InputError, match="--queries"):
            routed.queries()
        assert execute(routed.with_queries(tmp_path / "q.jsonl"), tmp_path / "a.jsonl").answered == 8
        make_queries(tmp_path / "other.jsonl", 9)
        with pytest.raises(InputError, match="were changed"):
            routed.with_queries(tmp_path / "other.jsonl").queries()


def test_kill_9_loses_nothing_and_pays_only_calls_in_flight_twice(tmp_path):
    with Server(pause=0.05) as server:
        routed = plan_for(tmp_path, server, 80, 0.9)
        routed.write(tmp_path / "plan.parquet")
        output = tmp_path / "a.jsonl"
        program = "from robatch.cli.execute import execute; execute()"
        arguments = [
            sys.executable,
            "-c",
            program,
            str(tmp_path / "plan.parquet"),
            "-o",
            str(output),
            "--concurrency",
            "4",
            "--overrun",  # calls lost to a kill are charged in full, and all queries are to be answered
            str(routed.planned_cost),
        ]
        kills = 0
        for target in (6, 20):
            process = subprocess.Popen(arguments, env=dict(os.environ), stderr=subprocess.DEVNULL)
            while process.poll() is None and len(server.asked) < target:
                time.sleep(0.005)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait()
        time.sleep(0.3)  # calls in flight at the kill are answered to nobody
        assert kills == 2
        answered = {line["id"] for line in lines(output)}
        made = execute(routed, output, concurrency=4, overrun=routed.planned_cost)
    assert made.answered == 80
    assert [line["id"] for line in lines(output)][: len(answered)] == [
        line["id"] for line in lines(output) if line["id"] in answered
    ]
    times = [texts for _, texts in server.asked]
    assert sum(times.count(texts) - 1 for texts in set(times)) <= 4 * kills
    assert made.lost_calls <= 4 * kills
    assert billed(server) <= routed.plan.budget + routed.planned_cost
    assert made.billed <= billed(server) <= made.billed + made.lost


def test_an_answer_that_was_cut_off_is_not_taken(tmp_path):
    with Server() as server:
        answer = server.answer

        def long(body):
            status, reply = answer(body)
            reply["choices"][0] |= {"finish_reason": "length"}
            reply["choices"][0]["message"]["content"] = "A1: 125"
            return status, reply

        server.answer = long
        write_queries(tmp_path / "q.jsonl", [Query(f"q{i}", f"good number {i}", "1256", "number") for i in range(4)])
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=1.0)
        made = execute(routed, tmp_path / "a.jsonl")
    assert made.answered == 0


def test_an_execution_that_could_send_nothing_leaves_no_files(tmp_path):
    make_queries(tmp_path / "q.jsonl", 4)
    with Server() as server:
        plan = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
    with pytest.raises(InputError, match="cannot be reached"):
        execute(plan, tmp_path / "a.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q.jsonl"]
