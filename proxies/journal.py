"""An append-only JSONL file: whole lines, kept whatever happens to the process, and one writer at a time."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.files import lock

Line = dict[str, Any]


class Journal:
    """A JSONL file that is appended to.

    A line is handed to the system at once, so that it outlives the process however that ends. A torn last line, left
    by a process that was killed, is dropped when the file is opened; damage before it is refused.

    Parameters
    ----------
    path
        The file; made if it does not exist.
    begins
        What its first line begins with. A file that begins otherwise is somebody else's, and is refused.
    sync_every
        Seconds in which lines may gather before the disk is waited for (fsync). With 0 it is waited for at every
        append, so that lines outlive a crash of the machine too; `append` can be told to wait.

    Raises
    ------
    InputError
        If it cannot be written, another process writes it, or it is somebody else's.
    """

    def __init__(self, path: Path, begins: str = "{", sync_every: float = 0.0) -> None:
        self.path = path
        self._sync_every, self._synced, self._waiting = sync_every, 0.0, False
        try:
            self._file = io.FileIO(path, "a+")
        except OSError as error:
            raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
        try:
            lock(self._file, path, "the same output")
            self._drop_torn_line(begins.encode())
        except BaseException:
            self._file.close()
            raise

    def append(self, lines: Iterable[Line], wait: bool = False) -> None:
        """Write lines; `wait` for the disk in any case.

        Raises
        ------
        InputError
            If they cannot be written, such as on a full disk.
        """
        try:
            data = "".join(json.dumps(line) + "\n" for line in lines).encode()
            while data:  # without a buffer, so that nothing is left to be written when the file is closed
                data = data[self._file.write(data) :]
            self._waiting = True
            if wait or monotonic() - self._synced >= self._sync_every:
                self._sync()
        except OSError as error:
            raise InputError(f"cannot write {str(self.path)!r}: {error.strerror or error}") from error

    def lines(self) -> Iterator[Line]:
        """Yield what the file holds, as `read_lines` does."""
        return read_lines(self.path)

    def keep(self, lines: int) -> None:
        """Drop all lines but the first ones."""
        whole = 0
        with self.path.open("rb") as file:
            for _, raw in zip(range(lines), file, strict=False):
                whole += len(raw)
        if whole < self._file.seek(0, os.SEEK_END):
            self._file.truncate(whole)

    def close(self) -> None:
        """Wait for the disk, close the file and let others write it."""
        with contextlib.suppress(OSError):  # on a full disk; append has said so
            if self._waiting:
                self._sync()
        with contextlib.suppress(OSError):
            self._file.close()

    def remove(self) -> None:
        """Delete the file."""
        self._waiting = False
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced, self._waiting = monotonic(), False

    def _drop_torn_line(self, begins: bytes) -> None:
        self._file.seek(0)
        start = self._file.read(len(begins))
        if start != begins[: len(start)]:
            raise InputError(f"{str(self.path)!r} was written by something else: choose another output")
        whole = 0
        with self.path.open("rb") as file:
            for raw in file:
                whole += len(raw) if raw.endswith(b"\n") else 0
        if whole < self._file.seek(0, os.SEEK_END):
            self._file.truncate(whole)


def take_in(path: Path, take: Callable[[Line], object]) -> None:
    """Hand the lines of a journal to `take`, one by one; a line that it fails on is damaged."""
    for number, line in enumerate(read_lines(path), start=1):
        try:
            take(line)
        except InputError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _damaged(path, number) from error


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a journal without writing it; a torn last line is passed over.

    Raises
    ------
    InputError
        If it cannot be read or a line is damaged.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.endswith(b"\n"):
                    return
                try:
                    line = json.loads(raw)
                except (ValueError, RecursionError):
                    line = None
                if not isinstance(line, dict):
                    raise _damaged(path, number)
                yield line
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _damaged(path: Path, number: int) -> InputError:
    return InputError(f"{str(path)!r} is damaged in line {number}: mend or remove that line, or choose another output")
