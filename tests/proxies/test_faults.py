"""A fault of one call is that call's; a model that fails for good is given up, and the rest is planned again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from robatch.instances import InputError, Problem
from robatch.proxies import Measurements, profile
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute, journal_path
from robatch.proxies.journal import read_lines
from tests.proxies.llm_server import Proxy, Server, make_queries

USAGE = {"prompt_tokens": 40, "completion_tokens": 6, "total_tokens": 46}


def error(status, message="no", **more):
    return status, {"error": {"message": message, **more}}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("robatch.proxies.execution.session.FIRST_WAIT", 0.0)


class Faulty(Server):
    """Gives `fault` to calls that hold the query `number`, or whatever `when` picks; counts these."""

    def __init__(self, fault, number=3, when=None):
        super().__init__()
        self.fault, self.faults = fault, 0
        self.when = when or (lambda body: f'number {number}"' in body["messages"][0]["content"])

    def count(self):
        """Return how many calls came, this one too."""
        return len(self.asked) + self.faults + 1

    def answer(self, body):
        if self.when(body):
            with self.lock:
                self.faults += 1
            return self.fault
        return super().answer(body)


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def plan(folder, server, rows=24, budget=1.0, sizes=(1, 4, 8)):
    make_queries(folder / "q.jsonl", rows)
    return route(folder / "q.jsonl", Proxy(server.url, sizes), budget)


def in_eights(folder, server, rows=24):
    """Plan for batches of 8."""
    proxy = Proxy(server.url, sizes=(8,))
    proxy.to_problem = lambda queries, robust=None: Problem(
        proxy.models, [4.0] * len(queries), [3.0] * len(queries), [[0.5, 0.9]] * len(queries),
        query_ids=[query.id for query in queries],
    )  # fmt: skip
    make_queries(folder / "q.jsonl", rows)
    return route(folder / "q.jsonl", proxy, 1.0)


POISON = {
    "no choices": ((200, {"choices": [], "usage": USAGE}), 3, "no choice in the reply"),
    "choices null": ((200, {"choices": None, "usage": None}), 3, "no choice in the reply"),
    "an error object": (error(200, "Provider returned error", code=502), 3, "Provider returned error"),
    "500": (error(500, "internal error"), 3, "status 500: internal error"),
    "503": (error(503), 3, "status 503"),
    "408": (error(408), 3, "status 408"),
    "400": (error(400, "I cannot parse this"), 2, "status 400: I cannot parse this"),
    "418": (error(418), 2, "status 418"),
    "too long": (error(400, "This model's maximum context length is 128 tokens"), 1, "context window"),
    "filtered": (error(403, "flagged by moderation"), 1, "refused the prompt's content"),
    "no text": ((200, {"choices": [{"message": {"content": 5}}], "usage": USAGE}), 1, "no text (5)"),
    "a refusal": ((200, {"choices": [{"message": {"refusal": "I will not"}}], "usage": USAGE}), 1, "I will not"),
}


@pytest.mark.parametrize("case", POISON)
def test_the_query_alone_stays_unread_with_its_reason_and_is_never_sent_again(tmp_path, case):
    fault, tries, words = POISON[case]
    with Faulty(fault) as server:
        routed = plan(tmp_path, server)
        made = execute(routed, tmp_path / "a.jsonl")
        assert execute(routed, tmp_path / "a.jsonl") == made
    assert (made.answered, made.unread, made.unanswered, made.outages) == (23, 1, 0, ())
    assert server.faults == tries
    (line,) = (line for line in lines(tmp_path / "a.jsonl") if line["answer"] is None)
    assert line["id"] == "q3"
    assert words in line["error"]
    assert ("tries" in line["error"]) == (tries > 1)
    assert made.unread_why == {line["error"]: 1}
    if fault[1].get("usage"):
        assert made.lost == 0.0
        assert line["cost"] == pytest.approx(tries * (1.0 * 40 + 4.0 * 6) * 1e-6), "charged by its usage"
    assert sum(made.difference.values()) == pytest.approx(made.billed - made.amortized)


@pytest.mark.parametrize("case", ["no choices", "400", "filtered"])
def test_what_is_unread_is_asked_again_only_when_told(tmp_path, case):
    with Faulty(POISON[case][0]) as server:
        routed = plan(tmp_path, server)
        execute(routed, tmp_path / "a.jsonl")
        server.when = lambda body: False
        asked = len(server.asked)
        assert execute(routed, tmp_path / "a.jsonl").unread == 1
        assert len(server.asked) == asked
        made = execute(routed, tmp_path / "a.jsonl", retry_unread=True)
        assert execute(routed, tmp_path / "a.jsonl", retry_unread=True) == made
    assert (made.answered, made.unread) == (24, 0)
    assert len(server.asked) == asked + 1
    assert sorted(line["id"] for line in lines(tmp_path / "a.jsonl")) == sorted(f"q{i}" for i in range(24))


@pytest.mark.parametrize("case", ["no choices", "500", "400", "too long", "no text"])
def test_a_batch_that_one_query_spoils_is_asked_in_halves(tmp_path, case):
    with Faulty(POISON[case][0]) as server:
        made = execute(in_eights(tmp_path, server), tmp_path / "a.jsonl")
    assert (made.answered, made.unread, made.splits) == (23, 1, 6 if POISON[case][1] == 1 else 3)


@pytest.mark.parametrize("fault", [error(500), error(400)])
@pytest.mark.parametrize("where", ["first", "last", "many", "all at the beginning"])
def test_it_does_not_matter_where_faults_stand(tmp_path, where, fault):
    """Neither a first call nor the last ones nor several beside each other condemn a model that works."""
    bad = {"first": {0}, "last": {22, 23}, "many": {2, 7, 11, 12, 18}}.get(where, set(range(8)))
    with Faulty(fault) as server:
        server.when = lambda body: any(f'number {i}"' in body["messages"][0]["content"] for i in bad)
        made = execute(plan(tmp_path, server), tmp_path / "a.jsonl", concurrency=3)
    assert (made.answered, made.unread, made.outages) == (24 - len(bad), len(bad), ())


LIMITS = (
    "max_tokens is too large: 96. This model supports at most 64 completion tokens, whereas you provided 96.",
    "max_tokens: 96 > 64, which is the maximum allowed number of output tokens for m",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 64]",
    "`max_tokens` must be less than or equal to `64`",
)


TOO_BIG = (
    (413, "Request Entity Too Large"),
    (413, {"detail": "body"}),
    (
        429,
        "Request too large for m on tokens per min (TPM): Limit 9, Requested 12. The tokens must be reduced",
    ),
    (400, "The input token count (120) exceeds the maximum number of tokens allowed (64)."),
)


@pytest.mark.parametrize(("status", "words"), TOO_BIG)
def test_calls_that_are_too_large_go_in_halves_though_all_are(tmp_path, status, words):
    with Faulty(error(status, words), when=lambda body: body["max_tokens"] > 64) as server:
        made = execute(in_eights(tmp_path, server), tmp_path / "a.jsonl")
    assert (made.answered, made.outages, made.lost) == (24, (), 0.0)
    assert server.faults == 3


@pytest.mark.parametrize("words", LIMITS)
def test_a_limit_on_output_that_only_large_batches_exceed_is_theirs(tmp_path, words):
    with Faulty(error(400, words), when=lambda body: body["max_tokens"] > 64) as server:
        made = execute(in_eights(tmp_path, server), tmp_path / "a.jsonl")
        assert (made.answered, made.lost) == (24, 0.0)
        config = (
            '[[tasks]]\nname = "sort"\nfile = "q.jsonl"\n[run]\nbatch_sizes = [1, 8]\n[[models]]\nname = "small"\n'
            f'server = "{server.url}"\nmodel = "small"\nprice_in = 0.1\nprice_out = 0.4\ncontext_window = 9999\n'
        )
        (tmp_path / "c.toml").write_text(config, encoding="utf-8")
        measured = profile(tmp_path / "c.toml", tmp_path / "m.parquet")
    assert {row["batch_size"]: row["errors"] for row in measured.summary()} == {1: 0, 8: 24}


GONE = {
    "404": (error(404, "no such model"), "does not know the model"),
    "401": (error(401), "refused the API key"),
    "402": (error(402, "no credits"), "status 402: no credits"),
    "400 without money": (error(400, "Your credit balance is too low"), "status 400: Your credit balance"),
    "402 of tokens": (error(402, "You asked for 96 max_tokens; raise the limit"), "status 402: You asked"),
    "403": (error(403, "not in your country"), "status 403: not in your country"),
    "302": (error(302), "leads elsewhere, with status 302"),
    "200 without money": (error(200, "quota", code="insufficient_quota"), "status 402: quota"),
    "429 without money": (error(429, "You exceeded your current quota", code="insufficient_quota"), "status 429"),
    "400 for all": (error(400, "unknown thing"), "status 400: unknown thing"),
    "503 for all": (error(503, "maintenance"), "status 503: maintenance"),
    "no completions": ((200, {"hello": 1}), "without a completion"),
}


@pytest.mark.parametrize("case", GONE)
def test_a_model_that_fails_for_good_is_given_up_and_the_report_says_what_that_cost(tmp_path, case):
    fault, words = GONE[case]
    with Faulty(fault, when=lambda body: body["model"] == "large") as server:
        routed = plan(tmp_path, server)
        made = execute(routed, tmp_path / "a.jsonl")
        assert execute(routed, tmp_path / "a.jsonl") == made
    assert (made.answered, made.unread, made.unanswered) == (24, 0, 0)
    (row,) = made.outages
    assert (row["model"], row["queries"]) == ("large", 24)
    assert words in row["why"]
    assert row["utility_lost"] == pytest.approx(24 * 0.3)
    assert row["cost"] == pytest.approx(made.lost)
    assert server.faults <= (12 if case == "400 for all" else 5)


@pytest.mark.parametrize("case", GONE)
def test_without_another_model_the_run_ends_and_a_rerun_goes_on_once_it_works(tmp_path, case):
    fault, words = GONE[case]
    with Faulty(fault, when=lambda body: len(server.asked) > 4) as server:
        routed = plan(tmp_path, server)
        for _ in range(2):
            with pytest.raises(InputError, match=words) as raised:
                execute(routed, tmp_path / "a.jsonl")
        passes = case in ("503 for all", "no completions")
        assert ("a rerun continues" in str(raised.value)) == passes, "a refusal is not said to pass"
        server.when = lambda body: False
        made = execute(routed, tmp_path / "a.jsonl")
    assert (made.answered, made.unread, made.unanswered) == (24, 0, 0)
    assert {line["model"] for line in lines(tmp_path / "a.jsonl")} == {"large"}, "planned again with both models"


@pytest.mark.parametrize("words", ["Please retry in 0.01s.", "Quota exceeded, try again in 10ms"])
def test_a_quota_that_comes_back_is_waited_for(tmp_path, words):
    """Providers speak of billing where a minute's calls are used up, too: who names a wait is not gone."""
    said = f"You exceeded your current quota, please check your plan and billing details. {words}"
    with Faulty((429, [{"error": {"code": 429, "message": said}}]), when=lambda body: 5 < server.count() < 9) as server:
        made = execute(plan(tmp_path, server), tmp_path / "a.jsonl")
    assert (made.answered, made.outages, made.lost, server.faults) == (24, (), 0.0, 3)


