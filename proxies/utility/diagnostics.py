"""How good a proxy is: proper scores, calibration and ranking on queries that it was not fitted to."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError
from robatch.instances.files import replacing
from robatch.instances.scalars import whole
from robatch.proxies.utility.crossfit import assign_folds
from robatch.proxies.utility.decision_value import DecisionValue, decision_value
from robatch.proxies.utility.features import as_rows, embedded
from robatch.proxies.utility.utility_proxy import UtilityProxy
from robatch.proxies.utility.validation import as_measured

BINS = 10
"""Bins of equal width of a reliability table."""


@dataclass(frozen=True)
class Diagnosis:
    """What cross-validation found.

    Attributes
    ----------
    states
        (model, batch size) of each column.
    predicted
        Predictions of queries that were left out: (N, S).
    measured
        (N, S), NaN where not measured.
    plain
        Predictions of the baseline, each state's mean over the other folds, which tells no query from another: (N, S).
    brier, log_loss, ece, auc
        Over all measured cells. The expected calibration error has `BINS` bins of equal width. The AUC is the mean over
        the states that have one; None where none has.
    baseline_brier
        The Brier score of `plain`.
    decisions
        What the predictions are worth to choices; None where `diagnose` was not told the costs.
    per_state
        One record a state: ``model``, ``batch_size``, ``queries``, ``measured`` and ``predicted`` means, ``brier``,
        ``log_loss``, ``ece`` and ``auc`` (None where all answers are alike).
    """

    states: tuple[tuple[str, int], ...]
    predicted: FloatArray
    measured: FloatArray
    plain: FloatArray
    brier: float
    log_loss: float
    ece: float
    auc: float | None
    baseline_brier: float
    per_state: tuple[dict[str, Any], ...]
    decisions: DecisionValue | None = None

    def reliability(self) -> list[dict[str, Any]]:
        """Give the reliability table: per bin ``low``, ``high``, ``count``, mean ``predicted`` and ``measured``."""
        known = ~np.isnan(self.measured)
        return reliability(self.predicted[known], self.measured[known])

    def summary(self) -> dict[str, Any]:
        """Give the figures as plain values."""
        names = ("brier", "baseline_brier", "log_loss", "ece", "auc")
        return {
            **{name: getattr(self, name) for name in names},
            "decision_value": None if self.decisions is None else self.decisions.summary(),
            "states": list(self.per_state),
            "reliability": self.reliability(),
        }

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw measured against predicted utility by bin, a line for each model, as PNG."""
        with replacing(path) as temporary:
            Path(temporary).write_bytes(_picture(self))


def diagnose(
    proxy: UtilityProxy,
    X: Any,  # noqa: N803
    y: Any,
    groups: Any = None,
    folds: int = 5,
    seed: int = 0,
    costs: npt.ArrayLike | None = None,
) -> Diagnosis:
    """Cross-validate a proxy by query, or by task.

    Leaving out one task at a time, of the measurements of several (`robatch.proxies.utility.fit_context.stack_tasks`)::

        found = stack_tasks(measurements, {"sort": sort_queries, "sums": sums_queries})
        diagnose(proxy, found.texts, found.utility, groups=found.tasks, folds=2)

    Parameters
    ----------
    proxy
        Fitted or not: unfitted clones of it are used.
    X, y
        As for `UtilityProxy.fit`.
    groups
        N labels, such as the queries' tasks, or None: whole groups are left out together, and
        equal texts with all groups they occur in.
    folds
        At least 2; with groups, at most as many as there are groups count, and so many leave out one at a time.
    seed
        Seed of the split.
    costs
        USD of a query in each state, (N, S) or (S,), to tell what the predictions are worth to choices; or None.

    Raises
    ------
    InputError
        If there are fewer than two queries, or all are alike in their group.
    """
    measured = as_measured(y)
    X = as_rows(X)  # noqa: N806
    fold = assign_folds(X, groups, len(measured), whole("folds", folds, 2), seed)
    if len(np.unique(fold)) < 2:
        raise InputError("there is nothing to leave out: at least two queries are needed")
    proxy = clone(proxy)
    vectors = embedded(proxy.features, X)
    if vectors is not None:  # what a network gives does not depend on the fold
        X = vectors  # noqa: N806
        proxy.set_params(features="given")
    predicted, plain, alike = (np.empty_like(measured) for _ in range(3))
    states: tuple[tuple[str, int], ...] = ()
    for part in np.unique(fold):
        left, rest = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        labels = None if groups is None else np.asarray(groups)[rest]
        fitted = clone(proxy).fit(_take(X, rest), measured[rest], groups=labels)
        predicted[left] = fitted.predict(_take(X, left))
        if costs is not None:
            constant = clone(proxy).set_params(router="constant", features="given")
            alike[left] = constant.fit(np.zeros((len(rest), 1)), measured[rest], groups=labels).predict([[0.0]])
        known = ~np.isnan(measured[rest])
        total = np.where(known, measured[rest], 0.0).sum(axis=0)
        plain[left] = (total + 0.5) / (known.sum(axis=0) + 1.0)
        states = fitted.layout_.states
    found = judge(states, predicted, measured, plain)
    return found if costs is None else replace(found, decisions=decision_value(predicted, alike, measured, costs))


