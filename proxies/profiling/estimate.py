"""The dry run: what a profiling run will ask and cost at most, before anything is loaded or spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from robatch.proxies.profiling.config import ModelConfig, ProfileConfig
from robatch.proxies.profiling.sampling import cells_of
from robatch.proxies.tasks.task import refuse_ungraded

CHARACTERS_A_TOKEN = 4
"""The rule of thumb where a model's tokenizer is not at hand."""


@dataclass(frozen=True)
class Estimate:
    """What one model will be asked on one task.

    Attributes
    ----------
    model, task
        The names.
    calls
        Calls of the full design (adaptive sampling makes fewer), and one for the shared prompt's tokens.
    input_tokens
        Tokens of all prompts.
    output_tokens
        The most that the calls are allowed to write.
    usd
        Their cost: as the output is the most that is allowed, at most this, as far as the input tokens are right.
    counted
        ``"tokenizer"`` where the model's own counted the input tokens (without what a chat template adds to every
        call), ``"4 characters a token"`` where they are estimated.
    """

    model: str
    task: str
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float
    counted: str


def estimate(config: ProfileConfig) -> tuple[Estimate, ...]:
    """Estimate a run, by model and task.

    Raises
    ------
    InputError
        If a query has no answer, as for the run itself.
    """
    refuse_ungraded(config.tasks)
    found = []
    for model in config.models:
        count, counted = _counter(model)
        for task in config.tasks:
            prompts = [task.template.render([])]
            outputs = 1
            for cell in cells_of(config, model):
                if cell.task is not task:
                    continue
                for call in (call for planned in cell.rounds for call in planned):
                    prompts.append(task.template.render([task.queries[i] for i in call.members]))
                    outputs += task.max_output_tokens * len(call.members)
            inputs = count(prompts)
            usd = (inputs * model.price_in + outputs * model.price_out) / 1e6
            found.append(Estimate(model.name, task.name, len(prompts), inputs, outputs, usd, counted))
    return tuple(found)


def as_json(estimates: tuple[Estimate, ...]) -> dict[str, Any]:
    """Give the estimates and their total as JSON can hold them."""
    total = {
        name: sum(getattr(row, name) for row in estimates) for name in ("calls", "input_tokens", "output_tokens", "usd")
    }
    return {"estimates": [asdict(row) for row in estimates], "total": total}


def _counter(model: ModelConfig) -> tuple[Callable[[list[str]], int], str]:
    """Give what counts the tokens of prompts, and what to call it."""
    file = Path(model.path) / "tokenizer.json" if model.local and model.path else None
    if file is None or not file.is_file() or find_spec("tokenizers") is None:
        return _by_characters, f"{CHARACTERS_A_TOKEN} characters a token"
    tokenizers: Any = import_module("tokenizers")

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception:  # the library raises bare exceptions on a file that it cannot read
        return _by_characters, f"{CHARACTERS_A_TOKEN} characters a token"
    # A file may say that texts are cut or filled up to one length.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = not model.chat  # a chat template brings its own special tokens
    return (
        lambda prompts: sum(len(coded) for coded in tokenizer.encode_batch(prompts, add_special_tokens=special)),
        "tokenizer",
    )


def _by_characters(prompts: list[str]) -> int:
    return sum(-(-len(prompt) // CHARACTERS_A_TOKEN) for prompt in prompts)
