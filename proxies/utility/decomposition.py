"""The batch-aware model itself: base utility times retention, recalibrated by state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.scalars import whole
from robatch.proxies.utility.calibration import Calibrator, calibrated, fit_calibrators, fit_logit
from robatch.proxies.utility.scaling import Curve, estimate_floor, fit_curve, paired_retention


@dataclass(frozen=True)
class Layout:
    """Which column belongs to which model, batch size and estimator."""

    states: tuple[tuple[str, int], ...]  # the (model, batch size) of each of the S columns
    models: tuple[str, ...]  # names of the K models, in the order of their first columns
    model: IntArray  # number of each state's model: (S,)
    unit: IntArray  # number of the estimator that predicts each state: (S,). One a model, or one a state.

    @classmethod
    def of(cls, states: Sequence[tuple[str, int]], per_state: bool) -> Self:
        """Lay out states.

        Raises
        ------
        InputError
            If one is not a pair of a name and a batch size, or stands twice.
        """
        pairs: list[tuple[str, int]] = []
        for state in states:
            try:
                name, size = state
            except (TypeError, ValueError):
                raise InputError(f"a state is {state!r}: a pair (model, batch size) is needed") from None
            pairs.append((str(name), whole(f"a batch size of model {name!r}", size, 1)))
        if not pairs or len(set(pairs)) < len(pairs):
            raise InputError(f"states is {pairs!r}: at least one is needed, and each only once")
        models = tuple(dict.fromkeys(name for name, _ in pairs))
        model = np.array([models.index(name) for name, _ in pairs], dtype=np.int64)
        unit = np.arange(len(pairs), dtype=np.int64) if per_state else model
        return cls(tuple(pairs), models, model, unit)

    @property
    def n_units(self) -> int:
        """Number of estimators."""
        return int(self.unit.max()) + 1

    def columns(self, unit: int) -> IntArray:
        """Columns of an estimator, by ascending batch size."""
        return self._ascending(np.flatnonzero(self.unit == unit))

    def model_columns(self, model: int) -> IntArray:
        """Columns of a model, by ascending batch size."""
        return self._ascending(np.flatnonzero(self.model == model))

    def _ascending(self, columns: npt.NDArray[np.intp]) -> IntArray:
        return np.array(sorted(columns.tolist(), key=lambda s: self.states[s][1]), dtype=np.int64)


def estimator_targets(measured: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give what one estimator is fitted to: a query's mean over all its batch sizes, and that mean's weight: (N,) each.

    Utilities are measured by query and ascending batch size, NaN where not: (N, B). A weight is at most 1, and 0 where
    nothing was measured.

    Notes
    -----
    Every batch size tells something about a query's difficulty, the less the more of the utility is lost there:
    cells weigh by the square of the mean they keep. Where queries lack cells, the missing batch sizes' means
    take their part, so that a query measured only in small batches does not look easy.
    """
    known = ~np.isnan(measured)
    if not known.any():
        return np.full(len(measured), 0.5), np.zeros(len(measured))
    means = np.array([column[here].mean() if here.any() else 0.0 for column, here in zip(measured.T, known.T)])  # noqa: B905
    weights = np.clip(means / max(means.max(), 1e-9), 0.2, 1.0) ** 2
    weights[~known.any(axis=0)] = 0.0
    filled = np.where(known, measured, means)
    target = filled @ weights / weights.sum()
    return np.clip(target, 0.0, 1.0), (known @ weights) / weights.sum()


