"""Files are written whole or not at all, and read as text in UTF-8; what cannot be raises an `InputError`."""

from __future__ import annotations

import codecs
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from robatch.instances.errors import InputError, first_line, why_unreadable

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_SMALL = 2**20
"""Bytes of a file that Arrow reads as fast without threads."""


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


def threads_pay(file: IO[bytes]) -> bool:
    """Whether Arrow should read an open file in threads: not a small one.

    A process that ends while Arrow's threads are starting, as a command does whose options are refused, is aborted
    ("terminate called without an active exception", about 1 in 20 with pyarrow 26.0.1 on a machine with two cores).
    """
    return os.fstat(file.fileno()).st_size > _SMALL


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


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """Read a text file in UTF-8, or in UTF-16 if it begins with that byte-order mark; the mark itself is dropped.

    Raises
    ------
    InputError
        If it cannot be read or is not such text. The message says `what` it should have been.
    """
    name = os.fspath(path)
    try:
        content = Path(path).read_bytes()
        return content.decode("utf-16" if content.startswith(UTF16) else "utf-8-sig")
    except OSError as error:
        why = why_unreadable(error)
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    except ValueError as error:  # a path with a null character
        why = str(error)
    raise InputError(f"cannot read {what} {name!r}: {why}")


def parse_json(text: str) -> Any:
    """Return the value of a JSON text in which no object has a key twice.

    Raises
    ------
    ValueError
        If it is not, with the reason in a few words.
    """
    try:
        if text.startswith("{"):  # as most lines do, where nothing is to be skipped
            value, end = _DECODER.raw_decode(text)
            if end == len(text):
                return value
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(error.msg if error.lineno == 1 else f"{error.msg} in line {error.lineno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:  # a doubled key, or a number of very many digits
        raise ValueError(first_line(error)) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return made


_DECODER = json.JSONDecoder(object_pairs_hook=_object)  # making one takes longer than a line does
