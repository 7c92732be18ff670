"""A real HTTP server that speaks the OpenAI protocol and answers by a prompt's slots; and a proxy that stands in."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np

from robatch.instances import Model, Problem
from robatch.proxies.tasks.prompts import Template
from robatch.proxies.tasks.queries import Query, write_queries

TEMPLATE = Template("Sort each message: good or bad.", (("Fine.", "good"),))
SHARED = len(TEMPLATE.render([]).split())
SLOT = re.compile(r'^Q(\d+): "(.*)"', re.MULTILINE)


class Server:
    """Counts what it is asked. Input tokens are words; an answer's text is its query's first word.

    `dear_in` and `dear_out` multiply token counts; calls of more than `readable` slots are malformed; after `die_after`
    calls the server's answers fail; of `flaky` calls one is refused with a 503, unbilled.
    """

    def __init__(self, dear_in=1.0, dear_out=1.0, readable=10_000, die_after=float("inf"), pause=0.0, flaky=0):
        self.dear_in, self.dear_out, self.readable = dear_in, dear_out, readable
        self.die_after, self.pause, self.flaky, self.refused = die_after, pause, flaky, 0
        self.asked: list[tuple[str, tuple[str, ...]]] = []  # model and texts of each call that was answered
        self.bill: list[tuple[str, int, int]] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._send(404, {})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, reply = outer.answer(body)
                self._send(status, reply)

            def _send(self, status, reply):
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def word(self, model, text, size):
        """Return the answer of a model to a text in a call of a size."""
        return text.split()[0]

    def answer(self, body):
        prompt = body["messages"][-1]["content"]
        texts = tuple(text for _, text in SLOT.findall(prompt))
        if self.pause:
            threading.Event().wait(self.pause)
        with self.lock:
            if len(self.asked) >= self.die_after:
                return 400, {"error": {"message": "gone"}}
            if self.flaky and (len(self.asked) + self.refused) % self.flaky == self.flaky - 1:
                self.refused += 1
                return 503, {"error": {"message": "busy"}}
            self.asked.append((body["model"], texts))
            words = sum(len(message["content"].split()) for message in body["messages"])
            tokens_in = int(words * self.dear_in)
            tokens_out = min(int(3 * len(texts) * self.dear_out), body["max_tokens"])
            self.bill.append((body["model"], tokens_in, tokens_out))
        cut = tokens_out < 3 * len(texts)
        lines = [f"A{i}: {self.word(body['model'], text, len(texts))}" for i, text in enumerate(texts, start=1)]
        text = "what?" if len(texts) > self.readable else "\n".join(lines[: tokens_out // 3])
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        choice["finish_reason"] = "length" if cut else "stop"
        usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
        reply = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"]}
        return 200, reply | {"choices": [choice], "usage": usage}


class Proxy:
    """Stands in for a `UtilityProxy` made from measurements: two models, the dear one better."""

    def __init__(self, url: str, sizes=(1, 4, 8)) -> None:
        common = {"context_window": 4096, "chat": True, "structured": "free", "server": url}
        self.models = [
            Model("small", 0.1, 0.4, SHARED, 4096, sizes),
            Model("large", 1.0, 4.0, SHARED, 4096, sizes),
        ]
        records = [{"name": m.name, "price_in": m.price_in, "price_out": m.price_out, **common} for m in self.models]
        task = {"name": "sort", "template": TEMPLATE.to_dict(), "grader": "auto", "max_output_tokens": 12}
        self.facts_ = SimpleNamespace(models=records, task=task)

    def to_problem(self, queries, robust=None):
        rows = len(queries)
        base = np.linspace(0.3, 0.7, rows)
        drop = np.array([1.0, 0.95, 0.8] * 2)[: len(self.models) * len(self.models[0].batch_sizes)]
        utility = np.column_stack([base] * 3 + [base + 0.3] * 3) * drop * (1.0 if robust is None else robust)
        words = np.array([len(query.text.split()) + 1.0 for query in queries])
        return Problem(
            self.models, words, np.full(rows, 3.0), utility, query_ids=[query.id for query in queries]
        )  # fmt: skip


def make_queries(path, rows=40, graded=True):
    queries = [
        Query(f"q{i}", f"{('good', 'bad')[i % 2]} number {i}", ("good", "bad")[i % 2] if graded else None, "choice",
              ("good", "bad"))
        for i in range(rows)
    ]  # fmt: skip
    write_queries(path, queries)
    return queries
