"""How far reference answers are from those of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robatch.instances.errors import InputError
from robatch.proxies.profiling.cell_sums import wilson
from robatch.proxies.tasks.grading import grader_of
from robatch.proxies.tasks.queries import Query


@dataclass(frozen=True)
class Agreement:
    """How often references are what people answered.

    Attributes
    ----------
    by
        Whose answers the references are.
    queries
        Queries that both answered.
    agreed
        Sum of the scores of the references, graded by the answers of people: how many agree where scores are 0 or 1.
    low, high
        95 % interval of the mean, by Wilson's method, which takes the queries to be drawn at random.
    differing
        Ids of the queries on which they do not agree in full.
    """

    by: str
    queries: int
    agreed: float
    low: float
    high: float
    differing: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.by} agrees with people in {self.agreed:g} of {self.queries} queries "
            f"({self.agreed / self.queries:.0%}, 95 % interval {self.low:.0%} to {self.high:.0%})"
        )


def agreement(references: Sequence[Query], people: Sequence[Query], grader: str = "auto") -> Agreement:
    """Compare reference answers with those of people, on the queries that both have.

    An accuracy is at most so far from an agreement with the references as these are from people.

    Raises
    ------
    InputError
        If none is in both, the references say not whose they are, or there is no such grader.
    """
    given = {query.id: query for query in references if query.answer is not None and query.by is not None}
    both = [(given[query.id], query) for query in people if query.id in given]
    if not both:
        raise InputError("references and answers of people have no query in common: the same queries are needed")
    names = sorted({str(reference.by) for reference, _ in both})
    grade = grader_of(grader)
    scores = [grade(reference.answer, truth) for reference, truth in both]
    low, high = wilson(sum(scores), len(both))
    differing = tuple(truth.id for (_, truth), score in zip(both, scores, strict=True) if score < 1.0)
    return Agreement(" and ".join(names), len(both), sum(scores), low, high, differing)
