"""The pool of an execution: where each model is, what it costs, and how it is spoken to."""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from robatch.instances.errors import InputError, why_unreadable
from robatch.proxies.engines.address import (
    MODELS_FOLDER,
    check_base_url,
    check_no_secret,
    find_model,
    is_hub_name,
    weights_sha256,
)
from robatch.proxies.engines.engine import Engine

CONNECT = 10.0  # seconds to wait for a connection to a server


@dataclass(frozen=True)
class PoolModel:
    """One model that calls are sent to.

    Attributes
    ----------
    name
        The name in the plan.
    price_in, price_out
        USD per million tokens.
    context_window
        Tokens, prompt and answer together; None if unlimited.
    server, model
        Base URL of an OpenAI-compatible server and the model's name there; or None.
    path
        A local folder or hub name for the offline engine; or None. One of `server` and `path` is needed to execute.
    chat
        Whether the model has a chat template.
    structured
        Whether answers are held to the answer format.
    engine
        Further vLLM engine arguments, for `path`; ``chat_template_kwargs`` among them is sent to a server too.
    api_key_env
        Environment variable of the server's key; the key itself is never stored.
    sha256
        Of the weights that were measured, where they were in a folder; None if not known.
    """

    name: str
    price_in: float
    price_out: float
    context_window: int | None = None
    server: str | None = None
    model: str | None = None
    path: str | None = None
    chat: bool = True
    structured: bool = False
    engine: Mapping[str, Any] = field(default_factory=dict)
    api_key_env: str = "OPENAI_API_KEY"
    sha256: str | None = None

    def __post_init__(self) -> None:
        who = f"of model {self.name!r}"
        for name in ("price_in", "price_out"):
            price = getattr(self, name)
            if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < float("inf"):
                raise InputError(f"{name} {who} is {price!r}: a price of at least 0 USD per million tokens is needed")
        window = self.context_window
        if window is not None and (isinstance(window, bool) or not isinstance(window, int) or window < 1):
            raise InputError(f"context_window {who} is {window!r}: a whole number of at least 1 is needed")
        for name in ("server", "model", "path", "api_key_env", "sha256"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise InputError(f"{name} {who} is {value!r}: a text that is not empty is needed")
        for name in ("chat", "structured"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} {who} is {getattr(self, name)!r}: true or false is needed")
        if self.server is not None:
            check_base_url(self.server, f"server {who}")
        if not isinstance(self.engine, Mapping):
            raise InputError(f"engine {who} is {self.engine!r}: a table is needed")
        check_no_secret(self.engine, f"engine {who}")

    def to_dict(self) -> dict[str, Any]:
        """Give the model as plain values for JSON."""
        return asdict(self) | {"engine": dict(self.engine)}

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """Return the USD of a call."""
        return (self.price_in * input_tokens + self.price_out * output_tokens) * 1e-6

    def open(self, concurrency: int, timeout: float, seed: int) -> Engine:
        """Open the engine that answers this model's calls.

        Raises
        ------
        InputError
            If the model has neither a server nor a path, or cannot be opened.
        MissingExtraError
            If vLLM or the ``openai`` client is needed and not installed.
        """
        if self.server is not None:
            from robatch.proxies.engines.server import ServerEngine

            self._check_reachable(self.server)
            name, template = self.model or self.name, self.engine.get("chat_template_kwargs")
            where = (self.server, name, self.chat, concurrency, timeout, self.api_key_env, seed)
            return ServerEngine(*where, retry_billed=False, template_arguments=template)
        if self.path is None:
            raise InputError(f"model {self.name!r} has neither 'server' nor 'path': name one in a pool file")
        from robatch.proxies.engines.offline import OfflineEngine

        window = 4096 if self.context_window is None else self.context_window
        return OfflineEngine(self._located(self.path), self.chat, window, seed, dict(self.engine))

    def _located(self, path: str) -> str:
        """Return the folder of the weights that were measured, or a hub name."""
        found = find_model(path, Path())
        if found is None:
            if self.sha256 is None and is_hub_name(path):
                return path
            raise InputError(
                f"the folder {path!r} of model {self.name!r} is neither here nor in ${MODELS_FOLDER}: "
                "name its path in a pool file"
            )
        if self.sha256 is not None and weights_sha256(found) != self.sha256:
            raise InputError(
                f"the folder {str(found)!r} holds other weights than those of model {self.name!r} that were measured: "
                "name the right path in a pool file, or there the sha256 of these weights too"
            )
        return str(found)

    def _check_reachable(self, server: str) -> None:
        """Refuse a server that takes no connection, before any call is charged as perhaps sent."""
        parts = urlsplit(server)
        if parts.scheme in getproxies():  # the way to it leads elsewhere
            return
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), CONNECT).close()
        except OSError as error:
            why = error.strerror or "no connection"
            raise InputError(f"the server {server} of model {self.name!r} cannot be reached: {why}") from None


