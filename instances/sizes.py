"""The sizes that a family of generated problems is made to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.model import Model


@dataclass(frozen=True, slots=True)
class Sizes:
    """Checked sizes of a problem to generate.

    Parameters
    ----------
    queries, models
        N and K.
    batch_sizes
        Batch sizes of every model, ascending.
    dtype
        float32 or float64.
    factored
        Whether utilities may be held as factors.
    """

    queries: int
    models: int
    batch_sizes: tuple[int, ...]
    dtype: np.dtype[Any]
    factored: bool = False

    @property
    def states(self) -> int:
        """Number of states, S."""
        return self.models * len(self.batch_sizes)

    def state_batch_sizes(self) -> npt.NDArray[np.int64]:
        """Return the batch size of each state: (S,)."""
        return np.tile(np.array(self.batch_sizes, dtype=np.int64), self.models)

    def pool(self, price: float = 1.0, shared_tokens: float = 0.0) -> list[Model]:
        """Return K models of one price in USD per million tokens, in and out: ``model-1`` and so on."""
        return [
            Model(f"model-{k + 1}", price, price, shared_tokens, batch_sizes=self.batch_sizes)
            for k in range(self.models)
        ]
