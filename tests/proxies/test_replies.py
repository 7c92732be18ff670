"""A server's reply is untrusted input: every field may hold anything, and none can lose an answer or break a run."""

from __future__ import annotations

import json
import time
import warnings
from email.utils import formatdate

import pytest

from robatch.instances.errors import InputWarning
from robatch.proxies import profile
from robatch.proxies.engines.engine import ModelAnswer
from robatch.proxies.engines.reply import read_reply
from robatch.proxies.engines.token_count import least_tokens
from robatch.proxies.engines.usage import MOST_TOKENS, Usage, charge, read_usage
from robatch.proxies.engines.waits import Wait, asked_wait, wait_before
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute, journal_path, report_path
from robatch.proxies.journal import read_lines
from tests.proxies.llm_server import Proxy, Server, make_queries

PRICES = {"small": (0.1, 0.4), "large": (1.0, 4.0)}
READ = "cache_read_input_tokens"
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "A1: bad"}]}


def completion(content="A1: good", finish="stop", **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}} | more


def read(record, content_type="application/json"):
    return read_reply(record if isinstance(record, bytes) else json.dumps(record).encode(), content_type)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("A1: good", "A1: good"),
        ([THOUGHT, {"type": "text", "text": "A1: good"}], "A1: good"),
        ([{"type": "text", "text": "A1: "}, {"type": "output_text", "text": "good"}], "A1: good"),
        ([{"text": "A1: good"}, {"text": "A1: bad", "thought": True}], "A1: good"),
        ([{"type": "reasoning", "summary": []}, {"type": "text", "text": None}], ""),
        ("half \ud83d", "half \ufffd"),
        (None, ""),
        ([], ""),
    ],
)
def test_text_parts_are_joined_and_thoughts_passed_over(content, text):
    made = read(completion(content))
    assert (made.text, made.finish, made.said) == (text, "stop", None)
    assert made.text is not None
    made.text.encode()


@pytest.mark.parametrize("content", [5, True, {"A1": "good"}, ["A1: good"], 1.5])
def test_a_content_of_another_kind_is_no_text_and_said_so(content):
    made = read(completion(content))
    assert made.text == ""
    assert made.said is not None
    assert json.dumps(content) in made.said


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 92, "completion_tokens": 79, "total_tokens": 1171}, (92, 1079)),  # hidden thoughts
        ({"prompt_tokens": 92, "completion_tokens": 79, "total_tokens": 100}, (92, 79)),
        ({"prompt_tokens": 92, "completion_tokens": None, "total_tokens": 100}, (92, 8)),
        ({"completion_tokens": 8, "total_tokens": 100}, (92, 8)),
        ({"prompt_tokens": 92.0, "completion_tokens": 8.0}, (92, 8)),
        ({"input_tokens": 2, "output_tokens": 8, READ: 80, "cache_creation_input_tokens": 10}, (92, 8)),
        ({"prompt_tokens": 92, "completion_tokens": 8, READ: 80}, (92, 8)),
        ({"prompt_tokens": 92, "completion_tokens": 8, "d_details": {"reasoning_tokens": 70}}, (92, 78)),  # beside it
        ({"prompt_tokens": 92, "completion_tokens": 8, "total_tokens": 100, "reasoning_tokens": 70}, (92, 78)),
        ({"prompt_tokens": 92, "completion_tokens": 8, "total_tokens": 170, "reasoning_tokens": 70}, (92, 78)),
        ({"prompt_tokens": 92, "completion_tokens": 78, "reasoning_tokens": 70}, (92, 78)),
        ({"prompt_tokens": True, "completion_tokens": -1}, (None, None)),
        ({"prompt_tokens": "92", "completion_tokens": 0.5}, (None, None)),
        ({"prompt_tokens": MOST_TOKENS + 1, "completion_tokens": 10**30}, (None, None)),
        ({"prompt_tokens": float("nan"), "completion_tokens": [3]}, (None, None)),
        ([92, 8], (None, None)),
        (None, (None, None)),
    ],
)  # fmt: skip
def test_token_counts_are_whole_numbers_or_missing(usage, counts):
    made = read(completion(usage=usage)).usage
    assert (made.input_tokens, made.output_tokens) == counts


