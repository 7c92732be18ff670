"""`robatch run`, from a table to answers, with servers that stand in for providers: the bill is theirs."""

from __future__ import annotations

import csv
import json
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner

import robatch
from robatch.cli import main
from robatch.instances.errors import InputError, InputWarning
from robatch.job.answers import joined, write_joined
from robatch.job.measured import worth_of_more
from robatch.job.settings import Settings
from robatch.job.steps import _with_own
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.sources.rows import RowRules, read_rows
from robatch.proxies.sources.table import read_table
from tests.job import tickets
from tests.job.tickets import TEAMS, TicketServer, ticket, write_pool, write_prices, write_tickets

PROMPT = "Sort each ticket into the team that must act: billing, delivery, technical or account. " * 12
ROWS = ("--id", "ticket_id", "--text", "{body}", "--choices", ",".join(TEAMS), "--empty", "skip")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("prompt.txt").write_text(PROMPT, encoding="utf-8")
    return tmp_path


@pytest.fixture(autouse=True)
def keyboard():
    """Let Ctrl-C interrupt, also where the tests were started by a shell that has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def job(*arguments, table="t.csv", budget=5, output="out.csv"):
    given = ["run", table, *ROWS, "--pool", "pool.toml", "--prompt", "prompt.txt", "--budget", budget, "-o", output]
    return CliRunner().invoke(main, [str(one) for one in (*given, *arguments)])


def read(path="out.csv"):
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def spent(folder="out.run"):
    entries = json.loads((Path(folder) / "job.json").read_text(encoding="utf-8"))["entries"]
    return sum(entry["usd"] for entry in entries), sum(entry["lost"] for entry in entries)


def interrupt_at(server, call):
    """Let a call of a server be one during which the user presses Ctrl-C, and which it never answers nor bills."""
    answer, pressed = server.answer, threading.Event()

    def answered(body):
        with server.lock:
            press = len(server.asked) >= call and not pressed.is_set()
            if press:
                pressed.set()
        if press:
            threading.Event().wait(0.05)  # until the main thread waits for this answer
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            threading.Event().wait(0.3)
            return 503, {"error": {"message": "gone"}}
        return answer(body)

    server.answer = answered


def test_the_data_engineers_way(place):
    """2,000 tickets without labels, a LiteLLM price file, a flaky server and a Ctrl-C: one command, run twice."""
    write_tickets(Path("t.csv"), 2000, doubled=30, empty=20)
    write_prices(Path("prices.json"))
    Path("system.txt").write_text("You sort mail.", encoding="utf-8")
    with TicketServer(flaky=40) as server:
        write_pool(Path("pool.toml"), server.url, priced=False)
        more = ("--prices", "prices.json", "--system", "system.txt", "--concurrency", 1)
        dry = job(*more, "--dry-run")
        assert dry.exit_code == 0, dry.output
        assert "Nothing was sent" in dry.output
        assert not server.asked
        assert not Path("out.run").exists()
        interrupt_at(server, 500)
        stopped = job(*more)
        assert stopped.exit_code == 130, stopped.output
        assert "the same command continues" in stopped.output
        assert not Path("out.csv").exists()
        made = job(*more)
        assert made.exit_code == 0, made.output
    usd, lost = spent()
    assert usd == pytest.approx(server.usd, rel=1e-12)
    assert server.refused > 5
    assert usd + lost < 5
    assert f"together {usd + lost:.6g} of 5 USD" in made.output
    assert "30 repeat the text of another, 20 are empty: 2,000 queries" in made.output
    rows = read()
    assert [row["ticket_id"] for row in rows] == [row["ticket_id"] for row in read("t.csv")]
    assert {row["answer_status"] for row in rows} == {"answered", "empty"}
    assert rows[7]["customer"] == "007"
    right = [row["answer"] == row["body"].split()[0] for row in rows if row["body"]]
    assert np.mean(right) > 0.93
    assert [row["answer_copy_of"] for row in rows[-30:]] == [str(number) for number in range(30)]
    report = json.loads(next(Path("out.run").glob("*-answers.jsonl.report.json")).read_text(encoding="utf-8"))
    asked = [json.loads(line)["id"] for line in next(Path("out.run").glob("*-answers.jsonl")).open(encoding="utf-8")]
    truth = sum(row["answer"] == row["body"].split()[0] for row in rows if row["ticket_id"] in set(asked))
    assert report["executed"]["low"] <= truth <= report["executed"]["high"]
    page = Path("out.html").read_text(encoding="utf-8")
    assert "agreement with the answers of large" in page
    assert f"{usd + lost:.4g}" in page


def test_every_step_goes_on_after_an_interruption_and_new_rows_alone_are_asked(place):
    more = ("--routing", "always", "--concurrency", 1)
    with TicketServer() as server:
        write_pool(Path("pool.toml"), server.url)
        write_tickets(Path("t.csv"), 120)
        for call in (3, 70, 130):  # during the labels, and during the profile, twice
            interrupt_at(server, call)
            assert job(*more).exit_code == 130
        assert job(*more).exit_code == 0
        assert spent()[0] == pytest.approx(server.usd, rel=1e-12)
        before = len(server.asked)
        write_tickets(Path("t.csv"), 150)
        made = job(*more)
        assert made.exit_code == 0, made.output
        assert "120 answers are known already; 30 are to be asked" in made.output
        asked = [text for _, texts in server.asked[before:] for text in texts]
        assert sorted(asked) == sorted(ticket(number) for number in range(120, 150))
        before = len(server.asked)
        assert job(*more).exit_code == 0
        assert len(server.asked) == before
        assert spent()[0] == pytest.approx(server.usd, rel=1e-12)
    assert [row["answer_status"] for row in read()] == ["answered"] * 150


@pytest.mark.parametrize(("library", "routing"), [("pandas", "always"), ("polars", "never"), ("pyarrow", "never")])
def test_frames_go_in_and_come_out(library, routing, place):
    data = {
        "nr": list(range(60)),
        "body": [ticket(number) for number in range(60)],
        "answer": [TEAMS[i % 4] for i in range(60)],
    }
    frame = pd.DataFrame(data) if library == "pandas" else pl.DataFrame(data)
    with TicketServer() as server:
        write_pool(Path("pool.toml"), server.url)
        made = robatch.run(
            frame.to_arrow() if library == "pyarrow" else frame, pool="pool.toml", budget=1, prompt=PROMPT,
            folder="kept", id="nr", text="body", choices=TEAMS, routing=routing,
        )  # fmt: skip
        assert made.total == pytest.approx(server.usd)
    assert type(made.frame).__module__.split(".")[0] == ("pyarrow" if library == "pyarrow" else library)
    assert made.table["nr"].to_pylist() == data["nr"]
    assert made.table["answer"].to_pylist() == data["answer"]  # the true ones, as they were given
    assert np.mean(np.array(made.table["robatch_answer"].to_pylist()) == np.array(data["answer"])) > 0.8
    assert made.judge is None
    assert set(made.spent) == ({"profile", "answers"} if routing == "always" else {"answers"})
    assert made.complete


@pytest.mark.parametrize(
    ("ending", "reads"),
    [
        ("parquet", pd.read_parquet),
        ("jsonl", lambda path: pd.read_json(path, lines=True)),
        ("tsv", lambda path: pd.read_csv(path, sep="\t")),
    ],
)
def test_without_routing_all_goes_to_the_dearest_model(ending, reads, place):
    write_tickets(Path("t.csv"), 20, empty=1)
    with Path("t.csv").open("a", encoding="utf-8") as stream:
        stream.write(f"777,long,{'word ' * 20_000},1\n")
    with TicketServer() as server:
        write_pool(Path("pool.toml"), server.url)
        made = job(output=f"out.{ending}")
        assert made.exit_code == 0, made.output
        assert "Routing does not pay here: send all queries to large." in made.output
        assert {model for model, _ in server.asked} == {"large"}
        assert len(server.asked) == 20
        assert spent()[0] == pytest.approx(server.usd)
    rows = reads(f"out.{ending}")
    assert rows["answer_status"].tolist() == ["answered"] * 20 + ["empty", "unread"]
    assert "1 queries are too long for a context window and are not asked: 777" in made.output
    assert rows["answer_cost"].sum() == pytest.approx(server.usd)


def test_a_budget_that_does_not_suffice_leaves_rows_for_a_larger_one(place):
    write_tickets(Path("t.csv"), 60)
    with TicketServer() as server:
        write_pool(Path("pool.toml"), server.url)
        short = job("--routing", "never", budget=0.01)
        assert short.exit_code == 1, short.output
        assert "a larger --budget" in short.output
        assert server.usd <= 0.01
        unanswered = sum(row["answer_status"] == "unanswered" for row in read())
        assert 0 < unanswered < 60
        assert job("--routing", "never").exit_code == 0
        assert spent()[0] == pytest.approx(server.usd)
    assert {row["answer_status"] for row in read()} == {"answered"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--budget", 0), "budget is 0"),
        (("--measure", 2), "measure is 2"),
        (("-o", "out.xlsx"), "a name that ends in .csv"),
        (("-o", "prompt.txt"), "is an input of this command"),
        (("--text", "{bodi}"), "there is no column 'bodi'"),
        (("--pool", "none.toml"), "none.toml"),
        (("--choices", "billing"), "row 1: choices is ['billing']: at least two"),
        (("--batch-sizes", "0"), "batch_sizes is"),
        (("--folder", "."), "is no folder of a job"),
        (("--measure", 0.00001, "--routing", "always"), "does not suffice to measure"),
    ],
)
def test_bad_input_is_one_sentence_and_sends_nothing(change, message, place):
    write_tickets(Path("t.csv"), 40)
    with TicketServer() as server:
        write_pool(Path("pool.toml"), server.url)
        made = job(*change)
        assert made.exit_code == 2, made.output
        assert message in made.output
        assert len(made.output.splitlines()) < 12
        assert not server.asked


def test_prices_of_now_are_those_of_later_plans_and_must_not_change_within_one(place, monkeypatch):
    with TicketServer() as server:
        write_pool(Path("pool.toml"), server.url)
        write_tickets(Path("t.csv"), 120)
        assert job("--routing", "always").exit_code == 0
        before = server.usd
        monkeypatch.setattr(tickets, "PRICES", {name: (10 * a, 10 * b) for name, (a, b) in tickets.PRICES.items()})
        earlier = len(server.bill)
        write_pool(Path("pool.toml"), server.url)
        write_tickets(Path("t.csv"), 200)
        assert job("--routing", "always").exit_code == 0
        del server.bill[:earlier]
        assert sum(spent()) == pytest.approx(before + server.usd)
    (last,) = sorted(Path("out.run").glob("*answers.plan.parquet"))[-1:]
    planned = RoutedPlan.read(last)
    own = Settings(Path("pool.toml"), PROMPT, 5.0, RowRules()).models
    assert _with_own(planned, own).pool[0].price_in == tickets.PRICES[planned.pool[0].name][0]
    with pytest.raises(InputError, match="a step in progress was planned at"):
        _with_own(planned, tuple(replace(model, price_in=7.0) for model in own))


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_the_output_of_a_run_may_be_the_table_of_others(ending, tmp_path):
    source, names = pa.table({"text": ["a", "b"]}), {"text"}
    for turn in range(3):
        table, statuses = joined(read_rows(source, RowRules(text="{text}", answer=None)), {})
        assert statuses == {"unanswered": 2}
        write_joined(table, tmp_path / f"{turn}.{ending}")
        source = read_table(tmp_path / f"{turn}.{ending}")
        names |= {f"{prefix}answer_status" for prefix in ("", "robatch_", "robatch_2_")[turn : turn + 1]}
        assert names <= set(source.column_names)
        assert source.num_rows == 2
        assert len(set(source.column_names)) == len(source.column_names) == 1 + 7 * (turn + 1)


def test_answers_that_a_run_wrote_are_no_true_ones_unless_they_are_named():
    table = pa.table({"text": ["a", "b"], "answer": ["x", "y"], "answer_status": ["answered"] * 2})
    with pytest.warns(InputWarning, match="was written by a run"):
        assert [query.answer for query in read_rows(table, RowRules()).queries] == [None, None]
    assert [query.answer for query in read_rows(table, RowRules(answer="answer")).queries] == ["x", "y"]


def test_two_true_answers_of_one_text_are_said():
    with pytest.warns(InputWarning, match="1 texts of .* such as that of row 3: the first of each counts"):
        made = read_rows(pa.table({"text": ["a", "b", "a"], "answer": ["x", "z", "y"]}), RowRules())
    assert [query.answer for query in made.queries] == ["x", "z"]


def test_a_text_that_fits_no_window_is_not_in_the_forecast_either(place):
    with TicketServer() as server:
        write_pool(Path("pool.toml"), server.url)
        write_tickets(Path("t.csv"), 40)
        plain = json.loads(job("--dry-run", "--json").stdout)
        with Path("t.csv").open("a", encoding="utf-8") as stream:
            stream.write(f"777,Re,{'long ' * 20_000},1\n")
        made = job("--dry-run")
        assert "1 queries are too long for a context window and are not asked: 777" in made.stderr + made.stdout
        assert json.loads(job("--dry-run", "--json").stdout)["steps"] == plain["steps"]
        assert not server.bill


def test_where_the_dearest_model_is_too_dear_all_go_to_one_that_is_not(place):
    with TicketServer() as server:
        write_pool(Path("pool.toml"), server.url)
        write_tickets(Path("t.csv"), 39)
        made = job("--routing", "never", budget=0.004)
        assert "all queries go to small at batch size 1, without measuring, as the budget" in made.stderr + made.stdout
        assert {row["answer_model"] for row in read() if row["answer_status"] == "answered"} == {"small"}
        assert server.usd <= 0.004


def test_another_prompt_needs_another_folder(place):
    write_tickets(Path("t.csv"), 20)
    with TicketServer() as server:
        write_pool(Path("pool.toml"), server.url)
        assert job().exit_code == 0
        Path("prompt.txt").write_text("Something else.", encoding="utf-8")
        made = job()
        assert made.exit_code == 2
        assert "was begun with another prompt" in made.output
        assert len(server.asked) == 20


def test_more_measuring_is_worth_less_the_more_is_known_and_the_fewer_are_left():
    rng = np.random.default_rng(0)
    cost = np.array([1e-5, 1e-4])

    def worth(rows, left=1000, gap=0.1):
        utility = (rng.random((rows, 2)) < np.array([0.8, 0.8 + gap])).astype(float)
        return worth_of_more(utility, cost, 0.95, left)

    assert np.mean([worth(400) for _ in range(20)]) < 0.7 * np.mean([worth(40) for _ in range(20)])
    assert worth(40, left=0) == 0.0
    same = np.ones((30, 2))
    assert worth_of_more(same, cost, 1.0, 1000) == 0.0  # nothing is in doubt
    assert worth_of_more(same, cost, 1.0, 1000, routing=0.01) > 0.0
