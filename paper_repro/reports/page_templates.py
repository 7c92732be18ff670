"""The words of README.md, SUMMARY.md and summary.html around the figures."""

README = """\
# The paper, rerun

What the RoBatch paper ([arXiv 2605.28268](https://arxiv.org/abs/2605.28268)) claims, as far as it is known to us, beside
what was found here. Its full text was not at hand: claims are from its abstract, or second-hand. `pareto` is its
scheduler **as reconstructed from the abstract**; `greedy`, which climbs along each query's concave hull instead, and
`exact`, the proven optimum, are this project's own. For the figures that a reader wants first, see the
[summary](SUMMARY.md). Verdicts follow from the figures by the rules in [claims.py](claims.py). Where plans are judged it
is those of `pareto`, so that a difference may be one of the reconstruction; those of `exact` stand beside them.
**Clearly** better or worse means that the 95 % interval of the paired difference is on one side of 0, however small the
difference; for a model against guessing, that the interval of its accuracy is.

| the paper claims | known from | verdict | what was found | made by |
| --- | --- | --- | --- | --- |
{claims}

## Experiments

In a clone of the repository, with Python 3.11 to 3.13:

```bash
python3 -m venv .venv && . .venv/bin/activate && pip install -c constraints.txt ".[test]"
python -m paper_repro.run --list   # what there is; NAME runs one, --all all, --quick in small
python -m paper_repro.run noise    # one of them, into paper_repro/results/noise
python -m paper_repro.pages        # then this page and the summary, from the results
```

Each is a configuration and a short script in [experiments](experiments). Rows that were computed are kept beside the
results, so that a run which was ended goes on. Everything is seeded: whoever deletes the results and runs again gets the
same tables, except for times in `scheduling`, and for gaps in `gap` where no optimum is proven within {limit:.0f} seconds:
how many those are hangs on the machine, and there a gap is to the linear bound.

| experiment | question | results | recorded at | minutes |
| --- | --- | --- | --- | ---: |
{experiments}

Minutes are of {machine}, in two processes, `scheduling` in one. `routing_tables` and `worth_tables` need three public tables that are not part
of this project, in the folder that the environment variable `ROBATCH_DATA` names; without them they are not run, and
say so. They are [MMLU-Pro](https://github.com/TIGER-AI-Lab/MMLU-Pro) and
[ZeroEval](https://github.com/WildEval/ZeroEval)'s GSM8K (Apache-2.0; Parquet files with query_id, model, correct,
input_tokens, output_tokens, category; the questions of GSM8K as JSON lines with id and question) and
[LLMRouter](https://github.com/ulab-uiuc/LLMRouter) (MIT; scores with query_id, model, score; queries with query_id, query;
prices as JSON of model to price_in and price_out, USD per million tokens): {files}.

The pages below say how the rest was recorded.

| page | what it shows |
| --- | --- |
| [PROFILE_TASKS.md](PROFILE_TASKS.md), [PROFILE.md](PROFILE.md) | the recorded vLLM profiles |
| [PROXY.md](PROXY.md) | what a proxy learns from them |
| [FORMS.md](FORMS.md) | structured against free answers |
| [BILL.md](BILL.md) | executed plans, billed against planned |
| [ONLINE.md](ONLINE.md) | queries that arrive one by one |
| [SCALE.md](SCALE.md), [REALIZED.md](REALIZED.md), [PACKING.md](PACKING.md) | the solvers: scale, realized cost, packing |
| [CONFIGURATION.md](CONFIGURATION.md) | configurations of profiles, pools and queries |

`results/gap.csv` is another benchmark, `robatch bench gap`, whose table is in the project's [README](../README.md).

## The main comparison

Area under the curve of true utility over the logarithm of the budget, queries held out, mean of {splits} splits ({budgets_here}
budgets): over all budgets, and over those that pay for every query alone. Strategies are explained in
[strategies.py](common/strategies.py), with the sources of the peers in the solvers' docstrings. Each state for all queries
(one model at one batch size) is in the `states.csv` of the results. [PROXY.md](PROXY.md) has strategies of like names, on
20 splits with 90 % intervals, whose `batch-only` is one model for all budgets and whose plans may not choose whom to leave
without an answer: figures differ.

{comparison}

At equal cost no plan may be worth more than the optimum **on predicted utility**. Every run of `comparison` and
`routing_tables` checks it: of plans that answer all queries none is ahead of `exact`, and of those without batching none
is ahead of `router-only`. {greedy} On the truth:

{wins}

Cases, pairs of dataset and budget, in which plans are clearly better and worse; their mean lead in utility per query, and
the least and the most of `exact`. {losses} {close}

What to bear in mind:

- Budgets hold for amortized cost. {billed} The strategy `greedy, as billed` keeps the budget in fact.
- Input tokens, and the output tokens that each answer had, are known to every strategy in advance; only the cascade
  learns its costs from training queries.
- Strategies without batching cannot answer all queries at {short}. At budgets that do not pay for its
  cheapest plan a strategy leaves queries of its choice without an answer, which costs nothing and is worth nothing. The
  second figure in each cell of the first table is for budgets that pay for every query alone.
- The `cascade` sees an answer's tokens, whether it could be read and what it says; on routing tables its tokens alone,
  and on `llmrouter` nothing. Cascades exist without batching only.
- `window-ilp` and `online-duals` work on windows of 32 queries and observe a quarter where fewer than {few:,} are held
  out. The windows' integer programs are solved by `exact`, which proves the same optima as a MIP backend.
- Intervals are bootstraps that draw queries and splits anew ({splits} splits of measured tasks, one of each routing
  table). For differences that come of single queries in single splits they are wider than needed; that other training
  queries give another proxy they cover only as far as the splits show it. They are not corrected for their number.
- Routing tables, marked *, are semi-synthetic, at batch sizes to 8: every strategy knows the published curve by which it
  is scored. Many of their prices are assigned ([tables](tables/README.md)). Shared prompts of {shared} tokens are
  assumed; for `llmrouter`, input tokens are a quarter of the characters, and every answer has 150.
- Features of the measured tasks are a reduction that saw the texts, never an answer, of queries held out.

The metrics of the field, over the splits of all datasets of a kind. AIQ (area under the non-decreasing convex hull,
RouterBench) and peak are means. APGR (performance gap recovered, RouteLLM, here over cost) is the median of the splits
in which the model that is best on the queries held out is better and dearer than the cheapest: {apgr}. The cost at 95 % and 99 % of the best model's
quality is the median, in parts of that model's cost; where the quality is not reached it counts as infinite, and the
share of splits that reach it stands behind.

{field}

## A better solver or a better proxy, by budget

True utility gained per query by each step of [worth.py](experiments/worth.py), mean over the datasets of a kind ({worth_splits}
splits of measured tasks), at budgets from the cheapest plan's (1) by equal factors to the dearest state's for all queries ({budgets}):

{worth}

## Predictions that are off

On generated problems ({noise_of}) whose utilities the planner sees with a normal error: the loss of true utility against
the true optimum, and how much more a scheduler loses than `exact`, with 95 % intervals over the instances.

{noise}

## Without one part

Area under the curve on measured tasks ({ablation_splits} splits, {bill_splits} of them billed), of RoBatch with `greedy` (first row) and
with one part changed; - where that is clearly worse, + where clearly better.

{ablations}

{without}

## More figures

![Shared prompt's part of the cost](results/motivation/cost_share.png)

![Scheduling time](results/scheduling/times.png)
"""