@dataclass(frozen=True)
class Decomposition:
    """From the scores of estimators to utilities; fitted on the scores of queries that these estimators did not see.

    Attributes
    ----------
    stack
        By estimator: intercept, slope of its own score, and slope of the mean score of all estimators: (U, 3). The
        last corrects what a plan would exploit: a score far above all others is often luck.
    """

    stack: FloatArray
    floors: FloatArray  # utility of guessing by model: (K,)
    curves: tuple[Curve, ...]  # scaling function by model; none where there is one estimator a state
    retention: FloatArray  # by state: (S,)
    calibrators: tuple[Calibrator, ...]  # by state

    @classmethod
    def fit(
        cls,
        layout: Layout,
        scores: FloatArray,
        measured: FloatArray,
        scaling: str | None,
        calibration: str | None,
        floor: float | str,
    ) -> Self:
        """Fit to scores (N, U) and measured utilities (N, S), NaN where not measured."""
        stack = np.array([_stack(scores, unit, measured[:, layout.columns(unit)]) for unit in range(layout.n_units)])
        base = _base(stack, scores)
        floors = np.zeros(len(layout.models))
        retention = np.ones(len(layout.states))
        curves = []
        if scaling is not None:
            for k in range(len(layout.models)):
                columns = layout.model_columns(k)
                mine = measured[:, columns]
                floors[k] = estimate_floor(base[:, k], mine[:, 1:]) if floor == "estimate" else floor
                curve = fit_curve(
                    scaling, [layout.states[s][1] for s in columns], *paired_retention(mine, float(floors[k]))
                )
                retention[columns] = curve.values
                curves.append(curve)
        rough = cls(stack, floors, tuple(curves), retention, ())
        product = rough._product(layout, base, np.arange(len(layout.states)))
        calibrators: dict[int, Calibrator] = {}
        for k in range(len(layout.models)):
            columns = layout.model_columns(k)
            known = [~np.isnan(measured[:, s]) for s in columns]
            made = fit_calibrators(
                calibration,
                [product[here, s] for here, s in zip(known, columns, strict=True)],
                [measured[here, s] for here, s in zip(known, columns, strict=True)],
            )
            calibrators |= dict(zip(columns.tolist(), made, strict=True))
        return cls(stack, floors, tuple(curves), retention, tuple(calibrators[s] for s in range(len(layout.states))))

    def base(self, scores: FloatArray) -> FloatArray:
        """Give the base utility of each query by estimator: (N, U)."""
        return _base(self.stack, scores)

    def predict(self, layout: Layout, scores: FloatArray, columns: IntArray | None = None) -> FloatArray:
        """Give the utility of each query in each state, or in some columns' states: (N, S), in [0, 1]."""
        states = np.arange(len(layout.states)) if columns is None else columns
        product = self._product(layout, self.base(scores), states)
        return np.clip(calibrated([self.calibrators[s] for s in states], product), 0.0, 1.0)

    def _product(self, layout: Layout, base: FloatArray, states: IntArray) -> FloatArray:
        product = base[:, layout.unit[states]]
        lead = np.maximum(product - self.floors[layout.model[states]], 0.0)
        return product - lead * (1.0 - self.retention[states])


def _base(stack: FloatArray, scores: FloatArray) -> FloatArray:
    mean = scores.mean(axis=1, keepdims=True)
    return np.asarray(expit(stack[:, 0] + stack[:, 1] * scores + stack[:, 2] * mean), dtype=np.float64)


def _stack(scores: FloatArray, unit: int, measured: FloatArray) -> FloatArray:
    """Fit the utility at the smallest batch size to scores, with slopes that all batch sizes share."""
    known = ~np.isnan(measured)
    used = np.flatnonzero(known.any(axis=0))
    if len(used) == 0:
        return np.array([0.0, 1.0, 0.0])
    rows, places = np.nonzero(known[:, used])
    target = measured[:, used][rows, places]
    weight = 1.0 / known[:, used].sum(axis=1)[rows]  # a query counts once, however often it was measured
    dummies = np.zeros((len(rows), len(used)))
    dummies[np.arange(len(rows)), places] = 1.0
    pool = scores.mean(axis=1)
    design = np.column_stack([dummies, scores[rows, unit], pool[rows]])
    prior = np.concatenate([np.zeros(len(used)), [1.0, 0.0]])
    ridge = np.concatenate([np.full(len(used), 0.02), [4.0, 4.0]])
    if scores.shape[1] == 1:
        ridge[-1] = 1e6
    found = fit_logit(design, target, weight, prior, ridge)
    if found[-2] + found[-1] < 0.0:  # the scores tell nothing: the means alone
        mean = np.clip(target[places == 0].mean(), 0.005, 0.995)
        return np.array([np.log(mean / (1.0 - mean)), 0.0, 0.0])
    return np.array([found[0], found[-2], found[-1]])
