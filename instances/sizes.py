"""The sizes that a family of generated problems is made to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.model import Model


@dataclass(frozen=True, slots=True)
class Sizes:
    """Checked sizes of a problem to generate."""

    queries: int  # N
    models: int  # K
    batch_sizes: tuple[int, ...]  # of every model, ascending
    dtype: np.dtype[Any]  # float32 or float64
    factored: bool = False  # whether utilities may be held as factors

    @property
    def states(self) -> int:
        """Number of states, S."""
        return self.models * len(self.batch_sizes)

    def state_batch_sizes(self) -> IntArray:
        """Return the batch size of each state: (S,)."""
        return np.tile(np.array(self.batch_sizes, dtype=np.int64), self.models)

    def pool(self, price: float = 1.0, shared_tokens: float = 0.0) -> list[Model]:
        """Return K models of one price in USD per million tokens, in and out: ``model-1`` and so on."""
        return [
            Model(f"model-{k + 1}", price, price, shared_tokens, batch_sizes=self.batch_sizes)
            for k in range(self.models)
        ]
