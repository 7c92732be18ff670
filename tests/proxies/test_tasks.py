"""Queries: generated with answers that are true, read and written, refused with the place that is wrong."""

from __future__ import annotations

import json

import pytest

from robatch.instances import InputError
from robatch.proxies import Query, generate_task, read_queries, write_queries
from robatch.proxies.tasks import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_generated_tasks_are_distinct_balanced_and_seeded(name):
    queries = generate_task(name, 400, seed=1)
    assert queries == generate_task(name, 400, seed=1)
    assert queries != generate_task(name, 400, seed=2)
    assert len({query.text for query in queries}) == len({query.id for query in queries}) == 400
    counts = [sum(query.answer == choice for query in queries) for choice in queries[0].choices]
    assert max(counts) - min(counts) <= 1


def test_answers_of_reviews_follow_from_their_verdict():
    from robatch.proxies import reviews

    for query in generate_task("reviews", 300, seed=4):
        other = {"positive": "negative", "negative": "positive"}[query.answer]
        stems = [verdict.split("{")[0].casefold() for verdict in reviews.VERDICTS[other]]
        telling = [stem for stem in stems if len(stem) > 8 and stem not in ("after ", "the ")]
        assert not any(stem in query.text.casefold() for stem in telling), query


def test_queries_go_to_a_file_and_back(tmp_path):
    queries = (*generate_task("support", 5), Query("n", 'How many?\n"Two"\u2028', "2", "number"))
    write_queries(tmp_path / "q.jsonl", queries)
    assert read_queries(tmp_path / "q.jsonl") == queries


GOOD = {"id": "a", "text": "t", "answer": "x", "kind": "choice", "choices": ["x", "y"]}


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "holds no query"),
        (["{"], "line 1: not a JSON object"),
        (["[1]"], "line 1: .* is not a JSON object"),
        ([{**GOOD, "answer": "z"}], "line 1: answer is 'z': one of"),
        ([{**GOOD, "text": " "}], "line 1: text is ' '"),
        ([{**GOOD, "colour": 1}], "line 1: field 'colour' is not known"),
        ([{k: v for k, v in GOOD.items() if k != "id"}], "line 1: field 'id' is missing"),
        ([{**GOOD, "choices": ["x"]}], "at least two"),
        ([{**GOOD, "kind": "poem"}], "kind is 'poem'"),
        ([{"id": "a", "text": "t", "answer": "many", "kind": "number"}], "answer is 'many': a number"),
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
    with pytest.raises(InputError, match="task 'poems' is not known"):
        generate_task("poems")
    with pytest.raises(InputError, match="queries is 0"):
        generate_task("support", 0)
