"""From outputs to answers: strictly and with tolerance, and never from one slot into another."""

from __future__ import annotations

import json
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.reading import read

TEAMS = ("billing", "delivery", "account")
A = Query("a", "t", "billing", "choice", TEAMS)
B = Query("b", "t", "delivery", "choice", TEAMS)
N = Query("n", "t", "42", "number")
T = Query("t", "t", "Paris", "text")
LETTER = Query("l", "t", "B", "choice", ("A", "B", "C", "D"))
MOOD = Query("m", "t", "positive", "choice", ("positive", "negative"))


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("A1: billing\nA2: delivery", ("billing", "delivery")),
        ("A2: delivery\r\nA1: Billing.", ("billing", "delivery")),
        ("A1: billing\nA1: billing\nA2: delivery", (None, "delivery")),
        ("so A1: billing\n1. billing\nA2: billing or delivery", (None, None)),
        ("A1: billing A2: delivery", (None, None)),
        ("A\u0661: billing\nA3: billing", (None, None)),
        ("", (None, None)),
    ],
)
def test_strict_lines(text, answers):
    assert read(text, [A, B]) == answers


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ('{"A1": "billing", "A2": "delivery"}', ("billing", "delivery")),
        ('\n{"A2": "Delivery", "A1": "billing", "A9": 1, "why": ["A1"]}\n', ("billing", "delivery")),
        ('{"A1": "billing", "A1": "billing", "A2": "delivery"}', (None, "delivery")),
        ('{"A1": {"A2": "delivery"}}', (None, None)),
        ('{"A1": "\\nA2: delivery"}', (None, None)),
        ('{"A1": null, "A2": ["delivery"]}', (None, None)),
        ('[{"A1": "billing"}]', (None, None)),
        ('{"A1": "billing"} {"A2": "delivery"}', (None, None)),
        ('Here: {"A1": "billing"}', (None, None)),
        ('{"A1": "billing", "A2": NaN}', (None, None)),
        ('{"A01": "billing", "a2": "delivery"}', (None, None)),
        ("[" * 100_000, (None, None)),
        ('{"A1": "bill', (None, None)),
    ],
)
def test_strict_json(text, answers):
    assert read(text, [A, B], "json") == answers


def test_numbers_and_texts_in_json():
    text = '{"A1": 42.0, "A2": "1,250", "A3": "Par\\u00eds", "A4": 1e2, "A5": "two\\nlines"}'
    assert read(text, [N, N, T, N, T], "json") == ("42.0", "1250", "Par\u00eds", None, None)
    assert read('{"A1": ' + "9" * 5000 + "}", [N], "json") == (None,)


@pytest.mark.parametrize("form", ["lines", "json"])
@pytest.mark.parametrize("tolerant", [False, True])
def test_a_text_is_one_line_of_at_most_500_characters(form, tolerant):
    def one(answer):
        return read(f"A1: {answer}" if form == "lines" else json.dumps({"A1": answer}), [T], form, tolerant)[0]

    assert one("x" * 500) == "x" * 500
    assert one("x" * 501) is None
    assert one("a\u2028b") is None
    assert one("it is A2: billing") == "it is A2: billing"