def test_details_of_token_counts_are_kept():
    usage = {
        "prompt_tokens": 92, "completion_tokens": 79, "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 70, "other": "x"}, "cache_creation_input_tokens": 3,
    }  # fmt: skip
    found = {"cached_tokens": 64, "reasoning_tokens": 70, "cache_creation_input_tokens": 3}
    assert read_usage(usage).details == found


@pytest.mark.parametrize(
    ("counted", "charged"),
    [
        (Usage(40, 5, 45), (40, 5, True)),
        (Usage(None, 5), (200, 5, False)),
        (Usage(40, None), (40, 12, False)),
        (Usage(None, None), (200, 12, False)),
        (Usage(0, 5), (200, 5, False)),  # fewer than the text can have
        (Usage(40, 0), (40, 12, False)),
        (Usage(None, 5, 300), (200, 100, False)),
        (Usage(40, 50), (40, 50, True)),  # more than was allowed is billed all the same
    ],
)
def test_what_cannot_be_is_charged_at_the_bound(counted, charged):
    assert charge(counted, least=(30, 2), most=(200, 12)) == charged


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("", 0),
        ("word", 1),
        ("ten words " * 5, 5),
        ("x" * 320, 10),
        ("\u6f22\u5b57" * 32, 6),
        (" " * 999, 0),
        ("\ud83d", 1),
    ],
)
def test_fewer_tokens_than_half_the_words_are_not_possible(text, least):
    assert least_tokens(text) == least


@pytest.mark.parametrize(
    ("reason", "finish", "why"),
    [
        ("stop", "stop", "the answer could not be read"),
        ("end_turn", "stop", "the answer could not be read"),
        (None, "stop", "the answer could not be read"),
        (5, "stop", "the answer could not be read"),
        ("length", "length", "the answer was cut off at its 12 output tokens"),
        ("MAX_TOKENS", "length", "the answer was cut off at its 12 output tokens"),
        ("content_filter", "content_filter", "the provider refused the prompt's content"),
        ("SAFETY", "content_filter", "the provider refused the prompt's content"),
        ({"type": "stop", "matched": 2}, "stop", "the answer could not be read"),
        ("FinishReason.STOP", "stop", "the answer could not be read"),
        ({"type": "length", "length": 9}, "length", "the answer was cut off at its 12 output tokens"),
        ("FINISH_REASON_MAX_TOKENS", "length", "the answer was cut off at its 12 output tokens"),
        ("abort", "abort", "the answer did not end but was cut off (abort)"),
    ],
)
def test_an_answer_that_was_cut_is_told_from_one_that_ended(reason, finish, why):
    made = read(completion("A1: go", finish=reason))
    answer = ModelAnswer(made.text or "", 9, 3, 0.1, made.finish)
    assert (made.finish, answer.cut, answer.why_unread(12)) == (finish, finish != "stop", why)


def stream(*pieces, end="data: [DONE]\n\n"):
    return ("".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + end).encode()


