"""The main comparison: RoBatch and its peers on queries held out, scored on the truth.

Each dataset is divided by query, several times by seed: a half to train on, the other to plan for. At each of some
budgets, every strategy of `paper_repro.common.strategies` plans for the queries held out. The plans of RoBatch, by
three schedulers, are each compared with those of all strategies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paper_repro.common.arena import arenas
from paper_repro.common.csv_tables import Table, by_table, groups
from paper_repro.common.curves import area, bootstrap, estimate, field_figures, held_out_mean
from paper_repro.common.datasets import dataset, dataset_cells
from paper_repro.common.figures import Axis, panels
from paper_repro.common.settings import Settings
from paper_repro.common.strategies import ROBATCH, STRATEGIES, check_predicted
from robatch.instances.arrays import BoolArray, FloatArray


class Split(NamedTuple):
    """What a strategy did on one split: figures of the field; part answered, predicted mean, bill over budget: (G,).

    Predicted is NaN where the plan leaves queries without an answer.
    """

    figures: dict[str, float | None]
    answered: FloatArray
    predicted: FloatArray
    billed: FloatArray


Records = dict[str, list[Split]]

TIE = 1e-9
"""Differences of mean utility that are rounding."""

cells = dataset_cells


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Compare the strategies on one dataset."""
    found = dataset(cell["dataset"], settings.get("queries"))
    names = [name for name in STRATEGIES if name not in settings.get("without", ())]
    at = np.full((len(names), settings["budgets"], settings["splits"], found.problem.n_queries), np.nan)
    records: Records = {name: [] for name in names}
    fractions, alone, cheapest = [], [], []
    for arena in arenas(found, settings):
        curves = {name: STRATEGIES[name](arena) for name in names}
        check_predicted(curves)
        utilities, prices = arena.truth.mean(axis=0), arena.problem.amortized_costs().sum(axis=0)
        models = utilities[found.smallest], prices[found.smallest]
        fractions.append(arena.budgets / arena.alone_price)
        cheapest.append(models[1].min() / arena.alone_price)
        alone.append([utilities, prices / arena.alone_price])
        for place, (name, curve) in enumerate(curves.items()):
            at[place][:, arena.seed, arena.test] = curve.truth
            predicted, billed = curve.predicted / len(arena.test), curve.billed / arena.budgets
            records[name].append(Split(field_figures(curve, *models), curve.answered, predicted, billed))
    label = {"dataset": cell["dataset"], "kind": found.kind}
    states = [
        {"table": "states", **label, "model": model, "batch_size": size, "utility": float(utility),
         "fraction": float(price)}
        for (model, size), utility, price in zip(found.problem.states, *np.mean(alone, axis=0), strict=True)
    ]  # fmt: skip
    paid = np.mean(fractions, axis=0) >= np.mean(cheapest)  # budgets that pay for every query alone
    return _rows(label, at, records, np.mean(fractions, axis=0), paid) + states


def _rows(label: dict[str, Any], at: FloatArray, records: Records, fractions: FloatArray, paid: BoolArray) -> Table:
    """Give what each strategy reaches, and what each of RoBatch's plans leads it by."""
    rows: Table = []
    names = list(records)
    areas = area(np.moveaxis(at, 1, 0))
    upper = area(np.moveaxis(at[:, paid], 1, 0)) if paid.sum() > 1 else None  # an area needs two budgets
    drawn_at, drawn_areas = bootstrap(at), bootstrap(areas)
    drawn_upper = None if upper is None else bootstrap(upper)
    for place, (strategy, found) in enumerate(records.items()):
        about = {**label, "strategy": strategy}
        rows.append({"table": "areas", **about, **estimate("area", areas[place], drawn_areas[place]),
                     "upper_area": None if upper is None else held_out_mean(upper[place])})  # fmt: skip
        rows += [{"table": "field", **about, "split": seed, **split.figures} for seed, split in enumerate(found)]
        for budget, fraction in enumerate(fractions):
            rows.append(
                {
                    "table": "curves", **about, "budget": budget, "fraction": float(fraction),
                    "utility": held_out_mean(at[place, budget]),
                    "answered": _middle([split.answered[budget] for split in found]),
                    "predicted": _middle([split.predicted[budget] for split in found]),
                    "billed": _middle([split.billed[budget] for split in found]),
                }
            )  # fmt: skip
        for plan in ROBATCH:
            if plan == strategy:
                continue
            mine = names.index(plan)
            over = [np.nan_to_num(split.predicted / own.predicted - 1, nan=-1.0).max()
                    for split, own in zip(found, records[plan], strict=True)]  # fmt: skip
            higher = _lead(upper, drawn_upper, mine, place)
            rows.append({"table": "area_leads", **about, "plan": plan, **_lead(areas, drawn_areas, mine, place),
                         **{f"upper_{key}": value for key, value in higher.items()},
                         "behind_predicted": max(0.0, float(max(over)))})  # fmt: skip
            rows += [{"table": "leads", **about, "plan": plan, "budget": budget, "fraction": float(fraction),
                      **_lead(at[:, budget], drawn_at[:, budget], mine, place)}
                     for budget, fraction in enumerate(fractions)]  # fmt: skip
    return rows


def _lead(figures: FloatArray | None, drawn: FloatArray | None, mine: int, other: int) -> dict[str, Any]:
    """Give what one strategy's figures are ahead of another's by; None where there are none."""
    if figures is None or drawn is None:
        return dict.fromkeys(("ahead", "low", "high"))
    return estimate("ahead", figures[mine] - figures[other], drawn[mine] - drawn[other])


def _middle(values: list[float]) -> float | None:
    """Mean of the splits' figures; None if a split has none."""
    mean = float(np.mean(values))
    return None if np.isnan(mean) else mean


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give areas, curves and figures of the field, and what RoBatch's plans lead by.

    ``leads`` are on the truth, by budget, and ``area_leads`` of areas, with 95 % intervals; the latter's
    ``behind_predicted`` is the most, as a part, that the strategy's plans are ahead of RoBatch's by predicted utility.
    ``wins`` counts leads above and below 0 beyond their intervals.
    """
    found = by_table(rows, ("areas", "area_leads", "curves", "leads", "field", "states"))
    wins: Table = []
    for label, here in groups(found["leads"], "kind", "plan", "strategy"):
        ahead = [row["ahead"] for row in here]
        wins.append(
            {
                **label, "budgets": len(here),
                "better": sum(row["low"] > TIE for row in here), "worse": sum(row["high"] < -TIE for row in here),
                "mean_ahead": float(np.mean(ahead)), "most_ahead": max(ahead), "least_ahead": min(ahead),
            }
        )  # fmt: skip
    return found | {"wins": wins}


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw utility against the budget by dataset."""
    panels(
        tables["curves"], folder / "curves.png", Axis("fraction", "budget / price of the best model alone", log=True),
        Axis("utility", "mean true utility"), by="dataset", line="strategy", lines=DRAWN,
    )  # fmt: skip


DRAWN = ("exact", "greedy", "pareto", "tradeoff, no batching", "cascade, no batching", "router-only", "batch-only",
         "state means", "single model", "random", "oracle")  # fmt: skip
"""The strategies of the figure; all are in the tables."""