@pytest.mark.parametrize(
    "text",
    [
        "1. billing\n2. delivery",
        "1) billing\n2) delivery",
        "**1.** billing\n**2.** delivery",
        "1: billing\n\n2: delivery",
        "Answer 1: billing\nAnswer 2: delivery",
        "**Answer 1:** billing\n**Answer 2:** delivery",
        "### Answer 1\nA1:\nbilling\n\nA2:\n**delivery**",
        "A1 - billing\nA2 - delivery",
        "A1. billing\nA2) delivery",
        "- **A1**: `billing`\n- **A2**: `delivery`",
        "A1: billing - the card was debited\nA2: delivery because it is late",
        "A1: billing (not delivery)\nA2: The answer is delivery.",
        'A1: "billing"\nA2: \u201cdelivery\u201d',
        "A1: billing. Reasons:\n1. delivery\n2. account\nA2: delivery",
        "Sure, here they are.\n```\nA1: billing\nA2: delivery\n```\nI hope this helps.",
        "<think>A1: account\nA2: account</think>\nA1: billing\nA2: delivery",
        "A1: account?\n</think>\nA1: billing\nA2: delivery",
        "<thinking>\nA1: account\n</thinking>\nA1: billing\nA2: delivery",
        "[THINK]A1: account\n[/THINK]A1: billing\nA2: delivery",
        "\u25c1think\u25b7\nA1: account\n\u25c1/think\u25b7\nA1: billing\nA2: delivery",
        "<|channel|>analysis<|message|>\nA1: account\n<|end|><|start|>assistant<|channel|>final<|message|>A1: billing\n"
        "A2: delivery",
        "analysisWe need labels.\nA1: account\nassistantfinalA1: billing\nA2: delivery",
        "<think>Hm.</think>\n<answer>A1: billing\nA2: delivery</answer>",
        "A1: billing\nA2: delivery\nTo sum up:\nA1: Billing\nA2: delivery.",
        'A1: This is for the billing team.\nA2: "delivery", I think',
        '```json\n{"A1": "billing", "A2": "delivery"}\n```',
        'Here: {"A1": "billing",\n"A2": "delivery",}',
        '{"A1": "billing"}\n{"A2": "delivery"}',
        '{"A1": "billing", "A2": "delivery"',
    ],
)
@pytest.mark.parametrize("form", ["lines", "json"])
def test_free_text_is_read_with_tolerance(text, form):
    assert read(text, [A, B], form, tolerant=True) == ("billing", "delivery")


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("A1: billing or delivery\nA2: delivery, account", (None, None)),
        ("A1: billing/delivery\nA2: not delivery", (None, None)),
        ("A1: billing\nA1: delivery\nA2: delivery", (None, "delivery")),
        ("A1: billing. He wrote: A2: delivery", ("billing", None)),
        ("A1:\nA2: delivery", (None, "delivery")),
        ("A2: delivery", (None, "delivery")),
        ("billing\ndelivery", (None, None)),
        ("<think>A1: billing\nA2: delivery", (None, None)),
        ("<reasoning>\nA1: billing\nA2: delivery", (None, None)),
        ("[THINK]\nA1: billing\nA2: delivery", (None, None)),
        ('{"A1": "billing\\nA2: delivery"}', (None, None)),
        ('{"A1": "x {"A2": "delivery"}", "A2": "account"}', (None, None)),
        ('{"A1": "x", "why": {"A2": "delivery"}}', (None, None)),
        ('{"A1": "billing", "A2": "deliv', ("billing", None)),
        ('{"A1": "billing"} or {"A1": "delivery", "A2": "account"}', (None, "account")),
    ],
)
@pytest.mark.parametrize("form", ["lines", "json"])
def test_what_is_not_clear_is_none(text, answers, form):
    assert read(text, [A, B], form, tolerant=True) == answers


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("The answer is 42.", "42"),
        ("6 * 7 = 42", "42"),
        ("42 (that is 6 * 7)", "42"),
        ("so we get **$1,250.50** in all", "1250.50"),
        ("#### -7", "-7"),
        ("10-4", "4"),
        ("\u22127", "-7"),
        ("\\boxed{42}", "42"),
        ("30km", "30"),
        ("1/2", None),
        ("at 10:30", None),
        ("3e5", None),
        ("A2", None),
        ("none", None),
        ("1234567890123", None),
    ],
)
def test_the_last_number_of_a_line(said, number):
    assert read(f"A1: {said}", [N], tolerant=True) == (number,)


@pytest.mark.parametrize(
    ("query", "text", "answer"),
    [
        (A, "Billing", "billing"),
        (A, "**billing**\n\nThe card was debited.", "billing"),
        (A, "It could be billing.\nOr delivery.", None),
        (A, "It could be billing.\nOr delivery.\nFinal answer: delivery", "delivery"),
        (A, "A2: billing", None),
        (N, "He has 12 and buys 30.\nThe answer is 42.", "42"),
        (N, "He has 12 and buys 30.\nThat makes 42.", None),
        (N, "1.5", "1.5"),
        (T, "Paris", "Paris"),
        (T, "The answer is: Paris", "Paris"),
        (T, "One line.\nAnother.", None),
        (LETTER, "B) Paris", "B"),
        (LETTER, "(b)", "B"),
        (LETTER, "The answer is B.", "B"),
        (LETTER, "A dog is an animal", None),
        (MOOD, "It is clearly positive", "positive"),
        (MOOD, "This is not positive", None),
        (MOOD, "non-positive", None),
    ],
)
@pytest.mark.parametrize("form", ["lines", "json"])
def test_a_single_query_needs_no_mark(query, text, answer, form):
    assert read(text, [query], form, tolerant=True) == (answer,)


LATE = Query("d", "t", "delivery", "choice", ("delivery", "delivery late"))


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize(
    ("text", "queries", "answers"),
    [
        ("A1: 5, A2: 7", [N, N], (None, None)),
        ("A1: 5; a2 = 7\nA2: 8", [N, N], (None, "8")),
        ("A1: x A2: y", [T, T], (None, None)),
        ("A1: x A3: y", [T, T], ("x A3: y", None)),
        ("A0: billing\nA1: delivery", [A, B], (None, None)),
        ("A2: billing\nA3: delivery", [A, B], (None, None)),
        ("A1:\nA0: billing", [A], (None,)),
    ],
)
def test_no_answer_comes_from_beside_its_own_mark(text, queries, answers, tolerant):
    assert read(text, queries, tolerant=tolerant) == answers


