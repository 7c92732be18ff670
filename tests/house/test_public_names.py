"""Every public name, member, parameter, command and option that once was is still there.

usage: python tests/house/test_public_names.py     # records the names anew, with those that are new

A line goes from public_names.txt only with the thing itself, and the changelog says so.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from robatch.cli import main

RECORDED = Path(__file__).with_name("public_names.txt")
PACKAGES = ("robatch", "robatch.instances", "robatch.solvers", "robatch.proxies", "robatch.bench")


def parameters(thing: Any) -> set[str]:
    """Return what may be given to a function or to the maker of a class."""
    try:
        return {
            f"{name}=" for name in inspect.signature(thing).parameters if name != "self" and not name.startswith("_")
        }
    except (TypeError, ValueError):  # made in C, such as the maker of an exception
        return set()


def parts(thing: Any) -> set[str]:
    """Return the public members and the parameters of a public name."""
    if not callable(thing):
        return set()
    if not inspect.isclass(thing):
        return parameters(thing)
    fields = {*dir(thing), *getattr(thing, "__dataclass_fields__", ())}
    members = {name for name in fields if not name.startswith("_") and not hasattr(Exception, name)}
    methods = {
        f"{name}({one}"
        for name in members
        if inspect.isroutine(getattr(thing, name, None))
        for one in parameters(getattr(thing, name))
    }
    return parameters(thing) | members | methods


def commands(command: click.Command, name: str) -> Iterator[tuple[str, set[str]]]:
    """Yield a command and those below it: name, and what each option and argument is called."""
    if isinstance(command, click.Group):
        for below, one in command.commands.items():
            yield from commands(one, f"{name} {below}")
    spelled: set[str] = set()
    for one in command.params:
        spelled |= {*one.opts, *one.secondary_opts}
        if isinstance(one.type, click.Choice):
            spelled |= {f"{one.opts[0]}={choice}" for choice in one.type.choices}
    yield name, spelled


def public() -> dict[str, set[str]]:
    """Return the parts of every public name and of every command."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        found |= {f"{package}.{name}": parts(getattr(module, name)) for name in module.__all__}
    return found | dict(commands(main, "robatch"))


def test_nothing_public_is_lost() -> None:
    present = public()
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        name, _, known = line.partition(": ")
        assert name in present
        assert not set(known.split()) - present[name], f"lost of {name}"


if __name__ == "__main__":
    lines = [f"{name}: {' '.join(sorted(found))}".rstrip(": ") for name, found in sorted(public().items())]
    RECORDED.write_text("\n".join(lines) + "\n", encoding="utf-8")
