"""Files are written whole or not at all; what cannot be written raises an `InputError`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from robatch.instances.errors import InputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well.

    Raises
    ------
    InputError
        If the file cannot be written there.
    """
    target = Path(path)
    if os.path.isdir(target):
        raise InputError(f"cannot write {str(target)!r}: it is a directory, a file path is needed")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.touch()  # says why it cannot be written, where Arrow's own message would be long
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def lock(file: IO[bytes], path: Path, run: str) -> None:
    """Refuse a second process that appends to an open file; where the system has no such locks, trust the user.

    Messages name the `path`, and as `run` what else may be writing it, such as "the same output".
    """
    with suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{str(path)!r} is being written by another run of {run}") from None