@pytest.mark.parametrize("field", ["input", "prompt", "content"])
def test_words_of_what_was_sent_are_not_the_servers(tmp_path, field):
    detail = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]
    detail[0][field] = 'too long for "moderation", insufficient balance'
    with Faulty((422, {"detail": detail}), when=lambda body: "seed" in body) as server:
        made = execute(plan(tmp_path, server), tmp_path / "a.jsonl")
    assert (made.answered, made.unread, made.outages) == (24, 0, ())


def test_each_outage_tells_what_its_own_tries_cost(tmp_path):
    with Faulty(error(500), when=lambda body: not server.answering or body["model"] == "large") as server:
        server.answering = False
        routed = plan(tmp_path, server, 6)
        for _ in range(2):
            with pytest.raises(InputError):
                execute(routed, tmp_path / "a.jsonl")
        server.answering = True
        made = execute(routed, tmp_path / "a.jsonl")
    assert made.answered == 6
    assert [row["model"] for row in made.outages].count("large") == 3
    assert sum(row["cost"] for row in made.outages) == pytest.approx(made.lost)


def test_a_profile_measures_the_other_models_and_says_which_failed(tmp_path):
    models = "".join(
        f'[[models]]\nname = "{name}"\nserver = "URL"\nmodel = "{name}"\nprice_in = 0.1\nprice_out = 0.4\n'
        "context_window = 4096\n"
        for name in ("large", "small")
    )
    run = '[[tasks]]\nname = "sort"\nfile = "q.jsonl"\n[run]\nbatch_sizes = [1]\nmax_wait = 0\n'
    with Faulty(error(404), when=lambda body: body["model"] == "large") as server:
        make_queries(tmp_path / "q.jsonl", 6)
        (tmp_path / "c.toml").write_text(run + models.replace("URL", server.url), encoding="utf-8")
        for _ in range(2):
            with pytest.raises(InputError, match="does not know the model 'large'"):
                profile(tmp_path / "c.toml", tmp_path / "m.parquet")
        assert [model for model, _ in server.asked] == ["small"] * 7
        server.when = lambda body: False
        assert len(profile(tmp_path / "c.toml", tmp_path / "m.parquet").table) == 12


