"""The sampling design: a seeded partition, nested cells, stopping by the interval, all from the record alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robatch.instances import InputError
from robatch.proxies import Template, generate_task
from robatch.proxies.profiling.cell_sums import wilson
from robatch.proxies.profiling.sampling import ROUND, Cell, pack, query_order
from robatch.proxies.tasks.task import Task

TASK = Task("sums", generate_task("arithmetic", 100), Template("Sum."))


def cell(size, precision=None, repeats=1):
    return Cell("m", TASK, size, repeats, 3, precision)


def run(cell, score):
    """Answer all that a cell asks for, call by call, with one score."""
    answered = {}
    while left := [call for call in cell.needed(answered) if call.key not in answered]:
        answered[left[0].key] = {"scores": [score(member) for member in left[0].members]}
    return answered


def members(cell, answered, repeat=0):
    return [m for call in cell.needed(answered) if call.key.repeat == repeat for m in call.members]


def test_calls_are_a_seeded_partition():
    calls = pack(10, 4, seed=3)
    assert [len(call) for call in calls] == [4, 4, 2]
    assert sorted(i for call in calls for i in call) == list(range(10))
    assert calls == pack(10, 4, seed=3)
    others = [pack(10, 4, seed=4), pack(10, 4, seed=3, repeat=1), pack(10, 4, seed=3, round=1)]
    assert all(calls != other for other in others)
    assert [i for call in calls for i in call] != [i for call in pack(10, 2, seed=3) for i in call]


def test_without_a_precision_every_query_is_in_every_cell():
    for size in (1, 3, 32):
        whole = cell(size, repeats=2)
        answered = run(whole, lambda member: 1.0)
        assert sorted(members(whole, answered, 1)) == list(range(100))
        assert len(answered) == 2 * -(-100 // size)


def test_a_batch_size_may_have_fewer_queries_which_a_larger_cell_holds_too():
    task = replace(TASK, queries_by_batch_size={4: 60, 8: 24})
    taken = {}
    for size in (1, 4, 8):
        some = Cell("m", task, size, 2, 3, None)
        taken[size] = members(some, run(some, lambda member: 1.0), 1)
        assert len(taken[size]) == len(set(taken[size])) == some.queries
    assert [len(taken[size]) for size in (1, 4, 8)] == [100, 60, 24]
    assert set(taken[8]) < set(taken[4]) < set(taken[1])
    assert sorted(taken[8]) != list(range(24)), "drawn, not the first"
    adaptive = Cell("m", task, 8, 1, 3, 0.01)
    assert len(members(adaptive, run(adaptive, lambda member: 0.5))) == 24
    for wrong in (101, 0, True, 2.0):
        with pytest.raises(InputError, match="from 1 to 100"):
            replace(TASK, queries_by_batch_size={4: wrong})


def test_a_sure_cell_stops_and_an_unsure_one_goes_on():
    sure, unsure = cell(4, precision=0.08), cell(4, precision=0.08)
    assert len(members(sure, run(sure, lambda member: 1.0))) == ROUND
    assert len(members(unsure, run(unsure, lambda member: float(member % 2)))) == 100


def test_cells_are_nested_and_stop_only_where_the_interval_is_narrow():
    order = query_order("sums", 100, 3)
    taken = []
    for size, share in ((1, 0.0), (4, 0.1), (8, 0.2), (16, 0.5)):
        adaptive = cell(size, precision=0.09, repeats=2)
        answered = run(adaptive, lambda member, share=share: float(order.index(member) % 10 < 10 * share))
        mine = members(adaptive, answered)
        assert sorted(mine) == sorted(order[: len(mine)]) == sorted(members(adaptive, answered, 1))
        low, high = wilson(sum(order.index(member) % 10 < 10 * share for member in mine), len(mine))
        assert len(mine) == 100 or (high - low) / 2 <= 0.09
        taken.append(len(mine))
    assert taken == sorted(taken)
    assert taken[0] < taken[-1]


def test_call_numbers_are_unique_over_rounds_and_repeats():
    keys = [call.key for planned in cell(5, precision=0.01, repeats=3).rounds for call in planned]
    assert len(set(keys)) == len(keys)


def test_repeats_of_a_query_are_no_further_trials():
    once, twice = cell(1, precision=0.1), cell(1, precision=0.1, repeats=2)
    widths = [c.half_width(c.needed(run(c, lambda m: 1.0)), run(c, lambda m: 1.0)) for c in (once, twice)]
    assert widths[0] == widths[1]


def test_wilson_takes_fractional_scores():
    low, high = wilson(2.5, 10)
    assert wilson(2, 10)[0] < low < 0.25 < high < wilson(3, 10)[1]
    assert wilson(10, 10)[1] == pytest.approx(1.0)
