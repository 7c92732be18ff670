"""A judge for free text: a model that grades answers by a rubric."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.journal import read_lines
from robatch.proxies.labels.reference import Labelled, label
from robatch.proxies.sources.rows import RowRules, read_rows
from robatch.proxies.tasks.queries import Query, write_queries

GRADES = ("1", "2", "3", "4", "5")


@dataclass(frozen=True)
class Judged:
    """What a judge said.

    Attributes
    ----------
    scores
        From 0 (grade 1) to 1 (grade 5), by the query's id; without those that the judge did not grade.
    by
        The judge.
    labelled
        What asking came to. Its queries are pairs of a query and an answer, with the grade as their answer, so that
        people can check them as they check labels.
    """

    scores: Mapping[str, float]
    by: str
    labelled: Labelled


def judge(
    queries: Any,
    answers: Mapping[str, str] | str | os.PathLike[str],
    pool: str | os.PathLike[str],
    output: str | os.PathLike[str],
    rubric: str,
    *,
    rules: RowRules | None = None,
    **asking: Any,
) -> Judged:
    """Let a model grade answers to queries from 1 to 5 by a rubric, each alone.

    Parameters
    ----------
    queries, rules
        As of `label`.
    answers
        The answer to each query, by its id; or the file that `robatch.proxies.execute` wrote. Queries without one are
        left out.
    pool
        A TOML file with [[models]], the judge among them.
    output
        The JSONL file of the pairs with their grades, which `robatch label OUT --filled` checks.
    rubric
        What makes an answer good or bad.
    asking
        As of `label`: model, count, seed, budget, ...

    Raises
    ------
    InputError
        If an input is not allowed, no query has an answer, or the model cannot be asked. What was graded is kept.
    """
    if not rubric.strip():
        raise InputError("rubric is empty: what makes an answer good is needed")
    if not isinstance(answers, Mapping):
        answers = {line["id"]: line["answer"] for line in read_lines(Path(answers)) if line.get("answer") is not None}
    pairs = [
        Query(query.id, f"Query: {query.text}\nAnswer: {answers[query.id]}", None, "choice", GRADES)
        for query in read_rows(queries, rules).queries
        if query.id in answers
    ]
    if not pairs:
        raise InputError("no query has an answer to be judged: the queries that were answered are needed")
    path = Path(f"{os.fspath(output)}.pairs.jsonl")
    write_queries(path, pairs)
    told = f"{rubric.strip()}\nGrade each answer from 1, the worst, to 5, the best. Answer with the grade alone."
    made = label(path, pool, output, instructions=told, **asking)
    graded = [query for query in made.queries if query.answer is not None]
    if not graded:
        raise InputError(f"the judge graded none of {made.drawn} answers: see {os.fspath(output)}.answers.jsonl")
    scores = {one.id: (int(str(one.answer)) - 1) / (len(GRADES) - 1) for one in graded}
    return Judged(scores, str(graded[0].by), made)
