"""An append-only JSONL file: whole lines, on the disk before anything goes on, and one writer at a time."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.files import lock


class Journal:
    """A JSONL file that is appended to.

    Parameters
    ----------
    path
        The file; made if it does not exist. A torn last line, left by a process that was killed, is dropped.

    Attributes
    ----------
    lines
        What it held when it was opened.

    Raises
    ------
    InputError
        If it cannot be written, another process writes it, or it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = io.FileIO(path, "a+")
        except OSError as error:
            raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
        try:
            lock(self._file, self.path, "the same output")
            self.lines = self._load()
        except BaseException:
            self._file.close()
            raise

    def append(self, lines: Iterable[dict[str, Any]]) -> None:
        """Write lines and wait until they are on the disk."""
        try:
            self._write("".join(json.dumps(line) + "\n" for line in lines).encode())
            os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(f"cannot write {str(self.path)!r}: {error.strerror or error}") from error

    def _write(self, data: bytes) -> None:
        """Write all of it; without a buffer, so that nothing is left to be written when the file is closed."""
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Close the file and let others write it."""
        with contextlib.suppress(OSError):  # on a full disk; append has said so
            self._file.close()

    def _load(self) -> list[dict[str, Any]]:
        self._file.seek(0)
        lines: list[dict[str, Any]] = []
        whole = 0
        for raw in io.BytesIO(self._file.read()):
            if not raw.endswith(b"\n"):
                break
            try:
                line = json.loads(raw)
            except (ValueError, RecursionError):
                line = None
            if not isinstance(line, dict):
                raise InputError(f"{str(self.path)!r} holds a line that no execution wrote: choose another output")
            lines.append(line)
            whole += len(raw)
        self._file.truncate(whole)
        return lines
