"""The Wilson interval of a share."""

from __future__ import annotations

import math


def wilson(total: float, trials: int) -> tuple[float, float]:
    """Give the Wilson 95 % interval of a share, or of a mean score.

    For scores of 0 and 1 this is Wilson's interval (E. B. Wilson, JASA 22, 1927). For scores between, the same
    expression is used with the mean in the place of the share; it is then too wide rather than too narrow, as no
    scores in [0, 1] of a given mean vary more than those of 0 and 1.

    Parameters
    ----------
    total
        The sum of the scores (the successes), from 0 to `trials`.
    trials
        At least 1.
    """
    z = 1.959963984540054
    share = min(1.0, max(0.0, total / trials))
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
