"""Write PROXY.md and its figures from the recorded tables of `paper_repro.proxy`; its sentences are made of numbers."""

from __future__ import annotations

from collections.abc import Callable

from paper_repro.common import markdown
from paper_repro.common.csv_tables import Row, Table, distinct, read_tables, where
from paper_repro.common.paths import REPORTS, RESULTS
from paper_repro.proxy.checks import ALL
from paper_repro.proxy.study import COMPARED, SPLITS
from paper_repro.proxy.tables import DEFAULT, Results
from paper_repro.reports import proxy_figures
from robatch.instances.files import write_text

MIN_COVERAGE = 0.85
"""Coverage that is aimed at with intervals of 90 %."""


def write() -> None:
    """Write the page and its figures."""
    results = read_tables(RESULTS / "proxy")
    write_text(REPORTS / "PROXY.md", page(results, SPLITS, COMPARED))
    proxy_figures.draw_curves(results, REPORTS / "proxy_curves.png")
    proxy_figures.draw_checks(results, REPORTS / "proxy_checks.png")


def page(results: Results, splits: int, compared: int) -> str:
    """Return the page as Markdown."""
    whole, upper = (where(results["areas"], budgets=f"{which} budgets") for which in ("all", "upper"))
    return markdown.render(
        "PROXY.md.jinja",
        splits=splits,
        compared=compared,
        whole=_by_task(whole, _mean),
        upper=_by_task(upper, _mean),
        gains=_by_task([row for row in whole if row["strategy"] != "proxy"], _gain),
        helped=help_sentences(whole),
        billed=_billed(results["billed"]),
        aim=round(100 * MIN_COVERAGE),
        coverage=_coverage(results["coverage"]),
        covered=_covered(results["coverage"]),
        ablation=_ablation(where(results["ablation"], task=ALL)),
        decomposed=_decomposed(where(results["ablation"], task=ALL)),
        diagnostics=_diagnostics(results["diagnostics"]),
        calibrated=_calibrated(results["diagnostics"]),
        sampling=_sampling(results["sampling"]),
        saved=_saved(results["sampling"]),
        routers=_routers(where(results["routers"], task=ALL)),
        best=_best(where(results["routers"], task=ALL)),
    )


def sign(row: Row, name: str) -> int:
    """Say whether an interval is above 0 (1), below (-1), or holds it (0)."""
    return int(row[f"{name}_low"] > 0) - int(row[f"{name}_high"] < 0)


# ---- plans


def _by_task(rows: Table, cell: Callable[[Row], str]) -> str:
    """Return a table with a row for each strategy and a column for each task."""
    tasks = distinct(rows, "task")
    found = {(row["strategy"], row["task"]): cell(row) for row in rows}
    lines = [[name, *(found[name, task] for task in tasks)] for name in distinct(rows, "strategy")]
    return markdown.text_table(["strategy", *tasks], lines)


def _mean(row: Row) -> str:
    return f"{row['mean']:.3f} ({row['mean_low']:.3f}-{row['mean_high']:.3f})"


def _gain(row: Row) -> str:
    text = f"{row['gain']:+.3f} ({row['gain_low']:+.3f} to {row['gain_high']:+.3f})"
    return {1: f"**{text}**", -1: f"{text} *(worse)*", 0: text}[sign(row, "gain")]


def help_sentences(rows: Table) -> str:
    """Say in which tasks the proxy is better than each other strategy, not told apart, or worse."""
    lines = []
    words = {1: "better in", 0: "not told apart in", -1: "worse in"}
    others = [row for row in rows if row["strategy"] != "proxy" and row["task"] != ALL]
    for name in distinct(others, "strategy"):
        sets = {which: [row["task"] for row in where(others, strategy=name) if sign(row, "gain") == which]
                for which in words}  # fmt: skip
        said = "; ".join(f"{words[which]} {markdown.listed(tasks)}" for which, tasks in sets.items() if tasks)
        lines.append(f"- Against `{name}`, the proxy is {said}.")
    no_use = [row["task"] for row in where(others, strategy="state means") if sign(row, "gain") < 1]
    closing = (
        f"So in {markdown.listed(no_use)} telling queries from each other brings nothing that these data show: the state "
        "means do as well."
        if no_use
        else "So in every task telling queries from each other helps."
    )
    return "\n".join([*lines, "", closing])


def _billed(rows: Table) -> str:
    names = ("least", "mean", "most")
    return markdown.text_table(
        ["task", *names], [[row["task"], *(f"{row[name]:.3f}" for name in names)] for row in rows]
    )


# ---- intervals


def _coverage(rows: Table) -> str:
    shares = ("one_execution", "mean_of_repeats", "below", "above")
    widths = ("half_width", "predicted", "measured")
    head = ["task", "intervals", "one execution", "mean of both", "below", "above", "half-width", *widths[1:]]
    lines = [
        [row["task"], f"{row['intervals']:.0f}", *(f"{100 * row[name]:.1f} %" for name in shares),
         *(f"{row[name]:.3f}" for name in widths)]
        for row in rows
    ]  # fmt: skip
    return markdown.text_table(head, lines)


