"""The pool of an execution: where each model is, what it costs, and how it is spoken to."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from robatch.instances.errors import InputError
from robatch.instances.model import Model, warn_of_units
from robatch.proxies.engines.address import MODELS_FOLDER, find_model, is_hub_name, weights_sha256
from robatch.proxies.engines.engine import Engine, EngineFailure
from robatch.proxies.engines.model_source import ModelSource, check_text, open_engine
from robatch.proxies.engines.waits import MAX_WAIT, Wait
from robatch.proxies.price_lookup import PriceLookup
from robatch.proxies.toml_table import load_toml

TERMS = ("call_fee", "cache_read", "cache_write", "cache_min_tokens", "cache_share")
"""Fields of a model that `PoolModel.bill` may have."""

KINDS = {"engine": dict, "request": dict, "bill": dict, "structured": bool, "path": str, "sha256": str}

CONNECT_TIMEOUT = 10.0  # seconds to wait for a connection to a server


@dataclass(frozen=True)
class PoolModel(ModelSource):
    """One model that calls are sent to; to execute, it needs a `server` or a `path`.

    Attributes
    ----------
    sha256
        Of the weights that were measured, where they were in a folder; None if not known.
    bill
        What calls cost beside tokens: ``call_fee``, ``cache_read``, ``cache_write``, ``cache_min_tokens`` and
        ``cache_share``, as `robatch.Model` has them.
    """

    sha256: str | None = field(default=None, kw_only=True)
    bill: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.bill, Mapping):
            raise InputError(f"bill of model {self.name!r} is {self.bill!r}: a table is needed")
        unknown = [key for key in self.bill if key not in TERMS]
        if unknown:
            raise InputError(f"bill of model {self.name!r} has a key {unknown[0]!r}: {', '.join(TERMS)} are known")
        Model(self.name, self.price_in, self.price_out, **self.bill)  # checks the values
        check_text(f"sha256 of model {self.name!r}", self.sha256)

    def to_dict(self) -> dict[str, Any]:
        """Give the model as plain values for JSON."""
        return asdict(self) | {"engine": dict(self.engine), "request": dict(self.request), "bill": dict(self.bill)}

    def open(
        self,
        concurrency: int,
        timeout: float,
        seed: int,
        *,
        max_wait: float = MAX_WAIT,
        on_wait: Callable[[Wait], None] | None = None,
    ) -> Engine:
        """Open the engine that answers this model's calls, as `open_engine` does.

        Raises
        ------
        EngineFailure
            If a server takes no connection.
        InputError
            If the model has neither a server nor a path, is elsewhere or another one, or cannot be opened.
        """
        if self.server is not None:
            self._check_reachable(self.server)
            waits: dict[str, Any] = {"max_wait": max_wait, "on_wait": on_wait}
            return open_engine(self, seed, concurrency, timeout, retry_billed=False, **waits)
        if self.path is None:
            raise InputError(f"model {self.name!r} has neither 'server' nor 'path': name one in a pool file")
        return open_engine(replace(self, path=self._located(self.path)), seed)

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
            socket.create_connection((parts.hostname or "", port), CONNECT_TIMEOUT).close()
        except OSError as error:
            why = error.strerror or "no connection"
            message = f"the server {server} of model {self.name!r} cannot be reached: {why}"
            raise EngineFailure(message, passes=True) from None


_FIELDS = tuple(item.name for item in fields(PoolModel))
_KEYS = (*(name for name in _FIELDS if name != "prices"), "priced_as")  # of a pool file: prices are recorded, not given


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


def override(pool: Sequence[PoolModel], path: str | os.PathLike[str], by_name: bool = True) -> tuple[PoolModel, ...]:
    """Change models by a TOML file with [[models]] tables: `name`, and the fields that change.

    A relative model path in the file starts from its own folder. A `server` takes the place of a `path`, and the other
    way about. Models that it does not name stay as they are. With the key ``prices`` above the tables, the source of
    prices by name, models that it names without prices are priced anew, unless `by_name` is False.

    Raises
    ------
    InputError
        If the file cannot be read or names a model or field that is not known.
    """
    name = str(path)
    changed = {model.name: model for model in pool}
    rows, source = _read(path)
    lookup = None if source is None else PriceLookup(source, Path(path).resolve().parent)
    for row in rows:
        which = row.get("name")
        if not isinstance(which, str) or which not in changed:
            raise InputError(f"the pool {name!r} names model {which!r}: one of {list(changed)} is needed")
        for key in row:
            if key not in (*_KEYS, "batch_sizes", "size"):
                raise InputError(f"the pool {name!r}: key {key!r} is not known: the keys are {', '.join(_KEYS)}")
        for key, kind in KINDS.items():
            if key in row and not isinstance(row[key], kind):
                words = {dict: "a table", bool: "true or false", str: "a text"}[kind]
                raise InputError(f"the pool {name!r}: {key} of model {which!r} is {row[key]!r}: {words} is needed")
        if "server" in row and "path" in row:
            raise InputError(f"the pool {name!r}: model {which!r} has both 'server' and 'path', one is needed")
        values = changed[which].to_dict() | {key: value for key, value in row.items() if key in _FIELDS}
        if "price_in" in row or "price_out" in row:
            values["prices"] = None
        if "server" in row:
            values["path"] = None
        if "path" in row:
            values["server"] = values["model"] = None
            beside = Path(path).resolve().parent / str(row["path"])
            values["path"] = str(beside) if beside.is_dir() else row["path"]
            if "sha256" not in row and find_model(values["path"], Path()) is None and is_hub_name(values["path"]):
                values["sha256"] = None  # the user's choice; what the hub gives is not known before
        changed[which] = pool_model(values)
        if by_name and (lookup is not None or "priced_as" in row) and not {"price_in", "price_out"} & row.keys():
            changed[which] = priced(changed[which], lookup or PriceLookup(), row.get("priced_as"))
    warn_of_units((model for model in changed.values() if model not in pool), f"the pool {name!r}")
    return tuple(changed.values())


def named_fields(path: str | os.PathLike[str]) -> dict[str, frozenset[str]]:
    """Return the fields that a pool file that `override` has read names, by model."""
    return {row["name"]: frozenset(row) for row in _read(path)[0]}


def priced(model: PoolModel, lookup: PriceLookup, name: str | None = None) -> PoolModel:
    """Return a model at the prices of its name: the given one, that of its last prices, or its server's or our own.

    Raises
    ------
    InputError
        If none of them has a price.
    """
    known = None if model.prices is None else model.prices.get("name")
    found = lookup.find([name] if name else [one for one in (model.model, model.name, known) if isinstance(one, str)])
    return replace(model, price_in=found.price_in, price_out=found.price_out, prices=found.to_dict())


def _read(path: str | os.PathLike[str]) -> tuple[list[dict[str, Any]], str | None]:
    """Return the tables of models of a pool file, and its source of prices."""
    table = load_toml(path, "pool")
    rows, source = table.get("models"), table.get("prices")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"the pool {str(path)!r} has no [[models]] tables")
    if source is not None and not isinstance(source, str):
        raise InputError(f"the pool {str(path)!r}: prices is {source!r}: a source of prices, as a text, is needed")
    return rows, source
