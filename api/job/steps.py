"""The steps of a job that send calls: reference answers, a profile, and the execution of a plan; each resumes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from robatch.instances.display.terminal import progress_bar
from robatch.instances.errors import InputError
from robatch.job.forecast import Forecast
from robatch.job.ledger import Entry, Ledger
from robatch.job.measured import billed, lost
from robatch.job.settings import Settings
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.report import ExecutionReport
from robatch.proxies.execution.run import execute
from robatch.proxies.execution.single import Tokens, single_plan
from robatch.proxies.journal import read_lines
from robatch.proxies.profiling.config import ProfileConfig
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.profiling.model_config import ModelConfig
from robatch.proxies.profiling.run import profile
from robatch.proxies.tasks.prompts import Template
from robatch.proxies.tasks.queries import Query, read_queries, write_queries
from robatch.proxies.utility.decision_value import DecisionValue

_OWN = ("server", "path", "model", "chat", "structured", "engine", "request", "api_key_env", "context_window")
"""What a pool file says of a model, but for its prices."""


@dataclass
class Steps:
    """Does the steps of a job and writes what they were billed into its ledger.

    Attributes
    ----------
    reports
        Of the executions of this run.
    judged
        What telling queries apart was found to be worth, by the number that were measured.
    """

    settings: Settings
    models: tuple[ModelConfig, ...]
    template: Template
    ledger: Ledger
    reports: list[ExecutionReport] = field(default_factory=list)
    judged: dict[int, DecisionValue | None] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """USD of the budget that are left."""
        return self.settings.budget - self.ledger.spent

    def goes_on(self) -> None:
        """Finish the steps that an earlier run began."""
        for entry in self.ledger.entries:
            if entry.done:
                continue
            if entry.kind == "profile":
                self._profiled(entry)
            elif self.ledger.file(entry, ".plan.parquet").exists():
                self._executed(entry)

    def labels(self, queries: tuple[Query, ...], forecast: Forecast, budget: float) -> dict[str, str]:
        """Ask the dearest model alone for reference answers; return those that it gave, by the query's id."""
        entry = self.ledger.begin("labels", len(queries))
        self.single(entry, queries, (forecast.best, min(forecast.best.batch_sizes)), forecast, budget)
        return self.given(entry)

    def given(self, entry: Entry) -> dict[str, str]:
        """Return the answers that a step got, by the query's id."""
        rows = read_lines(self.ledger.file(entry, ".jsonl"))
        return {row["id"]: row["answer"] for row in rows if row["status"] == "answered"}

    def single(
        self,
        entry: Entry,
        queries: tuple[Query, ...],
        state: tuple[ModelConfig, int],
        forecast: Forecast,
        budget: float,
    ) -> None:
        """Send queries to one model at one batch size."""
        path = self.ledger.file(entry, ".queries.jsonl")
        write_queries(path, queries)
        task = self.settings.task(queries, self.template)
        tokens = Tokens(forecast.shared, forecast.inputs[: len(queries)], forecast.outputs[: len(queries)])
        plan = single_plan(task, path, state, tokens, max(budget, 0.0))
        plan.write(self.ledger.file(entry, ".plan.parquet"))
        self._executed(entry)

    def measured(self, queries: tuple[Query, ...]) -> Measurements:
        """Ask every model at every batch size."""
        entry = self.ledger.begin("profile", len(queries))
        write_queries(self.ledger.file(entry, ".sample.jsonl"), queries)
        return self._profiled(entry)

    def planned(self, plan: RoutedPlan, entry: Entry) -> None:
        """Execute a plan whose queries are those of a step."""
        plan.write(self.ledger.file(entry, ".plan.parquet"))
        self._executed(entry)

    def _profiled(self, entry: Entry) -> Measurements:
        path, s = self.ledger.file(entry, ".sample.jsonl"), self.settings
        queries = read_queries(path)
        config = ProfileConfig(
            self.models, (s.task(queries, self.template, f"{len(queries)} queries of step {entry.number}"),), s.seed,
            concurrency=s.concurrency, timeout=s.timeout, max_wait=s.max_wait, max_unread=s.max_unread,
        )  # fmt: skip
        measured = profile(config, self.ledger.file(entry, ".parquet"), s.progress, texts=True)
        self._close(entry, billed(measured), lost(measured))
        return measured

    def _executed(self, entry: Entry) -> None:
        s = self.settings
        plan = _with_own(RoutedPlan.read(self.ledger.file(entry, ".plan.parquet")), self.models)
        budget = min(plan.plan.budget, self.left) if entry.kind == "labels" else self.left
        with progress_bar(("{task.description}",), ()) if s.progress else nullcontext() as bar:
            task = None if bar is None else bar.add_task(entry.kind, total=plan.problem.n_queries)

            def tell(done: int, _: float) -> None:
                if bar is not None and task is not None:
                    bar.update(task, completed=done)

            report = execute(
                plan, self.ledger.file(entry, ".jsonl"), concurrency=s.concurrency, timeout=s.timeout,
                max_wait=s.max_wait, max_unread=s.max_unread, budget=max(budget, 0.0), on_answers=tell,
                grader=s.grader if ":" in s.grader else None,
            )  # fmt: skip
        self.reports.append(report)
        self._close(entry, report.billed, report.lost)

    def _close(self, entry: Entry, usd: float, lost: float) -> None:
        entry.done, entry.usd, entry.lost = True, usd, lost
        self.ledger.save()
        self.settings.note(
            f"{entry.kind}: {entry.queries:,} queries, {usd:.4g} USD; {self.ledger.total(self.settings.budget)}"
        )


def _with_own(plan: RoutedPlan, models: tuple[ModelConfig, ...]) -> RoutedPlan:
    """Return a plan whose models are spoken to as the user's own pool file says now.

    Raises
    ------
    InputError
        If it names a model no more, or other prices than those that the step was planned with.
    """
    own = {model.name: model for model in models}
    gone = [model.name for model in plan.pool if model.name not in own]
    if gone:
        raise InputError(f"the pool names no model {gone[0]!r}, which a step was begun with")
    for old in plan.pool:
        for name in ("price_in", "price_out"):
            if getattr(old, name) != getattr(own[old.name], name):
                raise InputError(
                    f"{name} of model {old.name!r} is {getattr(own[old.name], name):g}, and a step in progress was "
                    f"planned at {getattr(old, name):g}: that price is needed to end it, or another folder"
                )
    pool = tuple(replace(old, **{name: getattr(own[old.name], name) for name in _OWN}) for old in plan.pool)
    return replace(plan, pool=pool, named={model.name: frozenset(_OWN) for model in pool})


def remove_unbegun(ledger: Ledger) -> None:
    """Drop a last step that a run ended before it had a plan: nothing was sent."""
    while ledger.entries and not ledger.entries[-1].done:
        last = ledger.entries[-1]
        begun = ".sample.jsonl" if last.kind == "profile" else ".plan.parquet"
        if Path(ledger.file(last, begun)).exists():
            return
        ledger.entries.pop()
