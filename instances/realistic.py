"""The family `realistic`: a pool, a workload and a loss with batch size like published ones.

Sources
-------
* Prices: the price table of LLMRouter (github.com/ulab-uiuc/LLMRouter, MIT), USD per million tokens.
* Accuracies: recomputed from the answer table of MMLU-Pro (github.com/TIGER-AI-Lab/MMLU-Pro,
  Apache-2.0; 12,032 queries, accuracies from .183 to .628); where that table lacks the priced version of
  a model, its nearest relative there is taken, named in `POOL`.
* Input lengths: quartiles 75, 121 and 198 tokens of that table: a lognormal with median 121, sigma 0.72.
* Output lengths: the answers on GSM8K in ZeroEval (github.com/WildEval/ZeroEval, Apache-2.0): means of
  101 to 229 tokens a model, quartiles 113, 146, 190: a lognormal with sigma 0.385.
* Shared prompt: its part of the cost on GSM8K is published as 90.1 % at batch size 1 and falls to 53.2 %
  (arXiv 2605.28268). The first figure makes it 9.1 times a query's own tokens; the second follows at b = 8.
* Loss with batch size: the figures of ZeMPE (reasoning, b = 1/2/5/10; Mistral-7B .538/.497/.471/.436)
  and of BatchPrompt (ICLR 2024; RTE, GPT-4 b = 1/16/32/64 .915/.902/.890/.787, ChatGPT
  b = 1/16/32 .844/.739/.687). See `retention`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray
from robatch.instances.model import Model
from robatch.instances.problem import Problem
from robatch.instances.sizes import Sizes

DIFFICULTY = 1.6  # standard deviation of the queries' difficulty, in logits
SKILL = 1.0  # and of what a model finds easier or harder than other models do
INPUT_MEDIAN, INPUT_SIGMA = 121.0, 0.72
INPUT_LEAST, INPUT_MOST = 13.0, 1189.0  # shortest and longest question of MMLU-Pro
OUTPUT_SIGMA = 0.385
SHARED_TOKENS = 2900.0  # 9.1 times the mean of a query's own tokens, about 320
HALVING_SIZE = 201.0  # batch size at which half of the accuracy is left


class PoolModel(NamedTuple):
    """A model of the published pool."""

    name: str  # as in the price table
    price: float  # USD per million tokens, in and out alike
    accuracy: float  # mean, at batch size 1
    output_tokens: float  # mean tokens of an answer


# Stronger is mostly dearer, not always: the 7B model costs what the better 8B model costs, and the mixture
# of experts costs three times as much as that 8B model without being better.
POOL = (
    PoolModel("gemma-2-9b-it", 0.1, 0.324, 143.0),  # accuracy of gemma-7b
    PoolModel("mistral-7b-instruct-v0.3", 0.2, 0.288, 162.0),  # of version 0.2; length of Mixtral
    PoolModel("llama-3.1-8b-instruct", 0.2, 0.442, 211.0),
    PoolModel("mixtral-8x7b-instruct-v0.1", 0.6, 0.419, 162.0),
    PoolModel("llama3-70b-instruct", 0.9, 0.520, 135.0),  # of the base model
    PoolModel("llama-3.1-nemotron-51b-instruct", 0.9, 0.628, 163.0),  # of Llama-3.1-70B, its parent
)


def realistic(sizes: Sizes, rng: np.random.Generator) -> Problem:
    """Make a problem like those of a real pool.

    A query's chance of a right answer at batch size 1 follows the one-parameter logistic (Rasch) model:
    ``logistic(ability[k] - difficulty[i] + skill[i, k])``, where `skill` is a smaller noise that lets
    a weaker model be the better one now and then. Abilities are set so that the mean over queries is the
    published accuracy. A state keeps the part `retention` of that chance.

    Other numbers of models than six are spread evenly over the published pool: fewer are picked from it,
    more are interpolated between neighbours and numbered.
    """
    n, k = sizes.queries, sizes.models
    pool = pick(k)
    accuracy = np.array([model.accuracy for model in pool])
    # A logistic of a normal variable of this variance has this mean (probit approximation).
    variance = DIFFICULTY**2 + SKILL**2
    ability = np.log(accuracy / (1 - accuracy)) * np.sqrt(1 + np.pi * variance / 8)
    logits = rng.standard_normal((n, k))
    logits *= SKILL
    logits += ability
    logits -= DIFFICULTY * rng.standard_normal((n, 1))
    base = 1.0 / (1.0 + np.exp(-logits))

    inputs = INPUT_MEDIAN * np.exp(INPUT_SIGMA * rng.standard_normal(n))
    inputs = np.rint(np.clip(inputs, INPUT_LEAST, INPUT_MOST))
    # Half of the variance of a length comes from the query, half from the model that answers.
    length = rng.standard_normal((n, k)) + rng.standard_normal((n, 1))
    length *= OUTPUT_SIGMA / np.sqrt(2.0)
    outputs = np.exp(length - OUTPUT_SIGMA**2 / 2) * [model.output_tokens for model in pool]
    outputs = np.maximum(np.rint(outputs), 1.0)

    kept = np.concatenate([retention(sizes.batch_sizes, model.accuracy) for model in pool]).astype(sizes.dtype)
    base = base.astype(sizes.dtype, copy=False)
    models = [Model(one.name, one.price, one.price, SHARED_TOKENS, batch_sizes=sizes.batch_sizes) for one in pool]
    if sizes.factored:
        return Problem(models, inputs, outputs, base_utility=base, retention=kept)
    dense = np.repeat(base, len(sizes.batch_sizes), axis=1)
    dense *= kept
    return Problem(models, inputs, outputs, utility=dense)


def retention(batch_sizes: npt.ArrayLike, accuracy: float) -> FloatArray:
    """Return what a model keeps of its accuracy at each batch size: (B,), 1 at batch size 1.

    ``1 / (1 + ((b - 1) / 200) ** shape)``, where `shape` grows with the model's accuracy at batch size 1:
    0.5 for the weakest model of the pool, which loses from the first query that joins on (ZeMPE's
    Mistral-7B), up to 1.7 for the strongest, which is stable to b = 16 and falls late (BatchPrompt's
    GPT-4). Within .06 of the published figures of both.
    """
    weakest = min(model.accuracy for model in POOL)
    strongest = max(model.accuracy for model in POOL)
    shape = np.interp(accuracy, [weakest, strongest], [0.5, 1.7])
    joined = np.asarray(batch_sizes, dtype=np.float64) - 1.0
    return np.asarray(1.0 / (1.0 + (joined / (HALVING_SIZE - 1.0)) ** shape))


def pick(models: int) -> list[PoolModel]:
    """Return K models spread evenly over the published pool, interpolated where there are more."""
    if models == 1:
        return [POOL[2]]
    places = np.linspace(0.0, len(POOL) - 1.0, models)
    if models <= len(POOL):
        return [POOL[round(place)] for place in places]
    picked, used = [], dict.fromkeys(range(len(POOL)), 0)
    for place in places:
        nearest = round(place)
        used[nearest] += 1
        values = (float(np.interp(place, range(len(POOL)), [model[field] for model in POOL])) for field in (1, 2, 3))
        picked.append(PoolModel(f"{POOL[nearest].name}#{used[nearest]}", *values))
    return picked