@pytest.mark.parametrize(
    ("text", "queries", "answers"),
    [
        ("1. 5, 2. 7", [N, N], (None, None)),
        ("1. x 2. y", [T, T], (None, None)),
        ("0. billing\n1. delivery", [A, B], (None, None)),
        ("A1: the same as A2: delivery", [A, B], (None, None)),
        ("A1: billing, A2: delivery", [A, B], ("billing", None)),
        ("A0:\nbilling\nA1:\ndelivery", [A, B], (None, None)),
    ],
)
def test_nor_in_free_text(text, queries, answers):
    assert read(text, queries, tolerant=True) == answers


@pytest.mark.parametrize(
    ("text", "queries", "answers"),
    [
        ("A1) 5  A2) 6", [N, N], (None, None)),
        ("A1 - 5, A2 - 6", [N, N], (None, None)),
        ("**1.** 5 **2.** 6", [N, N], (None, None)),
        ("A1: 5\\nA2: 6", [N, N], (None, None)),
        ("A1: 5<br>A2: 6", [N, N], (None, None)),
        ("A1: 5, A2 is 6", [N, N], (None, None)),
        ("A1: 5, 6", [N, N], (None, None)),
        ("A1: 5\\n6", [N, N], (None, None)),
        ("A1: $1,250\nA2: 1,250 (of 2,500)", [N, N], ("1250", "1250")),
        ("A1:\n2. 6", [N, N], (None, None)),
        ("A1: 5 A\uff12\uff1a 6", [N, N], (None, None)),
        ("A1. A2. negative", [MOOD, MOOD], (None, None)),
        ("A1 - A2 - negative", [MOOD, MOOD], (None, None)),
        ("A1: positiveA2: negative", [MOOD, MOOD], ("positive", None)),
        ("A1: positive A2: nega", [MOOD, MOOD], ("positive", None)),
        ('{"A1": "5 A2: 6"}', [N, N], (None, None)),
        ("A1: He has 3 + 2 = 5. So it is 5.\nA2: at $2. In all 6", [N, N], ("5", "6")),
    ],
)
def test_nor_where_slots_share_a_line(text, queries, answers):
    assert read(text, queries, tolerant=True) == answers


def test_a_choice_may_look_like_a_mark_but_stands_for_no_shorter_one():
    level = Query("c", "t", "A2", "choice", ("A1", "A2", "Gen", "Gen 2"))
    assert read("A1: A2\nA2: Gen 2", [level, level], tolerant=True) == ("A2", "Gen 2")
    assert read("A1: Gen 2: it is newer\nA2: Gen", [level, level], tolerant=True) == (None, "Gen")


NAMES = (
    "A{}",
    "a{}",
    "A {}",
    "Answer {}",
    "answer #{}",
    "Ans. {}",
    "**A{}",
    "- A{}",
    "> **A{}",
    "(A{}",
    "[A{}]",
    "`A{}`",
)
CLOSINGS = (":", " :", "=", "\uff1a", ".", ")", "**:", ":**", "]:", " -", " \u2013", " \u2014", " ->", " \u2192", ").")
NUMBERS = ("{}.", "{})", "{}:", "({})", "**{}.**", "**{}**:", "`{}.`", "{}).")
MARKS = [name + closing for name, closing in product(NAMES, CLOSINGS)] + list(NUMBERS)
BREAKS = (
    " ",
    "  ",
    "\t",
    ", ",
    "; ",
    ". ",
    " | ",
    " / ",
    " & ",
    " and ",
    " - ",
    " -> ",
    "\\n",
    "\\r\\n",
    "\\t",
    "<br>",
    "<br/>",
)
BREAKS += (
    "\r",
    "\u2028",
    "\x0b",
    "\x85",
    "|",
    ";",
    ",",
    ":",
    "(",
    "\\",
    "</li><li>",
    " <sep> ",
    "...",
    " \u2022 ",
    "\n\n",
    "\r\n",
)
SAID = {"number": ("51", "62", "73"), "choice": TEAMS, "text": ("Paris", "Rome", "Bonn")}
ASKED = {"number": N, "choice": A, "text": T}


def own_or_none(text, kinds):
    """Read three slots; tell whether each holds its own answer or none, and whether all hold theirs.

    A text may end with what stood there in a line break's place.
    """
    own = [SAID[kind][i] for i, kind in enumerate(kinds)]
    found = read(text, [ASKED[kind] for kind in kinds], tolerant=True)
    plain = [
        answer
        if answer is None or kind != "text"
        else re.match(r"\w*", answer)[0] + "".join(set(own) & words(answer[1:]))
        for answer, kind in zip(found, kinds, strict=True)
    ]
    return all(answer in (None, mine) for answer, mine in zip(plain, own, strict=True)), list(found) == own


