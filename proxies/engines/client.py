"""The ``openai`` client of one server, made quickly: its certificates are read once in a process."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


def new_client(api: Any, server: str, key: str, timeout: float) -> Any:
    """Make a client of the module `api`, without tries of its own, for the event loop of now."""
    http = api.DefaultAsyncHttpxClient(verify=_certificates(api))
    return api.AsyncOpenAI(base_url=server, api_key=key or "unset", timeout=timeout, max_retries=0, http_client=http)


@cache
def _certificates(api: Any) -> Any:
    """Return whom the client's HTTP library trusts by default; to read that takes as long as ten calls."""
    library = api.DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0]  # httpx or httpx2
    return import_module(library).create_ssl_context()
