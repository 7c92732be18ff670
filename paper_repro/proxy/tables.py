"""The tables of the study of the proxy: means over splits, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paper_repro.common.csv_tables import Table
from paper_repro.common.curves import bootstrap
from paper_repro.proxy.checks import ALL
from paper_repro.proxy.plans import STRATEGIES
from paper_repro.proxy.splits import DESIGNS, SCALINGS, SHARES, Split
from robatch.instances.arrays import FloatArray
from robatch.proxies.utility.diagnostics import Diagnosis

Row = dict[str, Any]
Results = Mapping[str, Table]
"""Recorded tables by name."""

Figures = Mapping[tuple[str, ...], FloatArray]

INTERVAL = (0.05, 0.95)
"""Quantiles of the bootstrap that bound an interval: 90 %."""

DRAWS = 2000

DEFAULT = ("logistic", "isotonic")
"""Estimator and scaling of `UtilityProxy` by default."""


def curve_rows(splits: Mapping[str, Sequence[Split]]) -> list[Row]:
    """Give mean held-out utility by task, strategy and budget; budgets are numbered from the cheapest."""
    rows = []
    for task, mine in splits.items():
        for strategy in STRATEGIES:
            every = np.array([split.figures["curve", strategy] for split in mine])
            for budget in range(every.shape[1]):
                rows.append({"task": task, "strategy": strategy, "budget": budget} | _mean([every[:, budget]]))
    return rows


def area_rows(splits: Mapping[str, Sequence[Split]]) -> list[Row]:
    """Give the area under each strategy's curve, and what the proxy's is larger by: ``gain``."""
    rows = []
    for reach in ("all budgets", "upper budgets"):
        for task, names in _groups(splits):
            for strategy in STRATEGIES:
                mine, proxy = (
                    [np.array([s.figures["area", one, reach] for s in splits[name]]) for name in names]
                    for one in (strategy, "proxy")
                )
                gain = [p - m for p, m in zip(proxy, mine, strict=True)]
                rows.append({"budgets": reach, "task": task, "strategy": strategy} | _mean(mine) | _mean(gain, "gain"))
    return rows


def coverage_rows(splits: Mapping[str, Sequence[Split]]) -> list[Row]:
    """Count how often the interval of a plan's total held what one execution, or the mean of all, was worth."""
    rows = []
    for task, names in _groups(splits):
        records = [record for name in names for split in splits[name] for record in split.coverage]
        low, high, mean, count = (np.array([r[name] for r in records]) for name in ("low", "high", "mean", "queries"))
        real = np.array([r["real"] for r in records]).T  # by execution
        shares = {
            "one_execution": (low <= real) & (real <= high),
            "mean_of_repeats": (low <= real.mean(axis=0)) & (real.mean(axis=0) <= high),
            "below": real < low,
            "above": real > high,
            "half_width": (high - low) / 2 / count,
            "predicted": mean / count,
            "measured": real.mean(axis=0) / count,
        }
        means = {name: float(np.mean(share)) for name, share in shares.items()}
        rows.append({"task": task, "intervals": len(records)} | means)
    return rows


def billed_rows(splits: Mapping[str, Sequence[Split]]) -> list[Row]:
    """Compare what the proxy's plans cost by the tokens of their own states with their planned cost."""
    rows = []
    for task, names in _groups(splits):
        ratios = np.concatenate([split.billed for name in names for split in splits[name]])
        rows.append({"task": task, "least": ratios.min(), "mean": ratios.mean(), "most": ratios.max()})
    return rows


def ablation_rows(figures: Mapping[str, Sequence[Figures]]) -> list[Row]:
    """Give area and Brier score by profiling cost and design, and the difference from one estimator per state."""
    rows = []
    for share in (f"{share:g}" for share in SHARES):
        for design in DESIGNS:
            if all(("ablation", design, share, "area") in one for every in figures.values() for one in every):
                name, base = ("ablation", design, share), ("ablation", DESIGNS[0], share)
                rows += [
                    {"cost": share, "design": design, "task": task} | _against(figures, names, name, base)
                    for task, names in _groups(figures)
                ]
    return rows


def estimator_rows(figures: Mapping[str, Sequence[Figures]], estimators: Sequence[str]) -> list[Row]:
    """Give area and Brier score by estimator, named ``router``, and scaling, and the difference from the default."""
    return [
        {"router": estimator, "scaling": scaling, "task": task}
        | _against(figures, names, ("routers", estimator, scaling), ("routers", *DEFAULT))
        for estimator in estimators
        for scaling in SCALINGS
        for task, names in _groups(figures)
    ]


def diagnosis_rows(found: Mapping[tuple[str, str], Diagnosis]) -> list[Row]:
    """Give the figures of each diagnosis."""
    names = ("brier", "baseline_brier", "log_loss", "ece", "auc")
    return [
        {"left_out": left_out, "task": task} | {name: getattr(one, name) for name in names}
        for (left_out, task), one in found.items()
    ]


def reliability_rows(found: Mapping[tuple[str, str], Diagnosis]) -> list[Row]:
    """Give the reliability tables of all tasks together."""
    return [
        {"left_out": left_out} | row
        for (left_out, task), one in found.items()
        if task == ALL
        for row in one.reliability()
    ]


def _against(
    figures: Mapping[str, Sequence[Figures]], names: Sequence[str], name: tuple[str, ...], base: tuple[str, ...]
) -> Row:
    row: Row = {}
    for measure in ("area", "brier"):
        mine, other = (
            [np.array([one[(*which, measure)] for one in figures[task]]) for task in names] for which in (name, base)
        )
        row |= {measure: _mean(mine)["mean"]}
        row |= _mean([m - o for m, o in zip(mine, other, strict=True)], f"{measure}_gain")
    return row


def _groups(named: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the tasks one by one, and all together."""
    return [*((name, [name]) for name in named), (ALL, list(named))]


def _mean(tasks: Sequence[FloatArray], name: str = "mean") -> Row:
    """Give the mean over tasks of figures (splits, N), and its interval; each task is drawn anew by itself."""
    plain = [np.nanmean(np.nanmean(task, axis=1)) for task in tasks]
    drawn = np.mean([bootstrap(task, DRAWS, seed=number) for number, task in enumerate(tasks)], axis=0)
    low, high = np.quantile(drawn, INTERVAL)
    return {name: float(np.mean(plain)), f"{name}_low": float(low), f"{name}_high": float(high)}
