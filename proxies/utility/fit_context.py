"""What a proxy keeps of the measurements it was fitted to: models, prompt and task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.prices.entry import origin_of
from robatch.proxies.tasks.queries import Query, query_ids
from robatch.proxies.tasks.recorded import check_measured
from robatch.proxies.utility.uncertainty import Answers

if TYPE_CHECKING:
    from robatch.proxies.profiling.measurements import Measurements


@dataclass(frozen=True)
class FitContext:
    """Models, prompt and task of a proxy.

    Attributes
    ----------
    models
        The measurements' records of the models: prices, context window, identity, and the tokens of the shared prompts
        as `Measurements.packing` has them of the proxy's task.
    """

    models: tuple[Mapping[str, Any], ...]
    task: Mapping[str, Any]  # the measurements' record of the task: name, template, grader, most output tokens
    queries: int  # number of queries the proxy was fitted to

    @property
    def template(self) -> Mapping[str, Any]:
        """The prompt template, as `Template.to_dict` gave it."""
        template: Mapping[str, Any] = self.task["template"]
        return template

    def pool(self, states: Sequence[tuple[str, int]]) -> tuple[Model, ...]:
        """Return the models with the batch sizes among `states`."""
        return tuple(
            Model(
                name=record["name"],
                price_in=record["price_in"],
                price_out=record["price_out"],
                shared_tokens=record["shared_tokens"][self.task["name"]],
                context_window=record["context_window"],
                batch_sizes=tuple(size for name, size in states if name == record["name"]),
                priced=origin_of(record),
            )
            for record in self.models
        )

    def text(self, query: Query) -> str:
        """Return what an estimator sees of a query: its text, and its choices where the prompt shows them."""
        if self.template.get("show_choices") and query.choices:
            return "\n".join([query.text, *query.choices])
        return query.text


def task_of(measurements: Measurements, task: str | None) -> str:
    """Return the name of the task that is meant.

    Raises
    ------
    InputError
        If it is not measured, or if there are several and none is named.
    """
    names = list(measurements.tasks)
    if task is None:
        if len(names) > 1:
            raise InputError(f"the measurements hold the tasks {names}: name one (task, --task)")
        return str(names[0])
    if task not in names:
        raise InputError(f"task {task!r} is not measured: one of {names} is needed")
    return task


@dataclass(frozen=True)
class Sample:
    """The measured queries among those given."""

    facts: FitContext
    texts: list[str]  # N texts
    utility: FloatArray  # (N, S), NaN where not measured
    input_tokens: FloatArray  # (N, K), NaN where not known
    output_tokens: FloatArray
    answers: Answers  # the single answers behind the utilities, with their calls

    def costs(self, states: Sequence[tuple[str, int]]) -> FloatArray | None:
        """Return the mean amortized USD of a query in each state, (S,); None if tokens of a model are not known."""
        models = self.facts.pool(states)
        tokens = []
        for column in (*self.input_tokens.T, *self.output_tokens.T):
            known = column[~np.isnan(column)]
            if len(known) == 0:
                return None
            tokens.append(float(known.mean()))
        usd = {
            (model.name, size): 1e-6 * (model.price_in * (model.shared_tokens / size + t_in) + model.price_out * t_out)
            for model, t_in, t_out in zip(models, tokens[: len(models)], tokens[len(models) :], strict=True)
            for size in model.batch_sizes
        }
        return np.array([usd[state] for state in states])


@dataclass(frozen=True)
class TaskStack:
    """The measured queries of several tasks, one below the other."""

    texts: list[str]  # N texts
    utility: FloatArray  # (N, S), NaN where not measured
    tasks: list[str]  # the task of each query: N names, which are groups to `diagnose`


def sample(measurements: Measurements, queries: Sequence[Query], task: str | None) -> Sample:
    """Bring the measurements of a task together with its queries' texts.

    Queries without measurements, and measurements of other queries, are left out: a part of the queries is what
    a proxy is fitted to when it is judged on the others. Queries are compared with the measured ones by hashes, as
    far as the measurements hold them (see `robatch.proxies.tasks.recorded.check_measured`).

    Raises
    ------
    InputError
        If none of the queries was measured, one is another than the one measured under its id, an id is given twice,
        or the task is not clear.
    """
    name = task_of(measurements, task)
    query_ids(queries)
    given = {query.id: query for query in queries}
    ids, utility = measurements.utilities(name)
    inputs, outputs = measurements.tokens(name)
    rows = [i for i, id in enumerate(ids) if id in given]
    if not rows:
        raise InputError(
            f"none of the {len(given)} queries was measured for task {name!r}: "
            "the queries of the measurements are needed, with their ids"
        )
    record = next(record for record in measurements.provenance["tasks"] if record["name"] == name)
    check_measured(queries, record, set(ids))
    kept = {name: value for name, value in record.items() if name != "query_hashes"}  # which no prediction needs
    packing = measurements.packing(name)
    models = tuple(
        {**model, "shared_tokens": {**model["shared_tokens"], name: packed.shared}}
        for model, packed in zip(measurements.provenance["models"], packing, strict=True)
    )
    facts = FitContext(models, kept, len(rows))
    inputs = inputs + [packed.seam for packed in packing]
    texts = [facts.text(given[ids[i]]) for i in rows]
    answers = single_answers(measurements, name, [ids[i] for i in rows])
    return Sample(facts, texts, utility[rows], inputs[rows], outputs[rows], answers)


def stack_tasks(measurements: Measurements, queries: Mapping[str, Sequence[Query]]) -> TaskStack:
    """Bring the measurements of several tasks together with their queries' texts, to judge a proxy by task.

    The queries are given by the name of their task; those that were not measured are left out.

    Raises
    ------
    InputError
        If none of a task's queries was measured, an id is given twice in a task, or there is no task.
    """
    if not queries:
        raise InputError("queries is empty: at least one task is needed")
    found = {task: sample(measurements, given, task) for task, given in queries.items()}
    return TaskStack(
        [text for part in found.values() for text in part.texts],
        np.vstack([part.utility for part in found.values()]),
        [task for task, part in found.items() for _ in part.texts],
    )


def single_answers(measurements: Measurements, task: str, ids: Sequence[str]) -> Answers:
    """Return every single answer to the queries of a task, in the order of `ids`, with a number for its call."""
    names = ("task", "query_id", "model", "batch_size", "repeat", "call", "score")
    rows, columns = {id: i for i, id in enumerate(ids)}, {state: s for s, state in enumerate(measurements.states)}
    calls: dict[tuple[int, int, int], int] = {}
    found = []
    for where, id, model, size, repeat, call, score in zip(
        *(measurements.table[name].to_pylist() for name in names), strict=True
    ):
        if where == task and id in rows:
            column = columns[model, size]
            found.append((rows[id], column, score, calls.setdefault((column, repeat, call), len(calls))))
    places = np.array([(row, column, call) for row, column, _, call in found], dtype=np.int64)
    scores = np.array([score for _, _, score, _ in found], dtype=np.float64)
    return Answers(places[:, 0], places[:, 1], scores, places[:, 2])
