"""What an execution came to: predicted against actual utility, planned against billed cost, and why they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.proxies.execution.calls import Outage
from robatch.proxies.execution.finished import NOT_ASKED
from robatch.proxies.execution.outlook import Outlook, last_states, outlook
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.state import Execution
from robatch.proxies.tasks.grading import Grader
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.recorded import measure_of, reference_of

MOST_NAMES = 20  # reasons and names that servers may give without end, the most frequent ones
ROUNDING = 1e-12  # of the budget, by which sums of float64 may miss it


@dataclass(frozen=True)
class ExecutionReport:
    """The outcome of an execution.

    Attributes
    ----------
    queries, answered, unread, unanswered
        Queries in all; with an answer; asked, but with an answer that could not be read; never asked, as too little
        budget was left.
    waiting
        Of those never asked or not answered yet: in calls that batches hold, or that are still to be sent after them.
        0 where the execution came to its end.
    calls, retries, splits, replans
        Calls answered; tries repeated by the engine; calls that were halves of others; plannings of the rest.
    budget, overrun
        USD, and USD by which it was allowed to be exceeded at worst, in the last run that could send anything.
    allowed
        USD that any of the runs was allowed to spend at worst.
    billed, lost, reserved
        USD: the bill by the engines' token counts; what tries were charged whose bill is not known (in flight when a
        run was ended, timed out, broken off); what is set aside for calls in flight, 0 at the end.
    lost_calls, lost_worst
        How many tries `lost` counts, and the USD that they cannot exceed.
    left, over_budget
        USD of the budget that are neither billed, lost nor reserved; USD by which these exceed it. One of the two is 0.
    planned
        USD, realized, as planned.
    difference
        USD by source, which add up to `billed` less `amortized`: ``partly_filled_calls`` (from amortized to realized
        cost, known to the plan), ``input_tokens``, ``output_tokens`` (of the plan's calls), ``caches`` (where prompts
        are cached or calls have fees: what caches gave less than planned, and writes cost more), ``splits`` (calls
        sent again in halves), ``failed_tries`` (what a server counted for calls without an answer), ``replanning``
        (other states than planned, and queries not asked).
    amortized
        USD, amortized, as planned.
    predicted, actual
        Utility of the plan: ``utility``, ``low``, ``high`` as predicted at first; the sum of the graded scores.
    executed
        What was executed is predicted to be worth, and how many queries were asked otherwise than planned.
    graded
        Queries whose true answer is known; `predicted_graded` is what the plan that was sent in the end predicts for
        these, lower bounds if it was made on such.
    within_interval
        Whether `actual` is in the predicted interval; None where not all queries are graded, another plan than the
        predicted one was sent, or the two measure different things.
    failed_tries
        Tries of single calls that gave no answer, and whose bill is known or lost.
    uncounted
        By model, answered calls whose tokens its server did not count, or not possibly so: they are charged at their
        bound.
    uncounted_cost
        USD that these calls are charged, of what is billed.
    unread_why
        Unread queries by the reason, the most frequent ones.
    outages
        Models that were given up: ``model``, ``why``, the ``queries`` planned for it then, the predicted
        ``utility_lost`` by their answers from other models or none, and the ``cost`` of its tries that had failed since
        it was given up before, if ever, in USD, with the bounds of those whose bill is not known.
    replied
        By model, calls that were answered under another name than the model's.
    token_details
        By model, parts of its tokens that the server named, such as ``cached_tokens`` and ``reasoning_tokens``.
    engines
        What the engines of each model told about themselves, by the model's name; several where they differed, such as
        after a rerun on another machine.
    finishes
        By model, calls by why their output ended: ``"stop"`` naturally, ``"length"`` at its limit, and so on.
    loose
        By model, calls whose answers did not keep the form that their server was asked to hold them to.
    refused
        By model, the fields of its requests that its server refused, and the server's words; calls went on without.
    states
        One row a state with queries: planned and asked queries, calls, utilities, costs.
    predicted_measure, actual_measure
        What `predicted` and `actual` are sums of: ``"accuracy"``, or ``"agreement with M"`` where the answers that they
        were graded by are those of a model M.
    """

    queries: int
    answered: int
    unread: int
    unanswered: int
    waiting: int
    calls: int
    retries: int
    splits: int
    replans: int
    budget: float
    overrun: float
    allowed: float
    billed: float
    lost: float
    reserved: float
    lost_calls: int
    lost_worst: float
    left: float
    over_budget: float
    planned: float
    amortized: float
    difference: Mapping[str, float]
    predicted: Mapping[str, float | None]
    executed: Outlook
    graded: int
    predicted_graded: float | None
    actual: float | None
    within_interval: bool | None
    failed_tries: int
    uncounted: Mapping[str, int]
    uncounted_cost: float
    unread_why: Mapping[str, int]
    outages: tuple[Mapping[str, Any], ...]
    replied: Mapping[str, Mapping[str, int]]
    token_details: Mapping[str, Mapping[str, int]]
    engines: Mapping[str, Sequence[Mapping[str, Any]]]
    finishes: Mapping[str, Mapping[str, int]]
    loose: Mapping[str, int]
    refused: Mapping[str, Mapping[str, str]]
    states: tuple[Mapping[str, Any], ...]
    predicted_measure: str = "accuracy"
    actual_measure: str = "accuracy"

    @property
    def kept(self) -> bool:
        """Whether the budget, and what it was allowed to be exceeded by, was kept."""
        return self.billed + self.lost + self.reserved <= self.allowed * (1 + ROUNDING)

    @property
    def complete(self) -> bool:
        """Whether every query was sent."""
        return self.unanswered == 0

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain values for JSON."""
        return asdict(self) | {"states": [dict(row) for row in self.states], "complete": self.complete}


