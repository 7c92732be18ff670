"""A stand-in for a provider's batch API: it answers each request as `llm_server.Server` does, and can go wrong."""

from __future__ import annotations

import json
import random
import re
from urllib.parse import urlsplit

from tests.proxies.llm_server import Server


class BatchApi(Server):
    """Files and batches, kept in memory.

    Attributes
    ----------
    fault
        What happens to each request of a batch: a function of its line to None (it is answered) or a result's line.
    ends
        Status in which the next batches end, one after the other; ``"completed"`` then.
    lose
        Requests to create a batch, counted from 0, that are done and whose reply is an error.
    polls
        Times that a batch is asked for before it is over.
    """

    def __init__(self, fault=lambda line: None, ends=(), lose=(), polls=1, **options):
        super().__init__(**options)
        self.fault, self.ends, self.lose, self.left = fault, list(ends), lose, polls
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict] = {}
        self.uploads = self.creates = 0
        self.http.RequestHandlerClass = self._handler(self.http.RequestHandlerClass)

    def results(self, data: bytes, run=True) -> tuple[bytes, bytes]:
        """Answer a file of requests, in another order: lines with answers, and lines with errors."""
        good, bad = [], []
        for number, raw in enumerate(data.splitlines()):
            line = json.loads(raw)
            made = expired(line) if not run else self.fault(line)
            if made is None:
                status, body = self.answer(line["body"])
                made = {"id": f"r{number}", "custom_id": line["custom_id"], "error": None}
                made["response"] = {"status_code": status, "request_id": "x", "body": body}
            (good if (made["response"] or {}).get("status_code") == 200 else bad).append(
                json.dumps(made).encode() + b"\n"
            )
        random.Random(0).shuffle(good)
        return b"".join(good), b"".join(bad)

    def begin(self, body):
        id = f"batch_{len(self.batches)}"
        self.batches[id] = {
            "id": id, "object": "batch", "endpoint": body["endpoint"], "input_file_id": body["input_file_id"],
            "completion_window": "24h", "created_at": 0, "status": "in_progress", "metadata": body["metadata"],
        }  # fmt: skip
        self.batches[id]["polls"] = self.left
        return self.batches[id]

    def poll(self, id):
        batch = self.batches[id]
        if batch["status"] == "in_progress":
            batch["polls"] -= 1
            if batch["polls"] <= 0:
                batch["status"] = self.ends.pop(0) if self.ends else "completed"
                if batch["status"] == "failed":
                    batch["errors"] = {
                        "object": "list",
                        "data": [{"code": "token_limit_exceeded", "message": "too many"}],
                    }
                else:
                    good, bad = self.results(self.files[batch["input_file_id"]], batch["status"] == "completed")
                    for name, data in (("output", good), ("error", bad)):
                        if data:
                            batch[f"{name}_file_id"] = f"{name}_{id}"
                            self.files[f"{name}_{id}"] = data
        return batch

    def _handler(self, base):
        outer = self

        class Handler(base):
            def do_GET(self):  # noqa: N802
                path = urlsplit(self.path).path.removeprefix("/v1")
                if path == "/batches":
                    self._send(200, {"object": "list", "data": list(outer.batches.values())[::-1], "has_more": False})
                elif found := re.fullmatch(r"/batches/(\w+)", path):
                    self._send(200, outer.poll(found[1]))
                elif found := re.fullmatch(r"/files/(\w+)/content", path):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(outer.files[found[1]])))
                    self.end_headers()
                    self.wfile.write(outer.files[found[1]])
                else:
                    self._send(404, {})

            def do_POST(self):  # noqa: N802
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/files":
                    start = data.index(b"\r\n\r\n", data.index(b"filename=")) + 4
                    name = f"file_{outer.uploads}"
                    outer.uploads += 1
                    boundary = data[: data.index(b"\r\n")]
                    outer.files[name] = data[start : data.index(b"\r\n" + boundary, start)]
                    self._send(200, {"id": name, "object": "file", "bytes": 1, "created_at": 0, "filename": "x",
                                     "purpose": "batch", "status": "processed"})  # fmt: skip
                elif self.path == "/v1/batches":
                    batch = outer.begin(json.loads(data))
                    lost = outer.creates in outer.lose
                    outer.creates += 1
                    self._send(*((503, {"error": {"message": "busy"}}) if lost else (200, batch)))
                else:
                    self._send(*outer.answer(json.loads(data)))

        return Handler


def expired(line):
    error = {"code": "batch_expired", "message": "not executed before the batch expired"}
    return {"id": "x", "custom_id": line["custom_id"], "response": None, "error": error}


def refused(line, status=400, message="bad request"):
    response = {"status_code": status, "request_id": "x", "body": {"error": {"message": message}}}
    return {"id": "x", "custom_id": line["custom_id"], "response": response, "error": None}