PIECES = [
    {"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "A1: "}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "good"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}},
]

UNENDED = {"choices": [{"delta": {"content": "good"}}]}


@pytest.mark.parametrize(
    ("reason", "used", "ended"),
    [(None, 2, "stop"), (None, 3, "length"), ("", 4, "length"), (None, None, "stop"), ("stop", 3, "stop")],
)
def test_an_answer_of_all_tokens_whose_end_is_not_told_was_cut(reason, used, ended):
    made = read(completion(finish=reason, usage={"prompt_tokens": 9, "completion_tokens": used}))
    assert made.ended(3) == ended


@pytest.mark.parametrize(
    ("data", "content_type", "finish"),
    [
        (stream(*PIECES), "text/event-stream; charset=utf-8", "stop"),
        (stream(*PIECES), "application/json", "stop"),
        (stream(*PIECES).replace(b"\n", b"\r\n"), "text/event-stream", "stop"),
        (b": ping\n\nevent: x\n" + stream(*PIECES, end=""), "text/event-stream", "stop"),
        (json.dumps(completion()).encode(), "text/event-stream", "stop"),
        (b"\xef\xbb\xbf" + json.dumps(completion()).encode(), "", "stop"),
        (stream(*PIECES).replace(b"\n\n", b"\n"), "text/event-stream", "stop"),
        (b": waiting\n\n" + stream(*PIECES), "text/plain", "stop"),
        ("\n".join(map(json.dumps, PIECES)).encode(), "application/x-ndjson", "stop"),
        (json.dumps([completion()]).encode(), "", "stop"),
        (json.dumps(PIECES[0] | PIECES[2] | {"choices": [{"delta": {"content": "A1: good"}}]}).encode(), "", "stop"),
        (stream(PIECES[0], UNENDED, PIECES[2], end=""), "text/event-stream", "torn"),
    ],
)  # fmt: skip
def test_a_stream_that_was_not_asked_for_is_read(data, content_type, finish):
    made = read(data, content_type)
    assert (made.text, made.model, made.finish) == ("A1: good", "m", finish)
    assert (made.usage.input_tokens, made.usage.output_tokens) == (9, 3)


@pytest.mark.parametrize(
    ("record", "said", "status"),
    [
        ({"error": {"message": "Provider returned error", "code": 502}}, "Provider returned error", 502),
        ({"error": {"message": "no", "code": "429"}, "choices": []}, "no", 429),
        ({"error": "overloaded"}, "overloaded", None),
        ({"detail": [{"msg": "not now", "loc": ["body"]}]}, "not now", None),
        ({"object": "error", "message": "gone \ud83d"}, "gone \ufffd", None),
        ({"error": {"code": 5}}, "code 5", None),
        ({"choices": None}, "no choice in the reply", None),
        ({"choices": [None]}, "no choice in the reply", None),
        (stream({"error": {"message": "broke", "code": 500}}), "broke", 500),
        ([{"error": {"message": "a list", "code": 400}}], "a list", 400),
        ({"object": "error", "message": "flat", "code": 503}, "flat", 503),
        ({"error": {"message": "by name", "code": "insufficient_quota"}}, "by name", 402),
        ({"error": {"message": "by type", "type": "overloaded_error"}}, "by type", 529),
        ({"error": {"message": '{"error": {"message": "a text"}}'}}, "a text", None),
        (stream(end=""), "an empty reply; is it the address of an OpenAI-compatible server?", None),
        (b"[" * 200_000, "something other than a completion", None),
        (b"<html>busy</html>", "something other than a completion", None),
        (b"\xff\xfe\x00", "something other than a completion", None),
    ],
)
def test_a_reply_without_an_answer_is_in_the_servers_own_words(record, said, status):
    made = read(record)
    assert made.text is None
    assert made.said is not None
    assert made.said.startswith(said)
    assert made.status == status


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({"retry-after": "90"}, 90.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"date": "Wed, 21 Oct 2026 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30.0),
        ({"date": "Wed, 21 Oct 2026 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2026 07:27:00 GMT"}, None),
        ({"retry-after": "30s"}, 30.0),
        ({"retry-after": "7, 7"}, 7.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan", "retry-after-ms": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_asked_for_in_seconds_or_by_a_date(headers, asked):
    assert asked_wait(headers) == asked
    wait = wait_before(asked, retries=20, most=5.0)
    assert 0.0 < wait.seconds <= 5.0
    assert wait.asked == asked


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("please try again in 20s.", 20.0),
        ("please try again in 6m0s", 360.0),
        ("please try again in 250ms", 0.25),
        ("please retry after 26 seconds", 26.0),
        ('"retrydelay": "38s"', 38.0),
        ("retry in 5 minutes", 300.0),
        ("retry with 20 messages", None),
        ("try again later. 20s", None),
    ],
)
def test_a_wait_is_asked_for_in_words(words, asked):
    assert asked_wait({}, words) == asked
    assert asked_wait({"retry-after": "2"}, words) == 2.0


@pytest.mark.parametrize(
    "error", [{"message": "", "type": "", "param": "", "code": None}, {"message": "", "code": 0}, {}, False, ""]
)
def test_an_error_that_says_nothing_is_none(error):
    made = read(completion(error=error))
    assert (made.text, made.finish, made.said, made.status) == ("A1: good", "stop", None, None)


def test_a_wait_shows_what_was_asked_for_and_the_limit():
    assert asked_wait({"retry-after": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=3)
    assert str(Wait(5.0, 90.0)) == "waiting 5 s of 90 s asked for (max_wait)"
    assert str(Wait(5.0, 5.0)) == "waiting 5 s as asked"
    assert str(Wait(5.0)) == "waiting 5 s"


class Changed(Server):
    """Answers as `Server` does, with every reply changed."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def answer(self, body):
        status, reply = super().answer(body)
        self.change(reply)
        return status, reply


def parts(reply):
    said = reply["choices"][0]["message"]
    said["content"] = [THOUGHT, {"type": "text", "text": said["content"]}]


WHOLE = {
    "parts": parts,
    "usage null": lambda reply: reply.update(usage=None),
    "no usage": lambda reply: reply.pop("usage"),
    "counts of nonsense": lambda reply: reply.update(usage={"prompt_tokens": "many", "completion_tokens": {}}),
    "no input": lambda reply: reply["usage"].update(prompt_tokens=0),
    "no output": lambda reply: reply["usage"].update(completion_tokens=0, total_tokens=None),
    "other model": lambda reply: reply.update(model="somebody else"),
    "no finish": lambda reply: reply["choices"][0].pop("finish_reason"),
    "nulls": lambda reply: reply.update(id=None, created=None, object=5, model=[]),
}
UNCOUNTED = ("usage null", "no usage", "counts of nonsense", "no input", "no output")


@pytest.mark.parametrize("case", WHOLE)
def test_no_answer_that_can_be_read_is_lost(tmp_path, case):
    with Changed(WHOLE[case]) as server:
        make_queries(tmp_path / "q.jsonl", 8)
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        made = execute(routed, tmp_path / "a.jsonl", overrun=1.0)
        calls = len(server.asked)
        assert execute(routed, tmp_path / "a.jsonl", overrun=1.0) == made
        assert len(server.asked) == calls, "nothing is paid twice"
    assert (made.answered, made.lost) == (8, 0.0)
    real = sum((PRICES[m][0] * i + PRICES[m][1] * o) * 1e-6 for m, i, o in server.bill)
    if case in UNCOUNTED:
        assert sum(made.uncounted.values()) == made.calls
        assert made.uncounted_cost == pytest.approx(made.billed)
        assert made.billed > real
    else:
        assert (made.uncounted, made.uncounted_cost) == ({}, 0.0)
        assert made.billed == pytest.approx(real)
    assert bool(made.replied) == (case == "other model")
    assert json.loads(report_path(tmp_path / "a.jsonl").read_text(encoding="utf-8"))["uncounted"] == made.uncounted
    assert len(list(read_lines(journal_path(tmp_path / "a.jsonl")))) > 2


@pytest.mark.parametrize("case", ["parts", "no usage", "no input", "other model"])
def test_a_profile_takes_the_same_replies(tmp_path, case):
    with Changed(WHOLE[case]) as server:
        make_queries(tmp_path / "q.jsonl", 6)
        (tmp_path / "c.toml").write_text(
            '[[tasks]]\nname = "sort"\nfile = "q.jsonl"\n[run]\nbatch_sizes = [1, 3]\n[[models]]\nname = "small"\n'
            f'server = "{server.url}"\nmodel = "small"\nprice_in = 0.1\nprice_out = 0.4\ncontext_window = 4096\n',
            encoding="utf-8",
        )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", InputWarning)
            made = profile(tmp_path / "c.toml", tmp_path / "m.parquet")
    assert any("gave no possible token counts for 8 calls" in str(one.message) for one in told) == (case in UNCOUNTED)
    (model,) = made.provenance["models"]
    assert set(made.table["parsed"].to_pylist()) == {True}
    assert model.get("uncounted_calls", 0) == (8 if case in UNCOUNTED else 0)
    assert model.get("replied", {}) == ({"somebody else": 8} if case == "other model" else {})
