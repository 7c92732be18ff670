"""The files of a table in parts: one file, a folder, or a pattern; folders named ``key=value`` are columns."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from urllib.parse import unquote

from robatch.instances.errors import InputError
from robatch.instances.table_files import SUFFIXES

_HIDDEN = (".", "_")  # how files of markers and of unfinished writes begin


def parts_of(source: str | os.PathLike[str]) -> list[tuple[Path, dict[str, str]]]:
    """Return the files of a table in the order of their names, each with the values that its folders name.

    Parameters
    ----------
    source
        A file; a folder, whose files at any depth are read, but for those that begin with ``.`` or ``_``; or a pattern
        with ``*``, ``?`` or ``[...]``, where ``**`` stands for folders at any depth.

    Raises
    ------
    InputError
        If nothing is there, or a folder holds several kinds of tables.
    """
    name = os.fspath(source)
    if os.path.isfile(name):
        return [(Path(name), {})]
    if os.path.isdir(name):
        root = Path(name)
        found = [path for path in root.rglob("*") if path.is_file() and not _hidden(path.relative_to(root))]
        tables = sorted(path for path in found if path.suffix.lower() in SUFFIXES)
        if not tables:
            raise InputError(f"the folder {name!r} holds no table: a file ending in {', '.join(SUFFIXES)} is needed")
    elif glob.has_magic(name):
        tables = sorted(Path(path) for path in glob.glob(name, recursive=True) if os.path.isfile(path))
        root = Path(*_fixed(Path(name)))
        if not tables:
            raise InputError(f"no file matches {name!r}")
    else:
        raise InputError(f"cannot read the queries {name!r}: there is no such file or folder")
    kinds = sorted({path.suffix.lower() for path in tables})
    if len(kinds) > 1:
        raise InputError(
            f"{name!r} holds files of several kinds ({', '.join(kinds)}): name one by a pattern, *{kinds[0]}"
        )
    return [(path, _named(path.relative_to(root))) for path in tables]


def _hidden(path: Path) -> bool:
    return any(part.startswith(_HIDDEN) for part in path.parts)


def _fixed(pattern: Path) -> list[str]:
    """Return the folders of a pattern up to the first that is one."""
    fixed: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part) or "=" in part:
            break
        fixed.append(part)
    return fixed


def _named(path: Path) -> dict[str, str]:
    """Return the columns that the folders of a file name, as Hive does: ``year=2026/part.csv``."""
    pairs = (part.partition("=") for part in path.parts[:-1])
    return {unquote(key): unquote(value) for key, mark, value in pairs if mark and key}
