"""Profile, fit, route, execute through the commands and real vLLM, whose server crashes on the way and comes back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from robatch.proxies import Measurements, RoutedPlan, generate_task, write_queries

pytestmark = pytest.mark.vllm

CONCURRENCY = 2
CONFIG = """
[[tasks]]
name = "reviews"
file = "measured.jsonl"
instructions = "Is the author of each product review content? Answer positive or negative."

[run]
batch_sizes = [1, 4, 8]
concurrency = %d

[[models]]
name = "small"
server = "%s"
model = "small"
price_in = 0.1
price_out = 0.4
context_window = 2048
structured = true
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "robatch", *map(str, arguments)]


def robatch(folder: Path, *arguments: object) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def crash(folder: Path, server, kept: Path, lines: int, *arguments: object) -> list[bytes]:
    """Run a command, kill the server when `kept` has so many lines, and return the lines that are whole."""
    running = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True, cwd=folder)
    while not kept.exists() or kept.read_bytes().count(b"\n") < lines:
        assert running.poll() is None, f"it ended before the crash: {running.communicate()[1]}"
        time.sleep(0.01)
    server.kill()
    said = running.communicate()[1]
    assert running.returncode == 2, said
    assert server.url in said
    assert "Traceback" not in said
    return [line for line in kept.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def test_profile_fit_route_execute_with_crashes(vllm_server, tmp_path):
    measured, arriving = generate_task("reviews", 48, 3), generate_task("reviews", 60, 9)
    write_queries(tmp_path / "measured.jsonl", measured)
    write_queries(tmp_path / "arriving.jsonl", arriving)
    (tmp_path / "config.toml").write_text(CONFIG % (CONCURRENCY, vllm_server.url), encoding="utf-8")

    profile = ("profile", "config.toml", "-o", "measured.parquet")
    part = tmp_path / "measured.parquet.part.jsonl"
    before = crash(tmp_path, vllm_server, part, 20, *profile)
    vllm_server.start()
    robatch(tmp_path, *profile)
    rows = Measurements.read(tmp_path / "measured.parquet").table.to_pylist()
    assert len(rows) == 3 * 48
    known = [json.loads(line) for line in before]
    known = [line for line in known if "call" in line]
    assert known
    assert len(known) < 48 + 12 + 6, "the crash came before the end"
    for line in known:  # what was paid before the crash is kept as it was
        same = [row for row in rows if (row["batch_size"], row["call"]) == (line["batch_size"], line["call"])]
        assert [row["answer"] for row in sorted(same, key=lambda row: row["position"])] == line["answers"]
        assert {row["seconds"] for row in same} == {line["seconds"]}

    robatch(tmp_path, "fit", "measured.parquet", "--queries", "measured.jsonl", "-o", "proxy.skops")
    robatch(
        tmp_path, "route", "arriving.jsonl", "--proxy", "proxy.skops", "--budget-fraction", 0.6, "-o", "plan.parquet"
    )

    plan = RoutedPlan.read(tmp_path / "plan.parquet")
    overrun = plan.planned_cost  # calls lost in the crash are charged in full, and all queries are to be answered
    options = ("--concurrency", CONCURRENCY, "--overrun", overrun)
    execute = ("execute", "plan.parquet", "-o", "answers.jsonl", *options)
    answers = tmp_path / "answers.jsonl"
    before = crash(tmp_path, vllm_server, answers, 4, *execute)
    vllm_server.start()
    report = json.loads(robatch(tmp_path, *execute, "--json"))
    lines = answers.read_bytes().splitlines(keepends=True)
    assert lines[: len(before)] == before, "answers before the crash stay"
    given = Counter(json.loads(line)["id"] for line in lines)
    assert given == Counter(query.id for query in arriving), "every query is answered once"
    assert report["unanswered"] == 0
    assert report["lost_calls"] <= CONCURRENCY, "only calls in flight may be paid twice"
    assert report["billed"] + report["lost"] <= report["budget"] + overrun
    assert plan.planned_cost <= report["budget"]
    again = json.loads(robatch(tmp_path, *execute, "--json"))
    assert again["billed"] == report["billed"], "a finished run sends nothing"
