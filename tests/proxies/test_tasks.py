"""Queries: generated with answers that are true, read and written, refused with the place that is wrong."""

from __future__ import annotations

import json
import re

import pytest

from robatch.instances import InputError
from robatch.proxies import Query, generate_task, read_queries, write_queries
from robatch.proxies.profiling.task_config import read_task
from robatch.proxies.tasks.queries import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_generated_tasks_are_distinct_balanced_and_seeded(name):
    queries = generate_task(name, 400, seed=1)
    assert queries == generate_task(name, 400, seed=1)
    assert queries != generate_task(name, 400, seed=2)
    assert len({query.text for query in queries}) == len({query.id for query in queries}) == 400
    if queries[0].kind == "choice":
        counts = [sum(query.answer == choice for query in queries) for choice in queries[0].choices]
        assert max(counts) - min(counts) <= 1


def test_answers_of_arithmetic_are_those_of_another_calculator():
    """Sums in signs are worked out by Python itself, those in words by the sign that their words stand for."""
    signs = {"more": "+", "together": "+", "sold": "-", "broken": "-", "each.": "*", "crate": "*", "evenly": "/"}
    signs["packed"] = "/"
    for query in generate_task("arithmetic", 2000, seed=5):
        expression = re.search(r"\d+( [-+*/] \d+)+", query.text)
        if expression is None:
            numbers = re.findall(r"\d+", query.text)
            sign = next(sign for word, sign in signs.items() if word in query.text)
            if "crate" in query.text:
                numbers.reverse()
            assert len(numbers) == 2, query
        value = eval(expression[0] if expression else sign.join(numbers))
        assert value == int(query.answer), query
        assert 2 <= len(re.findall(r"\d+", query.text)) <= 4, query


def test_answers_of_reviews_follow_from_their_verdict():
    from robatch.proxies.tasks import reviews

    for query in generate_task("reviews", 300, seed=4):
        other = {"positive": "negative", "negative": "positive"}[query.answer]
        stems = [verdict.split("{")[0].casefold() for verdict in reviews.VERDICTS[other]]
        telling = [stem for stem in stems if len(stem) > 8 and stem not in ("after ", "the ")]
        assert not any(stem in query.text.casefold() for stem in telling), query


def test_queries_go_to_a_file_and_back(tmp_path):
    queries = (
        *generate_task("support", 5),
        Query("n", 'How many?\n"Two"\u2028', "2", "number"),
        Query("t", "Who?", "Ada Lovelace", "text"),
        Query("u", "Who else?", None, "text"),
    )
    write_queries(tmp_path / "q.jsonl", queries)
    assert read_queries(tmp_path / "q.jsonl") == queries


def test_a_question_is_a_text_and_an_answer_may_be_missing(tmp_path):
    (tmp_path / "q.jsonl").write_text('{"id": "a", "question": "Who?", "kind": "text"}')
    assert read_queries(tmp_path / "q.jsonl") == (Query("a", "Who?", None, "text"),)


GOOD = {"id": "a", "text": "t", "answer": "x", "kind": "choice", "choices": ["x", "y"]}


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "holds no query"),
        (["{"], "line 1: not a JSON object"),
        (["[" * 3_000], "line 1: not a JSON object"),
        (['{"id": "a", "text": "t", "answer": ' + "1" * 5000 + "}"], "line 1: "),
        (["[1]"], "line 1: .* is not a JSON object"),
        ([{**GOOD, "answer": "z"}], "line 1: answer is 'z': one of"),
        ([{**GOOD, "text": " "}], "line 1: text is ' '"),
        ([{**GOOD, "colour": 1}], "line 1: field 'colour' is not known"),
        ([{k: v for k, v in GOOD.items() if k != "id"}], "line 1: field 'id' is missing"),
        ([{**GOOD, "choices": ["x"]}], "at least two"),
        ([{**GOOD, "kind": "poem"}], "kind is 'poem'"),
        ([{"id": "a", "text": "t", "answer": "many", "kind": "number"}], "answer is 'many': a number"),
        ([{"id": "a", "text": "t", "answer": "a\nb", "kind": "text"}], "a text on one line"),
        ([{**GOOD, "kind": "text"}], "a query of kind 'text' has none"),
        ([{**GOOD, "question": "t"}], "'text' and 'question' are both there"),
        ([{"id": "a"}], "field 'text' is missing"),
        ([GOOD, GOOD], "line 2: id 'a' is already that of line 1"),
    ],
)
def test_bad_queries_are_named(tmp_path, lines, complaint):
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    with pytest.raises(InputError, match=complaint):
        read_queries(path)


def test_missing_file_and_unknown_task(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the queries .*: there is no such file"):
        read_queries(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"cannot read the queries 'a\\x00b': .*null"):
        read_queries("a\0b")
    with pytest.raises(InputError, match="task 'poems' is not known"):
        generate_task("poems")
    with pytest.raises(InputError, match="queries is 0"):
        generate_task("support", 0)


def test_too_many_output_tokens_and_a_null_in_a_path_are_refused(tmp_path):
    for row, complaint in (
        ({"generate": "reviews", "max_output_tokens": 2**17 + 1}, "max_output_tokens is 131073: .* 1 to 131072"),
        ({"file": "a\0b"}, "is neither beside the configuration nor in"),
    ):
        with pytest.raises(InputError, match=complaint):
            read_task(row, "tasks[0].", tmp_path)


@pytest.mark.parametrize("name", TASKS)
def test_as_many_queries_as_allowed_are_made_and_are_distinct(name):
    queries = generate_task(name, 5000, seed=2)
    assert len({query.text for query in queries}) == 5000
    assert len({query.id for query in queries}) == 5000
