"""The models of a configuration or of a pool file: [[models]] tables, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.model import warn_of_units
from robatch.proxies.engines.address import MODELS_FOLDER, check_base_url, check_no_secret, find_model, is_hub_name
from robatch.proxies.engines.model_source import TEMPLATE_ARGUMENTS, ModelSource
from robatch.proxies.engines.request_settings import RequestSettings
from robatch.proxies.price_lookup import PriceLookup
from robatch.proxies.profiling.gpu_memory import ModelSize, read_size
from robatch.proxies.toml_table import PRICE, TEXT, Check, TomlTable, tables

MODEL_KEYS = (
    "name",
    "path",
    "server",
    "model",
    "price_in",
    "price_out",
    "priced_as",
    "context_window",
    "batch_sizes",
    "chat",
    "structured",
    "engine",
    "api_key_env",
    "request",
    "size",
)
"""Keys of a [[models]] table."""

_NAME: Check = ("a text that is not empty, without '|',", lambda value: bool(value.strip()) and "|" not in value)

_WINDOW: Check = (
    "a whole number of at least 1 and at most 100,000,000 tokens",
    lambda value: bool(1 <= value <= 100_000_000),
)


@dataclass(frozen=True)
class ModelConfig(ModelSource):
    """One model to profile.

    Attributes
    ----------
    batch_sizes
        Ascending.
    local
        Whether `path` is a folder.
    """

    context_window: int = field()  # needed here
    batch_sizes: tuple[int, ...]
    local: bool = field(default=False, kw_only=True)

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """Return the USD of some tokens, rounded as in recorded provenance: divided, where an execution multiplies."""
        return (self.price_in * input_tokens + self.price_out * output_tokens) / 1e6


def read_models(
    top: TomlTable, sizes: tuple[int, ...], folder: Path, allow_missing: bool = False, prices: str | None = None
) -> tuple[tuple[ModelConfig, ModelSize | None], ...]:
    """Check the [[models]] tables of `top`; each model comes with its size, None where its table has none.

    `sizes` are the batch sizes of models that name none; relative paths start from `folder`, which a model's path may
    be missing in if `allow_missing`. Models without prices are priced by their names: from `prices`, or else from the
    source that `top` names, or else from the bundled table.

    Raises
    ------
    InputError
        If anything in a table is missing, unknown or out of range, or a name occurs twice.
    """
    models: list[tuple[ModelConfig, ModelSize | None]] = []
    named = top.get("prices", str, TEXT, default=None)
    lookup = PriceLookup(prices, Path()) if prices is not None else PriceLookup(named, folder)
    for i, row in enumerate(tables(top, "models")):
        where = f"models[{i}]."
        model = _model(row, where, sizes, folder, allow_missing, lookup)
        if any(model.name == other.name for other, _ in models):
            raise InputError(f"model name {model.name!r} occurs twice: names are unique")
        given = TomlTable(row, where, MODEL_KEYS).get("size", dict, default=None)
        models.append((model, None if given is None else read_size(given, f"{where}size.")))
    warn_of_units((model for model, _ in models), "[[models]]")
    return tuple(models)


def read_batch_sizes(sizes: list[Any], where: str) -> tuple[int, ...]:
    """Check batch sizes and give them in ascending order."""
    whole = all(isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 1024 for size in sizes)
    if not sizes or not whole or len(set(sizes)) < len(sizes):
        raise InputError(f"{where} is {sizes!r}: at least one whole number from 1 to 1024, each once, is needed")
    return tuple(sorted(sizes))


def is_missing(model: ModelConfig) -> bool:
    """Tell whether a model that was read has a path that is neither a folder here nor a hub name."""
    return model.path is not None and not model.local and not is_hub_name(model.path)


def _model(
    row: Mapping[str, Any], where: str, sizes: tuple[int, ...], folder: Path, allow_missing: bool, lookup: PriceLookup
) -> ModelConfig:
    table = TomlTable(row, where, MODEL_KEYS)
    if ("path" in row) == ("server" in row):
        raise InputError(f"{where.rstrip('.')}: either 'path' (offline engine) or 'server' (a base URL) is needed")
    path, local, server, model = None, False, None, None
    if "path" in row:
        for key in ("model", "api_key_env", "request"):
            if key in row:
                raise InputError(f"key '{where}{key}' belongs to a model with 'server', and this one has 'path'")
        path, local = _locate(table.get("path", str, TEXT), f"{where}path", folder, allow_missing)
    else:
        if "size" in row:
            raise InputError(f"key '{where}size' belongs to a model with 'path', and this one has 'server'")
        server = check_base_url(table.get("server", str), f"{where}server")
        model = table.get("model", str, TEXT)
    own = table.get("batch_sizes", list, default=None)
    engine = table.get("engine", dict, default={})
    check_no_secret(engine, f"{where}engine")
    request = table.get("request", dict, default={})
    RequestSettings.from_dict(request, f"{where}request.")
    chat = table.get("chat", bool, default=True)
    _check_engine(engine, f"{where}engine", chat, server is not None)
    name = table.get("name", str, _NAME)
    price_in, price_out, prices = _prices(table, model or name, name, lookup)
    return ModelConfig(
        name=name,
        price_in=price_in,
        price_out=price_out,
        prices=prices,
        context_window=table.get("context_window", int, _WINDOW),
        batch_sizes=sizes if own is None else read_batch_sizes(own, f"{where}batch_sizes"),
        path=path,
        local=local,
        server=server,
        model=model,
        chat=chat,
        structured=table.get("structured", bool, default=False),
        engine=engine,
        api_key_env=table.get("api_key_env", str, TEXT, default="OPENAI_API_KEY"),
        request=request,
    )


def _prices(
    table: TomlTable, served: str, name: str, lookup: PriceLookup
) -> tuple[float, float, dict[str, Any] | None]:
    """Return the prices of a model, as they are given, or by its name with the record of where they are from."""
    alias = table.get("priced_as", str, TEXT, default=None)
    if alias is not None:
        for key in ("price_in", "price_out"):
            if key in table.table:
                raise InputError(f"key '{table.where}priced_as' is for a model without prices, and this one has {key}")
    if alias is None and ("price_in" in table.table or "price_out" in table.table):
        return table.get("price_in", float, PRICE), table.get("price_out", float, PRICE), None
    names = (alias,) if alias is not None else (served, name)
    found = lookup.find(names, f"keys '{table.where}price_in' and '{table.where}price_out' are missing")
    return found.price_in, found.price_out, found.to_dict()


def _check_engine(engine: Mapping[str, Any], where: str, chat: bool, on_server: bool) -> None:
    """Refuse what a server has to be started with, and arguments of a chat template that does not exist."""
    for key in engine if on_server else ():
        if key != TEMPLATE_ARGUMENTS:
            raise InputError(f"key '{where}.{key}' belongs to a model with 'path', and this one has 'server'")
    if TEMPLATE_ARGUMENTS in engine:
        if not isinstance(engine[TEMPLATE_ARGUMENTS], Mapping):
            raise InputError(f"{where}.{TEMPLATE_ARGUMENTS} is {engine[TEMPLATE_ARGUMENTS]!r}: a table is needed")
        if not chat:
            raise InputError(f"{where}.{TEMPLATE_ARGUMENTS} needs a chat template, and this model has chat = false")


def _locate(text: str, where: str, folder: Path, allow_missing: bool) -> tuple[str, bool]:
    found = find_model(text, folder)
    if found is not None:
        if not (found / "config.json").is_file():
            raise InputError(f"{where} is {text!r}: that folder holds no model (no config.json)")
        return str(found), True
    if allow_missing or is_hub_name(text):
        return text, False
    raise InputError(
        f"{where} is {text!r}: there is no such folder beside the configuration or in ${MODELS_FOLDER}, "
        "and it is not a hub name owner/name"
    )
