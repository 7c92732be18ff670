"""The main comparison: RoBatch and its peers on queries held out, scored on the truth.

Each dataset is divided by query, several times by seed: a half to train on, the other to plan for. At each of some
budgets, every strategy of `paper_repro.common.strategies` plans for the queries held out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from paper_repro.common import plots
from paper_repro.common.csv_tables import Table, by_table
from paper_repro.common.curves import area, bootstrap, budget_range, divide, field_figures, held_out_mean, interval
from paper_repro.common.datasets import dataset
from paper_repro.common.datasets import missing as missing_data
from paper_repro.common.strategies import EXACT, STRATEGIES, Arena, check_predicted

FloatArray = npt.NDArray[np.float64]
Settings = dict[str, Any]


class Split(NamedTuple):
    """What a strategy did on one split: figures of the field; predicted mean utility, and bill over budget: (G,)."""

    figures: dict[str, float | None]
    predicted: FloatArray
    billed: FloatArray


Records = dict[str, list[Split]]

TIE = 1e-9
"""Differences of mean utility that are rounding."""


def missing(settings: Settings) -> str | None:
    """Say which data are not here, or None."""
    return missing_data(settings["datasets"])


def cells(settings: Settings) -> Table:
    """Give one cell a dataset."""
    return [{"dataset": name} for name in settings["datasets"]]


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Compare the strategies on one dataset."""
    found = dataset(cell["dataset"], settings.get("queries"))
    count = found.problem.n_queries
    splits = settings["splits"]
    names = [name for name in STRATEGIES if name not in settings.get("without", ())]
    at = np.full((len(names), settings["budgets"], splits, count), np.nan)
    records: Records = {name: [] for name in names}
    fractions, alone, cheapest = [], [], []
    for seed in range(splits):
        train, test = divide(count, seed)
        budgets = budget_range(found.problem.take(test), settings["budgets"])
        arena = Arena(found, train, test, budgets, seed)
        curves = {name: STRATEGIES[name](arena) for name in names}
        check_predicted(curves)
        utilities, prices = arena.truth.mean(axis=0), arena.problem.amortized_costs().sum(axis=0)
        models = utilities[found.smallest], prices[found.smallest]
        best = models[1][np.argmax(arena.means[found.smallest])]
        fractions.append(budgets / best)
        cheapest.append(models[1].min() / best)
        alone.append([utilities, prices / best])
        for place, (name, curve) in enumerate(curves.items()):
            at[place][:, seed, test] = curve.truth
            records[name].append(
                Split(field_figures(curve, *models), curve.predicted / len(test), curve.billed / budgets)
            )
    label = {"dataset": cell["dataset"], "kind": found.kind}
    states = [
        {
            "table": "states",
            **label,
            "model": model,
            "batch_size": size,
            "utility": float(utility),
            "fraction": float(price),
        }
        for (model, size), utility, price in zip(found.problem.states, *np.mean(alone, axis=0), strict=True)
    ]
    paid = np.mean(fractions, axis=0) >= np.mean(cheapest)  # budgets that pay for every query alone
    return _rows(label, at, records, np.mean(fractions, axis=0), paid) + states


def _rows(
    label: dict[str, Any], at: FloatArray, records: Records, fractions: FloatArray, paid: npt.NDArray[np.bool_]
) -> Table:
    rows: Table = []
    areas = area(np.moveaxis(at, 1, 0))
    upper = area(np.moveaxis(at[:, paid], 1, 0))
    drawn_at, drawn_areas, drawn_upper = bootstrap(at), bootstrap(areas), bootstrap(upper)
    exact = list(records).index(EXACT)
    for place, (strategy, found) in enumerate(records.items()):
        low, high = interval(drawn_areas[place])
        behind = interval(drawn_areas[exact] - drawn_areas[place])
        behind_upper = interval(drawn_upper[exact] - drawn_upper[place])
        rows.append(
            {
                "table": "areas", **label, "strategy": strategy, "area": held_out_mean(areas[place]),
                "low": low, "high": high,
                "exact_ahead": held_out_mean(areas[exact] - areas[place]),
                "ahead_low": behind[0], "ahead_high": behind[1],
                "upper_area": held_out_mean(upper[place]), "upper_ahead": held_out_mean(upper[exact] - upper[place]),
                "upper_ahead_low": behind_upper[0], "upper_ahead_high": behind_upper[1],
                **{key: _middle([split.figures[key] for split in found]) for key in found[0].figures},
            }
        )  # fmt: skip
        for budget, fraction in enumerate(fractions):
            lead = interval(drawn_at[exact, budget] - drawn_at[place, budget])
            rows.append(
                {
                    "table": "curves", **label, "strategy": strategy, "budget": budget, "fraction": float(fraction),
                    "utility": held_out_mean(at[place, budget]),
                    "predicted": _middle([_known(split.predicted[budget]) for split in found]),
                    "billed": _middle([_known(split.billed[budget]) for split in found]),
                    "exact_ahead": held_out_mean(at[exact, budget] - at[place, budget]),
                    "ahead_low": lead[0], "ahead_high": lead[1],
                }
            )  # fmt: skip
    return rows


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _middle(values: list[float | None]) -> float | None:
    """Mean of the splits' figures; None if a split has none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give areas and curves, and wins and losses of the exact plans against each strategy on the truth."""
    found = by_table(rows, ("areas", "curves", "states"))
    wins: Table = []
    for strategy in dict.fromkeys(row["strategy"] for row in found["curves"]):
        if strategy == EXACT:
            continue
        for kind in dict.fromkeys(row["kind"] for row in found["curves"]):
            here = [row for row in found["curves"] if row["strategy"] == strategy and row["kind"] == kind]
            wins.append(
                {
                    "kind": kind, "strategy": strategy, "budgets": len(here),
                    "exact_better": sum(row["ahead_low"] > TIE for row in here),
                    "exact_worse": sum(row["ahead_high"] < -TIE for row in here),
                    "mean_ahead": float(np.mean([row["exact_ahead"] for row in here])),
                    "best_ahead": max(row["exact_ahead"] for row in here),
                    "worst_ahead": min(row["exact_ahead"] for row in here),
                }
            )  # fmt: skip
    return found | {"wins": wins}


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw utility against the budget by dataset."""
    plots.panels(
        tables["curves"], folder / "curves.png", by="dataset", line="strategy", x="fraction", y="utility",
        lines=DRAWN, labels=("budget / price of the best model alone", "mean true utility"), log=True,
    )  # fmt: skip


DRAWN = ("exact", "pareto", "tradeoff, no batching", "cascade, no batching", "router-only", "batch-only",
         "state means", "single model", "random", "oracle")  # fmt: skip
"""The strategies of the figure; all are in the tables."""
