"""The dry run: what a profiling run will ask, and an estimate of its cost, before anything is loaded or spent."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from robatch.proxies.profiling.config import ModelConfig, ProfileConfig
from robatch.proxies.profiling.run import recorded
from robatch.proxies.profiling.sampling import cells_of
from robatch.proxies.tasks.task import refuse_ungraded

BYTES_A_TOKEN = 4
"""The rule of thumb where a model's tokenizer is not at hand."""


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
    """

    model: str
    task: str
    done: int
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float
    counted: str


def estimate(config: ProfileConfig, output: str | os.PathLike[str] | None = None) -> tuple[Estimate, ...]:
    """Estimate a run, by model and task.

    Parameters
    ----------
    config
        The run.
    output
        The file that it would write; what an earlier run of the configuration has recorded for it is not to be done.

    Raises
    ------
    InputError
        If a query has no answer, or `output` belongs to another run, as for the run itself.
    """
    refuse_ungraded(config.tasks)
    answered, opened = ({}, ()) if output is None else recorded(config, Path(output))
    found = []
    for model in config.models:
        count, counted = _counter(model)
        for task in config.tasks:
            prompts = [] if model.name in opened else [task.template.render([])]
            outputs, done = len(prompts), 0
            for cell in cells_of(config, model):
                if cell.task is not task:
                    continue
                needed = cell.needed(answered)
                calls = [call for planned in cell.rounds for call in planned]
                missing = [call for call in calls if call.key not in answered]
                done += len(calls) - len(missing)
                if all(call.key in answered for call in needed):  # whole, or adaptive sampling has stopped
                    continue
                for call in missing:
                    prompts.append(task.template.render([task.queries[i] for i in call.members]))
                    outputs += task.max_output_tokens * len(call.members)
            inputs = count(prompts)
            usd = (inputs * model.price_in + outputs * model.price_out) / 1e6
            found.append(Estimate(model.name, task.name, done, len(prompts), inputs, outputs, usd, counted))
    return tuple(found)


def as_json(estimates: tuple[Estimate, ...]) -> dict[str, Any]:
    """Give the estimates and their total as JSON can hold them."""
    total = {
        name: sum(getattr(row, name) for row in estimates)
        for name in ("done", "calls", "input_tokens", "output_tokens", "usd")
    }
    return {"estimates": [asdict(row) for row in estimates], "total": total}


def _counter(model: ModelConfig) -> tuple[Callable[[list[str]], int], str]:
    """Give what counts the tokens of prompts, and what to call it."""
    file = Path(model.path) / "tokenizer.json" if model.local and model.path else None
    if file is None or not file.is_file() or find_spec("tokenizers") is None:
        return _by_bytes, f"{BYTES_A_TOKEN} bytes a token"
    tokenizers: Any = import_module("tokenizers")

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception:  # the library raises bare exceptions on a file that it cannot read
        return _by_bytes, f"{BYTES_A_TOKEN} bytes a token"
    # A file may say that texts are cut or filled up to one length.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = not model.chat  # a chat template brings its own special tokens
    return (
        lambda prompts: sum(len(coded) for coded in tokenizer.encode_batch(prompts, add_special_tokens=special)),
        "tokenizer",
    )


def _by_bytes(prompts: list[str]) -> int:
    return sum(-(-len(prompt.encode()) // BYTES_A_TOKEN) for prompt in prompts)
