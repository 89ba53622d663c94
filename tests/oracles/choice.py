"""The softmax over candidates by loops, and a score test by refitting nothing but the definition."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def slow_loss(
    features: npt.NDArray[np.float64],
    coefficients: npt.NDArray[np.float64],
    cases: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
    ridge: float,
) -> float:
    """Negative log-likelihood in nats an edge of (Q, R, F) features, with ridge / 2 times the squared coefficients."""
    total, edges = 0.0, 0
    for q in range(features.shape[0]):
        scores = [float(features[q, r] @ coefficients) for r in range(features.shape[1])]
        reach = sum(weights[q, r] * math.exp(scores[r]) for r in range(features.shape[1]))
        for r in range(features.shape[1]):
            if cases[q, r]:
                total -= scores[r] - math.log(reach)
                edges += 1
    return (total + ridge / 2 * float(coefficients @ coefficients)) / edges


def slow_variance(edges: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> float:
    """Variance of a mean over edges: over nodes, the square of the sum of the deviations of each one's edges."""
    off = [float(v) - float(values.mean()) for v in values]
    total = 0.0
    for node in {int(v) for v in edges.ravel()}:
        total += sum(o for o, edge in zip(off, edges, strict=True) for end in edge if end == node) ** 2
    return total / len(values) ** 2
