"""``robatch.run``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from robatch.job.job import Job
from robatch.job.result import JobResult
from robatch.job.settings import as_choices
from robatch.proxies.sources.rows import RowRules


def run(  # wide: one parameter for each option
    source: Any,
    *,
    pool: str | os.PathLike[str],
    budget: float,
    prompt: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    id: str | None = None,
    text: str | None = None,
    answer: str | None = None,
    choices: Sequence[str] = (),
    kind: Any = None,
    empty: Any = "error",
    system: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> JobResult:
    """Answer the rows of a table within a budget: measure a sample, fit, route, execute, and join the answers.

    Every step is kept in `folder`. A run that was ended goes on when it is started again; one whose table has new rows
    asks these alone, with what was measured before; `budget` is for all of them together.

    Parameters
    ----------
    source
        A table as `robatch.proxies.sources.read_table` takes it: a pandas, polars or Arrow table, or a path.
    pool
        TOML file with [[models]], as `robatch profile --pool` takes it.
    budget
        USD, for all steps.
    prompt
        What is asked of every row: a text, or the path (`pathlib.Path`) of a file; None for a sentence that fits.
    output
        CSV, TSV, Parquet or JSONL file of the rows with their answers; a page about the job goes beside it, as HTML.
    folder
        Where steps are kept; by default beside `output`, with the ending ``.run``.
    id, text, answer, choices, kind, empty
        How rows become queries: see `robatch.proxies.sources.RowRules`. Without true answers, those of the dearest
        model, asked alone, stand for them.
    system
        A system message, or the path of a file with one.
    **settings
        ``measure`` (0.2): the most of the budget that is measured with. ``of_best`` (0.99): the cheapest plan is made
        that reaches this share of the best model's predicted utility. ``routing`` ("auto"): "never" sends all to the
        dearest model without measuring, "always" measures even where that cannot pay. ``batch_sizes`` ((1, 4, 16)) of
        models that name none, ``prices`` (a source of prices by name), ``max_output_tokens`` (of an answer), ``form``
        ("lines"), ``grader`` ("auto"), ``concurrency`` (8), ``timeout`` (120), ``max_wait``, ``max_unread`` (0.5),
        ``retry_unread`` (False), ``seed`` (0), ``progress`` (False) and ``on_note`` (called with each sentence).

    Returns
    -------
    JobResult
        With `frame`, the rows with their answers in the library of the input.

    Raises
    ------
    InputError
        If an argument, a row or a file is not what is needed, or no plan fits the budget. What was answered is kept.
    """
    job = Job.of(
        source,
        pool,
        budget,
        prompt,
        output,
        folder,
        RowRules(id, text, answer, as_choices(choices), kind, empty),
        system,
        settings,
    )
    return job.run()
