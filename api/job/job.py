"""The whole job: read, weigh, measure, fit, route, execute, join; every step is kept and none is paid for twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from robatch.instances.arrays import BoolArray
from robatch.instances.errors import InputError
from robatch.job.answers import Known, check_output, joined, known_answers, unanswered, write_joined
from robatch.job.compared import break_even as compared
from robatch.job.forecast import Forecast, Step, break_even
from robatch.job.ledger import Ledger
from robatch.job.measuring import LEAST, first_round, fit, measure, part_left, unmeasured
from robatch.job.page import write_page
from robatch.job.result import JobResult
from robatch.job.settings import Settings, text_of
from robatch.job.steps import Steps, remove_unbegun
from robatch.proxies.execution.routing import route
from robatch.proxies.profiling.model_config import ModelConfig
from robatch.proxies.sources.rows import QueryRows, RowRules, read_rows
from robatch.proxies.tasks.queries import Query, write_queries
from robatch.proxies.tasks.recorded import query_hash
from robatch.proxies.utility.utility_proxy import UtilityProxy
from robatch.solvers.cheapest.curve import CurvePoint, curve, single_states

MOST_NAMED = 5
MOST_OF_BUDGET = 0.9  # that a batch size may be estimated to take, where nothing is measured


@dataclass
class Job:
    """A job: its settings and rows, and what stands in its folder."""

    settings: Settings
    rows: QueryRows
    folder: Path
    output: Path | None
    source: str
    notes: list[str]
    long: dict[str, Known] = field(default_factory=dict)  # queries that fit no model's context window, by their hash

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
        s, models = self.settings, self.settings.models
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
        return Forecast.of(s, s.models, s.template(self.rows.queries), queries)

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
        rest, forecast = self._fitting(rest, self.forecast(rest), *s.models)
        if not rest:
            return [], self.notes
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
            if s.routing == "always" and not pays:
                s.note("they are measured and routed all the same, as --routing always says")
            return s.routing == "always"
        return count > 0 and (pays or alone > s.budget)

    def _answer(self, steps: Steps, rest: tuple[Query, ...]) -> tuple[CurvePoint, ...]:
        """Ask the queries that are left: routed, or all of the dearest model."""
        s, ledger = self.settings, steps.ledger
        rest, forecast = self._fitting(rest, self.forecast(rest), *steps.models)
        if not rest:
            return ()
        if not any(entry.kind == "profile" and entry.done for entry in ledger.entries):
            labelled = unmeasured(steps)
            count, labels = first_round(forecast, rest, part_left(steps))
            if not labelled and not self._pays(forecast, count, labels):
                return self._alone(steps, rest, forecast)
            measure(steps, rest, forecast, (count, labels), labelled)
        fit(steps)
        left = unanswered(self.rows.queries, known_answers(ledger), s.retry_unread)
        rest = tuple(query for query in left if query_hash(query) not in self.long)
        return self._route(steps, rest) if rest else ()

    def _fitting(
        self, queries: tuple[Query, ...], forecast: Forecast, *models: ModelConfig
    ) -> tuple[tuple[Query, ...], Forecast]:
        """Return the queries that fit the context window of one of some models, and their forecast."""
        fits = forecast.fits(*models)
        return self._without_long(queries, fits), forecast.only(fits)

    def _without_long(self, queries: tuple[Query, ...], fits: BoolArray) -> tuple[Query, ...]:
        """Return the queries that fit a context window, and say which do not: they stay unread."""
        why = "the text is longer than the context window"
        long = [query for query, fit in zip(queries, fits.tolist(), strict=True) if not fit]
        if long:
            names = ", ".join(query.id for query in long[:MOST_NAMED]) + (" and others" if long[MOST_NAMED:] else "")
            self.settings.note(f"{len(long):,} queries are too long for a context window and are not asked: {names}")
            self.long |= {query_hash(query): Known(None, "unread", error=why) for query in long}
        return tuple(query for query, fit in zip(queries, fits.tolist(), strict=True) if fit)

    def _alone(self, steps: Steps, rest: tuple[Query, ...], forecast: Forecast) -> tuple[CurvePoint, ...]:
        """Send everything to the dearest model that fits into the budget, at the smallest batch size that does."""
        s, best = self.settings, forecast.best
        dearest_first = [(model, size) for model in reversed(forecast.models) for size in model.batch_sizes]
        fitting = (
            state for state in dearest_first if forecast.step("answers", [state]).usd <= MOST_OF_BUDGET * steps.left
        )
        model, size = next(fitting, (best, max(best.batch_sizes)))
        rest, forecast = self._fitting(rest, forecast, model)
        if not rest:
            return ()
        why = "" if model is best else f", as the budget does not suffice for {best.name}"
        s.note(f"all queries go to {model.name} at batch size {size}, without measuring{why}")
        entry = steps.ledger.begin("answers", len(rest))
        steps.single(entry, rest, (model, size), forecast, steps.left)
        return ()

    def _route(self, steps: Steps, rest: tuple[Query, ...]) -> tuple[CurvePoint, ...]:
        """Plan the rest at least cost, and execute the plan."""
        s, ledger = self.settings, steps.ledger
        if steps.left <= 0.0:
            s.note(f"nothing is left of the budget: {len(rest):,} queries stay unanswered")
            return ()
        proxy = UtilityProxy.load(ledger.folder / "proxy.skops")
        texts = proxy.texts(rest)
        tokens = proxy.predict_input_tokens(texts) + proxy.predict_output_tokens(texts)
        windows = [(model.context_window or np.inf) - model.shared_tokens for model in proxy.pool()]
        rest = self._without_long(rest, np.asarray((tokens <= np.array(windows)).any(axis=1)))
        if not rest:
            return ()
        entry = ledger.begin("answers", len(rest))
        path = ledger.file(entry, ".queries.jsonl")
        write_queries(path, tuple(replace(query, answer=None, by=None) for query in rest))
        try:
            plan = route(path, proxy, steps.left, of_best=s.of_best, seed=s.seed, pool=s.pool, prices=s.prices)
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
        table, statuses = joined(self.rows, self.long | known)
        self.settings.note(ledger.total(self.settings.budget))
        made = JobResult(
            table, statuses, ledger.by_kind(), ledger.spent, ledger.lost, self.settings.budget, tuple(self.notes),
            points, steps.reports[-1] if steps.reports else None, steps.models[-1].name if labelled else None,
            self.folder, self.source,
        )  # fmt: skip
        if self.output is not None:
            write_joined(table, self.output)
            write_page(made, self.output.with_suffix(".html"))
        return made
