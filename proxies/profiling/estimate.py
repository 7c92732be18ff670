"""The dry run: what a profiling run will ask, and an estimate of its cost, before anything is loaded or spent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robatch.proxies.engines.token_count import Counter, token_counter
from robatch.proxies.profiling.config import ModelConfig, ProfileConfig
from robatch.proxies.profiling.gpu_memory import GpuMemory, folder_size, gpu_memory
from robatch.proxies.profiling.run import recorded
from robatch.proxies.profiling.sampling import Answered, Cell, PlannedCall, cells_of
from robatch.proxies.tasks.task import refuse_ungraded

BYTES_A_TOKEN = 4
"""The rule of thumb where a model's tokenizer is not at hand."""


@dataclass(frozen=True)
class TooLong:
    """Calls of a batch size that do not fit into their model's context window, prompt and allowed answers together.

    A run records them as failed.
    """

    batch_size: int
    calls: int  # how many of those to do
    tokens: int  # of the longest
    window: int  # tokens that a call may have


@dataclass(frozen=True)
class Estimate:
    """What one model will be asked on one task.

    Attributes
    ----------
    model, task
        The names.
    done
        Calls that are answered already.
    calls
        Calls of the full design that are not (adaptive sampling makes fewer), and one for the shared prompt's tokens.
    input_tokens
        Tokens of their prompts, as far as known.
    output_tokens
        The most that the calls are allowed to write.
    usd
        Their cost at these tokens: an estimate, as the input tokens may be more, and calls may be sent again.
    counted
        ``"tokenizer"`` where the model's own counted the input tokens (without what a chat template adds to every
        call), ``"4 bytes a token"`` where they are estimated.
    too_long
        By batch size, calls that are too long for the model's context window as far as known.
    """

    model: str
    task: str
    done: int
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float
    counted: str
    too_long: tuple[TooLong, ...] = ()


def estimate(config: ProfileConfig, output: str | os.PathLike[str] | None = None) -> tuple[Estimate, ...]:
    """Estimate a run, by model and task; what the file `output` or its record holds already is not to be done.

    Raises
    ------
    InputError
        If a query has no answer, or `output` belongs to another run, as for the run itself; or if that cannot be
        told, as the folder of a model is missing.
    """
    refuse_ungraded(config.tasks)
    answered, opened = ({}, ()) if output is None else recorded(config, Path(output))
    found = []
    for model in config.models:
        count, counted = _counter(model)
        for task in config.tasks:
            probes = [] if model.name in opened else [task.template.whole([])]
            calls, done, inputs, outputs = len(probes), 0, sum(count(probes)), len(probes)
            too_long = []
            for cell in cells_of(config, model):
                if cell.task is not task:
                    continue
                missing, answers = _missing(cell, answered)
                done += answers
                prompts = count([task.template.whole([task.queries[i] for i in call.members]) for call in missing])
                limits = [model.allowed(task.max_output_tokens * len(call.members)) for call in missing]
                calls, inputs, outputs = calls + len(missing), inputs + sum(prompts), outputs + sum(limits)
                long = [p + most for p, most in zip(prompts, limits, strict=True) if p + most > _window(model)]
                if long:
                    too_long.append(TooLong(cell.batch_size, len(long), max(long), _window(model)))
            sums = (done, calls, inputs, outputs, model.cost(inputs, outputs))
            found.append(Estimate(model.name, task.name, *sums, counted, tuple(too_long)))
    return tuple(found)


def as_json(estimates: tuple[Estimate, ...]) -> dict[str, Any]:
    """Give the estimates and their total as JSON can hold them."""
    total = {
        name: sum(getattr(row, name) for row in estimates)
        for name in ("done", "calls", "input_tokens", "output_tokens", "usd")
    }
    return {"estimates": [asdict(row) for row in estimates], "total": total}


def estimate_memory(config: ProfileConfig, gpu_gib: float | None = None) -> tuple[GpuMemory, ...]:
    """Give the GPU memory that each model of a run needs, and compare it with that of a GPU of `gpu_gib` GiB.

    The size is the one that the configuration names; otherwise that of the model's folder. Neither is known of a model
    on a server, and of a hub name without a size.

    Raises
    ------
    InputError
        If an engine argument that memory depends on is not what vLLM takes.
    """
    found = []
    for model in config.models:
        size = config.sizes.get(model.name)
        if size is None and model.local and model.path:
            size = folder_size(Path(model.path))
        if size is None:
            found.append(GpuMemory(model.name))
        else:
            found.append(gpu_memory(model.name, size, model.engine, model.context_window, gpu_gib))
    return tuple(found)


def _missing(cell: Cell, answered: Answered) -> tuple[list[PlannedCall], int]:
    """Give the calls of a cell that are to do, and the number of those that are done."""
    calls = [call for planned in cell.rounds for call in planned]
    left = [call for call in calls if call.key not in answered]
    done = len(calls) - len(left)
    if all(call.key in answered for call in cell.needed(answered)):  # whole, or adaptive sampling has stopped
        return [], done
    return left, done


def _counter(model: ModelConfig) -> tuple[Counter, str]:
    """Give what counts the tokens of prompts, and what to call it."""
    own = token_counter(Path(model.path) if model.local and model.path else None, model.chat)
    return (_by_bytes, f"{BYTES_A_TOKEN} bytes a token") if own is None else (own, "tokenizer")


def _by_bytes(prompts: Sequence[str]) -> list[int]:
    return [-(-len(prompt.encode()) // BYTES_A_TOKEN) for prompt in prompts]


def _window(model: ModelConfig) -> int:
    """Return the tokens that a call may have: no more than vLLM is told to take."""
    told = model.engine.get("max_model_len")
    return min(model.context_window, told) if isinstance(told, int) else model.context_window
