"""Requests written as files, answered by vLLM's own ``run_batch``, and taken in again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from robatch.proxies.batch.run import collect, write_requests
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.sending import Sending
from robatch.proxies.journal import read_lines
from tests.proxies.llm_server import Proxy, make_queries

pytestmark = pytest.mark.vllm


def test_requests_go_through_run_batch(model, tmp_path):
    proxy = Proxy("http://127.0.0.1:9/v1")
    for record in proxy.facts_.models:
        record["structured"] = True
    make_queries(tmp_path / "q.jsonl", 12)
    routed = route(tmp_path / "q.jsonl", proxy, budget_fraction=0.3)
    written, files = write_requests(routed, tmp_path / "requests", tmp_path / "a.jsonl", Sending(overrun=1.0))
    assert written.waiting == 12
    requests, results = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    requests.write_bytes(b"".join(path.read_bytes() for path, _ in files))
    command = [sys.executable, "-m", "vllm.entrypoints.openai.run_batch", "-i", str(requests), "-o", str(results)]
    command += ["--model", str(model), "--served-model-name", "small", "large", "--dtype", "bfloat16"]
    command += ["--max-model-len", "2048", "--max-num-seqs", "8", "--enforce-eager"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    made, seen = collect(routed, tmp_path / "a.jsonl", [results])
    assert made.complete
    assert seen.answered == sum(count for _, count in files) == made.calls
    assert (made.answered, made.unread, made.waiting, made.reserved) == (12, 0, 0, 0)
    assert made.graded == 12
    assert not made.uncounted, "vLLM counts the tokens of every answer"
    prices = {"small": (0.1, 0.4), "large": (1.0, 4.0)}
    asked = {line["custom_id"]: prices[line["body"]["model"]] for line in read_lines(requests)}  # vLLM names the first
    billed = 0.0
    for line in read_lines(results):
        (price_in, price_out), usage = asked[line["custom_id"]], line["response"]["body"]["usage"]
        billed += price_in * usage["prompt_tokens"] + price_out * usage["completion_tokens"]
    assert made.billed == pytest.approx(billed * 1e-6)
