"""Optimisers and clipping by loops over plain arrays, in float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def length(values: Array) -> float:
    return math.sqrt(sum(float(v) ** 2 for v in values.ravel()))


def slow_lars(
    weights: Array, gradients: list[Array], rates: list[float], momentum: float, decay: float, trust: float | None
) -> Array:
    """Algorithm 1 of arXiv 1708.03888 for one layer, in SimCLR's form; `trust` None is momentum SGD."""
    w, velocity = weights.copy(), np.zeros_like(weights)
    for gradient, rate in zip(gradients, rates, strict=True):
        update = gradient + decay * w
        local = 1.0
        if trust is not None and length(w) > 0 and length(update) > 0:
            local = trust * length(w) / length(update)
        velocity = momentum * velocity + rate * local * update
        w = w - velocity
    return w


def slow_adamw(weights: Array, gradients: list[Array], rates: list[float], decay: float) -> Array:
    """Algorithm 2 of arXiv 1711.05101, with the usual constants."""
    w, m, v = weights.copy(), np.zeros_like(weights), np.zeros_like(weights)
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        w = w - rate * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8) + decay * w)
    return w


def slow_adaptive_clip(weights: Array, gradient: Array, limit: float, least: float = 1e-3) -> Array:
    """Equation 3 of arXiv 2102.06171; vectors (whatever axes of 1 they have) are one unit, other arrays one a row."""
    if max(weights.shape, default=1) == weights.size:
        return slow_unit(weights, gradient, limit, least)
    return np.stack([slow_unit(w, g, limit, least) for w, g in zip(weights, gradient, strict=True)])


def slow_unit(weights: Array, gradient: Array, limit: float, least: float) -> Array:
    most = max(length(weights), least)
    if length(gradient) / most > limit:
        return limit * most / length(gradient) * gradient
    return gradient
