"""The journal of an execution, read again."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

from robatch.instances.errors import InputError
from robatch.proxies.execution.calls import Event
from robatch.proxies.execution.state import Execution
from robatch.proxies.journal import take_in

JOURNAL_VERSION = 4  # of the events


def replay(state: Execution, path: Path) -> Sequence[int] | None:
    """Take in a journal; return the queries that are finished, in their order, None where it holds nothing.

    Raises
    ------
    InputError
        If it belongs to another plan or another version, or is not whole; `path` is for the message.
    """
    over = array("q")
    begun = False

    def take(line: Event) -> None:
        nonlocal begun
        if not begun:
            _check_begin(state, line, path)
        begun = True
        over.extend(state.apply(line))
        if line["event"] in ("continued", "retry"):
            over[:] = array("q", (query for query in over if query in state.final))

    take_in(path, take)
    return over if begun else None


def _check_begin(state: Execution, line: Event, path: Path) -> None:
    if line.get("event") == "begin" and line.get("version") != JOURNAL_VERSION:
        raise InputError(
            f"{str(path)!r} was begun by another version of robatch: go on with that one, or choose another output"
        )
    if line.get("event") != "begin" or line.get("plan") != state.routed.sha256:
        raise InputError(f"{str(path)!r} was begun with another plan: choose another output or delete that file")
