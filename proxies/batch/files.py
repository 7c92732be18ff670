"""Batches that the user hands over: files of requests are written, files of results read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from robatch.instances.errors import InputError
from robatch.instances.files import replacing
from robatch.proxies.batch.results import FileCount, Result, read_results
from robatch.proxies.batch.session import BatchSession
from robatch.proxies.execution.calls import Batch
from robatch.proxies.execution.sending import Sending
from robatch.proxies.execution.state import Execution

Missing = Literal["wait", "back", "lost"]
"""What becomes of calls without a result."""


class Unchanged(Sending):
    """The options of a run that sends nothing: budget and overrun stay those of the run before."""

    def limits(self, state: Execution) -> None:
        """Change nothing."""


class FileSession(BatchSession):
    """Writes files of requests into a folder, and takes files of results in."""

    def __init__(self, *where: Any, folder: Path | None = None, **options: Any) -> None:
        super().__init__(*where, **options)
        self._folder = folder
        self.written: list[tuple[Path, int]] = []  # files of this run, and how many requests each holds

    def deliver(self, batch: Batch) -> None:
        """Write a batch's file of requests."""
        assert self._folder is not None
        path = self._folder / batch.file
        with replacing(path) as temporary:
            temporary.write_bytes(self.lines(batch))
        self.written.append((path, len(batch.held)))

    def write(self, rewrite: bool) -> None:
        """Write the calls that fit; with `rewrite` also those that wait for results, in the files that had them."""
        for batch in self.own() if rewrite else ():
            self.deliver(batch)
        self.drain()

    def collect(self, files: Sequence[Path], missing: Missing) -> None:
        """Take the results of some files in; what has none waits, or its batches are over.

        Raises
        ------
        InputError
            If a file cannot be read, or none holds a result of this execution; then nothing is taken in.
        """
        for path in files:  # before anything is believed
            lines, ours = FileCount(), 0
            for result in read_results(path, lines):
                ours += result.key in self.state.batches
            if not ours and missing == "wait":
                held = "holds no results" if not lines.foreign else "holds results of something else"
                raise InputError(
                    f"{str(path)!r} {held}: lines with a custom_id of this execution's requests are needed"
                )
            self.collected.lines.cut += lines.cut
            self.collected.lines.unreadable += lines.unreadable
            self.collected.lines.foreign += lines.foreign

        def passes() -> Iterator[Result]:
            for path in files:
                yield from read_results(path, FileCount())

        self.take(passes)
        if missing != "wait":
            self.give_back(self.own(), charged=missing == "lost")
        self.collected.waiting = sum(len(batch.held) for batch in self.own())
        state = self.state
        if not (state.held or state.queue or state.finished or (state.unplanned and state.moved)):
            self.drain()  # to its end
        for model in range(len(self.routed.pool)):
            if state.queue:
                self._first(model).check()