def judge(
    states: Sequence[tuple[str, int]], predicted: FloatArray, measured: FloatArray, plain: FloatArray | None = None
) -> Diagnosis:
    """Judge predictions (N, S) of queries against their measurements (N, S), NaN where there are none.

    `plain` are the predictions of the baseline, by default the measured means themselves.
    """
    known = ~np.isnan(measured)
    if plain is None:
        totals = np.where(known, measured, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        plain = np.broadcast_to(totals, measured.shape)
    records = []
    for s, (model, size) in enumerate(states):
        here = known[:, s]
        records.append({"model": model, "batch_size": size, **_figures(predicted[here, s], measured[here, s])})
    every = _figures(predicted[known], measured[known])
    aucs = [record["auc"] for record in records if record["auc"] is not None]
    return Diagnosis(
        tuple(states), predicted, measured, plain, every["brier"], every["log_loss"], every["ece"],
        float(np.mean(aucs)) if aucs else None,
        float(((plain - measured)[known] ** 2).mean()), tuple(records),
    )  # fmt: skip


def compare_with_per_state(
    proxy: UtilityProxy,
    X: Any,  # noqa: N803
    y: Any,
    groups: Any = None,
    folds: int = 5,
    seed: int = 0,
    costs: npt.ArrayLike | None = None,
) -> dict[str, Diagnosis]:
    """Compare the decomposed proxy with one estimator per state, on the same measurements and the same folds.

    Returns
    -------
    dict
        ``"decomposed"`` and ``"per state"``.
    """
    alone = clone(proxy).set_params(scaling=None)
    return {
        "decomposed": diagnose(proxy, X, y, groups, folds, seed, costs),
        "per state": diagnose(alone, X, y, groups, folds, seed, costs),
    }


def reliability(predicted: FloatArray, measured: FloatArray) -> list[dict[str, Any]]:
    """Sort predictions (M,) into `BINS` bins and give each one's count and means; empty bins are left out."""
    place = np.minimum((predicted * BINS).astype(np.int64), BINS - 1)
    return [
        {
            "low": b / BINS,
            "high": (b + 1) / BINS,
            "count": int((place == b).sum()),
            "predicted": float(predicted[place == b].mean()),
            "measured": float(measured[place == b].mean()),
        }
        for b in range(BINS)
        if (place == b).any()
    ]


def _figures(predicted: FloatArray, measured: FloatArray) -> dict[str, Any]:
    count = len(measured)
    if count == 0:
        names = ("measured", "predicted", "brier", "log_loss", "ece", "auc")
        return {"queries": 0, **dict.fromkeys(names)}
    sure = np.clip(predicted, 1e-6, 1.0 - 1e-6)
    loss = -(measured * np.log(sure) + (1.0 - measured) * np.log1p(-sure))
    off = sum(row["count"] * abs(row["predicted"] - row["measured"]) for row in reliability(predicted, measured))
    return {
        "queries": count,
        "measured": float(measured.mean()),
        "predicted": float(predicted.mean()),
        "brier": float(((predicted - measured) ** 2).mean()),
        "log_loss": float(loss.mean()),
        "ece": off / count,
        "auc": _auc(predicted, measured),
    }


def _auc(predicted: FloatArray, measured: FloatArray) -> float | None:
    """Probability that a right answer was predicted higher than a wrong one; shares count as both."""
    if not (measured > 0).any() or not (measured < 1).any():
        return None
    labels = np.repeat([1, 0], len(measured))
    weights = np.concatenate([measured, 1.0 - measured])
    return float(roc_auc_score(labels, np.tile(predicted, 2), sample_weight=weights))


def _take(X: Any, rows: npt.NDArray[np.intp]) -> Any:  # noqa: N803
    return [X[i] for i in rows] if isinstance(X, list) else X[rows]


def _picture(diagnosis: Diagnosis) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="exact")
    for model in dict.fromkeys(name for name, _ in diagnosis.states):
        columns = [s for s, (name, _) in enumerate(diagnosis.states) if name == model]
        known = ~np.isnan(diagnosis.measured[:, columns])
        rows = reliability(diagnosis.predicted[:, columns][known], diagnosis.measured[:, columns][known])
        axes.plot([row["predicted"] for row in rows], [row["measured"] for row in rows], marker="o", label=model)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted utility", ylabel="measured utility",
             title="Reliability on queries left out")  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
