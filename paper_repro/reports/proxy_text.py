"""The texts of PROXY.md into which numbers are put."""

from __future__ import annotations

HEAD = """\
# The proxy on the recorded profile

What `UtilityProxy` learns from the [recorded profile of five tasks](PROFILE_TASKS.md), judged on queries that it was
not fitted to. Everything on this page is made by

```bash
python -m paper_repro.proxy.study
```

from `profile_tasks.parquet` and `profile_tasks_features.parquet`; the tables behind it are in
[results/proxy](results/proxy). The answers are measured; plans were not executed anew, but looked up in the answers.

- The router sees numbers in place of texts (`features="given"`), made by `profile_tasks_features.py`: counts, and
  TF-IDF reduced to 32 numbers. The reduction saw the texts of the held-out queries, never an answer.
- {splits} splits of each task, each into two halves: one is trained on, with both repeats, the other held out. What
  fits many proxies (routers, ablation) was done on the first {compared} of them.
- Truth is the mean of the two repeats. Intervals are of 90 %, by a bootstrap over queries and splits; it does not fit
  or plan anew. Over all tasks, each task counts alike.
"""

PLANS = """\
## Plans on held-out queries

Budgets go in twelve equal factors from the cheapest plan to the price of the dearest state for all queries. The area
under a curve is its mean height over the logarithm of the budget: utility per query, 0 to 1. Costs are amortized, of
the tokens measured at batch size 1, known to every strategy alike.

- `proxy`: the exact optimum for predicted utilities. `oracle`: for the measured ones, hindsight that knows the luck of
  each answer; no router can reach it.
- `state means`: the optimum for each state's mean over the training half, by which all queries are alike.
- `router-only`: the proxy at batch size 1. `batch-only`: the state means of one model, that of the best curve on the
  training half. `single-model`: the best model by training mean that the budget pays for, at batch size 1.
- `random`: as many queries as the budget pays for go to a state drawn evenly, the others to the cheapest.

Where a strategy cannot pay for all queries, it answers as many as it can, and the others are worth 0. As this weighs on
those that do not batch, the second table has only the budgets that pay for every query alone. [README.md](README.md)
compares more strategies, which there choose whom to leave without an answer, on other splits: its figures differ.

![Utility of held-out queries by budget](proxy_curves.png)

All budgets:

{whole}

Budgets that pay for every query at batch size 1:

{common}

### Where the proxy helps, and where not

What the proxy's area is larger by, with its interval, over all budgets; **bold** where the interval is above 0, and
*(worse)* where it is below.

{gains}

{said}

### What the plans would be billed

The tokens of a query in its own state differ a little from those at batch size 1, and last calls are not full. By what
the calls of each state billed, the proxy's plans cost, as a part of their planned cost:

{billed}
"""

INTERVALS = """\
## Intervals of a plan's total

`predict_total` states an interval of {level:.0f} % for what one execution of a plan is worth. One repeat is one
execution: held-out queries, looked up in the states of the proxy's plan, at each of the twelve budgets.
Aimed at: {aim:.0f} %.

{table}

{said}
"""

ABLATION = """\
## One router a model, or one a state

The decomposed proxy (one router a model, times retention by batch size) against one router per state
(`scaling=None`), at equal profiling cost: what the calls of the training queries billed, as a part of what all of a
training half costs in all states. The decomposed proxy may leave out batch sizes: with "three sizes" it is profiled at
the smallest, a middle and the largest size, on more queries for the same money, and predicts the others.

{table}

(Means over tasks; in brackets the difference from one router per state. Area: more is better. Brier score: less is
better. By task: [ablation.csv](results/proxy/ablation.csv).)

{said}
"""

CALIBRATION = """\
## Calibration

Cross-validated with five parts, by query in each task, and by task: each task predicted by a proxy fitted to the four
others, on features made for all tasks together. The baseline Brier score tells no query from another: by query, that of
each state's mean in the other parts (over all tasks, in its own task); by task, over all, that of each state's mean
over the other tasks, and for one task, that of its own means.

{table}

{said}

![Reliability, and the cost of profiling](proxy_checks.png)
"""

SAMPLING = """\
## Adaptive sampling, replayed

A replay, not a run: the rule of `run.precision` takes queries in rounds until the half-width of the 95 % interval of
each cell's mean is small enough. Its answers are the recorded ones, which came in calls with other partners than its
own calls would have had. Saved is against the full design, 240 queries in every cell; "even" is what a design costs
that gives every cell as many queries as the cell that needs the most, which has the same precision everywhere.

{table}

{said}
"""

ROUTERS = """\
## Router and scaling

Each router with the scaling function that is best for it by area, and the default. All:
[routers.csv](results/proxy/routers.csv).

{table}

(Means over tasks; in brackets the difference from the default, `logistic` with `isotonic`.)

{said}
"""
