"""The whole job: read, weigh, measure, fit, route, execute, join; every step is kept and none is paid for twice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.job.answers import Known, check_output, joined, known_answers, unanswered, write_joined
from robatch.job.compared import break_even as compared
from robatch.job.forecast import Forecast, Step, break_even
from robatch.job.ledger import Ledger
from robatch.job.measuring import LEAST, first_round, fit, measure, unmeasured
from robatch.job.page import write_page
from robatch.job.result import JobResult
from robatch.job.settings import Settings, as_choices, text_of
from robatch.job.steps import Steps, remove_unbegun
from robatch.proxies.execution.routing import route
from robatch.proxies.sources.rows import QueryRows, RowRules, read_rows
from robatch.proxies.tasks.queries import Query, write_queries
from robatch.solvers.cheapest.curve import CurvePoint, curve, single_states

MOST_OF_BUDGET = 0.9  # that a batch size may be estimated to take, where nothing is measured


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


@dataclass
class Job:
    """A job: its settings and rows, and what stands in its folder."""

    settings: Settings
    rows: QueryRows
    folder: Path
    output: Path | None
    source: str
    notes: list[str]

    @classmethod
    def of(  # wide: the arguments of `run`
        cls, source: Any, pool: Any, budget: float, prompt: Any, output: Any, folder: Any, rules: RowRules,
        system: Any, settings: dict[str, Any],
    ) -> Job:  # fmt: skip
        """Check and read what `run` is given; nothing is written."""
        notes: list[str] = []
        told = settings.pop("on_note", None)

        def note(text: str) -> None:
            notes.append(text)
            if told is not None:
                told(text)

        for name in settings:
            if name not in Settings.__dataclass_fields__:
                raise InputError(f"{name!r} is no setting of a job")
        made = Settings(
            Path(pool), text_of(prompt, "the prompt"), budget, rules, text_of(system, "the system message"),
            on_note=note, **settings,
        )  # fmt: skip
        target = None if output is None else Path(output)
        if target is not None:
            check_output(target)
        if folder is None and target is None:
            raise InputError("output or folder is needed: answers that were paid for are kept there")
        kept = target.with_suffix(".run") if folder is None and target is not None else Path(folder)
        if not kept.resolve().parent.is_dir():
            raise InputError(f"cannot make {str(kept)!r}: its folder does not exist")
        return cls(made, read_rows(source, rules), kept, target, type(source).__module__.partition(".")[0], notes)

    def run(self) -> JobResult:
        """Do the job, or what is left of it."""
        s, models = self.settings, self.settings.models()
        template = s.template(self.rows.queries)
        named = [[model.name, model.model, model.path and Path(model.path).name] for model in models]
        bound = {"models": named, "prompt": template.to_dict(), "grader": s.grader}
        ledger = Ledger.open(self.folder, bound)
        remove_unbegun(ledger)
        steps = Steps(s, models, template, ledger)
        self._tell_rows()
        steps.goes_on()
        known = known_answers(ledger)
        rest = unanswered(self.rows.queries, known, s.retry_unread)
        points: tuple[CurvePoint, ...] = ()
        if rest:
            if ledger.entries:
                s.note(
                    f"{len(self.rows.queries) - len(rest):,} answers are known already; {len(rest):,} are to be asked"
                )
            points = self._answer(steps, rest)
            known = known_answers(ledger)
        return self._finish(ledger, steps, known, points)

    def forecast(self, queries: Sequence[Query]) -> Forecast:
        """Return what states cost for some queries."""
        s = self.settings
        return Forecast.of(s, s.models(), s.template(self.rows.queries), queries)

    def preview(self) -> tuple[list[Step], list[str]]:
        """Return what would be asked at most, step by step, and what is to be said; nothing is sent or written."""
        s = self.settings
        known: dict[str, Known] = {}
        if (self.folder / "job.json").exists():
            bound: dict[str, Any] = {}
            ledger = Ledger.open(self.folder, bound)
            known = known_answers(ledger)
            s.note(ledger.total(s.budget))
        self._tell_rows()
        rest = unanswered(self.rows.queries, known, s.retry_unread)
        if not rest:
            return [], self.notes
        forecast = self.forecast(rest)
        count, labels = first_round(forecast, rest, s.budget * s.measure)
        measuring = forecast.measuring(count, labels) if count else []
        if known or not self._pays(forecast, count, labels):
            measuring = []
        part = 1.0 - (count / len(rest) if measuring else 0.0)
        return [
            *measuring,
            forecast.step("answers", [(forecast.best, min(forecast.best.batch_sizes))], part),
        ], self.notes

    def _tell_rows(self) -> None:
        rows, note = self.rows, self.settings.note
        more = f", {rows.copies:,} repeat the text of another" if rows.copies else ""
        more += f", {rows.empty:,} are empty" if rows.empty else ""
        note(f"{len(rows.ids):,} rows{more}: {len(rows.queries):,} queries")
        if rows.copies:
            forecast = self.forecast(rows.queries)
            alone = forecast.step("alone", [(forecast.best, min(forecast.best.batch_sizes))]).usd
            saved = alone * rows.copies / len(rows.queries)
            note(f"asking each text once saves some {saved:.4g} USD ({forecast.best.name}, estimated)")

    def _pays(self, forecast: Forecast, count: int, labels: bool) -> bool:
        """Say what routing can save where so many queries are measured, and whether queries are to be routed."""
        s = self.settings
        least = count or min(LEAST, len(forecast.inputs))
        lines, pays = break_even(forecast, sum(step.usd for step in forecast.measuring(least, labels)))
        for line in lines:
            s.note(line)
        if not count:
            s.note(
                f"fewer than {LEAST} queries can be measured: there are too few, or their part of the budget is small"
            )
        alone = forecast.step("alone", [(forecast.best, min(forecast.best.batch_sizes))]).usd
        if s.routing != "auto":
            return s.routing == "always"
        return count > 0 and (pays or alone > s.budget)

    def _answer(self, steps: Steps, rest: tuple[Query, ...]) -> tuple[CurvePoint, ...]:
        """Ask the queries that are left: routed, or all of the dearest model."""
        s, ledger = self.settings, steps.ledger
        forecast = self.forecast(rest)
        if not any(entry.kind == "profile" and entry.done for entry in ledger.entries):
            labelled = unmeasured(steps)
            count, labels = first_round(forecast, rest, s.measure * s.budget - ledger.spent)
            if not labelled and not self._pays(forecast, count, labels):
                return self._alone(steps, rest, forecast)
            measure(steps, rest, forecast, (count, labels), labelled)
        fit(steps)
        rest = unanswered(self.rows.queries, known_answers(ledger), s.retry_unread)
        return self._route(steps, rest) if rest else ()

    def _alone(self, steps: Steps, rest: tuple[Query, ...], forecast: Forecast) -> tuple[CurvePoint, ...]:
        """Send everything to the dearest model, at the smallest batch size that fits into the budget."""
        s, best = self.settings, forecast.best
        fitting = [
            size for size in best.batch_sizes if forecast.step("answers", [(best, size)]).usd <= 0.9 * steps.left
        ]
        size = fitting[0] if fitting else max(best.batch_sizes)
        s.note(f"all queries go to {best.name} at batch size {size}, without measuring")
        entry = steps.ledger.begin("answers", len(rest))
        steps.single(entry, rest, (best, size), forecast, steps.left)
        return ()

    def _route(self, steps: Steps, rest: tuple[Query, ...]) -> tuple[CurvePoint, ...]:
        """Plan the rest at least cost, and execute the plan."""
        s, ledger = self.settings, steps.ledger
        if steps.left <= 0.0:
            s.note(f"nothing is left of the budget: {len(rest):,} queries stay unanswered")
            return ()
        entry = ledger.begin("answers", len(rest))
        path = ledger.file(entry, ".queries.jsonl")
        write_queries(path, tuple(replace(query, answer=None, by=None) for query in rest))
        try:
            plan = route(path, ledger.folder / "proxy.skops", steps.left, of_best=s.of_best, seed=s.seed)
        except InputError:
            ledger.entries.remove(entry)
            ledger.save()
            raise
        assert plan.plan.utility is not None
        points = curve(plan.problem, seed=s.seed)
        for line in compared(plan.planned_cost, plan.plan.utility / len(rest), single_states(plan.problem)):
            s.note(line)
        steps.planned(plan, entry)
        return points

    def _finish(
        self, ledger: Ledger, steps: Steps, known: dict[str, Known], points: tuple[CurvePoint, ...]
    ) -> JobResult:
        labelled = any(entry.kind == "labels" for entry in ledger.entries)
        table = joined(self.rows, known)
        self.settings.note(ledger.total(self.settings.budget))
        made = JobResult(
            table, ledger.by_kind(), ledger.spent, ledger.lost, self.settings.budget, tuple(self.notes), points,
            steps.reports[-1] if steps.reports else None, steps.models[-1].name if labelled else None, self.folder,
            self.source,
        )  # fmt: skip
        if self.output is not None:
            write_joined(table, self.output)
            write_page(made, self.output.with_suffix(".html"))
        return made
