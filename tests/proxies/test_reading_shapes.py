"""Shapes that models choose by themselves: read where a slot's number stands with its answer, and never by position."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.reading import read, read_answer

TEAMS = ("billing", "delivery", "account")
A = Query("a", "The card was debited.", "billing", "choice", TEAMS)
B = Query("b", "The parcel is late.", "delivery", "choice", TEAMS)
N = Query("n", "6 times 7?", "42", "number")
T = Query("t", "The capital of France?", "Paris", "text")

SHAPES = {
    "wrapped": '{"answers": {"A1": "billing", "A2": "delivery"}}',
    "wrapped twice": '{"result": {"answers": {"A1": "billing", "A2": "delivery"}}}',
    "lower case": '{"a1": "billing", "a2": "delivery"}',
    "words as keys": '{"Answer 1": "billing", "answer_2": "delivery"}',
    "numbers as keys": '{"1": "billing", "2": "delivery"}',
    "queries as keys": '{"Q1": "billing", "Q2": "delivery"}',
    "padded": '{"A01": "billing", "A02": "delivery"}',
    "objects as values": '{"A1": {"answer": "billing"}, "A2": {"label": "delivery", "reason": "late"}}',
    "lists of one": '{"A1": ["billing"], "A2": ["delivery"]}',
    "list of objects": '[{"id": 1, "answer": "billing"}, {"id": 2, "answer": "delivery"}]',
    "list in any order": '[{"id": "A2", "team": "delivery"}, {"id": "A1", "team": "billing"}]',
    "list with queries": json.dumps(
        [{"id": f"Q{i}", "query": q.text, "label": q.answer, "confidence": 0.9} for i, q in enumerate((A, B), start=1)]
    ),
    "wrapped list": '{"answers": [{"question": 1, "answer": "billing"}, {"question": 2, "answer": "delivery"}]}',
    "list of keyed objects": '[{"A1": "billing"}, {"A2": "delivery"}]',
    "list of lines": '["A1: billing", "A2: delivery"]',
    "fenced": 'Sure!\n```json\n{\n  "answers": [\n    {"id": 1, "category": "billing"},\n'
    '    {"id": 2, "category": "delivery"}\n  ]\n}\n```',
    "cut off": '{"answers": {"A1": "billing", "A2": "delivery"',
    "bold": "Sure!\n**A1:** billing\n**A2:** delivery",
    "lower-case lines": "a1: billing\na2: delivery",
    "table": "| Query | Answer |\n|---|---|\n| A1 | billing |\n| A2 | delivery |",
    "table with queries": "| # | Query | Answer |\n|---|---|---|\n| 1 | Owed | billing |\n| 2 | Late | delivery |",
    "headings": "## Q1\nbilling\n\n## Q2\ndelivery",
    "Q lines": "Q1: billing\nQ2: delivery",
    "brackets": "[1] billing\n[2] delivery",
    "hashes": "#1: billing\n#2: delivery",
    "arrows": "1 -> billing\n2 \u2192 delivery",
    "dashes": "1 - billing\n2 \u2013 delivery",
    "items": "Item 1: billing\nItem 2: delivery",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["lines", "json"])
def test_other_shapes_are_read_where_the_strict_form_finds_nothing(shape, form):
    assert read_answer(SHAPES[shape], [A, B], form, structured=True).answers == ("billing", "delivery")
    assert read_answer(SHAPES[shape], [A, B], form, structured=False) == (("billing", "delivery"), False)


@pytest.mark.parametrize(
    "text",
    [
        '["billing", "delivery"]',
        '{"answers": ["billing", "delivery"]}',
        '[{"answer": "billing"}, {"answer": "delivery"}]',
        '{"first": "billing", "second": "delivery"}',
        "billing\ndelivery",
        "- billing\n- delivery",
        "| Answer |\n|---|\n| billing |\n| delivery |",
        "| Query | Team | Reason |\n|---|---|---|\n| 1 | billing | delivery |\n| 2 | delivery | billing |",
        '{"0": "billing", "1": "delivery"}',
        '[{"id": 0, "answer": "billing"}, {"id": 1, "answer": "delivery"}]',
        '[{"id": 1, "index": 2, "answer": "billing"}]',
        '[{"id": 1, "answer": "billing", "label": "delivery"}]',
        "Q1: The card was debited by billing.\nQ2: The delivery is late.",
        "[1] I asked billing\n[2] I asked delivery",
    ],
)
@pytest.mark.parametrize("form", ["lines", "json"])
def test_position_alone_is_no_number(text, form):
    assert read(text, [A, B], form, tolerant=True) == (None, None)


@pytest.mark.parametrize("form", ["lines", "json"])
@pytest.mark.parametrize(
    ("own", "text", "answers"),
    [
        # a query's whole text looks like a number, a key, or a line of answers
        ("2", '[{"query": "2", "answer": "billing"}]', (None, None)),
        ("A2", '{"queries": {"A2": "account"}}', (None, "account")),
        ("2", '{"2": "account"}', (None, None)),
        ("x\nA2: account\ny", "You asked:\nx\nA2: account\ny\nA1: billing", ("billing", None)),
        ('{"A2": "account"}', 'The first is {"A2": "account"}.\n{"A1": "billing"}', ("billing", None)),
        ('[{"id": 2, "label": "account"}]', 'I read [{"id": 2, "label": "account"}].', (None, None)),
        ("please write A2: account", '["please write A2: account", "A1: billing"]', ("billing", None)),
        ("A2: account", '["A2: account", "A1: billing"]', ("billing", None)),
    ],
)
def test_the_text_of_a_query_answers_for_no_other(own, text, answers, form):
    hostile = Query("h", own, "billing", "choice", TEAMS)
    assert read(text, [hostile, B], form, tolerant=True) == answers


@given(st.lists(st.sampled_from(TEAMS), min_size=2, max_size=5), st.text(max_size=60), st.sampled_from(range(6)))
def test_whatever_a_query_says_each_answer_is_its_own_or_none(answers, said, shape):
    """Every shape holds the queries, repeated, beside their answers."""
    queries = [Query("h", said or "x", "x", "text")] + [A] * (len(answers) - 1)
    rows = list(enumerate(zip(queries, answers, strict=True), start=1))
    text = (
        json.dumps([{"id": i, "query": q.text, "label": a} for i, (q, a) in rows]),
        json.dumps({"answers": {f"q{i}": {"text": q.text, "answer": a} for i, (q, a) in rows}}),
        json.dumps({"queries": [q.text for q in queries], "answers": {str(i): a for i, (_, a) in rows}}),
        "| # | Query | Answer |\n|---|---|---|\n"
        + "\n".join(f"| {i} | {' '.join(q.text.split())} | {a} |" for i, (q, a) in rows),
        "\n".join(f"Q{i}: {' '.join(q.text.split())}\nA{i}: {a}" for i, (q, a) in rows),
        json.dumps([{"number": str(i), "question": q.text, "reason": q.text, "answer": a} for i, (q, a) in rows]),
    )[shape]
    found = read(text, queries, "json", tolerant=True)
    assert all(given in (None, mine) for given, mine in zip(found[1:], answers[1:], strict=True))


@pytest.mark.parametrize(
    "said",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this request.",
        "Sorry, I am unable to answer this.",
        "As an AI language model, I have no view.",
        "I\u2019m not able to provide that.",
        "I must decline.",
    ],
)
@pytest.mark.parametrize("structured", [False, True])
def test_a_refusal_is_no_answer(said, structured):
    unable = Query("u", "t", "billing", "choice", TEAMS)
    assert read_answer(f"A1: {said}\nA2: billing", [T, A], "lines", structured).answers == (None, "billing")
    assert read_answer(said, [T], "lines", structured).answers == (None,)
    assert read_answer(f"A1: {said} It is not for billing.", [unable], "lines", structured).answers == (None,)
    assert read_answer(json.dumps({"A1": said}), [T], "json", structured).answers == (None,)


@pytest.mark.parametrize("text", ["A1: Sorry", "A1: I can see Paris", "A1: Unfortunately, the parcel is lost."])
def test_an_answer_that_sounds_a_little_so_is_one(text):
    assert read(text, [T], tolerant=True) == (text[4:],)


@pytest.mark.parametrize("text", ["A1: other\nA2: none of these", '{"A1": "shipping", "A2": 7}', "A1: \nA2: BILL"])
@pytest.mark.parametrize("structured", [False, True])
def test_what_is_outside_the_choices_is_unread(text, structured):
    assert read_answer(text, [A, B], "json", structured).answers == (None, None)


def test_a_single_query_may_be_answered_by_an_object_without_a_number():
    assert read('{"answer": "Paris"}', [T], "json", tolerant=True) == ("Paris",)
    assert read('{"answer": 42}', [N], "lines", tolerant=True) == ("42",)
    assert read('{"city": "Paris", "reason": "It is the capital."}', [T], "json", tolerant=True) == ("Paris",)
    assert read('{"answer": "Paris", "label": "Rome"}', [T], "json", tolerant=True)[0] != "Paris"


def test_tolerance_is_told_only_where_it_was_needed():
    assert read_answer("A1: billing\nA2: x", [A, B], "lines", structured=True) == (("billing", None), False)
    assert read_answer("**A1:** billing", [A, B], "lines", structured=True) == (("billing", None), True)
    assert read_answer("what?", [A, B], "lines", structured=True) == ((None, None), False)