def report(routed: RoutedPlan, queries: Sequence[Query], state: Execution, grade: Grader) -> ExecutionReport:
    """Compare what was planned with what came."""
    problem, plan = routed.problem, routed.plan
    assert plan.assignment is not None
    assert plan.amortized_cost is not None
    utilities = problem.utilities()
    asked = last_states(state)
    scores = np.fromiter((_score(state, grade, i, query) for i, query in enumerate(queries)), float, len(queries))
    known = ~np.isnan(scores)
    expected = np.where(asked != NOT_ASKED, utilities[np.arange(len(queries)), np.maximum(asked, 0)], 0.0)
    actual = float(scores[known].sum()) if known.any() else None
    left = state.meter.left if abs(state.meter.left) > ROUNDING * state.meter.budget else 0.0
    answered = len(state.final) - len(state.final.unread())
    measure = measure_of(reference_of(queries))
    comparable = known.all() and not state.replans and routed.measure == measure
    return ExecutionReport(
        queries=len(queries),
        answered=answered,
        unread=len(state.final) - answered,
        unanswered=len(queries) - len(state.final),
        waiting=0 if state.finished else len(queries) - len(state.final),
        calls=len(state.done),
        retries=state.done.retries,
        splits=state.done.splits,
        replans=state.replans,
        budget=state.meter.budget,
        overrun=state.meter.overrun,
        allowed=state.meter.allowed,
        billed=state.meter.spent,
        lost=state.meter.lost,
        reserved=sum(state.meter.reserved.values()),
        lost_calls=state.lost_calls,
        lost_worst=state.meter.lost_worst,
        left=max(0.0, left),
        over_budget=max(0.0, -left),
        planned=routed.planned_cost,
        amortized=plan.amortized_cost,
        difference=_difference(routed, state),
        predicted=dict(routed.predicted),
        executed=outlook(routed, asked),
        graded=int(known.sum()),
        predicted_graded=float(expected[known].sum(dtype=float)) if known.any() else None,
        actual=actual,
        within_interval=_within(routed, actual) if comparable else None,
        failed_tries=len(state.failed),
        uncounted={name: tokens.uncounted for name, tokens in state.meter.tokens.items() if tokens.uncounted},
        uncounted_cost=sum(tokens.uncounted_cost for tokens in state.meter.tokens.values()),
        unread_why=dict(Counter(state.final.errors()).most_common(MOST_NAMES)),
        outages=tuple(_outage(state, outage, utilities) for outage in state.outages),
        replied={name: dict(names.most_common(MOST_NAMES)) for name, names in state.replied.items()},
        token_details={name: dict(counts) for name, counts in state.details.items() if counts},
        engines={name: list(told) for name, told in state.engines.items()},
        finishes={name: dict(ends) for name, ends in state.finishes.items()},
        loose=dict(state.loose),
        refused={name: dict(told["refused"]) for name, told in state.requests.items()},
        states=_states(routed, state, asked, scores, expected),
        predicted_measure=routed.measure,
        actual_measure=measure,
    )


