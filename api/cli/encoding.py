"""Output that the terminal's encoding cannot show: escaped, so that no finished work ends in a traceback."""

from __future__ import annotations

import codecs
import io
import json
import sys
from typing import Any

ASCII = "escaped_ascii"  # click writes UTF-8 to a stream whose encoding it knows as ASCII
FAILING = ("strict", "surrogateescape")


def escape_output() -> None:
    """Let both streams write characters outside their encoding as escapes; handlers that a user chose stay."""
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        errors = "backslashreplace" if stream.errors in FAILING else stream.errors
        plain = codecs.lookup(stream.encoding).name == "ascii"
        stream.reconfigure(encoding=ASCII if plain else None, errors=errors)


def json_text(value: Any) -> str:
    """Return a value as JSON, with the escapes of JSON where standard output cannot show all of it."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2, allow_nan=False)
    return text


def _find(name: str) -> codecs.CodecInfo | None:
    if name != ASCII:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_.encode, ascii_.decode, ascii_.streamreader, ascii_.streamwriter, ascii_.incrementalencoder,
        ascii_.incrementaldecoder, name=ASCII,
    )  # fmt: skip


codecs.register(_find)
