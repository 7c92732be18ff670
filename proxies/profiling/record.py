"""The append-only file of a run in progress: what was answered, kept whatever happens to the process."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from robatch.instances.errors import InputError
from robatch.instances.files import lock

_SYNC_EVERY = 0.2
"""Seconds in which lines may gather before the disk is waited for."""


class CallKey(NamedTuple):
    """A call of a run; `call` numbers the calls of the others together, from 0."""

    model: str
    task: str
    batch_size: int
    repeat: int
    call: int


class Record:
    """A JSONL file of answered calls, bound to one configuration.

    Its first line holds the configuration's hash; then comes one line per opened model and one per answered call.
    A line is handed to the system as soon as its call is answered, so that it outlives the process however that
    ends; the disk is waited for (fsync) a few times a second, and at the end. A torn last line, left by a process
    that was killed, is dropped when the file is opened again.

    Parameters
    ----------
    path
        The file; made if it does not exist.
    config_hash
        The hash of everything that the answers depend on.

    Attributes
    ----------
    calls
        The answered calls by key.
    opened
        What each model's engine told about itself, by model name, with ``shared_tokens``.
    """

    def __init__(self, path: Path, config_hash: str) -> None:
        self.path = path
        self.calls: dict[CallKey, dict[str, Any]] = {}
        self.opened: dict[str, dict[str, Any]] = {}
        self._synced = 0.0
        try:
            self._file = io.FileIO(path, "r+" if path.exists() else "x+")
        except OSError as error:
            raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
        try:
            lock(self._file, self.path, "the same output")
            self._load(config_hash)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file.closed:
            return
        if self.calls or self.opened:
            with contextlib.suppress(OSError):
                self._sync()
            with contextlib.suppress(OSError):
                self._file.close()
        else:  # nothing was answered: nothing to go on with
            self.remove()

    def append(self, line: dict[str, Any]) -> None:
        """Write one line.

        Raises
        ------
        InputError
            If it cannot be written, such as on a full disk.
        """
        try:
            data = (json.dumps(line) + "\n").encode()
            while data:  # without a buffer, so that nothing is left to be written when the file is closed
                data = data[self._file.write(data) :]
            if monotonic() - self._synced > _SYNC_EVERY:
                self._sync()
        except OSError as error:
            raise InputError(f"cannot write {str(self.path)!r}: {error.strerror or error}") from error
        self._take(line)

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = monotonic()

    def remove(self) -> None:
        """Delete the file: the run is over and its output written."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _load(self, config_hash: str) -> None:
        whole = 0
        lines: list[dict[str, Any]] = []
        self._file.seek(0)
        rest = io.BytesIO(self._file.read())
        for raw in rest:
            try:
                line = json.loads(raw) if raw.endswith(b"\n") else None
            except (ValueError, RecursionError):
                line = None
            if not isinstance(line, dict):
                break
            whole += len(raw)
            lines.append(line)
        if lines and rest.read(1):
            raise InputError(
                f"{str(self.path)!r} is damaged in line {len(lines) + 1}, and answers stand behind it: "
                "mend or remove that line, or delete the file"
            )
        if not lines:
            if self._file.seek(0, os.SEEK_END) > 0 and not self._is_torn_header():
                raise InputError(f"{str(self.path)!r} is not the record of a profiling run: delete or move it")
            self._file.truncate(0)
            self._file.seek(0)
            self.append({"robatch": "profile", "config_hash": config_hash})
            return
        if lines[0].get("robatch") != "profile":
            raise InputError(f"{str(self.path)!r} is not the record of a profiling run: delete or move it")
        if lines[0].get("config_hash") != config_hash:
            raise InputError(
                f"{str(self.path)!r} was begun with another configuration or other queries: "
                "choose another output, restore the configuration, or delete that file"
            )
        self._file.truncate(whole)
        self._file.seek(whole)
        for line in lines[1:]:
            self._take(line)

    def _is_torn_header(self) -> bool:
        self._file.seek(0)
        return b'{"robatch": "profile"'.startswith(self._file.read(21))

    def _take(self, line: dict[str, Any]) -> None:
        try:
            if "call" in line:
                self.calls[CallKey(*(line[name] for name in CallKey._fields))] = line
            elif "opened" in line:
                self.opened[line["opened"]] = line["about"]
        except (KeyError, TypeError) as error:
            raise InputError(f"{str(self.path)!r} holds a line that no profiling run wrote: {error!r}") from None