def measured(folder, server, rows, sizes):
    """Profile the small model."""
    make_queries(folder / "q.jsonl", rows)
    (folder / "c.toml").write_text(
        f'[[tasks]]\nname = "sort"\nfile = "q.jsonl"\n[run]\nbatch_sizes = {sizes}\nmax_wait = 0\n[[models]]\n'
        f'name = "small"\nserver = "{server.url}"\nmodel = "small"\nprice_in = 1.0\nprice_out = 4.0\n'
        "context_window = 4096\n",
        encoding="utf-8",
    )
    return profile(folder / "c.toml", folder / "m.parquet")


@pytest.mark.parametrize("case", ["no choices", "500", "400", "no text"])
def test_a_profile_records_a_call_that_fails_alone(tmp_path, case):
    with Faulty(POISON[case][0]) as server:
        made = measured(tmp_path, server, 6, [1])
    assert isinstance(made, Measurements)
    (row,) = (row for row in made.table.to_pylist() if row["error"])
    assert row["query_id"] == "q3"
    assert not row["parsed"]
    if case == "no choices":
        assert made.provenance["failed_tries"] == {"small": {"input_tokens": 160, "output_tokens": 24}}
        assert (row["call_input_tokens"], row["call_output_tokens"]) == (40, 6)


@pytest.mark.parametrize("case", ["no choices", "500", "400", "no text", "filtered", "a refusal"])
def test_a_profile_does_not_blame_batches_for_a_query_that_fails_alone(tmp_path, case):
    with Faulty(POISON[case][0]) as server:
        made = measured(tmp_path, server, 12, [1, 4])
    rows = made.table.to_pylist()
    assert [(row["query_id"], row["batch_size"]) for row in rows if not row["parsed"]] == [("q3", 1), ("q3", 4)]
    assert all((row["score"] == 1.0) == (row["query_id"] != "q3") for row in rows)
    spoiled = next(row["call"] for row in rows if (row["query_id"], row["batch_size"]) == ("q3", 4))
    call = [row for row in rows if (row["call"], row["batch_size"]) == (spoiled, 4)]
    assert [len(texts) for _, texts in server.asked].count(3) == 1
    assert [row["query_id"] for row in call if row["error"]] == ["q3"]
    shared = call[0]["shared_tokens"]
    assert sum(row["input_tokens"] for row in call) == pytest.approx(call[0]["call_input_tokens"] - shared)


