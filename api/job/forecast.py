"""What the steps of a job will ask and cost, before anything is sent: an estimate from the bytes of the texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from robatch.instances.arrays import BoolArray, FloatArray
from robatch.job.settings import Settings
from robatch.proxies.profiling.model_config import ModelConfig
from robatch.proxies.tasks.prompts import Template
from robatch.proxies.tasks.queries import Query

BYTES_A_TOKEN = 4.0
TEMPLATE_TOKENS = 8.0  # that a chat template adds to a call
SECONDS_A_CALL, TOKENS_A_SECOND = 0.5, 50.0  # assumed of a model whose calls were not timed
TEXT_PART = 0.25  # of the most output tokens, that a free text is assumed to take


@dataclass(frozen=True)
class Step:
    """A step: what it will ask."""

    name: str
    queries: int
    calls: int
    input_tokens: float
    output_tokens: float
    usd: float
    minutes: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def total(steps: Sequence[Step]) -> Step:
    """Return the sum of some steps."""
    sums = {name: sum(getattr(step, name) for step in steps) for name in list(Step.__dataclass_fields__)[1:]}
    return Step("total", **sums)


@dataclass(frozen=True)
class Forecast:
    """Tokens of queries, as far as their bytes tell, and what states cost.

    Attributes
    ----------
    shared
        Tokens of the prompt of a call without queries.
    inputs, outputs
        Tokens of each query: (N,).
    scale
        What was billed of each USD that was estimated, as far as known.
    """

    models: tuple[ModelConfig, ...]
    shared: float
    inputs: FloatArray
    outputs: FloatArray
    concurrency: int
    scale: float = 1.0

    @classmethod
    def of(
        cls, settings: Settings, models: tuple[ModelConfig, ...], template: Template, queries: Sequence[Query]
    ) -> Forecast:
        """Estimate the tokens of queries."""
        shared = len(template.whole([]).encode()) / BYTES_A_TOKEN + TEMPLATE_TOKENS
        head = len(template.render([]).encode())
        inputs = np.array([(len(template.render([query]).encode()) - head) / BYTES_A_TOKEN for query in queries])
        most = settings.most_tokens(tuple(queries))
        return cls(models, shared, inputs, np.array([_output(query, most) for query in queries]), settings.concurrency)

    def step(self, name: str, states: Sequence[tuple[ModelConfig, int]], part: float = 1.0) -> Step:
        """Return what a part of the queries costs in every one of some states."""
        queries = len(self.inputs) * part
        calls = inputs = outputs = usd = seconds = 0.0
        for model, size in states:
            count = float(np.ceil(queries / size))
            t_in, t_out = count * self.shared + part * float(self.inputs.sum()), part * float(self.outputs.sum())
            calls, inputs, outputs = calls + count, inputs + t_in, outputs + t_out
            usd += model.cost(t_in, t_out) * self.scale
            seconds += (count * SECONDS_A_CALL + t_out / TOKENS_A_SECOND) / self.concurrency
        return Step(name, round(queries), int(calls), inputs, outputs, usd, seconds / 60.0)

    def only(self, which: BoolArray) -> Forecast:
        """Return the forecast of some of the queries: (N,)."""
        return replace(self, inputs=self.inputs[which], outputs=self.outputs[which])

    def fits(self, *models: ModelConfig) -> BoolArray:
        """Return which queries fit, alone, the context window of one of some models: (N,)."""
        tokens = self.shared + self.inputs + self.outputs
        return np.array(tokens <= max(model.context_window for model in models))

    def states(self) -> list[tuple[ModelConfig, int]]:
        """Return every model with every batch size."""
        return [(model, size) for model in self.models for size in model.batch_sizes]

    @property
    def best(self) -> ModelConfig:
        """The model that is taken for the best one until it is measured: the dearest."""
        return self.models[-1]

    def measuring(self, queries: int, labels: bool) -> list[Step]:
        """Return the steps that measure some queries: reference answers where there are no true ones, and a profile."""
        part = queries / len(self.inputs)
        steps = [self.step("labels", [(self.best, 1)], part)] if labels else []
        return [*steps, self.step("profile", self.states(), part)]


def break_even(forecast: Forecast, measuring: float) -> tuple[list[str], bool]:
    """Say what routing can save at most, and whether that is more than measuring costs at least.

    Returns
    -------
    tuple
        Sentences, and whether routing may pay.
    """
    best = forecast.best
    alone = forecast.step("alone", [(best, min(best.batch_sizes))]).usd
    batched = forecast.step("batched", [(best, max(best.batch_sizes))]).usd
    least = min(forecast.step("least", [state]).usd for state in forecast.states())
    saved = alone - least - measuring
    lines = [
        f"break-even: measuring takes {measuring:.4g} USD; all queries to {best.name} {alone:.4g}, at batch size "
        f"{max(best.batch_sizes)} {batched:.4g}; the cheapest way {least:.4g}: routing and batching can save at most "
        f"{max(0.0, saved):.4g} USD beyond what measuring takes (estimated)"
    ]
    if saved <= 0.0:
        lines.append(f"Routing does not pay here: send all queries to {best.name}.")
    return lines, saved > 0.0


def _output(query: Query, most: int) -> float:
    """Return the output tokens that an answer is assumed to take."""
    if query.kind == "choice":
        return 4.0 + max(len(choice.encode()) for choice in query.choices) / BYTES_A_TOKEN
    return 8.0 if query.kind == "number" else max(8.0, TEXT_PART * most)


def told(steps: Sequence[Step]) -> list[Mapping[str, Any]]:
    """Return steps and their total as plain values."""
    return [step.to_dict() for step in [*steps, total(steps)]]
