"""The command: what works, and that every bad input ends in one sentence, exit code 2, and no file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from robatch.cli import main
from robatch.instances import Model, Problem, generate, read
from robatch.instances.problem_file import KEY
from robatch.proxies import Measurements
from robatch.solvers import Plan, solve

PRICES = "model,price_in,price_out\na,1,2\nb,3,4\n"
DEGRADATION = "model,batch_size,retention\n*,1,1.0\n*,4,0.9\n"
TABLE = "query_id,model,correct,input_tokens,output_tokens\n1,a,1,10,5\n1,b,0,10,5\n2,a,0,12,6\n2,b,1,12,6\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def problem(here: Path) -> Problem:
    made = generate("ties", queries=12, models=2, batch_sizes=(1, 4), seed=1)
    made.write("p.parquet")
    return made


def robatch(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(arguments: Sequence[object], words: str, code: int = 2) -> None:
    """Check that a command ends in one sentence with `words`, its exit code, no traceback and no new file."""
    before = sorted(Path().rglob("*"))
    result = robatch(*arguments)
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert sorted(Path().rglob("*")) == before


# ---- what works


def test_the_whole_way() -> None:
    done = robatch(
        "generate", "--family", "ties", "--queries", 50, "--models", 2, "--seed", 0, "-o", "p.parquet", "--json"
    )
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    problem = read("p.parquet")
    assert problem == generate("ties", 50, 2)
    assert (facts["queries"], facts["states"]) == (50, problem.n_states)
    assert facts["cheapest_budget"] == problem.cheapest_budget
    done = robatch("solve", "p.parquet", "--budget-fraction", 0.3, "--solver", "greedy", "-o", "plan.parquet", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    plan = Plan.read("plan.parquet")
    assert figures["utility"] == plan.utility == problem.total_utility(plan.assignment)
    assert sum(state["queries"] for state in figures["states"]) == 50
    done = robatch("verify", "p.parquet", "plan.parquet")
    assert done.exit_code == 0
    assert done.stdout.startswith("verified: ")


def test_solve_for_people(problem: Problem) -> None:
    done = robatch("solve", "p.parquet", "--budget", problem.budget_at(0.5))
    assert done.exit_code == 0, done.output
    assert f"{problem.budget_at(0.5):.6g} USD, realized cost" in done.stdout
    assert "over the budget" not in done.stdout


def test_solve_by_either_cost_and_with_more_effort(problem: Problem) -> None:
    solved = ["solve", "p.parquet", "--budget", problem.budget_at(0.5), "--json"]
    for options, cost in (([], "realized"), (["--cost", "amortized"], "amortized"), (["--effort", 2], "realized")):
        done = robatch(*solved, *options)
        assert done.exit_code == 0, done.output
        figures = json.loads(done.stdout)
        assert figures["cost"] == cost
        assert figures[f"{cost}_cost"] <= figures["budget"]


def test_solve_with_every_option(problem: Problem) -> None:
    solve(problem, problem.budget_at(0.5), cost="amortized").write("start.parquet")
    arguments = ["--solver", "highs", "--time-limit", 5, "--gap", 0.01, "--seed", 1, "--threads", 1]
    done = robatch(
        "solve", "p.parquet", "--budget-fraction", 0.5, *arguments, "--initial", "start.parquet",
        "--write-model", "model.mps", "-o", "plan.parquet", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["solver"] == "highs"
    assert "\nNAME" in Path("model.mps").read_text()[:600]


def test_a_bound_without_a_plan_is_an_answer(problem: Problem) -> None:
    done = robatch("solve", "p.parquet", "--budget-fraction", 0.5, "--solver", "lp", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["bound"] > 0


def test_one_query_is_a_problem() -> None:
    assert robatch("generate", "--queries", 1, "-o", "one.parquet").exit_code == 0
    assert robatch("solve", "one.parquet", "--budget-fraction", 1, "-o", "plan.parquet").exit_code == 0
    assert robatch("verify", "one.parquet", "plan.parquet").exit_code == 0


def test_import() -> None:
    Path("t.csv").write_text(TABLE)
    Path("prices.csv").write_text(PRICES)
    Path("loss.csv").write_text(DEGRADATION)
    done = robatch(
        "import", "t.csv", "--prices", "prices.csv", "--degradation", "loss.csv", "--shared-tokens", 100,
        "--batch-sizes", "1,4", "--models", "b,a", "-o", "p.parquet", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["models"] == ["b", "a"]
    assert read("p.parquet").models[0].batch_sizes == (1, 4)


def test_import_of_measurements() -> None:
    pool = {"name": "a", "price_in": 1.0, "price_out": 2.0, "context_window": 4096, "batch_sizes": [1, 2]}
    facts = {
        "task": "t", "model": "a", "repeat": 0, "call_size": 1, "position": 0, "parsed": True,
        "answer": "7", "input_tokens": 10.0, "output_tokens": 2.0, "call_input_tokens": 60, "call_output_tokens": 2,
        "shared_tokens": 50, "seconds": 0.1, "finish_reason": "stop", "error": None,
    }  # fmt: skip
    rows = [
        {**facts, "query_id": query, "batch_size": size, "call": call, "score": float(size == 1)}
        for size in (1, 2)
        for call, query in enumerate(("x", "y"))
    ]
    run = {"kind": "measurements", "format": 2, "repeats": 1}
    tasks = [{"name": "t", "queries": 2}, {"name": "u", "queries": 2}]
    one = {**run, "tasks": tasks[:1], "models": [{**pool, "shared_tokens": {"t": 50}}]}
    Measurements.from_rows(rows, one).write("m.parquet")
    done = robatch("import", "m.parquet", "-o", "p.parquet")
    assert done.exit_code == 0, done.output
    assert read("p.parquet") == Measurements.read("m.parquet").to_problem()
    refused(["import", "m.parquet", "--prices", "prices.csv", "-o", "q.parquet"], "need no prices")
    more = [{**row, "task": "u", "query_id": row["query_id"] * 2} for row in rows]
    two = {**run, "tasks": tasks, "models": [{**pool, "shared_tokens": {"t": 50, "u": 70}}]}
    Measurements.from_rows(rows + more, two).write("two.parquet")
    assert robatch("import", "two.parquet", "--task", "t", "-o", "t.parquet").exit_code == 0
    assert read("t.parquet") == read("p.parquet")
    refused(["import", "two.parquet", "-o", "q.parquet"], "name one: t, u")
    refused(["import", "t.csv", "--prices", "prices.csv", "--task", "t", "-o", "q.parquet"], "--task")


def test_bench_gap(problem: Problem) -> None:
    arguments = ["bench", "gap", "--instance", "p.parquet", "--instance", "ties:6", "--fractions", "0.2,0.6"]
    arguments += ["--solvers", "greedy,pareto", "--cost", "amortized", "--cost", "realized", "-o", "out"]
    done = robatch(*arguments)
    assert done.exit_code == 0, done.output
    assert "greedy" in done.stdout
    assert {path.name for path in Path("out").iterdir()} >= {"results.csv", "gap.png", "runtime.png", "report.html"}
    done = robatch(*arguments, "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["rows"]) == 2 * 2 * 2 * 2
    refused([*arguments, "--seed", 1], "--fresh")
    assert robatch(*arguments, "--seed", 1, "--fresh").exit_code == 0


def test_bench_gap_on_a_table() -> None:
    Path("t.csv").write_text(TABLE)
    Path("prices.csv").write_text(PRICES)
    table = ["--table", "t.csv", "--prices", "prices.csv", "--shared-tokens", 100]
    done = robatch("bench", "gap", *table, "--solvers", "greedy", "--fractions", 0.5, "-o", "out", "--json")
    assert done.exit_code == 0, done.output
    assert [(row["instance"], row["cost"]) for row in json.loads(done.stdout)["rows"]] == [("t", "realized")]


def test_bench_gap_compares_on_the_paper_s_problem_unless_told_otherwise() -> None:
    quick = ["bench", "gap", "--quick", "--solvers", "greedy", "--fractions", 0.5, "--json"]
    for options, cost in (([], "amortized"), (["--cost", "realized"], "realized")):
        done = robatch(*quick, *options, "-o", cost)
        assert done.exit_code == 0, done.output
        assert {row["cost"] for row in json.loads(done.stdout)["rows"]} == {cost}


def test_solvers_and_version() -> None:
    assert "greedy" in robatch("solvers").stdout
    names = {entry["name"] for entry in json.loads(robatch("solvers", "--json").stdout)}
    assert {"greedy", "highs", "cpsat"} <= names
    versions = json.loads(robatch("version", "--json").stdout)
    assert versions["packages"]["highspy"]
    assert "ortools" in robatch("version").stdout


@pytest.mark.parametrize("name", sorted(main.commands))
def test_help(name: str) -> None:
    assert robatch(name, "--help").exit_code == 0


# ---- answers that are no


def test_an_infeasible_budget(problem: Problem) -> None:
    refused(["solve", "p.parquet", "--budget", 1e-9, "-o", "plan.parquet"], "below the cheapest plan", code=1)


def test_a_lie(problem: Problem) -> None:
    solve(problem, problem.budget_at(0.5), cost="amortized").write("plan.parquet")
    table = pq.read_table("plan.parquet")
    meta = json.loads(table.schema.metadata[KEY])
    meta["utility"] += 1
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(meta)}), "lie.parquet")
    refused(["verify", "p.parquet", "lie.parquet"], "utility is said to be", code=1)
    assert json.loads(robatch("verify", "p.parquet", "lie.parquet", "--json").stdout)["verified"] is False


def test_a_plan_of_another_problem(problem: Problem) -> None:
    generate("ties", queries=12, models=3).write("other.parquet")
    solve(problem, problem.budget_at(0.5), cost="amortized").write("plan.parquet")
    refused(["verify", "other.parquet", "plan.parquet"], "made for another one", code=1)


# ---- bad input


@pytest.mark.parametrize("budget", ["-1", "nan", "inf", "-inf"])
def test_bad_budgets(problem: Problem, budget: str) -> None:
    refused(["solve", "p.parquet", f"--budget={budget}", "-o", "plan.parquet"], "budget is")


@pytest.mark.parametrize("fraction", ["-0.1", "1.1", "nan", "inf"])
def test_bad_fractions(problem: Problem, fraction: str) -> None:
    refused(["solve", "p.parquet", f"--budget-fraction={fraction}"], "budget fraction is")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "exactly one"),
        (["--budget", 1, "--budget-fraction", 0.5], "exactly one"),
        (["--budget", "much"], "'much'"),
        (["--budget", 1, "--solver", "nix"], "solver is 'nix'"),
        (["--budget", 1, "--cost", "free"], "'free'"),
        (["--budget", 1, "--time-limit", "nan"], "time_limit is nan"),
        (["--budget", 1, "--time-limit", 0], "time_limit is 0"),
        (["--budget", 1, "--gap", 1.5], "gap is 1.5"),
        (["--budget", 1, "--seed", -1], "seed is -1"),
        (["--budget", 1, "--threads", 0], "threads is 0"),
        (["--budget", 1, "--initial", "p.parquet"], "a plan is needed"),
        (["--budget", 1, "--write-model", "model.txt"], ".mps"),
    ],
)
def test_bad_options(problem: Problem, options: list[object], words: str) -> None:
    refused(["solve", "p.parquet", *options], words)


@pytest.mark.parametrize(
    "arguments",
    [
        ["solve", "nowhere.parquet", "--budget", 1],
        ["verify", "nowhere.parquet", "nowhere.parquet"],
        ["import", "nowhere.csv", "--prices", "nowhere.csv", "--shared-tokens", 1, "-o", "p.parquet"],
        ["profile", "nowhere.toml", "-o", "m.parquet"],
        ["bench", "gap", "--instance", "nowhere.parquet", "-o", "out"],
        ["bench", "gap", "--table", "nowhere.csv", "--prices", "nowhere.csv", "-o", "out"],
    ],
)
def test_missing_files(arguments: list[object]) -> None:
    refused(arguments, "nowhere")


def test_truncated_and_foreign_files(problem: Problem) -> None:
    whole = Path("p.parquet").read_bytes()
    Path("short.parquet").write_bytes(whole[: len(whole) // 2])
    Path("empty.parquet").write_bytes(b"")
    Path("text.parquet").write_text("no parquet")
    pq.write_table(pa.table({"a": [1]}), "foreign.parquet")
    solve(problem, problem.budget_at(0.5), cost="amortized").write("plan.parquet")
    for name in ("short", "empty", "text", "foreign", "plan"):
        refused(["solve", f"{name}.parquet", "--budget", 1, "-o", "out.parquet"], f"{name}.parquet")
    for name in ("short", "empty", "text", "foreign", "p"):
        refused(["verify", "p.parquet", f"{name}.parquet"], f"{name}.parquet")
    refused(["bench", "gap", "--instance", "short.parquet", "-o", "out"], "short.parquet")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [("utility|model-1|1", np.nan, "utility[0, 0] is nan"), ("input_tokens", -1.0, "input_tokens[0, 0] is -1")],
)
def test_bad_cells_of_a_problem_file(problem: Problem, column: str, value: float, words: str) -> None:
    table = pq.read_table("p.parquet")
    cells = table[column].to_numpy().copy()
    cells[0] = value
    table = table.set_column(table.column_names.index(column), column, pa.array(cells))
    pq.write_table(table, "bad.parquet")
    refused(["solve", "bad.parquet", "--budget", 1], words)


def test_bad_metadata_of_a_problem_file() -> None:
    pool = [Model("a", 1, 1, batch_sizes=(1,)), Model("b", 1, 1, batch_sizes=(1,))]
    Problem(pool, [1.0, 1.0], [1.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], query_ids=["x", "y"]).write("p.parquet")
    table = pq.read_table("p.parquet")

    def write(table: pa.Table, **price: float) -> None:
        meta = json.loads(table.schema.metadata[KEY])
        meta["models"][0].update(price)
        pq.write_table(table.replace_schema_metadata({KEY: json.dumps(meta)}), "bad.parquet")

    write(table, price_in=-1.0)
    refused(["solve", "bad.parquet", "--budget", 1], "price_in of model 'a' is -1")
    place = table.column_names.index("query_id")
    write(table.set_column(place, "query_id", pa.array(["x", "x"])))
    refused(["solve", "bad.parquet", "--budget", 1], "'x' more than once")
    write(table.slice(0, 0))
    refused(["solve", "bad.parquet", "--budget", 1], "at least one query")


def test_a_state_that_the_problem_does_not_have(problem: Problem) -> None:
    solve(problem, problem.budget_at(0.5), cost="amortized").write("plan.parquet")
    table = pq.read_table("plan.parquet")
    states = table["state"].to_numpy().copy()
    states[0] = 99
    pq.write_table(table.set_column(table.column_names.index("state"), "state", pa.array(states)), "bad.parquet")
    refused(["solve", "p.parquet", "--budget-fraction", 0.5, "--initial", "bad.parquet"], "99")


@pytest.mark.parametrize(
    ("table", "prices", "words"),
    [
        (TABLE.replace("2,b,1,12,6\n", ""), PRICES, "t.csv"),
        (TABLE.replace("2,b,1,12,6", "2,b,,12,6"), PRICES, "t.csv"),
        (TABLE.replace("2,b,1,12,6", "2,b,nan,12,6"), PRICES, "t.csv"),
        (TABLE + "2,b,1,12,6\n", PRICES, "t.csv"),
        (TABLE.splitlines()[0] + "\n", PRICES, "no rows"),
        ("", PRICES, "t.csv"),
        (TABLE, PRICES.replace("b,3,4\n", ""), "no price of 'b'"),
        (TABLE, PRICES.replace("3", "-3"), "'price_in' of the price table 'prices.csv' is -3 in the row of model 'b'"),
        (TABLE, PRICES.replace("3", "nan"), "price_in of model 'b'"),
    ],
)
def test_bad_tables(table: str, prices: str, words: str) -> None:
    Path("t.csv").write_text(table)
    Path("prices.csv").write_text(prices)
    options = ["--prices", "prices.csv", "--shared-tokens", 10]
    refused(["import", "t.csv", *options, "-o", "p.parquet"], words)
    refused(["bench", "gap", "--table", "t.csv", *options, "-o", "out"], words)


@pytest.mark.parametrize("output", ["t.csv", "./prices.csv", "curve.csv"])
def test_what_is_read_is_not_replaced(output: str) -> None:
    files = {"t.csv": TABLE, "prices.csv": PRICES, "curve.csv": "model,batch_size,retention\n*,2,0.9\n"}
    for name, text in files.items():
        Path(name).write_text(text)
    options = ["--prices", "prices.csv", "--degradation", "curve.csv", "--shared-tokens", 10]
    refused(["import", "t.csv", *options, "-o", output], "which is read here: another file is needed")
    assert {name: Path(name).read_text() for name in files} == files


@pytest.mark.parametrize("option", ["--prices", "--input-tokens", "--duplicates", "--batch-sizes", "--model-column"])
def test_measurements_take_no_options_of_tables(option: str) -> None:
    Path("prices.csv").write_text(PRICES)
    table = pa.table({"task": ["x"]}).replace_schema_metadata({"robatch": '{"kind": "measurements"}'})
    pq.write_table(table, "m.parquet")
    value = {"--prices": "prices.csv", "--duplicates": "error"}.get(option, "1")
    refused(
        ["import", "m.parquet", option, value, "-o", "p.parquet"], "holds measurements, which need no prices or other"
    )


def test_a_table_without_prices() -> None:
    Path("t.csv").write_text(TABLE)
    refused(["import", "t.csv", "-o", "p.parquet"], "--prices")


@pytest.mark.parametrize("output", ["missing/x.parquet", ".", "/proc/x.parquet", "p.parquet/x.parquet"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "--queries", 5],
        ["import", "t.csv", "--prices", "prices.csv", "--shared-tokens", 1],
        ["solve", "p.parquet", "--budget", 1],
        ["profile", "config.toml"],
    ],
)
def test_unwritable_outputs(problem: Problem, arguments: list[object], output: str) -> None:
    refused([*arguments, "-o", output], "cannot write")


@pytest.mark.parametrize("output", ["/proc/results", "p.parquet", "p.parquet/results"])
def test_unwritable_folders(problem: Problem, output: str) -> None:
    refused(["bench", "gap", "--instance", "p.parquet", "--solvers", "greedy", "-o", output], "cannot write")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--family", "nix"], "family is 'nix'"),
        (["--queries", 0], "queries is 0"),
        (["--models", -1], "models is -1"),
        (["--batch-sizes", "1,x"], "'1,x'"),
        (["--batch-sizes", "0"], "batch_sizes"),
        (["--batch-sizes", "2,2"], "batch_sizes"),
        (["--seed", -1], "seed is -1"),
    ],
)
def test_bad_generation(arguments: list[object], words: str) -> None:
    refused(["generate", *arguments, "-o", "p.parquet"], words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fractions", "0.1,2"], "budget fraction is 2"),
        (["--fractions", "nan"], "budget fraction is nan"),
        (["--fractions", "a"], "'a'"),
        (["--solvers", "greedy,nix"], "solver is 'nix'"),
        (["--time-limit", "-1"], "time_limit is -1"),
        (["--instance", "p.parquet"], "given twice"),
        (["--prices", "prices.csv"], "--table"),
    ],
)
def test_bad_benchmarks(problem: Problem, arguments: list[object], words: str) -> None:
    refused(["bench", "gap", "--instance", "p.parquet", *arguments, "-o", "out"], words)


def test_unknown_commands() -> None:
    refused(["nix"], "nix")


# ---- a real process


def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "robatch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **more)  # type: ignore[call-overload, no-any-return]


def test_process(problem: Problem) -> None:
    done = run("solve", "p.parquet", "--budget", "nan")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: budget is nan: a finite number of USD of at least 0 is needed\n"
    done = run("solve", "p.parquet", "--budget-fraction", "0.5", "--solver", "highs", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "optimal"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interruption_keeps_the_rows(here: Path) -> None:
    code = (
        "import os, signal\nfrom robatch.solvers import Answer, Solver, register\n"
        "def stop(request):\n"
        "    if request.time_limit > 1: os.kill(os.getpid(), signal.SIGINT)  # not while it is warmed up\n"
        "    return Answer(request.problem.cheapest_assignment)\n"
        "register(Solver('stop', 'interrupts', stop))\n"
        "from robatch.cli import main\nmain()\n"
    )
    arguments = ["bench", "gap", "--instance", "ties:6", "--solvers", "cheapest,stop", "--fractions", "0.5"]
    arguments += ["-o", "out"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 130
    assert "the same command continues" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir("out") == ["rows.jsonl"]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_closed_pipe_is_quiet() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "robatch", "version"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(60)
    process.stderr.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "-o", "x" * 300 + ".parquet"], "cannot write"),
        (["generate", "--queries", "99999999999999999999", "-o", "a.parquet"], "queries is 99999999999999999999"),
        (["generate", "--batch-sizes", "1,1000000000000000000000", "-o", "a.parquet"], "batch_sizes"),
        (["solve", "measured", "--budget-fraction", "0.3", "--threads", "99999999999"], "threads is 99999999999"),
        (["solve", "measured", "--budget-fraction", "0.3", "--time-limit", "1e15"], "time_limit is 1"),
        (["solve", "measured", "--budget-fraction", "0.3", "--effort", "0.5"], "effort is 0.5"),
        (
            ["solve", "measured", "--budget-fraction", "0.3", "--effort", "2", "--solver", "highs"],
            "'highs' takes only 1",
        ),
        (
            ["solve", "measured", "--budget-fraction", "0.3", "--effort", "2", "--cost", "amortized"],
            "'exact', which 'auto' stands for under amortized cost, takes only 1",
        ),
        (["solve", "measured", "--budget-fraction", "0.3", "--cost", "paid"], "paid"),
        (["solve", "measured", "--budget-fraction", "0.3", "--solver", "none", "--write-model", "m.mps"], "'none'"),
        (["solve", ".", "--budget", "1"], "directory"),
        (["bench", "gap", "--instance", "x" * 300, "-o", "out"], "x" * 40),
        (["bench", "gap", "--instance", "measured", "--fractions", ",", "-o", "out"], "fraction"),
    ],
)
def test_extreme_arguments_are_one_sentence(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(arguments, words)


@pytest.mark.parametrize(
    ("name", "text"), [("prices.json", "[" * 3_000), ("prices.json", '{"m": {"price_in": ' + "9" * 400)]
)
def test_extreme_files_are_one_sentence(name, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("query_id,model,correct,input_tokens,output_tokens\n01,m,1,10,5\n1,m,0,10,5\n")
    Path(name).write_text(text)
    refused(["import", "t.csv", "--prices", name, "--shared-tokens", 10, "-o", "p.parquet"], "prices.json")


def test_ids_that_look_like_numbers_stay_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("query_id,model,correct,input_tokens,output_tokens\n01,m,1,10,5\n1,m,0,10,5\n")
    Path("prices.csv").write_text("model,price_in,price_out\nm,1,2\n")
    result = robatch("import", "t.csv", "--prices", "prices.csv", "--shared-tokens", 10, "-o", "p.parquet")
    assert result.exit_code == 0, result.output
    assert read("p.parquet").query_ids.tolist() == ["01", "1"]


def test_failed_runs_of_a_benchmark_are_an_exit_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = ["--instance", "realistic:100", "--solvers", "greedy,brute-force", "--fractions", "0.3", "-o", "out"]
    result = robatch("bench", "gap", *chosen)
    assert result.exit_code == 1
    assert "1 of 2 runs failed" in result.stderr
    assert Path("out/results.csv").exists()
