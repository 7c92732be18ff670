"""Where measurements come from: models by their weights, queries by their hash, versions and settings."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.engines.address import weights_sha256
from robatch.proxies.profiling.config import ModelConfig, ProfileConfig
from robatch.proxies.profiling.sampling import savings
from robatch.proxies.tasks.recorded import plain, queries_sha256, query_hash, reference_of
from robatch.proxies.tasks.task import Task

_SETTINGS = ("config.json", "generation_config.json", "tokenizer*", "chat_template*", "special_tokens_map.json")


def config_hash(config: ProfileConfig, identities: Mapping[str, Any]) -> str:
    """Hash what the answers depend on: models, engine arguments, tasks, templates, seeds, sampling.

    Prices, concurrency, timeouts and the addresses of servers are left out: they may be changed while a run is
    interrupted. Not known before an engine is open are a hub model's revision and what a server tells about itself:
    they are compared when a run goes on. Not known at all is the code of a user's grader.
    """
    models = []
    for model in config.models:
        entry = asdict(model)
        for name in ("price_in", "price_out", "prices", "path", "local", "server", "api_key_env"):
            del entry[name]
        if not entry["request"]:  # as it was before there were any
            del entry["request"]
        models.append(entry | {"identity": identities[model.name]})
    tasks = [
        [
            task.name,
            [plain(query) for query in task.queries],
            task.template.whole([]),
            task.template.to_dict(),
            task.grader,
            task.max_output_tokens,
            *([dict(task.queries_by_batch_size)] if task.queries_by_batch_size else []),
        ]
        for task in config.tasks
    ]
    settings = [config.seed, config.repeats, config.precision]
    return _sha256(json.dumps([models, tasks, settings], sort_keys=True, default=str).encode())


def identity(model: ModelConfig) -> dict[str, Any]:
    """Tell what a model is: the SHA-256 of its files where it is local, otherwise where it comes from.

    ``sha256`` is of the weights, ``settings_sha256`` of the tokenizer, the chat template and the configuration.

    Raises
    ------
    InputError
        If its folder holds no weights.
    """
    if model.server is not None:
        return {"model": model.model}
    assert model.path
    if not model.local:
        return {"hub": model.path}
    weights = weights_sha256(Path(model.path))
    if weights is None:
        raise InputError(f"model {model.name!r}: its folder holds no weights")
    settings = hashlib.sha256()
    for file in sorted({file for pattern in _SETTINGS for file in Path(model.path).glob(pattern) if file.is_file()}):
        settings.update(f"{file.name}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return {"folder": Path(model.path).name, "sha256": weights, "settings_sha256": settings.hexdigest()}


def provenance(
    config: ProfileConfig,
    identities: Mapping[str, Any],
    hashed: str,
    opened: Mapping[str, Mapping[str, Any]],
    answered: Mapping[Any, Mapping[str, Any]],
) -> dict[str, Any]:
    """Give the provenance of a run's measurements.

    `identities` and `hashed` are what `identity` and `config_hash` gave, `opened` what each model's engine told about
    itself, with ``shared_tokens`` by task, and `answered` the record's lines by call.
    """
    return {
        "kind": "measurements",
        "format": 2,
        "robatch": _installed("robatch"),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        "seed": config.seed,
        "repeats": config.repeats,
        "sampling": None if config.precision is None else savings(config, answered),
        "config_hash": hashed,
        "tasks": [_task(task) for task in config.tasks],
        "models": [
            {
                "name": model.name,
                "price_in": model.price_in,
                "price_out": model.price_out,
                **({} if model.prices is None else {"prices": dict(model.prices)}),
                "context_window": model.context_window,
                "batch_sizes": list(model.batch_sizes),
                "chat": model.chat,
                "structured": _structured(config, model),
                "path": model.path if not model.local else None,
                "server": model.server,
                "model": model.model,
                "identity": identities[model.name],
                **opened[model.name],
                **_counted(model, answered),
            }
            for model in config.models
        ],
    }


def _counted(model: ModelConfig, answered: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any]:
    """Tell what the server said of tokens and itself beyond counts: nothing where it counted all, under its name."""
    lines = [line for key, line in answered.items() if key.model == model.name]
    uncounted = sum(not line.get("counted", True) for line in lines)
    details, replied = Counter[str](), Counter[str]()
    for line in lines:
        details.update(line.get("details", {}))
        replied.update([line["replied"]] if "replied" in line else ())
    loose = sum(bool(line.get("loose")) for line in lines)
    found = {
        "loose_calls": loose,
        "uncounted_calls": uncounted,
        "token_details": dict(details),
        "replied": dict(replied),
    }
    return {name: value for name, value in found.items() if value}


def _task(task: Task) -> dict[str, Any]:
    reference = reference_of(task.queries)
    return {
        **({} if reference is None else {"reference": reference}),
        "name": task.name,
        "described": task.described,
        "template": task.template.to_dict(),
        "prompt": task.template.whole([]),
        "grader": task.grader,
        "max_output_tokens": task.max_output_tokens,
        "queries": len(task.queries),
        "queries_by_batch_size": {str(size): count for size, count in sorted(task.queries_by_batch_size.items())},
        "queries_sha256": queries_sha256(task.queries),
        "query_hashes": {query.id: query_hash(query) for query in task.queries},
        "kind": task.kind,
        "choices": None if task.choices is None else list(task.choices),
    }


def _structured(config: ProfileConfig, model: ModelConfig) -> str:
    if not model.structured:
        return "free"
    forms = {task.template.form for task in config.tasks}
    return " and ".join({"lines": "regex", "json": "json"}[form] for form in sorted(forms, reverse=True))


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
