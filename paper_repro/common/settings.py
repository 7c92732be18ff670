"""The settings of an experiment."""

from __future__ import annotations

from typing import Any

from robatch.instances.errors import InputError


class Settings(dict[str, Any]):
    """Settings by name: one that is asked for and not there is named."""

    def __missing__(self, key: str) -> Any:
        raise InputError(f"setting {key!r} is not there: settings are {', '.join(self)}")
