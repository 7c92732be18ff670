"""The page PROXY.md, from the recorded tables; its sentences are made from the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from paper_repro.profile_page import markdown
from paper_repro.proxy.text import ABLATION, CALIBRATION, HEAD, INTERVALS, PLANS, ROUTERS, SAMPLING

Row = Mapping[str, Any]
Results = Mapping[str, list[dict[str, Any]]]

ALL = "all"
AIM = 0.85
"""Coverage that is aimed at with intervals of 90 %."""


def page(results: Results, splits: int, compared: int) -> str:
    """Return the page as Markdown."""
    areas = results["areas"]
    whole = [row for row in areas if row["budgets"] == "all budgets"]
    upper = [row for row in areas if row["budgets"] == "upper budgets"]
    parts = (
        HEAD.format(splits=splits, compared=compared),
        PLANS.format(
            whole=_wide(whole, lambda r: f"{r['mean']:.3f} ({r['mean_low']:.3f}-{r['mean_high']:.3f})"),
            common=_wide(upper, lambda r: f"{r['mean']:.3f} ({r['mean_low']:.3f}-{r['mean_high']:.3f})"),
            gains=_wide([row for row in whole if row["strategy"] != "proxy"], _gain),
            said=_help(whole),
            billed=_plain(
                results["billed"], {"task": "task", "least": "least", "mean": "mean", "most": "most"}, "{:.3f}"
            ),
        ),
        INTERVALS.format(level=90, aim=100 * AIM, table=_coverage(results), said=_covered(results)),
        ABLATION.format(table=_ablation(results), said=_decomposed(results)),
        CALIBRATION.format(table=_diagnostics(results), said=_calibrated(results)),
        SAMPLING.format(table=_sampling(results), said=_saved(results)),
        ROUTERS.format(table=_routers(results), said=_best(results)),
    )
    return "\n".join(parts)


# ---- plans


def _wide(rows: list[dict[str, Any]], cell: Callable[[Row], str]) -> str:
    """Return a table with a row for each strategy and a column for each task."""
    tasks = names_in(rows, "task")
    found = {(row["strategy"], row["task"]): cell(row) for row in rows}
    lines = [[name, *(found[name, task] for task in tasks)] for name in names_in(rows, "strategy")]
    return markdown(["strategy", *tasks], lines)


def _gain(row: Row) -> str:
    text = f"{row['gain']:+.3f} ({row['gain_low']:+.3f} to {row['gain_high']:+.3f})"
    return {1: f"**{text}**", -1: f"{text} *(worse)*", 0: text}[sign(row, "gain")]


def sign(row: Row, name: str) -> int:
    """Say whether an interval is above 0 (1), below (-1), or holds it (0)."""
    return int(row[f"{name}_low"] > 0) - int(row[f"{name}_high"] < 0)


def _help(rows: list[dict[str, Any]]) -> str:
    """Say in which tasks the proxy is better than each other strategy, not told apart, or worse."""
    lines = []
    for name in names_in(rows, "strategy"):
        if name == "proxy":
            continue
        mine = [row for row in rows if row["strategy"] == name and row["task"] != ALL]
        sets = {which: [row["task"] for row in mine if sign(row, "gain") == which] for which in (1, 0, -1)}
        words = {1: "better in", 0: "not told apart in", -1: "worse in"}
        said = "; ".join(f"{words[which]} {_list(sets[which])}" for which in (1, 0, -1) if sets[which])
        lines.append(f"- Against `{name}`, the proxy is {said}.")
    alike = [row for row in rows if row["strategy"] == "state means" and row["task"] != ALL]
    no_use = [row["task"] for row in alike if sign(row, "gain") < 1]
    closing = (
        f"So in {_list(no_use)} telling queries from each other brings nothing that these data show: the state means "
        "do as well."
        if no_use
        else "So in every task telling queries from each other helps."
    )
    return "\n".join([*lines, "", closing])


# ---- intervals


def _coverage(results: Results) -> str:
    head = [
        "task",
        "intervals",
        "one execution",
        "mean of both",
        "below",
        "above",
        "half-width",
        "predicted",
        "measured",
    ]
    names = ("one_execution", "mean_of_repeats", "below", "above")
    rows = [
        [
            row["task"],
            f"{row['intervals']:.0f}",
            *(f"{100 * row[name]:.1f} %" for name in names),
            *(f"{row[name]:.3f}" for name in ("half_width", "predicted", "measured")),
        ]
        for row in results["coverage"]
    ]
    return markdown(head, rows) + (
        '\n\n("below" and "above": executions worth less or more than the interval; the last three columns per query.)'
    )


def _covered(results: Results) -> str:
    every = next(row for row in results["coverage"] if row["task"] == ALL)
    short = [row for row in results["coverage"] if row["task"] != ALL and row["one_execution"] < AIM]
    met = "met" if every["one_execution"] >= AIM else "not met"
    said = (
        f"Over all tasks the intervals hold {100 * every['one_execution']:.1f} % of the executions: the aim is {met}."
    )
    if short:
        listed = _list(f"{row['task']} ({100 * row['one_execution']:.1f} %)" for row in short)
        said += f" By itself it is not met in {listed}."
    else:
        said += " It is met in each task by itself."
    return said + (
        " The budgets of a split share its training half, and splits share queries: the count is of far fewer "
        "independent intervals than it seems."
    )


# ---- ablation, calibration, sampling, routers


def _difference(row: Row, name: str) -> str:
    value, low, high = row[f"{name}_gain"], row[f"{name}_gain_low"], row[f"{name}_gain_high"]
    return f"{row[name]:.4f} ({value:+.4f}, {low:+.4f} to {high:+.4f})"


def _ablation(results: Results) -> str:
    rows = [row for row in results["ablation"] if row["task"] == ALL]
    lines = [[f"{row['cost']:g}", row["design"], _difference(row, "area"), _difference(row, "brier")] for row in rows]
    return markdown(["cost", "design", "area", "Brier score"], lines)


def _decomposed(results: Results) -> str:
    lines = []
    for row in results["ablation"]:
        if row["task"] != ALL or row["design"] == "one router per state":
            continue
        area = {1: "plans better", 0: "plans not told apart", -1: "plans worse"}[sign(row, "area_gain")]
        brier = {1: "predicts worse", 0: "predicts not told apart", -1: "predicts better"}[sign(row, "brier_gain")]
        lines.append(f'- At cost {row["cost"]:g}, "{row["design"]}": {area}, {brier}.')
    return "Against one router per state, over all tasks:\n\n" + "\n".join(lines)


def _diagnostics(results: Results) -> str:
    names = ("brier", "baseline_brier", "log_loss", "ece", "auc")
    rows = [
        [row["left_out"], row["task"], *("-" if row[name] is None else f"{row[name]:.4f}" for name in names)]
        for row in results["diagnostics"]
    ]
    return markdown(["left out", "task", "Brier", "baseline", "log loss", "ECE", "AUC"], rows)


def _calibrated(results: Results) -> str:
    query = [row for row in results["diagnostics"] if row["left_out"] == "query" and row["task"] != ALL]
    eces = [row["ece"] for row in query]
    worse = [row["task"] for row in query if row["brier"] >= row["baseline_brier"]]
    said = f"By query, the expected calibration error is {min(eces):.3f} to {max(eces):.3f} in the tasks."
    said += f" In {_list(worse)} predictions are no better than the state means." if worse else ""
    task = [row for row in results["diagnostics"] if row["left_out"] == "task" and row["task"] == ALL]
    for row in task:
        better = row["brier"] < row["baseline_brier"]
        said += (
            f" By task, it is {row['ece']:.3f}, and the Brier score is {'better' if better else 'no better'} than the "
        )
        said += "baseline" + (
            "." if better else ": a proxy does not carry over to a task that it has not seen. Profile each task."
        )
    return said


def _sampling(results: Results) -> str:
    rows = [
        [
            f"{row['precision']:g}",
            *(f"{100 * (1 - row[name]):.1f} %" for name in ("calls", "queries", "usd", "even")),
            f"{row['stopped']:.0f} of {row['cells']:.0f}",
            f"{row['error']:.3f}",
            f"{row['most']:.3f}",
        ]
        for row in results["sampling"]
    ]
    head = ["precision", "calls saved", "queries saved", "USD saved", "USD saved, even", "cells that stopped"]
    return markdown([*head, "mean error", "largest error"], rows) + (
        "\n\n(Errors: a cell's mean at its stop against its mean over all queries.)"
    )


def _saved(results: Results) -> str:
    return "\n".join(
        f"- At precision {row['precision']:g}, adaptive sampling bills {100 * row['usd']:.0f} % of the full design and "
        f"{100 * row['usd'] / row['even']:.0f} % of the even one."
        for row in results["sampling"]
    )


def _routers(results: Results) -> str:
    rows = [row for row in results["routers"] if row["task"] == ALL]
    lines = []
    for router in names_in(rows, "router"):
        mine = [row for row in rows if row["router"] == router]
        best = max(mine, key=lambda row: row["area"])
        for row in mine:
            if row is best or (router, row["scaling"]) == ("logistic", "isotonic"):
                lines.append([router, row["scaling"], _difference(row, "area"), _difference(row, "brier")])
    return markdown(["router", "scaling", "area", "Brier score"], lines)


def _best(results: Results) -> str:
    rows = [row for row in results["routers"] if row["task"] == ALL]
    area, brier = max(rows, key=lambda row: row["area"]), min(rows, key=lambda row: row["brier"])
    said = [
        f"By area the best is `{area['router']}` with `{area['scaling']}`; by Brier score, `{brier['router']}` with "
        f"`{brier['scaling']}`."
    ]
    better = [row for row in rows if sign(row, "area_gain") == 1]
    beat = _list(f"`{row['router']}` with `{row['scaling']}`" for row in better)
    said.append(
        f"Better plans than the default's, beyond the interval, are made by {beat}."
        if better
        else "None makes plans better than the default's beyond the interval."
    )
    scalings = [row for row in rows if row["router"] == "logistic" and row["scaling"] != "isotonic"]
    apart = [row["scaling"] for row in scalings if sign(row, "area_gain") or sign(row, "brier_gain")]
    said.append(
        f"Of the scaling functions, {_list(apart)} differ from `isotonic` beyond the interval, with `logistic`."
        if apart
        else "The scaling functions are not told apart, with `logistic`: calibration by state evens out what they miss."
    )
    return " ".join(said)


def _plain(rows: Iterable[Row], columns: Mapping[str, str], form: str) -> str:
    lines = [
        [form.format(row[key]) if isinstance(row[key], float) else str(row[key]) for key in columns] for row in rows
    ]
    return markdown(list(columns.values()), lines)


def names_in(rows: Iterable[Row], key: str) -> list[str]:
    """Return the different values of a column, in their order."""
    return list(dict.fromkeys(row[key] for row in rows))


def _list(names: Iterable[str]) -> str:
    names = list(names)
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else "none"
