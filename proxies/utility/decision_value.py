"""What predictions are worth to choices: net utility at several prices, against predictions that tell no queries apart.

Proper scores say how near predictions are; a plan compares the states of one query, and may gain nothing from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError

PRICES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Prices at which choices are made, as the utility that the dearest state costs there."""


@dataclass(frozen=True)
class DecisionValue:
    """Measured utility less price times cost of choices, by predictions and by those of a constant estimator.

    Attributes
    ----------
    gain
        What the predictions gain a query over those that treat all alike, the mean over `PRICES`, in utility.
    error
        Its standard error.
    per_price
        One record a price: ``price`` (utility per USD), ``queries`` that were measured in both choices, and the mean
        net utility ``predicted`` and ``constant``.
    """

    gain: float
    error: float
    per_price: tuple[dict[str, Any], ...]

    @property
    def clear(self) -> bool:
        """Whether the gain is above 0 with a confidence of 95 %, one-sided."""
        return self.gain > 1.645 * self.error

    def summary(self) -> dict[str, Any]:
        """Give the figures as plain values."""
        return {"gain": self.gain, "error": self.error, "prices": list(self.per_price)}


def decision_value(
    predicted: FloatArray, constant: FloatArray, measured: FloatArray, costs: npt.ArrayLike
) -> DecisionValue:
    """Choose by predictions and by constants at several prices, and compare the measured net utility.

    `predicted` and `constant` are predictions of queries that were left out, by the proxy and by one that treats all
    queries alike; `measured` utilities are NaN where there are none: (N, S) each. `costs` are the USD of a query in
    each state: (N, S), or (S,).

    Raises
    ------
    InputError
        If costs are of another shape, negative or not finite.
    """
    given = np.asarray(costs, dtype=np.float64)
    if given.shape not in (measured.shape, measured.shape[1:]):
        raise InputError(f"costs has shape {given.shape}: {measured.shape} or {measured.shape[1:]} is needed")
    if not (np.isfinite(given).all() and (given >= 0.0).all()):
        raise InputError("costs holds a value that is negative or not finite")
    usd = np.broadcast_to(given, measured.shape)
    dearest = float(usd.mean(axis=0).max())
    rows, records = np.arange(len(measured)), []
    gains = np.full((len(measured), len(PRICES)), np.nan)
    for i, part in enumerate(PRICES):
        price = part / dearest if dearest > 0.0 else 0.0
        net = [
            (measured - price * usd)[rows, np.argmax(values - price * usd, axis=1)] for values in (predicted, constant)
        ]
        known = ~np.isnan(net[0]) & ~np.isnan(net[1])
        gains[known, i] = (net[0] - net[1])[known]
        means = [float(part[known].mean()) if known.any() else None for part in net]
        records.append({"price": price, "queries": int(known.sum()), "predicted": means[0], "constant": means[1]})
    mean = np.array([row[~np.isnan(row)].mean() for row in gains if not np.isnan(row).all()])
    if len(mean) == 0:
        return DecisionValue(0.0, 0.0, tuple(records))
    return DecisionValue(float(mean.mean()), float(mean.std() / np.sqrt(len(mean))), tuple(records))
