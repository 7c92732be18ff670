"""The append-only file of a run in progress: what was answered, kept whatever happens to the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from robatch.instances.errors import InputError
from robatch.proxies.journal import Journal, take_in

_BEGINS = '{"robatch": "profile"'
_SYNC_EVERY = 0.2  # seconds; an answer that a crash of the machine loses can be asked for again


class CallKey(NamedTuple):
    """A call of a run; `call` numbers the calls of the others together, from 0."""

    model: str
    task: str
    batch_size: int
    repeat: int
    call: int


class Record:
    """A journal of answered calls, bound to one configuration by the hash of everything that answers depend on.

    Its first line holds that hash; then comes one line per opened model and one per answered call. With `read_only` it
    takes in what is there, without writing or locking the file.

    Attributes
    ----------
    calls
        The answered calls by key.
    opened
        What each model's engine told about itself, by model name, with ``shared_tokens``.
    failed
        Tokens that servers counted for tries without an answer, by model name.
    lost
        Tokens that calls in flight at an interruption may have had at most, by model name.
    """

    def __init__(self, path: Path, config_hash: str, read_only: bool = False) -> None:
        self.path, self._config_hash, self._begun = path, config_hash, False
        self.calls: dict[CallKey, dict[str, Any]] = {}
        self.opened: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, dict[str, int]] = {}
        self.lost: dict[str, dict[str, int]] = {}
        self._journal: Journal | None = None
        if read_only:
            if path.exists():
                take_in(path, self._take)
            return
        self._journal = Journal(path, _BEGINS, _SYNC_EVERY)
        try:
            take_in(path, self._take)
            if not self._begun:
                self.append({"robatch": "profile", "config_hash": config_hash})
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        if self._journal is None:
            return
        if self.calls or self.opened:
            self._journal.close()
        else:  # nothing was answered: nothing to go on with
            self._journal.remove()

    def append(self, line: dict[str, Any]) -> None:
        """Write one line.

        Raises
        ------
        InputError
            If it cannot be written, such as on a full disk.
        """
        assert self._journal
        self._journal.append([line])
        self._take(line)

    def remove(self) -> None:
        """Delete the file: the run is over and its output written."""
        assert self._journal
        self._journal.remove()
        self._journal = None

    def _take(self, line: dict[str, Any]) -> None:
        if not self._begun and line.get("config_hash") != self._config_hash:
            raise InputError(
                f"{str(self.path)!r} was begun with another configuration or other queries: "
                "choose another output, restore the configuration, or delete that file"
            )
        self._begun = True
        if "call" in line:
            self.calls[CallKey(*(line[name] for name in CallKey._fields))] = line
        elif "failed" in line or "lost" in line:
            model, known = (line["failed"], self.failed) if "failed" in line else (line["lost"], self.lost)
            tries = known.setdefault(model, {"input_tokens": 0, "output_tokens": 0})
            for name in tries:
                tries[name] += line[name]
        elif "opened" in line:
            self.opened[line["opened"]] = line["about"]
