"""NT-Xent by loops."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def slow_nt_xent(anchors: npt.NDArray[np.float64], positives: npt.NDArray[np.float64], temperature: float) -> float:
    """Equation 1 of arXiv 2002.05709, summed over all views and divided by their number."""
    views = [v / math.sqrt(sum(v * v)) for v in [*anchors, *positives]]
    n = len(anchors)
    total = 0.0
    for i in range(2 * n):
        partner = i + n if i < n else i - n
        others = [math.exp(float(views[i] @ views[k]) / temperature) for k in range(2 * n) if k != i]
        total -= math.log(math.exp(float(views[i] @ views[partner]) / temperature) / sum(others))
    return total / (2 * n)