_FIELDS = tuple(item.name for item in fields(PoolModel))


def pool_model(record: Mapping[str, Any]) -> PoolModel:
    """Make a model from a record of a proxy's or plan's provenance; what is not about execution is left out.

    Raises
    ------
    InputError
        If a value is missing or not allowed.
    """
    values = {name: record[name] for name in _FIELDS if record.get(name) is not None}
    identity = record.get("identity") or {}
    if "server" not in values and "path" not in values:
        # A local folder is known by its name alone: a pool file, or the folder of models, says where it is.
        where = identity.get("hub") or identity.get("folder")
        known = {"server": identity.get("server"), "model": identity.get("model"), "path": where}
        values |= {name: value for name, value in known.items() if value is not None}
        if not identity.get("hub") and identity.get("sha256"):
            values["sha256"] = identity["sha256"]
    if isinstance(values.get("engine"), str):  # a provenance has the engine's name there
        values["engine"] = record.get("engine_arguments") or {}
    values["structured"] = values.get("structured") not in (None, False, "", "free", "none")
    try:
        return PoolModel(**values)
    except TypeError as error:
        raise InputError(f"model {record.get('name')!r} of the pool is not whole: {error}") from None


def override(pool: Sequence[PoolModel], path: str | os.PathLike[str]) -> tuple[PoolModel, ...]:
    """Change models by a TOML file with [[models]] tables: `name`, and the fields that change.

    Parameters
    ----------
    pool
        The models.
    path
        The file. A relative model path in it starts from its own folder. A `server` takes the place of a `path`, and
        the other way about. Models that it does not name stay as they are.

    Raises
    ------
    InputError
        If the file cannot be read or names a model or field that is not known.
    """
    name = str(path)
    changed = {model.name: model for model in pool}
    for row in _rows(path):
        which = row.get("name")
        if not isinstance(which, str) or which not in changed:
            raise InputError(f"the pool {name!r} names model {which!r}: one of {list(changed)} is needed")
        for key in row:
            if key not in (*_FIELDS, "batch_sizes", "size"):
                raise InputError(f"the pool {name!r}: key {key!r} is not known: the keys are {', '.join(_FIELDS)}")
        for key, kind in (("engine", dict), ("structured", bool), ("path", str), ("sha256", str)):
            if key in row and not isinstance(row[key], kind):
                words = {dict: "a table", bool: "true or false", str: "a text"}[kind]
                raise InputError(f"the pool {name!r}: {key} of model {which!r} is {row[key]!r}: {words} is needed")
        if "server" in row and "path" in row:
            raise InputError(f"the pool {name!r}: model {which!r} has both 'server' and 'path', one is needed")
        values = changed[which].to_dict() | {key: value for key, value in row.items() if key in _FIELDS}
        if "server" in row:
            values["path"] = None
        if "path" in row:
            values["server"] = values["model"] = None
            beside = Path(path).resolve().parent / str(row["path"])
            values["path"] = str(beside) if beside.is_dir() else row["path"]
            if "sha256" not in row and find_model(values["path"], Path()) is None and is_hub_name(values["path"]):
                values["sha256"] = None  # the user's choice; what the hub gives is not known before
        changed[which] = pool_model(values)
    return tuple(changed.values())


def named_fields(path: str | os.PathLike[str]) -> dict[str, frozenset[str]]:
    """Return the fields that a pool file that `override` has read names, by model."""
    return {row["name"]: frozenset(row) for row in _rows(path)}


def _rows(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    name = str(path)
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise InputError(f"cannot read the pool {name!r}: {why_unreadable(error)}") from error
    except (ValueError, RecursionError) as error:  # a number of very many digits is a plain ValueError
        raise InputError(f"the pool {name!r} is not TOML: {error}") from error
    rows = table.get("models")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"the pool {name!r} has no [[models]] tables")
    return rows