def words(text):
    return set(re.findall(r"[A-Za-z]+|[0-9]+", text))


@pytest.mark.parametrize("kind", ["number", "choice", "text"])
def test_however_slots_are_marked_and_parted_each_gets_its_own_answer_or_none(kind):
    crossed, missed = [], []
    for mark, gap in product(MARKS, ["\n", *BREAKS]):
        text = gap.join(f"{mark.format(i)} {said}" for i, said in enumerate(SAID[kind], start=1))
        safe, whole = own_or_none(text, [kind] * 3)
        crossed += [] if safe else [text]
        missed += [] if whole or gap != "\n" else [text]
    assert crossed == []
    assert missed == []


@given(
    st.lists(st.sampled_from(MARKS), min_size=3, max_size=3),
    st.lists(st.sampled_from([" ", "", "\n"]), min_size=3, max_size=3),
    st.lists(st.sampled_from(["\n", *BREAKS]), min_size=3, max_size=3),
    st.lists(st.sampled_from(list(SAID)), min_size=3, max_size=3),
    st.permutations(range(3)),
)
def test_nor_do_marks_of_several_kinds_cross(marks, behind, gaps, kinds, order):
    behind = [" " if mark in NUMBERS else space for mark, space in zip(marks, behind, strict=True)]
    text = "".join(f"{marks[i].format(i + 1)}{behind[i]}{SAID[kinds[i]][i]}{gaps[i]}" for i in order)
    assert own_or_none(text, kinds)[0], text


@pytest.mark.parametrize("tolerant", [False, True])
def test_a_numbering_from_0_in_json(tolerant):
    assert read('{"A0": "billing", "A1": "delivery"}', [A, B], "json", tolerant) == (None, None)


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize(
    ("text", "queries", "answers"),
    [
        ("A1: 7\nA2: 125", [N, N], ("7", None)),
        ("A1: 7\nA2: 125\n", [N, N], ("7", "125")),
        ("A1: Paris\nA2: New", [T, T], ("Paris", None)),
        ("A1: billing\nA2: delivery", [A, B], ("billing", "delivery")),
        ("A1: billing\nA2: delivery", [A, LATE], ("billing", None)),
        ("A2: delivery\nthanks", [T, B], (None, None)),
        ("A1: ?\nA2: delivery\n(cut", [A, B], (None, None)),
    ],
)
def test_an_output_that_was_cut_off_counts_as_far_as_it_is_whole(text, queries, answers, tolerant):
    assert read(text, queries, tolerant=tolerant, cut=True) == answers


def test_free_text_and_objects_that_were_cut_off():
    assert read("The answer is 125", [N], tolerant=True, cut=True) == (None,)
    assert read('{"A1": "5", "A2": "12', [N, N], "json", tolerant=True, cut=True) == ("5", None)
    assert read('{"A1": 5, "A2": 12', [N, N], "json", tolerant=True, cut=True) == ("5", None)


PIECES = st.sampled_from(
    ["A1: ", "A2: ", "1. ", "2) ", "Answer 2: ", "billing", "delivery", "42", "\n", " ", "or", "not", "{", "}", '"A1"']
    + ['"A2"', ": ", ", ", '"billing"', "```", "**", "<think>", "</think>", "\\n", "[", "\u2028", "\r"]
)


@given(st.lists(PIECES, max_size=14).map("".join), st.sampled_from(["lines", "json"]))
def test_any_output_is_read_without_failing_and_tolerance_never_contradicts(text, form):
    queries = [A, N, B]
    strict, loose = read(text, queries, form), read(text, queries, form, tolerant=True)
    assert len(strict) == len(loose) == 3
    for one, other in zip(strict, loose, strict=True):
        assert None in (one, other) or one == other


INSIDE = st.text(max_size=80) | st.sampled_from(
    ["A2: account", '"A2": "account"', '{"A2": "account"}', "x\nA2: account", "</think> A2: account", "1. account"]
    + ['x", "A2": "account', "<think>", "```", "Answer 2: account", "2) account", "**A2:** account"]
)


@given(st.lists(st.sampled_from(TEAMS), min_size=1, max_size=6), INSIDE)
def test_what_stands_within_one_slot_fills_no_other(answers, inside):
    queries = [T, *[A] * len(answers)]
    record = {"A1": inside} | {f"A{i}": answer for i, answer in enumerate(answers, start=2)}
    for tolerant in (False, True):
        assert read(json.dumps(record), queries, "json", tolerant)[1:] == tuple(answers)
    lines = "\n".join(f"{slot}: {' '.join(said.split())}" for slot, said in record.items())
    for tolerant in (False, True):
        assert read(lines, queries, "lines", tolerant)[1:] == tuple(answers)
