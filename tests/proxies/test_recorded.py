"""Queries are known again by what is recorded of them, and others are told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robatch.instances import InputError
from robatch.proxies.profiling.provenance import _task
from robatch.proxies.tasks.prompts import default_template
from robatch.proxies.tasks.queries import Query, generate_task
from robatch.proxies.tasks.recorded import check_askable, check_measured
from robatch.proxies.tasks.task import Task

QUERIES = generate_task("reviews", 40, seed=1)
RECORD = _task(Task("reviews", QUERIES, default_template(QUERIES)))
OLD = {name: value for name, value in RECORD.items() if name != "query_hashes"}
IDS = {query.id for query in QUERIES}
OTHERS = generate_task("reviews", 40, seed=7)


@pytest.mark.parametrize(
    "given",
    [
        QUERIES,
        QUERIES[::-1],
        QUERIES[5:9],
        [*QUERIES[::-1], Query("new", "Not measured.", kind="text")],
        [replace(query, answer=None) for query in QUERIES],
    ],
)
def test_measured_queries_are_known_in_part_in_any_order_and_among_others(given):
    check_measured(given, RECORD, IDS)


@pytest.mark.parametrize(
    "given",
    [
        OTHERS,
        OTHERS[:3],
        [*QUERIES[:-1], replace(QUERIES[-1], text="Another.")],
        [replace(QUERIES[0], choices=("positive", "negative", "neither"))],
        [Query(QUERIES[0].id, QUERIES[0].text, kind="text")],
    ],
)
def test_others_under_measured_ids_are_refused(given):
    with pytest.raises(InputError, match="not the one that was measured for task 'reviews'"):
        check_measured(given, RECORD, IDS)


def test_an_older_record_tells_all_of_them_together():
    for given in (QUERIES, QUERIES[::-1], QUERIES[:7], [Query("new", "Not measured.", kind="text"), *QUERIES]):
        check_measured(given, OLD, IDS)
    with pytest.raises(InputError, match="not those that were measured for task 'reviews'"):
        check_measured(OTHERS, OLD, IDS)
    for given in (OTHERS[1:], [replace(query, answer=None) for query in OTHERS]):
        check_measured(given, OLD, IDS)  # nothing can be compared
    check_measured(OTHERS, {**OLD, "queries": 41}, IDS)
    check_measured(OTHERS, {"name": "reviews", "queries": 40}, IDS)


def test_what_a_prompt_does_not_ask_is_refused():
    good = Query("a", "Fine.", choices=("negative", "positive"))
    check_askable([good], RECORD)
    with pytest.raises(InputError, match="query 'b' is of kind 'number': task 'reviews' has the kind 'choice'"):
        check_askable([good, Query("b", "1 + 1", kind="number")], RECORD)
    red = Query("c", "Hm.", choices=("red", "blue"))
    with pytest.raises(InputError, match=r"query 'c' has the choices .*'red'.* 'reviews' is made for .*'positive'"):
        check_askable([red], RECORD)
    check_askable([red], {**RECORD, "template": {**RECORD["template"], "show_choices": True}})
    check_askable([red, Query("b", "1 + 1", kind="number")], {**RECORD, "kind": None, "choices": None})
