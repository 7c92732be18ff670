"""The experiments by name: each is a TOML file in ``configs/experiments`` and the module here that it names.

The file has the keys ``title`` and, if the module is called otherwise than the file, ``module``; the table
``[settings]``; and ``[quick]`` with the settings that a quick run changes. The module has

* ``cells(settings)``: the independent parts of the work, as plain values;
* ``compute(settings, cell)``: the rows of one part, as plain values;
* ``tables(settings, rows)``: the tables made of all rows, by name;
* ``draw(tables, folder)``: the figures.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from paper_repro.common.datasets import missing
from paper_repro.common.paths import CONFIGS
from paper_repro.common.settings import Settings
from robatch.instances.errors import InputError

FOLDER = CONFIGS / "experiments"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@dataclass(frozen=True)
class Experiment:
    """A module with its settings, and a title in words."""

    name: str
    module: ModuleType
    settings: Settings
    title: str

    @property
    def missing(self) -> str | None:
        """What the experiment needs that is not here, or None."""
        said = missing(self.settings.get("datasets", ()))
        return None if said is None else f"{self.name}: not run: {said}"


def experiment(name: str, quick: bool = False) -> Experiment:
    """Return an experiment with its settings, or with those of a quick run.

    Raises
    ------
    InputError
        If there is none of that name, or its configuration is damaged.
    """
    if name not in NAMES:
        raise InputError(f"experiment is {name!r}: one of {', '.join(NAMES)} is needed")
    path = FOLDER / f"{name}.toml"
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path.name} is no TOML: {error}") from None
    for key, kind in (("title", str), ("settings", dict)):
        if not isinstance(config.get(key), kind):
            raise InputError(f"{key} of {path.name} is {config.get(key)!r}: a {kind.__name__} is needed")
    settings = Settings(config["settings"] | (config.get("quick", {}) if quick else {}))
    module = import_module(f"paper_repro.experiments.{config.get('module', name)}")
    return Experiment(name, module, settings, config["title"])
