"""A profiling run: every query to every model at every batch size, graded and recorded."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robatch.instances.errors import InputError
from robatch.proxies.config import ModelConfig, ProfileConfig, read_config
from robatch.proxies.engines import Engine, ModelAnswer, ModelCall
from robatch.proxies.grading import grade
from robatch.proxies.offline import OfflineEngine
from robatch.proxies.progress import Progress
from robatch.proxies.prompts import STOP, answer_regex, parse
from robatch.proxies.record import Record
from robatch.proxies.server import ServerEngine
from robatch.proxies.tasks import Query

if TYPE_CHECKING:
    from robatch.proxies.measurements import Measurements

_WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt")


def profile(
    config: ProfileConfig | str | os.PathLike[str], output: str | os.PathLike[str], progress: bool = False
) -> Measurements:
    """Measure models at batch sizes and write the measurements.

    Every query goes to every model at every batch size. Which queries share a call, and in which order, is drawn
    anew for every batch size, the same for all models. Answers are kept in a file beside the output as they
    arrive: a run that was ended, even killed, continues when it is started again.

    Parameters
    ----------
    config
        A configuration, or the path of its TOML file.
    output
        The Parquet file to write.
    progress
        Whether to show a progress bar with the rate and the time left.

    Returns
    -------
    Measurements
        What was written. Where `output` already holds the measurements of this configuration, they are returned
        and nothing runs.

    Raises
    ------
    InputError
        If the configuration is wrong, a model cannot be loaded or reached, or `output` belongs to another run.
    MissingExtraError
        If vLLM or the ``openai`` client is needed and not installed.
    """
    from robatch.proxies.measurements import Measurements

    if not isinstance(config, ProfileConfig):
        config = read_config(config)
    target = Path(output)
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(f"cannot write {str(target)!r}: a file in a folder that exists is needed")
    identities = {model.name: identity(model) for model in config.models}
    hashed = config_hash(config, identities)
    if target.exists():
        done = Measurements.read(target)
        if done.provenance.get("config_hash") != hashed:
            raise InputError(
                f"{str(target)!r} holds the measurements of another configuration: choose another output or delete it"
            )
        return done
    with Record(target.with_name(target.name + ".part.jsonl"), hashed) as record:
        total = sum(len(config.queries) * len(model.batch_sizes) for model in config.models)
        with Progress(total, progress) as shown:
            for model in config.models:
                _measure(config, model, record, shown)
        provenance = _provenance(config, identities, hashed, record)
        measurements = Measurements.from_rows(_rows(config, record), provenance)
        measurements.write(target)
        record.remove()
    return measurements


def pack(queries: int, batch_size: int, seed: int) -> list[list[int]]:
    """Pack query positions into calls, by a permutation that depends on the seed and the batch size.

    The last call may be partly filled.
    """
    order = np.random.default_rng([seed, batch_size]).permutation(queries)
    return [[int(i) for i in order[start : start + batch_size]] for start in range(0, queries, batch_size)]


def config_hash(config: ProfileConfig, identities: dict[str, Any]) -> str:
    """Hash all that the answers depend on: models, engine arguments, queries, template, seeds, packing.

    Prices, concurrency and timeouts are left out: they may be changed while a run is interrupted.
    """
    models = []
    for model in config.models:
        entry = asdict(model)
        for name in ("price_in", "price_out", "path", "local", "api_key_env"):
            del entry[name]
        models.append(entry | {"identity": identities[model.name]})
    queries = [asdict(query) for query in config.queries]
    settings = [
        config.template.render([]),
        config.template.show_choices,
        config.seed,
        config.max_output_tokens,
    ]
    return _sha256(json.dumps([models, queries, settings], sort_keys=True, default=str).encode())


def identity(model: ModelConfig) -> dict[str, Any]:
    """Tell what a model is: the SHA-256 of its weight files where it is local, otherwise where it comes from."""
    if model.server is not None:
        return {"server": model.server, "model": model.model}
    assert model.path
    if not model.local:
        return {"hub": model.path}
    digest = hashlib.sha256()
    files = sorted(file for file in Path(model.path).iterdir() if file.suffix in _WEIGHTS)
    if not files:
        raise InputError(f"model {model.name!r}: its folder holds no weights ({', '.join(_WEIGHTS)})")
    for file in files:
        with file.open("rb") as weights:
            while block := weights.read(1 << 22):
                digest.update(block)
    return {"folder": Path(model.path).name, "sha256": digest.hexdigest()}


def _measure(config: ProfileConfig, model: ModelConfig, record: Record, shown: Progress) -> None:
    todo: list[tuple[int, int, list[int]]] = []
    for size in model.batch_sizes:
        for number, members in enumerate(pack(len(config.queries), size, config.seed)):
            if (model.name, size, number) in record.calls:
                shown.advance(len(members), resumed=True)
            else:
                todo.append((size, number, members))
    if not todo and model.name in record.opened:
        return
    shown.describe(f"{model.name}: loading")
    engine = _open(config, model)
    try:
        if model.name not in record.opened:
            probe = engine.run([_call(config, model, [], 1)])[0]
            if probe.error:
                raise InputError(f"model {model.name!r}: not even the shared prompt fits: {probe.error}")
            about = engine.describe() | {"shared_tokens": probe.input_tokens}
            record.append([{"opened": model.name, "about": about}])
        for start in range(0, len(todo), engine.chunk):
            chunk = todo[start : start + engine.chunk]
            shown.describe(f"{model.name} x {chunk[0][0]}")
            batches = [[config.queries[i] for i in members] for _, _, members in chunk]
            answers = engine.run([_call(config, model, batch, config.max_output_tokens) for batch in batches])
            record.append(
                [
                    _line(model, size, number, batch, answer)
                    for (size, number, _), batch, answer in zip(chunk, batches, answers, strict=True)
                ]
            )
            shown.advance(sum(len(batch) for batch in batches))
    finally:
        engine.close()


def _open(config: ProfileConfig, model: ModelConfig) -> Engine:
    if model.server is not None:
        assert model.model
        return ServerEngine(
            model.server,
            model.model,
            model.chat,
            config.concurrency,
            config.timeout,
            model.api_key_env,
            config.seed,
        )
    assert model.path
    return OfflineEngine(model.path, model.chat, model.context_window, config.seed, dict(model.engine))


def _call(config: ProfileConfig, model: ModelConfig, batch: Sequence[Query], per_query: int) -> ModelCall:
    return ModelCall(
        prompt=config.template.render(batch),
        max_tokens=per_query * max(1, len(batch)),
        regex=answer_regex(batch) if model.structured and batch else None,
        stop=() if model.chat else STOP,
    )


def _line(model: ModelConfig, size: int, number: int, batch: Sequence[Query], answer: ModelAnswer) -> dict[str, Any]:
    return {
        "model": model.name,
        "batch_size": size,
        "call": number,
        "answers": parse(answer.text, batch) if answer.error is None else [None] * len(batch),
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "seconds": round(answer.seconds, 6),
        "finish_reason": answer.finish_reason,
        "error": answer.error,
    }


def _rows(config: ProfileConfig, record: Record) -> Iterator[dict[str, Any]]:
    """Give one row per query, model and batch size, in that nesting's reverse: model, batch size, call, position."""
    for model in config.models:
        shared = record.opened[model.name]["shared_tokens"]
        for size in model.batch_sizes:
            for number, members in enumerate(pack(len(config.queries), size, config.seed)):
                line = record.calls[model.name, size, number]
                for position, (member, answer) in enumerate(zip(members, line["answers"], strict=True)):
                    query = config.queries[member]
                    yield {
                        "query_id": query.id,
                        "model": model.name,
                        "batch_size": size,
                        "call": number,
                        "call_size": len(members),
                        "position": position,
                        "correct": grade(answer, query),
                        "parsed": answer is not None,
                        "answer": answer,
                        "input_tokens": max(0.0, line["input_tokens"] - shared) / len(members),
                        "output_tokens": line["output_tokens"] / len(members),
                        "call_input_tokens": line["input_tokens"],
                        "call_output_tokens": line["output_tokens"],
                        "shared_tokens": shared,
                        "seconds": line["seconds"],
                        "finish_reason": line["finish_reason"],
                        "error": line["error"],
                    }


def _provenance(config: ProfileConfig, identities: dict[str, Any], hashed: str, record: Record) -> dict[str, Any]:
    return {
        "kind": "measurements",
        "format": 1,
        "robatch": _installed("robatch"),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        "task": config.task,
        "queries": len(config.queries),
        "queries_sha256": _sha256(json.dumps([asdict(query) for query in config.queries]).encode()),
        "seed": config.seed,
        "max_output_tokens": config.max_output_tokens,
        "template": config.template.render([]),
        "config_hash": hashed,
        "models": [
            {
                "name": model.name,
                "price_in": model.price_in,
                "price_out": model.price_out,
                "context_window": model.context_window,
                "batch_sizes": list(model.batch_sizes),
                "chat": model.chat,
                "structured": model.structured,
                "identity": identities[model.name],
                **record.opened[model.name],
            }
            for model in config.models
        ],
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
