"""A profiling run: queries to every model at every batch size, graded and recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robatch.instances.errors import InputError
from robatch.proxies.engines.engine import Engine, ModelAnswer, ModelCall
from robatch.proxies.engines.model_source import open_engine
from robatch.proxies.profiling.config import ModelConfig, ProfileConfig, read_config, refuse_missing
from robatch.proxies.profiling.progress import Progress
from robatch.proxies.profiling.provenance import config_hash, identity, provenance
from robatch.proxies.profiling.query_files import missing_query_files, write_query_files
from robatch.proxies.profiling.record import CallKey, Record
from robatch.proxies.profiling.sampling import Cell, PlannedCall, cells_of
from robatch.proxies.tasks.grading import grader_of
from robatch.proxies.tasks.prompts import model_call
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.reading import read
from robatch.proxies.tasks.task import Task, refuse_ungraded

if TYPE_CHECKING:
    from robatch.proxies.profiling.measurements import Measurements

_MAX_CALLS_RENDERED = 4096  # calls whose prompts are made at a time; engines take fewer side by side


def profile(
    config: ProfileConfig | str | os.PathLike[str], output: str | os.PathLike[str], progress: bool = False
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
        with Progress(sum(cell.queries * cell.repeats for cell in cells), progress) as shown:
            for model in config.models:
                _measure(config, model, record, shown)
        about = provenance(config, identities, hashed, record.opened, record.calls)
        measurements = Measurements.from_rows(_rows(config, record), about)
        write_query_files(target, config.tasks)
        measurements.write(target)
        record.remove()
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
        if name not in ("concurrency", "server") and value not in (None, known.get(name)):
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
        engine = open_engine(model, config.seed, config.concurrency, config.timeout)
        try:
            if model.name not in record.opened:
                record.append({"opened": model.name, "about": _about(config, model, engine)})
            else:
                _check_same(model, engine, record)
            while todo:
                _answer(model, engine, todo[:_MAX_CALLS_RENDERED], record, shown)
                todo = _left(cells, record)
        finally:
            engine.close()
    asked = sum(len(call.members) for cell in cells for call in cell.needed(record.calls))
    shown.leave_out(sum(cell.queries * cell.repeats for cell in cells) - asked)


def _left(cells: Sequence[Cell], record: Record) -> list[tuple[Task, PlannedCall]]:
    return [(cell.task, call) for cell in cells for call in cell.needed(record.calls) if call.key not in record.calls]


def _about(config: ProfileConfig, model: ModelConfig, engine: Engine) -> dict[str, Any]:
    """Tell about the engine, and measure the shared prompt's tokens by sending it alone."""
    probes = [ModelCall(task.template.render([]), max_tokens=1) for task in config.tasks]
    shared: dict[str, int] = {}
    for index, answer in engine.run(probes):
        task = config.tasks[index]
        if answer.error:
            raise InputError(
                f"model {model.name!r}: not even the shared prompt of task {task.name!r} fits: {answer.error}"
            )
        shared[task.name] = answer.input_tokens
    return engine.describe() | {"shared_tokens": {task.name: shared[task.name] for task in config.tasks}}


def _answer(
    model: ModelConfig, engine: Engine, todo: Sequence[tuple[Task, PlannedCall]], record: Record, shown: Progress
) -> None:
    batches = [[task.queries[i] for i in call.members] for task, call in todo]
    how: dict[str, bool] = {"chat": model.chat, "structured": model.structured}
    calls = [
        model_call(task.template, batch, task.max_output_tokens * len(batch), **how)
        for (task, _), batch in zip(todo, batches, strict=True)
    ]
    answers = engine.run(calls)
    try:
        for index, answer in answers:
            task, call = todo[index]
            line = _line(model, task, call, batches[index], answer)
            record.append(line)
            shown.describe(f"{model.name}, {task.name} x {call.key.batch_size}")
            shown.advance(len(call.members), model.cost(line["input_tokens"], line["output_tokens"]))
    finally:
        if isinstance(answers, Generator):
            answers.close()  # interrupted: the calls in flight are given up at once


def _line(
    model: ModelConfig, task: Task, call: PlannedCall, batch: Sequence[Query], answer: ModelAnswer
) -> dict[str, Any]:
    """Read and grade an answer; what the record keeps of it is all that the rows are made of."""
    answers: Sequence[str | None] = [None] * len(batch)
    if answer.error is None:
        answers = read(answer.text, batch, task.template.form, not model.structured, answer.finish_reason == "length")
    grade = grader_of(task.grader)
    return {
        **call.key._asdict(),
        "answers": answers,
        "scores": [grade(given, query) for given, query in zip(answers, batch, strict=True)],
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "seconds": round(answer.seconds, 6),
        "finish_reason": answer.finish_reason,
        "error": answer.error,
    }


def _rows(config: ProfileConfig, record: Record) -> Iterator[dict[str, Any]]:
    """Give one row per task, query, model, batch size and repeat: by model, task, batch size, call, position."""
    for model in config.models:
        for cell in cells_of(config, model):
            shared = record.opened[model.name]["shared_tokens"][cell.task.name]
            for call in cell.needed(record.calls):
                line, size = record.calls[call.key], len(call.members)
                for position, (member, answer) in enumerate(zip(call.members, line["answers"], strict=True)):
                    query = cell.task.queries[member]
                    yield {
                        **call.key._asdict(),
                        "query_id": query.id,
                        "call_size": size,
                        "position": position,
                        "score": line["scores"][position],
                        "parsed": answer is not None,
                        "answer": None if query.kind == "text" else answer,
                        "input_tokens": max(0.0, line["input_tokens"] - shared) / size,
                        "output_tokens": line["output_tokens"] / size,
                        "call_input_tokens": line["input_tokens"],
                        "call_output_tokens": line["output_tokens"],
                        "shared_tokens": shared,
                        "seconds": line["seconds"],
                        "finish_reason": line["finish_reason"],
                        "error": line["error"],
                    }