def _within(routed: RoutedPlan, actual: float | None) -> bool | None:
    """Tell whether an actual utility is in the interval that was predicted; None where one of them is not known."""
    low, high = routed.predicted.get("low"), routed.predicted.get("high")
    return None if actual is None or low is None or high is None else bool(low <= actual <= high)


def _score(state: Execution, grade: Grader, number: int, query: Query) -> float:
    """Return the score of a query's answer, 0 without one; nan where its true answer is not known."""
    if query.answer is None:
        return np.nan
    final = state.final.get(number)
    return 0.0 if final is None else grade(final[1], query)


def _outage(state: Execution, outage: Outage, utilities: npt.NDArray[Any]) -> dict[str, Any]:
    """Tell what it cost that a model was given up."""
    queries, now = outage.queries, state.final.columns[outage.queries]
    got = np.where(now != NOT_ASKED, utilities[queries, np.maximum(now, 0)], 0.0)
    lost = float((utilities[queries, outage.columns] - got).sum(dtype=float))
    about = {"model": outage.model, "why": outage.why, "queries": len(queries)}
    return about | {"utility_lost": lost, "cost": outage.cost}


def _difference(routed: RoutedPlan, state: Execution) -> dict[str, float]:
    """Split billed less amortized cost into its sources."""
    assert routed.plan.amortized_cost is not None
    done, problem = state.done, routed.problem
    counts = problem.call_counts(np.asarray(routed.plan.assignment))
    writes = float((problem.writes(counts) * problem.write_charge).sum())
    caches = {"caches": done.more_cached - writes} if any(bill.stated() for bill in routed.bills) else {}
    return {
        "partly_filled_calls": routed.planned_cost - routed.plan.amortized_cost,
        "input_tokens": done.more_in,
        "output_tokens": done.more_out,
        **caches,
        "splits": done.split_cost,
        "failed_tries": float(state.failed.cost.sum(dtype=float)),
        "replanning": done.as_planned + writes - routed.planned_cost,
    }


def _states(
    routed: RoutedPlan, state: Execution, asked: IntArray, scores: FloatArray, expected: FloatArray
) -> tuple[Mapping[str, Any], ...]:
    problem, plan = routed.problem, routed.plan
    planned = np.bincount(np.asarray(plan.assignment), minlength=problem.n_states).tolist()
    rows, tries = [], state.done.calls + state.failed.tries
    billed = (state.done.billed + state.failed.cost).tolist()
    for column, (name, size) in enumerate(problem.states):
        here = asked == column
        if not (planned[column] or here.any() or tries[column]):
            continue
        graded = here & ~np.isnan(scores)
        rows.append(
            {
                "model": name,
                "batch_size": size,
                "planned_queries": planned[column],
                "queries": int(here.sum()),
                "calls": int(state.done.calls[column]),
                "graded": int(graded.sum()),
                "predicted_utility": float(expected[graded].sum(dtype=float)) if graded.any() else None,
                "actual_utility": float(scores[graded].sum()) if graded.any() else None,
                "planned_cost": _planned_cost(routed, column),
                "billed": billed[column],
            }
        )
    return tuple(rows)


def _planned_cost(routed: RoutedPlan, column: int) -> float:
    """Return the realized USD that the plan counts for one state."""
    problem = routed.problem
    rows = np.flatnonzero(np.asarray(routed.plan.assignment) == column)
    calls = int((routed.columns == column).sum())
    own = routed.pool[int(problem.state_model[column])].cost(*routed.tokens(column, rows))
    return own + calls * float(problem.call_price[column])
