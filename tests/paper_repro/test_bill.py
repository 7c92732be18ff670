"""Bills against plans: the parts of a difference add up, and the page is made of what was recorded."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from paper_repro.common.csv_tables import as_csv
from paper_repro.common.paths import REPORTS, RESULTS
from paper_repro.record import bill
from paper_repro.reports import bill_page
from robatch.instances import InputError
from robatch.proxies import generate_task

ROOT = Path(__file__).parents[2]
FRACTIONS = (0.3, 0.8)


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def servers():
    return load(ROOT / "tests" / "proxies" / "llm_server.py", "llm_server")


@pytest.fixture(scope="module")
def recorded(servers, tmp_path_factory):
    """Plans executed on a server that counts more tokens than predicted and cannot answer large calls."""
    folder = tmp_path_factory.mktemp("bill")
    servers.make_queries(folder / "sort.jsonl", 45)
    executions, states = [], []
    with servers.Server(dear_in=1.02, dear_out=1.3, readable=2) as server:
        for fraction in FRACTIONS:
            made = bill.executed(folder / "sort.jsonl", servers.Proxy(server.url), fraction)
            about = {"task": "sort", "fraction": fraction}
            interval = {"low": 20.0, "high": 40.0}  # the stand-in for a proxy gives none
            executions.append(about | bill.execution_row(*made[:2]) | interval)
            states += [about | row for row in bill.state_rows(*made)]
        asked = len(server.asked)
        again = bill.executed(folder / "sort.jsonl", servers.Proxy(server.url), fraction)
        assert len(server.asked) == asked, "a finished execution sends nothing"
        assert about | bill.execution_row(*again[:2]) | interval == executions[-1]
    (folder / "executions.csv").write_text(as_csv(executions, digits=None), encoding="utf-8")
    (folder / "states.csv").write_text(as_csv(states, digits=None), encoding="utf-8")
    told = {
        "date": "2026-01-01", "machine": {"cpu": "a CPU", "cores": 2, "memory_gib": 24.0, "python": "CPython 3.11"},
        "packages": {"robatch": "0.1.0"}, "measured_on": "2026-01-01", "repeats": 2, "seed": 2,
        "models": [{"name": "small", "price_in": 0.1, "price_out": 0.4, "device": "cpu: a CPU"}],
    }  # fmt: skip
    (folder / "about.json").write_text(json.dumps(told), encoding="utf-8")
    return folder, executions, states


def test_the_sources_add_up_to_the_difference(recorded):
    _, executions, _ = recorded
    for row in executions:
        assert sum(row[name] for name in bill.SOURCES) == pytest.approx(row["billed"] - row["amortized"], abs=1e-15)
        assert row["planned"] - row["amortized"] == pytest.approx(row["partly_filled_calls"], abs=1e-15)
        assert row["billed"] <= row["budget"]
    assert any(row["split_calls"] for row in executions)
    assert any(row["splits"] > 0 for row in executions)
    assert all(row["output_tokens"] > 0 for row in executions)


def test_states_add_up_to_their_execution(recorded):
    _, executions, states = recorded
    for whole in executions:
        mine = [row for row in states if row["fraction"] == whole["fraction"]]
        for part, name in (("input_difference", "input_tokens"), ("output_difference", "output_tokens")):
            assert sum(row[part] for row in mine) == pytest.approx(whole[name], abs=1e-15)
        assert sum(row["billed"] for row in mine) == pytest.approx(whole["billed"])
        assert sum(row["calls"] + row["split_calls"] for row in mine) == whole["calls"]
        assert sum(row["planned_queries"] for row in mine) == whole["queries"]
        assert sum(row["planned_calls"] for row in mine) == whole["planned_calls"]


def test_what_is_recorded_is_read_as_it_was_written(recorded):
    folder, executions, states = recorded
    assert bill_page.read(folder / "executions.csv") == executions
    assert bill_page.read(folder / "states.csv") == states


def test_the_page_says_what_is_recorded(recorded):
    folder, executions, _ = recorded
    page = bill_page.page(folder)
    assert "No bill exceeded its budget" in page
    for row in executions:
        assert f"| sort | {row['fraction']:g} | {row['budget'] * 1e6:.2f} | {row['amortized'] * 1e6:.2f} |" in page
    split = sum(row["split_calls"] for row in executions)
    assert f"{split} calls were halves of malformed ones" in page.replace("\n", " ")


def test_the_page_tells_of_a_bill_over_budget_and_of_a_missed_interval(recorded):
    _, executions, _ = recorded
    row = executions[0] | {"billed": executions[0]["budget"] * 1.01}
    assert bill_page.bill_sentences([row, *executions[1:]]).startswith("1 of 2 bills exceeded the budget.")
    known = {"low": 10.0, "high": 12.0, "replans": 0, "unanswered": 0}
    rows = [executions[0] | known | {"actual": actual} for actual in (9.0, 11.0, 12.0)]
    said = bill_page.utility_sentences([*rows, rows[1] | {"replans": 1}, rows[1] | {"unanswered": 2}])
    assert said.startswith("3 of 5 plans were executed as they were made")
    assert "in the predicted 90 % interval in 2." in said


def test_token_sentences_compare_real_with_predicted():
    one = {"batch_size": 1.0, "calls": 2.0, "input_tokens": 110.0, "predicted_input_tokens": 100.0}
    one |= {"output_tokens": 9.0, "predicted_output_tokens": 10.0}
    many = one | {"batch_size": 8.0, "output_tokens": 15.0}
    text = bill_page.token_sentences([one, many])
    assert "calls of one query +10.00% input and -10.00% output" in text
    assert "calls of several +10.00% input and +50.00% output" in text


def test_new_queries_are_none_of_the_measured():
    measured = generate_task("reviews", 240, bill.SEED)  # the very seed: without a check, all would be known
    new = bill.new_queries("reviews", measured, 50)
    assert len(new) == 50
    assert not {query.text for query in new} & {query.text for query in measured}


def test_a_folder_of_other_measurements_is_refused(tmp_path):
    class Measured:
        def __init__(self, hashed):
            self.provenance = {"config_hash": hashed}

    bill._begin(tmp_path / "work", Measured("a"))
    bill._begin(tmp_path / "work", Measured("a"))
    with pytest.raises(InputError, match="other measurements"):
        bill._begin(tmp_path / "work", Measured("b"))


def test_the_page_in_the_repository_is_made_of_its_records():
    page = (REPORTS / "BILL.md").read_text(encoding="utf-8")
    assert page == bill_page.page(RESULTS / "bill")