def _covered(rows: Table) -> str:
    (every,) = where(rows, task=ALL)
    short = [row for row in rows if row["task"] != ALL and row["one_execution"] < MIN_COVERAGE]
    met = "met" if every["one_execution"] >= MIN_COVERAGE else "not met"
    listed = markdown.listed(f"{row['task']} ({100 * row['one_execution']:.1f} %)" for row in short)
    return (
        f"Over all tasks the intervals hold {100 * every['one_execution']:.1f} % of the executions: the aim is {met}. "
        + (f"By itself it is not met in {listed}." if short else "It is met in each task by itself.")
    )


# ---- ablation, calibration, sampling, routers


def _difference(row: Row, name: str) -> str:
    value, low, high = row[f"{name}_gain"], row[f"{name}_gain_low"], row[f"{name}_gain_high"]
    return f"{row[name]:.4f} ({value:+.4f}, {low:+.4f} to {high:+.4f})"


def _ablation(rows: Table) -> str:
    lines = [[f"{row['cost']:g}", row["design"], _difference(row, "area"), _difference(row, "brier")] for row in rows]
    return markdown.text_table(["cost", "design", "area", "Brier score"], lines)


def _decomposed(rows: Table) -> str:
    lines = []
    for row in rows:
        if row["design"] != "one router per state":
            area = {1: "plans better", 0: "plans not told apart", -1: "plans worse"}[sign(row, "area_gain")]
            brier = {1: "predicts worse", 0: "predicts not told apart", -1: "predicts better"}[sign(row, "brier_gain")]
            lines.append(f'- At cost {row["cost"]:g}, "{row["design"]}": {area}, {brier}.')
    return "\n".join(lines)


def _diagnostics(rows: Table) -> str:
    names = ("brier", "baseline_brier", "log_loss", "ece", "auc")
    lines = [
        [row["left_out"], row["task"], *("-" if row[name] is None else f"{row[name]:.4f}" for name in names)]
        for row in rows
    ]
    return markdown.text_table(["left out", "task", "Brier", "baseline", "log loss", "ECE", "AUC"], lines)


def _calibrated(rows: Table) -> str:
    query = [row for row in where(rows, left_out="query") if row["task"] != ALL]
    eces = [row["ece"] for row in query]
    worse = [row["task"] for row in query if row["brier"] >= row["baseline_brier"]]
    said = f"By query, the expected calibration error is {min(eces):.3f} to {max(eces):.3f} in the tasks."
    if worse:
        said += f" In {markdown.listed(worse)} predictions are no better than the state means."
    for row in where(rows, left_out="task", task=ALL):
        said += f" By task, it is {row['ece']:.3f}, and the Brier score is "
        if row["brier"] < row["baseline_brier"]:
            return said + "better than the baseline."
        said += "no better than the baseline: a proxy does not carry over to a task that it has not seen. "
        said += "Profile each task."
    return said


def _sampling(rows: Table) -> str:
    lines = [
        [f"{row['precision']:g}", *(f"{100 * (1 - row[name]):.1f} %" for name in ("calls", "queries", "usd", "even")),
         f"{row['stopped']:.0f} of {row['cells']:.0f}", f"{row['error']:.3f}", f"{row['most']:.3f}"]
        for row in rows
    ]  # fmt: skip
    head = ["precision", "calls saved", "queries saved", "USD saved", "USD saved, even", "cells that stopped"]
    return markdown.text_table([*head, "mean error", "largest error"], lines)


def _saved(rows: Table) -> str:
    return "\n".join(
        f"- At precision {row['precision']:g}, adaptive sampling bills {100 * row['usd']:.0f} % of the full design and "
        f"{100 * row['usd'] / row['even']:.0f} % of the even one."
        for row in rows
    )


def _routers(rows: Table) -> str:
    lines = []
    for router in distinct(rows, "router"):
        mine = where(rows, router=router)
        best = max(mine, key=lambda row: row["area"])
        for row in mine:
            if row is best or (router, row["scaling"]) == DEFAULT:
                lines.append([router, row["scaling"], _difference(row, "area"), _difference(row, "brier")])
    return markdown.text_table(["router", "scaling", "area", "Brier score"], lines)


def _best(rows: Table) -> str:
    area, brier = max(rows, key=lambda row: row["area"]), min(rows, key=lambda row: row["brier"])
    better = [row for row in rows if sign(row, "area_gain") == 1]
    router, scaling = DEFAULT
    scalings = [row for row in where(rows, router=router) if row["scaling"] != scaling]
    apart = [row["scaling"] for row in scalings if sign(row, "area_gain") or sign(row, "brier_gain")]
    beat = (
        f"Better plans than the default's, beyond the interval, are made by {markdown.listed(map(_pair, better))}."
        if better
        else "None makes plans better than the default's beyond the interval."
    )
    told = (
        f"Of the scaling functions, {markdown.listed(apart)} differ from `{scaling}` beyond the interval, with `{router}`."
        if apart
        else f"The scaling functions are not told apart, with `{router}`: calibration by state evens out what they miss."
    )
    return f"By area the best is {_pair(area)}; by Brier score, {_pair(brier)}. {beat} {told}"


def _pair(row: Row) -> str:
    return f"`{row['router']}` with `{row['scaling']}`"
