"""The ledger of a job: its steps in their order, what each was billed, and the files that it left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from robatch.instances.errors import InputError
from robatch.instances.files import parse_json, read_text, write_text

Kind = Literal["labels", "profile", "answers"]
VERSION = 1


@dataclass
class Entry:
    """A step that was begun.

    Attributes
    ----------
    usd
        What the servers counted for it.
    lost
        What tries of unknown bill were charged, beyond it.
    """

    kind: Kind
    number: int
    done: bool = False
    usd: float = 0.0
    lost: float = 0.0
    queries: int = 0


@dataclass
class Ledger:
    """The steps of a job, kept in its folder."""

    folder: Path
    bound: Mapping[str, Any]  # what answers depend on, and what must stay as it was
    entries: list[Entry] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, bound: Mapping[str, Any]) -> Ledger:
        """Read the ledger of a folder, or begin one.

        Raises
        ------
        InputError
            If the folder holds another job, or something else.
        """
        path = folder / "job.json"
        made = cls(folder, json.loads(json.dumps(bound)))
        if not path.exists():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise InputError(f"{str(folder)!r} exists and is no folder of a job: name another one")
            return made
        try:
            known = parse_json(read_text(path, "the ledger"))
            if known["version"] != VERSION:
                raise ValueError(f"its version is {known['version']!r}")
            entries = [Entry(**entry) for entry in known["entries"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{str(path)!r} is no ledger of a job: {error}") from None
        for name, value in made.bound.items():
            if known["bound"].get(name) != value:
                raise InputError(
                    f"{str(folder)!r} was begun with another {name}: restore it, name another folder or output, or "
                    "delete that folder"
                )
        return cls(folder, made.bound, entries)

    def save(self) -> None:
        """Write the ledger, whole or not at all."""
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {str(self.folder)!r}: {error.strerror or error}") from None
        known = {"version": VERSION, "bound": self.bound, "entries": [asdict(entry) for entry in self.entries]}
        write_text(self.folder / "job.json", json.dumps(known, indent=2, ensure_ascii=False) + "\n")

    def begin(self, kind: Kind, queries: int) -> Entry:
        """Write down a step before it sends anything."""
        entry = Entry(kind, len(self.entries) + 1, queries=queries)
        self.entries.append(entry)
        self.save()
        return entry

    def file(self, entry: Entry, ending: str) -> Path:
        """Return the path of a file of a step."""
        return self.folder / f"{entry.number}-{entry.kind}{ending}"

    @property
    def spent(self) -> float:
        """USD of all steps."""
        return sum(entry.usd + entry.lost for entry in self.entries)

    @property
    def measured(self) -> float:
        """USD of the steps that measure: reference answers and profiles."""
        return sum(entry.usd + entry.lost for entry in self.entries if entry.kind != "answers")

    @property
    def lost(self) -> float:
        """USD of these whose bill is not known."""
        return sum(entry.lost for entry in self.entries)

    def by_kind(self) -> dict[str, float]:
        """Return the USD of each kind of step."""
        found: dict[str, float] = {}
        for entry in self.entries:
            found[entry.kind] = found.get(entry.kind, 0.0) + entry.usd + entry.lost
        return found

    def total(self, budget: float) -> str:
        """Return the running total in words."""
        parts = ", ".join(f"{kind} {usd:.4g}" for kind, usd in self.by_kind().items())
        unknown = f", of which {self.lost:.4g} may not have been billed" if self.lost else ""
        return f"spent: {parts or 'nothing'}, together {self.spent:.6g} of {budget:g} USD{unknown}"