SUMMARY = """\
# Route with Batching: what we found

A summary of [this folder](README.md), made of its recorded results by `python -m paper_repro.pages`.

**Limits first.** Utilities were **measured** with four small models (135 million to 1.5 billion parameters, converted
from 4-bit files, one without instruction tuning) on five tasks of 240 queries, two of them generated by this project,
at batch sizes to 32, through vLLM on a CPU: none of the paper's models and tasks. Columns marked * are
**semi-synthetic**: public answers of up to 43 models, GSM8K's among them, at batch sizes to 8, whose loss with batch size
and many prices are taken from other publications. Prices of the small models are assigned. The paper's scheduler is a
**reconstruction** from its abstract.

`exact`, `greedy` and `pareto` are RoBatch: a proxy predicts each query's utility in every state, and a scheduler chooses:
the proven optimum, upgrades along each query's concave hull, or the paper's upgrades along its Pareto frontier.
`state means` knows no single queries, `router-only` no batches, `batch-only` one model at a time. `tradeoff` is CARROT's
rule with batches given to it. `oracle` plans for the very answers that it is scored on. **Clearly** better or worse means
that the 95 % interval of the paired difference is on one side of 0.

## Batches

{stability}

![Utility by batch size](results/motivation/utility.png)

The shared prompt is {share}

## Routing, batching, and both

{parts}

![True utility of queries held out, by budget](results/comparison/curves.png)

Area under these curves, over all budgets:

{comparison}

Cases of strategy, dataset and budget in which RoBatch's plans are clearly better, and clearly worse, at all budgets and at
the upper ones, which pay for every query alone:

{groups}

{close}

## Is the greedy scheduler enough?

{enough} {optimum}

![Gap to the optimum by family and number of queries](results/gap/by_family_and_queries.png)

With predictions that are off by a normal error, on generated problems, {noise} ([all](README.md#predictions-that-are-off)).

## A better solver or a better proxy?

{better} Each row is a step from one way of planning to another, with its mean gain in true utility per query; "better" and
"worse" count datasets where that is clear.

{worth}

## What scheduling costs

{scheduling}

## The parts

{without}
"""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ccc; padding: 0.2rem 0.6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
code { background: #f3f3f3; padding: 0 0.2em; }
</style>
</head>
<body>
{{ body }}
</body>
</html>
"""
