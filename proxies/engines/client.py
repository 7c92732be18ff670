"""The ``openai`` client of one server, made quickly, and without its models of requests and replies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from robatch.instances.errors import InputError


def key_of(variable: str) -> str:
    """Return the API key that an environment variable holds, "" where it is unset.

    Raises
    ------
    InputError
        If it cannot be an API key.
    """
    key = os.environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable():
        raise InputError(f"the environment variable {variable} holds no API key: printable ASCII is needed")
    return key


def new_client(api: Any, server: str, key: str, timeout: float) -> Any:
    """Make a client of the module `api`, without tries of its own, for the event loop of now."""
    http = api.DefaultAsyncHttpxClient(verify=_certificates(api))
    return api.AsyncOpenAI(base_url=server, api_key=key or "unset", timeout=timeout, max_retries=0, http_client=http)


async def post(api: Any, client: Any, path: str, body: Mapping[str, Any]) -> Any:
    """Send a body as it is, and return the response with its bytes: the models of both take as long as all the rest."""
    return await client.post(path, body=dict(body), cast_to=_library(api).Response)


@cache
def _library(api: Any) -> Any:
    """Return the HTTP library under the client: ``httpx``, or what newer versions have in its place."""
    return import_module(api.DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0])


@cache
def _certificates(api: Any) -> Any:
    """Return whom the client's HTTP library trusts by default; to read that takes as long as ten calls."""
    return _library(api).create_ssl_context()
