"""The errors that users see: one clear sentence each."""

from __future__ import annotations

import importlib
from types import ModuleType


class InputError(ValueError):
    """Bad input. The message names the offending field, its value and what is allowed."""


class InputWarning(UserWarning):
    """Input that is taken, and that may not mean what its author thinks. The command prints it and goes on."""


class MissingExtraError(ImportError):
    """A package that an optional feature needs is not installed. The message names the extra."""


def why_unreadable(error: OSError) -> str:
    """Return why a file cannot be read, in words that are the same for all files and systems."""
    return "there is no such file" if isinstance(error, FileNotFoundError) else str(error.strerror or error)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def require(module: str, extra: str, feature: str) -> ModuleType:
    """Import an optional module, such as vllm, or say which `extra` of the distribution installs it.

    Raises
    ------
    MissingExtraError
        If the module is not installed. What the user asked for, the `feature`, is the subject of the message.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"{feature} needs the package '{module}', which is not installed: pip install 'robatch[{extra}]'"
        ) from None
