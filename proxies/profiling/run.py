"""A profiling run: queries to every model at every batch size, graded and recorded."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robatch.instances.errors import InputError, InputWarning
from robatch.proxies.engines.engine import Engine, EngineFailure, requests_of
from robatch.proxies.engines.model_source import open_engine
from robatch.proxies.engines.waits import Wait
from robatch.proxies.profiling.asking import Asking, about
from robatch.proxies.profiling.config import ModelConfig, ProfileConfig, read_config, refuse_missing
from robatch.proxies.profiling.progress import Progress
from robatch.proxies.profiling.provenance import config_hash, identity, provenance
from robatch.proxies.profiling.query_files import missing_query_files, write_query_files
from robatch.proxies.profiling.record import CallKey, Record
from robatch.proxies.profiling.sampling import Cell, PlannedCall, cells_of
from robatch.proxies.tasks.task import Task, refuse_ungraded

if TYPE_CHECKING:
    from robatch.proxies.profiling.measurements import Measurements

_MAX_CALLS_RENDERED = 4096  # calls whose prompts are made at a time; engines take fewer side by side


def profile(
    config: ProfileConfig | str | os.PathLike[str],
    output: str | os.PathLike[str],
    progress: bool = False,
    texts: bool = False,
) -> Measurements:
    """Measure models at batch sizes and write the measurements, and beside them the measured queries.

    The same queries go to every model at every batch size. Which queries share a call, and in which order, is drawn
    anew for every batch size and repeat, the same for all models (see `robatch.proxies.profiling.sampling`). Answers
    are kept in a file beside the output as they arrive: a run that was ended, even killed, continues when it is started
    again, and gives the same rows.

    Parameters
    ----------
    config
        A configuration, or the path of its TOML file.
    output
        The Parquet file to write, ``OUT.parquet``. The queries of a single task are written to
        ``OUT.queries.jsonl``, those of several to ``OUT.TASK.queries.jsonl`` each; `query_files` names them.
    progress
        Whether to show a progress bar with the rate, the cost so far and the time left.
    texts
        Whether the measurements keep answers of kind "text", too.

    Returns
    -------
    Measurements
        What was written. Where `output` already holds the measurements of this configuration, they are returned
        and nothing runs; only missing files of queries are written.

    Raises
    ------
    InputError
        If the configuration is wrong, a query has no answer to be graded by, a model cannot be loaded or reached,
        `output` belongs to another run, or a file of queries holds something else.
    MissingExtraError
        If vLLM or the ``openai`` client is needed and not installed.
    """
    from robatch.proxies.profiling.measurements import Measurements

    if not isinstance(config, ProfileConfig):
        config = read_config(config)
    refuse_missing(config, "measured")
    refuse_ungraded(config.tasks)
    target = Path(output)
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(f"cannot write {str(target)!r}: a file in a folder that exists is needed")
    identities = {model.name: identity(model) for model in config.models}
    hashed = config_hash(config, identities)
    if (done := _finished(config, target, hashed)) is not None:
        write_query_files(target, config.tasks)
        return done
    missing_query_files(target, config.tasks)  # refuses what stands there before anything is asked
    with Record(record_path(target), hashed) as record:
        cells = [cell for model in config.models for cell in cells_of(config, model)]
        failures: list[EngineFailure] = []
        with Progress(sum(cell.queries * cell.repeats for cell in cells), progress) as shown:
            for model in config.models:
                try:
                    _measure(config, model, record, shown)
                except EngineFailure as failure:  # the other models can be measured all the same
                    failures.append(failure)
        if failures:
            raise failures[0]
        found = provenance(config, identities, hashed, record.opened, record.calls) | {
            "failed_tries": record.failed,
            "lost_tries": record.lost,
        }
        measurements = Measurements.from_rows(_rows(config, record, texts), found)
        write_query_files(target, config.tasks)
        measurements.write(target)
        record.remove()
    for entry in found["models"]:
        if count := entry.get("uncounted_calls"):
            warnings.warn(
                f"the server of model {entry['name']!r} gave no possible token counts for {count} calls: these are "
                "recorded at the most that they can have taken",
                InputWarning,
                stacklevel=2,
            )
    return measurements


def record_path(output: str | os.PathLike[str]) -> Path:
    """Return where a run keeps its record: beside the output."""
    return Path(f"{os.fspath(output)}.part.jsonl")


def recorded(config: ProfileConfig, output: Path) -> tuple[Mapping[CallKey, Mapping[str, Any]], Collection[str]]:
    """Return what runs of a configuration have recorded for an output: lines by call, and models that were opened.

    Raises
    ------
    InputError
        If `output` belongs to another run, or that cannot be told, as the folder of a model is missing.
    """
    if not output.exists() and not record_path(output).exists():
        return {}, ()
    refuse_missing(config, f"compared with those of {str(output)!r}")
    hashed = config_hash(config, {model.name: identity(model) for model in config.models})
    done = _finished(config, output, hashed)
    if done is None:
        record = Record(record_path(output), hashed, read_only=True)
        return record.calls, record.opened
    lines: dict[CallKey, dict[str, Any]] = {}
    for row in done.table.select([*CallKey._fields, "score"]).to_pylist():
        key = CallKey(*(row[name] for name in CallKey._fields))
        lines.setdefault(key, {"scores": []})["scores"].append(row["score"])
    return lines, {model.name for model in config.models}


def _finished(config: ProfileConfig, target: Path, hashed: str) -> Measurements | None:
    """Return the measurements that an output holds already; refuse those of another configuration or at other prices.

    Prices are no part of the hash.
    """
    from robatch.proxies.profiling.measurements import Measurements

    if not target.exists():
        return None
    done = Measurements.read(target)
    if done.provenance.get("config_hash") != hashed:
        raise InputError(
            f"{str(target)!r} holds the measurements of another configuration: choose another output or delete it"
        )
    for model, known in zip(config.models, done.provenance["models"], strict=True):
        for name in ("price_in", "price_out"):
            if known[name] != getattr(model, name):
                raise InputError(
                    f"{str(target)!r} was measured at {name} {known[name]:g} of model {model.name!r}, and the "
                    f"configuration has {getattr(model, name):g}: change prices when a plan is routed, by a pool file"
                )
    return done


def _check_same(model: ModelConfig, engine: Engine, record: Record) -> None:
    """Refuse to go on in another engine, version, model or device than a run was begun in: rows would be mixed.

    A server may come back at another address. What an engine does not tell this time is not compared.
    """
    known = record.opened[model.name]
    for name, value in json.loads(json.dumps(engine.describe())).items():
        if name not in ("concurrency", "server", "request", "refused") and value not in (None, known.get(name)):
            raise InputError(
                f"{str(record.path)!r} was begun with {name} {known.get(name)!r} of model {model.name!r}, which now "
                f"has {value!r}: restore that, choose another output, or delete that file"
            )


def _measure(config: ProfileConfig, model: ModelConfig, record: Record, shown: Progress) -> None:
    """Bring the record to where every cell of the model has what it needs.

    Which calls are left follows from the record alone, each time anew, so that it does not matter which of them
    an earlier process made.
    """
    cells = cells_of(config, model)
    for cell in cells:
        for call in cell.needed(record.calls):
            if line := record.calls.get(call.key):
                shown.advance(len(call.members), model.cost(line["input_tokens"], line["output_tokens"]), resumed=True)
    todo = _left(cells, record)
    if todo or model.name not in record.opened:
        shown.describe(f"{model.name}: loading")
        waits: dict[str, Any] = {"max_wait": config.max_wait, "on_wait": partial(_show_wait, model, shown)}
        known = record.opened.get(model.name, {}).get("request", {})  # what refusals taught an earlier run, too
        learned = replace(model, request={**model.request, **known})
        engine = open_engine(learned, config.seed, config.concurrency, config.timeout, **waits)
        try:
            if model.name not in record.opened:
                record.append({"opened": model.name, "about": about(model, config.tasks, engine)})
            else:
                _check_same(model, engine, record)
            asking = Asking(model, engine, record, shown, config.max_unread)
            for cell in cells:
                for call in cell.needed(record.calls):
                    if line := record.calls.get(call.key):
                        asking.take(call, line)
            while todo:
                asking.ask(asking.next_of(todo, _MAX_CALLS_RENDERED))
                _keep_requests(model, engine, record)
                todo = _left(cells, record)
        finally:
            engine.close()
    asked = sum(len(call.members) for cell in cells for call in cell.needed(record.calls))
    shown.leave_out(sum(cell.queries * cell.repeats for cell in cells) - asked)


def _keep_requests(model: ModelConfig, engine: Engine, record: Record) -> None:
    """Write down what refusals changed since the engine told about itself."""
    about, now = record.opened[model.name], requests_of(engine)
    refused = {**about.get("refused", {}), **now.get("refused", {})}
    if refused != about.get("refused", {}):
        record.append({"opened": model.name, "about": {**about, "request": now["request"], "refused": refused}})


def _left(cells: Sequence[Cell], record: Record) -> list[tuple[Task, PlannedCall]]:
    return [(cell.task, call) for cell in cells for call in cell.needed(record.calls) if call.key not in record.calls]


def _show_wait(model: ModelConfig, shown: Progress, wait: Wait) -> None:
    shown.describe(f"{model.name}: {wait}")


def _rows(config: ProfileConfig, record: Record, texts: bool) -> Iterator[dict[str, Any]]:
    """Give one row per task, query, model, batch size and repeat: by model, task, batch size, call, position."""
    for model in config.models:
        for cell in cells_of(config, model):
            shared = record.opened[model.name]["shared_tokens"][cell.task.name]
            for call in cell.needed(record.calls):
                line, size = record.calls[call.key], len(call.members)
                left_out = line.get("left_out", {})
                for position, (member, answer) in enumerate(zip(call.members, line["answers"], strict=True)):
                    query, why = cell.task.queries[member], left_out.get(str(position))
                    sent = 0 if why else size - len(left_out)
                    yield {
                        **call.key._asdict(),
                        "query_id": query.id,
                        "call_size": size,
                        "position": position,
                        "score": line["scores"][position],
                        "parsed": answer is not None,
                        "answer": answer if texts or query.kind != "text" else None,
                        "input_tokens": max(0.0, line["input_tokens"] - shared) / sent if sent else 0.0,
                        "output_tokens": line["output_tokens"] / sent if sent else 0.0,
                        "call_input_tokens": line["input_tokens"],
                        "call_output_tokens": line["output_tokens"],
                        "shared_tokens": shared,
                        "seconds": line["seconds"],
                        "finish_reason": line["finish_reason"],
                        "error": why or line["error"],
                    }
