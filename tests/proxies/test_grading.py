"""Graders: known names, a user's function, and what each of them gives."""

from __future__ import annotations

import math
import sys
import types

import pytest

from robatch.instances import InputError
from robatch.proxies.tasks.grading import grader_of, normalize, token_f1
from robatch.proxies.tasks.queries import Query

CHOICE = Query("c", "t", "billing", "choice", ("billing", "delivery"))
NUMBER = Query("n", "t", "1250", "number")
TEXT = Query("x", "t", "The Eiffel Tower", "text")


@pytest.mark.parametrize(
    ("name", "query", "answer", "score"),
    [
        ("auto", CHOICE, "billing", 1.0),
        ("auto", CHOICE, "delivery", 0.0),
        ("auto", NUMBER, "1250.00", 1.0),
        ("auto", NUMBER, "1251", 0.0),
        ("auto", TEXT, " the eiffel tower ", 1.0),
        ("auto", TEXT, "Eiffel Tower", 0.0),
        ("exact", NUMBER, "1250.0", 0.0),
        ("choice", CHOICE, "Billing", 1.0),
        ("number", NUMBER, "1,250", 1.0),
        ("number", NUMBER, "many", 0.0),
        ("f1", TEXT, "Eiffel tower!", 1.0),
        ("f1", TEXT, "the tower of Paris", 0.4),
        ("f1", CHOICE, "delivery", 0.0),
    ],
)
def test_scores(name, query, answer, score):
    assert grader_of(name)(answer, query) == pytest.approx(score)
    assert grader_of(name)(None, query) == 0.0


def test_f1_counts_words_as_often_as_they_occur():
    assert token_f1("no no no", "no") == pytest.approx(0.5)
    assert token_f1("the", "a") == 1.0
    assert token_f1("the", "tower") == 0.0


def test_the_number_grader_needs_a_number():
    with pytest.raises(InputError, match="'x'"):
        grader_of("number")("3", TEXT)


@pytest.mark.parametrize("name", ["best", "", "module", "a:b:c", "a.b:", ":f", "a b:c", None, 3])
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match="grader is"):
        grader_of(name)


def test_a_query_without_a_true_answer_is_not_graded():
    with pytest.raises(InputError, match="'u'"):
        grader_of("auto")("billing", Query("u", "t", None, "choice", ("billing", "delivery")))


@pytest.fixture
def module(monkeypatch):
    made = types.ModuleType("robatch_test_grader")
    monkeypatch.setitem(sys.modules, "robatch_test_grader", made)
    return made


def test_a_users_function_grades(module):
    module.half = lambda answer, query: 0.5 if answer == query.answer else True
    grader = grader_of("robatch_test_grader:half")
    assert grader("billing", CHOICE) == 0.5
    assert grader("delivery", CHOICE) == 1.0
    assert grader(None, CHOICE) == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1, None, "1", [1], 10**400])
def test_a_users_score_is_between_0_and_1(module, value):
    module.wrong = lambda answer, query: value
    with pytest.raises(InputError, match="'c'"):
        grader_of("robatch_test_grader:wrong")("billing", CHOICE)


def test_a_users_function_that_fails_or_is_none_is_one_sentence(module):
    module.number = 3
    module.fails = lambda answer, query: 1 / 0
    with pytest.raises(InputError, match="no function 'number'"):
        grader_of("robatch_test_grader:number")
    with pytest.raises(InputError, match="no function 'gone'"):
        grader_of("robatch_test_grader:gone")
    with pytest.raises(InputError, match="cannot be imported"):
        grader_of("robatch_no_such_module:f")
    with pytest.raises(InputError, match=r"'c'.*ZeroDivisionError"):
        grader_of("robatch_test_grader:fails")("billing", CHOICE)


def test_normalized_answers():
    assert normalize(" Billing. ", CHOICE) == "billing"
    assert normalize("1,250", NUMBER) == "1250"
    assert normalize("\u0661\u0662", NUMBER) is None
    assert normalize("  The end. ", TEXT) == "The end."
    assert normalize(" ", TEXT) is None
