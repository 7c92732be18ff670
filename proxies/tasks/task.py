"""A task: queries that share a prompt template and a grader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from robatch.instances.errors import InputError
from robatch.proxies.tasks.grading import grader_of
from robatch.proxies.tasks.prompts import Template
from robatch.proxies.tasks.queries import Query, query_ids

_OUTPUT_TOKENS = {"choice": 16, "number": 16, "text": 256}  # of an answer, by its kind


@dataclass(frozen=True)
class Task:
    """Queries that share a prompt template and a grader, so that they may share a call.

    Attributes
    ----------
    name
        Unique among the tasks of a run.
    queries
        At least one, with ids that are unique.
    template
        The prompt template.
    grader
        How answers are scored, by a name that `robatch.proxies.tasks.grading.grader_of` knows.
    max_output_tokens
        Output tokens allowed per query; a call of b queries may write b times as many.
    described
        Where the queries come from, for the record.
    queries_by_batch_size
        How many of the queries are measured at a batch size; at one that is not named, all.

    Raises
    ------
    InputError
        If there is no query, an id twice, no such grader, or more queries are asked for than there are.
    """

    name: str
    queries: tuple[Query, ...]
    template: Template
    grader: str = "auto"
    max_output_tokens: int = 16
    described: str = ""
    queries_by_batch_size: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "queries", tuple(self.queries))
        if not isinstance(self.name, str) or not self.name.strip() or not self.name.isprintable():
            raise InputError(f"the name of a task is {self.name!r}: one line of text is needed")
        if not self.queries:
            raise InputError(f"task {self.name!r} holds no query: at least one is needed")
        if isinstance(self.max_output_tokens, bool) or self.max_output_tokens < 1:
            raise InputError(f"max_output_tokens is {self.max_output_tokens!r}: at least 1 is needed")
        query_ids(self.queries)
        grader_of(self.grader)
        for size, count in self.queries_by_batch_size.items():
            if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(self.queries):
                raise InputError(
                    f"queries_by_batch_size of task {self.name!r} is {count!r} at batch size {size}: a whole number "
                    f"from 1 to {len(self.queries)}, its number of queries, is needed"
                )

    @property
    def kind(self) -> str | None:
        """The kind of the queries; None where they differ."""
        kinds = {query.kind for query in self.queries}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The choices of the queries; None where they differ."""
        choices = {query.choices for query in self.queries}
        return choices.pop() if len(choices) == 1 else None


def output_tokens(queries: Sequence[Query]) -> int:
    """Return the output tokens that an answer to one of some queries may have, where nobody says."""
    return max(_OUTPUT_TOKENS[query.kind] for query in queries)


def check_tasks(tasks: Sequence[Task]) -> None:
    """Refuse a name or a query id that occurs twice in a run."""
    if not tasks:
        raise InputError("tasks is empty: at least one task is needed")
    seen: dict[str, str] = {}
    names: set[str] = set()
    for task in tasks:
        if task.name in names:
            raise InputError(f"task name {task.name!r} occurs twice: names are unique")
        names.add(task.name)
        for query in task.queries:
            if query.id in seen:
                raise InputError(
                    f"query id {query.id!r} occurs in the tasks {seen[query.id]!r} and {task.name!r}: "
                    "ids are unique over all tasks of a run"
                )
            seen[query.id] = task.name


def refuse_ungraded(tasks: Sequence[Task]) -> None:
    """Refuse queries without a true answer, which cannot be measured."""
    for task in tasks:
        for query in task.queries:
            if query.answer is None:
                raise InputError(
                    f"query {query.id!r} of task {task.name!r} has no answer: a profile measures graded queries only"
                )
