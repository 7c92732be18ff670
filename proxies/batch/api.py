"""Batches that a run hands over to servers' batch APIs, and follows to their end, maybe days later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from robatch.proxies.batch.results import FileCount, parse_results
from robatch.proxies.batch.server import OVER, BatchServer, Standing
from robatch.proxies.batch.session import BatchSession
from robatch.proxies.engines.engine import EngineFailure
from robatch.proxies.execution.calls import Batch

FIRST_POLL = 2.0
"""Seconds after which batches are asked for first."""
GROWTH = 1.5
"""By which each further wait is longer."""
MOST_POLL = 300.0
"""Seconds of the longest wait."""
MOST_FAILURES = 20  # polls in a row that a server may fail
MOST_DRY = 2  # batches of a model in a row without any answer, before it is given up


class ApiSession(BatchSession):
    """Uploads requests, begins batches and waits for them; `on_poll` is told where they stand."""

    way = "api"

    def __init__(self, *where: Any, on_poll: Callable[[str], None] | None = None, **options: Any) -> None:
        super().__init__(*where, **options)
        self._servers: dict[str, BatchServer] = {}
        self._on_poll = on_poll
        self._dry: dict[str, int] = {}  # by model
        self._failures: dict[str, EngineFailure] = {}  # for good, by model

    def work(self) -> None:
        """Follow the batches of earlier runs, and send what is left, until nothing is."""
        try:
            for batch in self.own():
                if batch.id is None:  # begun, perhaps, by a run that never heard of it
                    self._follow(batch, self._server(batch.model).find(batch.key))
            self.drain()
        finally:
            for server in self._servers.values():
                server.close()

    def prepare(self, model: int) -> None:
        """Refuse a model without a server."""
        self._server(self.routed.pool[model].name)

    def deliver(self, batch: Batch) -> None:
        """Upload a batch's requests, and begin it."""
        server = self._server(batch.model)
        address = self.requests(self._position(batch.model)).address
        try:
            file = server.upload(batch.file, self.lines(batch))
        except EngineFailure:
            self.give_back([batch], charged=False)
            raise
        try:
            id = server.create(file, address, batch.key)
        except EngineFailure as failure:
            if not failure.passes:  # refused
                self.give_back([batch], charged=False)
            raise
        self._follow(batch, id)

    def _follow(self, batch: Batch, id: str | None) -> None:
        """Write down a batch's id; one that its server does not know is handed over again."""
        if id is None:
            self.deliver(batch)
        else:
            self._record({"event": "submitted", "batch": batch.key, "id": id})

    def _server(self, name: str) -> BatchServer:
        if name not in self._servers:
            model = next(model for model in self.routed.pool if model.name == name)
            self._servers[name] = BatchServer(model, self.sending.timeout)
        return self._servers[name]

    def _wait(self) -> bool:
        """Wait until all batches of this way are over, and take their results in as they come."""
        wait, failures = FIRST_POLL, 0
        while batches := self.own():
            for batch in batches:
                try:
                    if self._poll(batch):
                        wait = FIRST_POLL
                    failures = 0
                except EngineFailure as failure:
                    failures += 1
                    if not failure.passes or failures >= MOST_FAILURES:
                        raise
            if self.own():
                time.sleep(wait)
                wait = min(wait * GROWTH, MOST_POLL)
        for name, reason in self._failures.items():
            if name not in self.state.out:
                self._give_up(self._position(name), reason)
        self._failures.clear()
        for model in range(len(self.routed.pool)):
            if self.state.queue:
                self._first(model).check()
        return not self.state.held

    def _poll(self, batch: Batch) -> bool:
        """Ask where a batch stands; take its results in where it is over."""
        assert batch.id is not None
        server = self._server(batch.model)
        standing = server.standing(batch.id)
        if self._on_poll is not None:
            self._on_poll(f"{batch.file}: {standing.status}, {standing.done} of {len(batch.held)} requests")
        if standing.status not in OVER:
            return False
        before = self._answered(self._position(batch.model))
        files = [server.download(file) for file in standing.files]
        lines = [line for data in files for line in data.splitlines(keepends=True)]
        self.take(lambda: parse_results(lines, FileCount(), batch.file))
        # Of a batch that came to its end every request was run, and may be billed where its result is missing.
        self.give_back([batch], charged=standing.status == "completed")
        self._judge(batch, standing, self._answered(self._position(batch.model)) > before)
        return True

    def _judge(self, batch: Batch, standing: Standing, answered: bool) -> None:
        """Find out whether a model of which a batch is over is of no more use."""
        why = self.collected.why.get(batch.model)
        self._dry[batch.model] = 0 if answered else self._dry.get(batch.model, 0) + 1
        if standing.status == "failed":
            why = f"its batch was refused: {standing.why or 'no reason was given'}"
        elif why is None and self._dry[batch.model] >= MOST_DRY:
            why = f"{self._dry[batch.model]} batches in a row gave no answer ({standing.status})"
        if why is not None and not answered:
            self._failures[batch.model] = EngineFailure(f"model {batch.model!r}: {why}; a rerun asks what is left")

    def _position(self, name: str) -> int:
        return next(i for i, model in enumerate(self.routed.pool) if model.name == name)