@pytest.mark.parametrize("asked", ["0.02", "Fri, 31 Dec 9999 23:59:59 GMT", "3600"])
def test_a_wait_is_capped_and_told(tmp_path, asked):
    told = []
    with Server() as server:
        answer, limited = server.answer, []

        class Limited(server.http.RequestHandlerClass):
            def _send(self, status, reply):
                if status == 200 and len(limited) < 3:
                    limited.append(1)
                    self.send_response(429)
                    self.send_header("Retry-After", asked)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                super()._send(status, reply)

        server.http.RequestHandlerClass = Limited
        made = execute(plan(tmp_path, server, 6), tmp_path / "a.jsonl", max_wait=0.05, on_wait=told.append)
    assert answer
    assert (made.answered, made.retries, made.lost) == (6, 3, 0.0)
    assert len(told) == 3
    assert all(0.0 < wait.seconds <= 0.05 for wait in told)
    assert ("max_wait" in str(told[0])) == (asked != "0.02")


def test_a_journal_says_what_happened_to_each_try(tmp_path):
    with Faulty(POISON["500"][0]) as server:
        execute(plan(tmp_path, server), tmp_path / "a.jsonl")
    events = [event for event in read_lines(journal_path(tmp_path / "a.jsonl")) if event["event"] == "faulted"]
    assert [event["end"] for event in events] == [False, False, True]
    assert {event["call"] for event in events} == {events[0]["call"]}
