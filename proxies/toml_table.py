"""A TOML table whose keys are known and whose values are checked as they are taken."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.files import read_text
from robatch.instances.scalars import shown

Check = tuple[str, Callable[[Any], bool]]
"""What is needed, in words, and whether a value is that."""

_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}

TEXT: Check = ("a text that is not empty", lambda value: bool(value.strip()))
PRICE: Check = ("a price of at least 0 USD per million tokens", lambda value: bool(0 <= value < float("inf")))


class TomlTable:
    """A table of a configuration, of which only some keys are known.

    `where`, such as ``"run."``, stands before a key in messages.
    """

    def __init__(self, table: Mapping[str, Any], where: str, keys: Sequence[str]) -> None:
        self.table, self.where = table, where
        for key in table:
            if key not in keys:
                raise InputError(f"key '{where}{key}' is not known: the keys here are {', '.join(keys)}")

    def get(self, key: str, kind: type, check: Check | None = None, default: Any = ...) -> Any:
        """Give a value of a kind, checked; without a default, the key is needed.

        Raises
        ------
        InputError
            Naming the key, its value and what is needed.
        """
        if key not in self.table:
            if default is ...:
                raise InputError(f"key '{self.where}{key}' is missing")
            return default
        value = self.table[key]
        right = isinstance(value, (int, float) if kind is float else kind)
        if not right or (kind in (int, float) and isinstance(value, bool)):
            raise InputError(f"{self.where}{key} is {value!r}: {_KINDS[kind]} is needed")
        if check and not check[1](value):
            raise InputError(f"{self.where}{key} is {value!r}: {check[0]} is needed")
        if kind is float:
            try:
                return float(value)
            except OverflowError:
                raise InputError(f"{self.where}{key} has {len(str(value))} digits: a number is needed") from None
        return value


def load_toml(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """Read a TOML file; `what` it is stands in the messages."""
    try:
        made = tomllib.loads(read_text(path, f"the {what}"))
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"the {what} {str(path)!r} is not TOML: it is nested too deeply") from None
    except ValueError as error:  # a number of very many digits is a plain ValueError
        raise InputError(f"the {what} {str(path)!r} is not TOML: {error}") from error
    _check_whole(made, f"the {what} {str(path)!r}")
    return made


def _check_whole(value: Any, where: str) -> None:
    """Refuse whole numbers so long, as they may be in hexadecimal digits, that no message could show them."""
    if isinstance(value, int) and value.bit_length() > 10_000:
        raise InputError(f"{where} has a whole number of {value.bit_length()} bits: TOML's have 64")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_whole(inner, where)


def secret_in(table: Mapping[str, Any]) -> str | None:
    """Return a key of a table, or of one within it, that names a secret; such tables are written into files."""
    for key, value in table.items():
        name = str(key).casefold()
        if name.endswith(("token", "key")) or "secret" in name or "password" in name:
            return str(key)
        inner = secret_in(value) if isinstance(value, Mapping) else None
        if inner is not None:
            return inner
    return None


def at_least(least: int) -> Check:
    """Ask for a whole number that is not below a bound."""
    return f"a whole number of at least {least}", lambda value: bool(value >= least)


def above(bound: float) -> Check:
    """Ask for a finite number above a bound."""
    return f"a finite number above {bound:g}", lambda value: bool(bound < value < float("inf"))


def one_of(names: Sequence[str]) -> Check:
    """Ask for one of some names."""
    return f"one of {list(names)}", lambda value: value in names


def tables(table: TomlTable, key: str) -> list[Mapping[str, Any]]:
    """Give the tables of an array such as ``[[models]]``; at least one is needed."""
    rows: Any = table.get(key, object)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{key} is {shown(rows)}: at least one [[{key}]] table is needed")
    return rows
