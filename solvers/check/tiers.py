"""Tiers of prices, for the independent check: which one bills each query, and what it then costs."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray, read_only
from robatch.instances.model import Model
from robatch.instances.prices.entry import Rates
from robatch.instances.problem import Problem
from robatch.solvers.check.raw import MICRO, Bill, bill_of


class TierBill(NamedTuple):
    """What an assignment is billed where models have tiers: in USD.

    Attributes
    ----------
    codes
        Number of each query's group and tier together: (N,). Queries of different ones share no call.
    n_codes
        How many there are.
    own, amortized
        Of the queries' own tokens; and with calls, as if all were full, and as often cached as expected.
    call
        Of one call beside its queries, of each code and state: (codes, S).
    write
        What each code pays more where it sends each model's first call: (codes, K).
    """

    codes: IntArray
    n_codes: int
    own: float
    amortized: float
    call: FloatArray
    write: FloatArray

    def realized(self, calls: IntArray, owner: IntArray) -> float:
        """Return the USD of all, given the calls (codes, S); `owner` is the model of each state."""
        used = np.stack([calls[:, owner == k].any(axis=1) for k in range(self.write.shape[1])], axis=1)
        return math.fsum((self.own, *(calls * self.call).flat, *(used * self.write).flat))


def bills_of(problem: Problem) -> list[list[Bill]]:
    """Return what each model's calls are billed, tier by tier."""
    return [[bill_of(_at(model, tier)) for tier in range(len(model.tiers) + 1)] for model in problem.models]


def _at(model: Model, tier: int) -> Model:
    """Return a model whose prices are those of a tier."""
    names = ("price_in", "price_out", "cache_read", "cache_write")
    own = {name: getattr(model, name) for name in names}
    batch = model.batch
    for step in model.tiers[:tier]:
        own |= {name: usd for name in names if (usd := getattr(step.rates, name)) is not None}
        if isinstance(batch, Rates):
            stated = {name: usd for name in names if (usd := getattr(step.batch, name)) is not None}
            batch = dataclasses.replace(batch, **stated)
    if own["cache_read"] is None:
        own["cache_write"] = None
    return dataclasses.replace(model, tiers=(), batch=batch, **own)


def tier_costs(problem: Problem, realized: bool) -> FloatArray:
    """Return the least that each query costs in each state, its part of a full call with it: USD, (N, S)."""
    columns: list[FloatArray] = []
    for k, (model, bills) in enumerate(zip(problem.models, bills_of(problem), strict=True)):
        t_in, t_out = (
            tokens[:, k if tokens.shape[1] > 1 else 0].astype(np.float64)
            for tokens in (problem.input_tokens, problem.output_tokens)
        )
        for size in model.batch_sizes:
            tier = _tiers(model, size, t_in)
            per = [np.array([getattr(bill, name) for bill in bills]) for name in ("token_in", "token_out")]
            call = np.array([bill.call if realized else bill.expected for bill in bills])
            columns.append((per[0][tier] * t_in + per[1][tier] * t_out + call[tier] / size) / MICRO)
    return np.column_stack(columns)


def tier_bill(problem: Problem, states: IntArray, groups: IntArray, n_groups: int) -> TierBill:
    """Return what the calls of an assignment (N,) are billed; `groups` is empty if all share one."""
    bills, tier, tokens = bills_of(problem), np.zeros(len(states), dtype=np.int64), np.zeros(len(states))
    most = 1 + max(len(model.tiers) for model in problem.models)
    shares, s = [0.0], 0
    call = np.zeros((n_groups, most, sum(len(model.batch_sizes) for model in problem.models)))
    write = np.zeros((n_groups, most, len(problem.models)))
    for k, model in enumerate(problem.models):
        for size in model.batch_sizes:
            mine = np.flatnonzero(states == s)
            t_in, t_out = (
                array[mine, k if array.shape[1] > 1 else 0].astype(np.float64)
                for array in (problem.input_tokens, problem.output_tokens)
            )
            here = tier[mine] = _tiers(model, size, t_in)
            for number, bill in enumerate(bills[k]):
                call[:, number, s], write[:, number, k] = bill.call / MICRO, bill.write / MICRO
                shares.append(int(np.sum(here == number)) * bill.expected / size / MICRO)
            per_in, per_out = (
                np.array([getattr(bill, name) for bill in bills[k]]) for name in ("token_in", "token_out")
            )
            tokens[mine] = (per_in[here] * t_in + per_out[here] * t_out) / MICRO
            s += 1
    codes = (groups if len(groups) else 0) * most + tier
    own, count = math.fsum(tokens), n_groups * most
    whole = own + math.fsum(shares)
    return TierBill(read_only(codes), count, own, whole, call.reshape(count, -1), write.reshape(count, -1))


def _tiers(model: Model, size: int, t_in: FloatArray) -> IntArray:
    """Return in which tier queries of some lengths are billed, in calls of a size."""
    above = np.array([tier.above for tier in model.tiers], dtype=np.float64)
    return np.searchsorted(above, model.shared_tokens + size * t_in, side="left")
