"""An execution at its ends: nothing left to spend, more to spend afterwards, lost tries, and what is lost by it all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from robatch.cli import main
from robatch.instances import InputError
from robatch.proxies.execution.dispatch import Dispatcher
from robatch.proxies.execution.outlook import TooMuchLoss, outlook
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute, journal_path
from robatch.proxies.execution.state import Execution
from tests.proxies.llm_server import Proxy, Server, make_queries

PRICES = {"small": (0.1, 0.4), "large": (1.0, 4.0)}


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def free(url: str, *names: str) -> Proxy:
    """Give a proxy some of whose models have no price."""
    proxy = Proxy(url)
    proxy.models = [m.replace(price_in=0.0, price_out=0.0) if m.name in names else m for m in proxy.models]
    for record in proxy.facts_.models:
        record |= {"price_in": 0.0, "price_out": 0.0} if record["name"] in names else {}
    return proxy


class Billing(Server):
    """Bills what `bills` makes of the input tokens and the output tokens allowed; answers every third prompt at its
    first try with the status `fails`."""

    def __init__(self, bills=None, fails=None, **more):
        super().__init__(**more)
        self.bills, self.fails, self.seen = bills, fails, set()

    def answer(self, body):
        prompt = body["messages"][0]["content"]
        with self.lock:
            new = prompt not in self.seen
            self.seen.add(prompt)
            number = len(self.seen)
        if self.fails is not None and new and number % 3 == 0:
            return self.fails, {"error": {"message": "busy"}}
        status, reply = super().answer(body)
        if self.bills is not None:
            tokens = self.bills(reply["usage"]["prompt_tokens"], body["max_tokens"])
            with self.lock:
                self.bill.append((body["model"], *tokens))
            reply["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        return status, reply


# ---- budgets of zero and free models


@pytest.mark.parametrize("beyond", [0, 1, 50, 5000])
def test_free_calls_go_when_the_budget_is_used_up_or_exceeded(tmp_path, beyond):
    make_queries(tmp_path / "q.jsonl", 12)
    with Billing() as server:
        proxy = free(server.url, "small")
        state = Execution.begin(route(tmp_path / "q.jsonl", proxy, 1.0))
        first = min(state.queue.values(), key=lambda call: (len(call.queries), call.number))
        ready = Dispatcher(state.routed, state.routed.queries(), state).ready(first)
        server.bills = lambda _, allowed: (ready.bound_in + beyond, allowed)
        made = execute(route(tmp_path / "q.jsonl", proxy, ready.worst), tmp_path / "a.jsonl")
    assert (made.answered, made.unanswered) == (12, 0)
    assert made.kept == (beyond == 0)
    assert made.executed.cheaper == 11


@pytest.mark.parametrize("changes", [{}, {"graded": False}, {"dear_out": 3.0}, {"readable": 2}])
def test_a_budget_of_zero_is_kept_by_free_models(tmp_path, changes):
    make_queries(tmp_path / "q.jsonl", 12, changes.pop("graded", True))
    with Server(**changes) as server:
        routed = route(tmp_path / "q.jsonl", free(server.url, "small", "large"), budget_fraction=0.3)
        routed.write(tmp_path / "p.parquet")
        made = execute(tmp_path / "p.parquet", tmp_path / "a.jsonl")
    assert routed.plan.budget == made.billed == made.budget == 0.0
    assert made.kept
    assert made.answered == 12


def test_a_budget_of_zero_sends_nothing_that_costs(tmp_path):
    make_queries(tmp_path / "q.jsonl", 8)
    with Server() as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        none = execute(routed, tmp_path / "a.jsonl", budget=0.0)
        assert (none.answered, none.unanswered, none.billed, server.asked) == (0, 8, 0.0, [])
        assert none.executed.loss == 1.0
        made = execute(routed, tmp_path / "a.jsonl", budget=1.0)
    assert made.answered == 8


# ---- an ended run goes on


@pytest.mark.parametrize(
    "more",
    [[{"overrun": 1.0}], [{"budget": 1.0}], [{"overrun": 1e-4}, {"overrun": 2e-4}, {"overrun": 1.0}],
     [{"budget": 3e-4}, {"budget": 3e-4, "overrun": 1.0}]],
)  # fmt: skip
def test_an_ended_run_goes_on_where_more_may_be_spent(tmp_path, more):
    make_queries(tmp_path / "q.jsonl", 24)
    notes: list[str] = []
    with Server(dear_out=3.0, readable=4) as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=0.02)
        made = execute(routed, tmp_path / "a.jsonl")
        assert made.unanswered > 0
        for options in more:
            asked, before = len(server.asked), made
            same = execute(routed, tmp_path / "a.jsonl", on_note=notes.append)
            assert (len(server.asked), same, notes) == (asked, before, [])
            made = execute(routed, tmp_path / "a.jsonl", on_note=notes.append, **options)
            waited = before.unanswered + before.unread
            assert [note.split()[0] for note in notes] == ([str(waited)] if waited else [])
            notes.clear()
            assert made.kept
            found = lines(tmp_path / "a.jsonl")
            assert sorted(line["id"] for line in found) == sorted(f"q{i}" for i in range(24))
            assert sum(line["status"] == "answered" for line in found) == made.answered
    assert made.answered == 24
    assert sum(line["cost"] for line in found) == pytest.approx(made.billed)
    alone = [texts for _, texts in server.asked if len(texts) == 1]
    assert len(alone) == len(set(alone)), "a query that was answered alone is not paid again"


def test_the_command_says_what_is_left_and_what_it_may_cost(tmp_path):
    make_queries(tmp_path / "q.jsonl", 24)
    with Server(dear_out=3.0) as server:
        route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=0.02).write(tmp_path / "p.parquet")
        command = ["execute", str(tmp_path / "p.parquet"), "-o", str(tmp_path / "a.jsonl")]
        first = CliRunner().invoke(main, command)
        assert first.exit_code == 1
        assert "a rerun with a larger --overrun or --budget sends them" in first.stderr
        asked = len(server.asked)
        assert CliRunner().invoke(main, command).exit_code == 1
        assert len(server.asked) == asked
        nothing, rest = (
            json.loads(CliRunner().invoke(main, [*command, "--dry-run", "--json", *more]).stdout)
            for more in ([], ["--budget", "1"])
        )
        assert (nothing["queries"], rest["queries"], rest["budget"]) == (0, int(first.stderr.split()[1]), 1.0)
        assert 0 < rest["worst"] < rest["left"] < 1
        less = CliRunner().invoke(main, [*command, "--budget", "1e-9"])
        assert less.exit_code == 2
        assert "the run that ended has spent" in less.stderr
        assert len(server.asked) == asked
        again = CliRunner().invoke(main, [*command, "--budget", "1", "--json"])
    assert again.exit_code == 0
    left = first.stderr.split()[1]
    assert again.stderr.startswith(f"{left} queries left; sending them, at most 0.0")
    assert json.loads(again.stdout)["unanswered"] == 0


@pytest.mark.parametrize("damage", ["torn", "first lines gone", "order", "empty", "garbage", "changed"])
def test_the_file_of_answers_is_what_the_journal_says(tmp_path, damage):
    make_queries(tmp_path / "q.jsonl", 24)
    with Server(dear_out=3.0) as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=0.02)
        execute(routed, tmp_path / "a.jsonl")
        whole = (tmp_path / "a.jsonl").read_text(encoding="utf-8")
        kept = whole.splitlines(keepends=True)
        changed = {
            "torn": whole[:-9],
            "first lines gone": "".join(kept[3:]),
            "order": "".join(kept[::-1]),
            "empty": "",
            "garbage": "".join([*kept[:2], "\0\n", *kept[3:]]),
            "changed": whole.replace('"good"', '"bad"'),
        }
        (tmp_path / "a.jsonl").write_text(changed[damage], encoding="utf-8")
        execute(routed, tmp_path / "a.jsonl")
        assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == whole
        (tmp_path / "a.jsonl").write_text(changed[damage], encoding="utf-8")
        made = execute(routed, tmp_path / "a.jsonl", overrun=1.0)
    found = lines(tmp_path / "a.jsonl")
    assert len({line["id"] for line in found}) == len(found) == made.answered == 24


@pytest.mark.parametrize("left", [0, 1, 40])
def test_answers_without_a_journal_are_not_overwritten(tmp_path, left):
    make_queries(tmp_path / "q.jsonl", 6)
    with Server() as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        execute(routed, tmp_path / "a.jsonl")
        whole, asked = (tmp_path / "a.jsonl").read_bytes(), len(server.asked)
        journal = journal_path(tmp_path / "a.jsonl")
        journal.write_bytes(journal.read_bytes()[:left])
        with pytest.raises(InputError, match="has no journal"):
            execute(routed, tmp_path / "a.jsonl")
    assert ((tmp_path / "a.jsonl").read_bytes(), len(server.asked)) == (whole, asked)


def test_a_journal_without_the_end_of_a_call_is_refused(tmp_path):
    make_queries(tmp_path / "q.jsonl", 6)
    with Server() as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        execute(routed, tmp_path / "a.jsonl")
        journal = journal_path(tmp_path / "a.jsonl")
        kept = journal.read_text(encoding="utf-8").splitlines(keepends=True)
        gone = next(at for at, line in enumerate(kept) if '"answered"' in line)
        journal.write_text("".join(kept[:gone] + kept[gone + 1 :]), encoding="utf-8")
        with pytest.raises(InputError, match="is damaged in line"):
            execute(routed, tmp_path / "a.jsonl")


# ---- more output than was allowed


@pytest.mark.parametrize(
    ("factor", "beyond", "fraction"),
    [(1.5, 0, 0.3), (3, 0, 0.1), (3, 0, 1.0), (30, 0, 0.3), (30, 0, 1.0), (1, 400, 0.6)],
)
def test_what_a_call_may_bill_is_learned_from_the_first(tmp_path, fraction, factor, beyond):
    make_queries(tmp_path / "q.jsonl", 24)
    with Billing(lambda tokens, allowed: (tokens, int(factor * allowed) + beyond)) as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=fraction)
        made = execute(routed, tmp_path / "a.jsonl")
    bills = [(m, (PRICES[m][0] * i + PRICES[m][1] * o) * 1e-6) for m, i, o in server.bill[1::2]]
    first = dict(reversed(bills))
    assert made.billed == pytest.approx(sum(usd for _, usd in bills))
    assert made.billed <= made.budget + sum(first.values())
    assert made.kept == (made.billed <= made.budget * (1 + 1e-12))
    if not made.kept:
        assert sum(first.values()) > made.over_budget


# ---- what lost tries cost


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_a_lost_try_is_charged_is_chosen_and_said(tmp_path, monkeypatch, status):
    monkeypatch.setattr("robatch.proxies.execution.session.time.sleep", lambda _: None)
    make_queries(tmp_path / "q.jsonl", 24)
    made = {}
    for lost in ("worst", "expected"):
        with Billing(fails=status) as server:
            routed = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=0.9)
            made[lost] = execute(routed, tmp_path / f"{lost}.jsonl", lost=lost)
            assert execute(routed, tmp_path / f"{lost}.jsonl", lost=lost) == made[lost]
        assert made[lost].kept
        assert made[lost].lost_calls > 0
        assert made[lost].lost_worst > 0.0
    assert made["worst"].lost == made["worst"].lost_worst
    assert made["expected"].lost == 0.0
    assert made["expected"].answered == 24
    assert made["worst"].executed.utility < made["expected"].executed.utility


def test_a_try_without_any_reply_is_charged_what_is_expected(tmp_path):
    make_queries(tmp_path / "q.jsonl", 12)
    with Server() as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        execute(routed, tmp_path / "a.jsonl")
        events = lines(journal_path(tmp_path / "a.jsonl"))
        sent = next(i for i, event in enumerate(events) if event["event"] == "sent")
        for mode, charged in (("worst", True), ("expected", False)):
            path = tmp_path / f"{mode}.jsonl"
            limits = {"event": "limits", "budget": 1.0, "overrun": 0.0, "lost": mode}
            killed = [events[0], limits, *events[1 : sent + 1]]
            journal_path(path).write_text("".join(json.dumps(event) + "\n" for event in killed), encoding="utf-8")
            made = execute(routed, path, lost=mode)
            assert made.lost_calls == 1
            assert (made.lost == made.lost_worst) == charged
            assert 0.0 < made.lost <= made.lost_worst


# ---- what was executed is what is predicted


@pytest.mark.parametrize("dear", [{"dear_out": 3.0}, {"dear_in": 2.0}, {"dear_in": 1.5, "dear_out": 3.0}])
def test_the_report_predicts_what_was_executed(tmp_path, dear):
    make_queries(tmp_path / "q.jsonl", 24)
    with Server(**dear) as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=0.5)
        made = execute(routed, tmp_path / "a.jsonl")
    seen, utilities = made.executed, routed.problem.utilities()
    columns = {(name, size): column for column, (name, size) in enumerate(routed.problem.states)}
    asked = {line["id"]: columns[line["model"], line["batch_size"]] for line in lines(tmp_path / "a.jsonl")
             if line["status"] != "unanswered"}  # fmt: skip
    assert seen.utility == pytest.approx(sum(utilities[int(id[1:]), column] for id, column in asked.items()))
    assert seen.planned == routed.plan.utility
    assert 0.0 < seen.loss < 1.0
    assert seen.not_asked == made.unanswered
    assert seen.cheaper + seen.resized > 0
    assert f"{seen.cheaper} queries moved to a cheaper model" in seen.moves()


def test_an_interval_moves_with_what_is_executed(tmp_path):
    make_queries(tmp_path / "q.jsonl", 24)
    routed = route(tmp_path / "q.jsonl", Proxy("http://127.0.0.1:9/v1"), budget_fraction=1.0)
    vars(routed)["predicted"] = {"utility": 20.0, "low": 18.0, "high": 22.0}
    as_planned = outlook(routed, routed.plan.assignment)
    assert (as_planned.utility, as_planned.low, as_planned.high) == pytest.approx((20.0, 18.0, 22.0))
    assert as_planned.moves() == ""
    none = outlook(routed, routed.plan.assignment * 0 - 1)
    assert (none.utility, none.low, none.high, none.not_asked) == (0.0, 0.0, 0.0, 24)
    cheap = outlook(routed, routed.problem.cheapest_assignment)
    assert 0.0 < cheap.low < cheap.utility < cheap.high < 22.0
    assert cheap.cheaper == 24


@pytest.mark.parametrize("options", [{"budget": 1e-3}, {"budget": 0.0}, {}, {"max_loss": 0.0, "budget": 7e-4}])
def test_beyond_the_loss_that_is_allowed_it_asks_or_stops(tmp_path, options):
    make_queries(tmp_path / "q.jsonl", 24)
    settings = {"max_loss": 0.05, **options}
    with Server(dear_out=6.0) as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=0.8)
        for _ in range(2):
            with pytest.raises(TooMuchLoss, match=r"queries (moved|not sent)") as caught:
                execute(routed, tmp_path / "a.jsonl", **settings)
            asked = len(server.asked)
        assert isinstance(caught.value, InputError)
        questions = []
        made = execute(routed, tmp_path / "a.jsonl", on_loss=lambda seen: questions.append(seen) or True, **settings)
    assert len(server.asked) > asked or settings["budget"] == 0.0
    assert all(seen.loss > settings["max_loss"] for seen in questions)
    assert questions
    assert made.executed.loss > settings["max_loss"]


def test_the_command_stops_where_nobody_can_be_asked(tmp_path):
    make_queries(tmp_path / "q.jsonl", 24)
    with Server(dear_out=6.0) as server:
        route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=0.8).write(tmp_path / "p.parquet")
        command = ["execute", str(tmp_path / "p.parquet"), "-o", str(tmp_path / "a.jsonl")]
        stopped = CliRunner().invoke(main, [*command, "--max-loss", "0.05"])
        assert stopped.exit_code == 1
        assert "a rerun with more of --max-loss, --budget or --overrun goes on" in stopped.stderr
        done = CliRunner().invoke(main, command)
    assert "as executed" in done.stdout
    assert "moved to a cheaper model" in done.stdout


@pytest.mark.parametrize(
    "options", [{"budget": -1.0}, {"budget": float("nan")}, {"budget": True}, {"max_loss": 1.5}, {"lost": "none"}]
)
def test_limits_that_are_none_are_refused(tmp_path, options):
    make_queries(tmp_path / "q.jsonl", 4)
    routed = route(tmp_path / "q.jsonl", Proxy("http://127.0.0.1:9/v1"), 1.0)
    with pytest.raises(InputError, match=f"{next(iter(options))} is"):
        execute(routed, tmp_path / "a.jsonl", **options)
    assert not journal_path(tmp_path / "a.jsonl").exists()
