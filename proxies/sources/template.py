r"""How the text of a query is made of a row: a column, or a template such as ``Subject: {subject}\n{body}``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from robatch.instances.errors import InputError

_ESCAPES = {r"\n": "\n", r"\t": "\t"}


@dataclass(frozen=True)
class TextTemplate:
    """Pieces of text, each followed by the value of a column, or by none at the end."""

    pieces: tuple[tuple[str, str | None], ...]

    @classmethod
    def of(cls, text: str, columns: Sequence[str]) -> TextTemplate:
        r"""Read a template, or take the name of a column as one of it alone.

        ``\n`` and ``\t``, which a shell passes as they are, are an end of line and a tab; ``{{`` and ``}}`` are braces.

        Raises
        ------
        InputError
            If it names no column, or one that is not there.
        """
        if text in columns:
            return cls((("", text),))
        for written, meant in _ESCAPES.items():
            text = text.replace(written, meant)
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise InputError(f"text is {text!r}: {error}; a brace itself is written twice") from None
        for _, name, form, conversion in parsed:
            if name is not None and (form or conversion):
                raise InputError(f"text is {text!r}: {{{name}}} alone is needed, without a format")
            if name is not None and name not in columns:
                raise InputError(f"text is {text!r}: there is no column {name!r}, the columns are {', '.join(columns)}")
        if all(name is None for _, name, _, _ in parsed):
            raise InputError(
                f"text is {text!r}: a column or a template with {{column}} is needed, the columns are "
                f"{', '.join(columns)}"
            )
        return cls(tuple((piece, name) for piece, name, _, _ in parsed))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it takes, each once."""
        return tuple(dict.fromkeys(name for _, name in self.pieces if name is not None))

    def fill(self, row: dict[str, str]) -> str | None:
        """Return the text of a row, None where all of its columns are blank."""
        if not any(row[name].strip() for name in self.columns):
            return None
        return "".join(piece + ("" if name is None else row[name]) for piece, name in self.pieces)


def as_text(value: Any) -> str:
    """Return a cell as text: a whole number without a point, nothing where it is missing."""
    if value is None or value != value:  # a null, or nan
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)
