"""Resizing a crop value by value, in float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def slow_cubic(x: float) -> float:
    """Keys's kernel with a = -0.75."""
    a, x = -0.75, abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def slow_resize(line: Array, size: int) -> Array:
    """(n,) -> (size,), centres aligned; beyond its ends a line goes on as it ends."""
    n, out = len(line), np.zeros(size)
    for i in range(size):
        at = (i + 0.5) * n / size - 0.5
        for tap in range(math.floor(at) - 1, math.floor(at) + 3):
            out[i] += slow_cubic(at - tap) * line[min(max(tap, 0), n - 1)]
    return out


def slow_crop(slice_: Array, first_band: int, bands: int, first_frame: int, frames: int) -> Array:
    """(M, T) -> (M, T): the crop out of the slice with its mean all around it, resized."""
    M, T = slice_.shape
    crop = np.full((bands, frames), slice_.mean())
    for m in range(bands):
        for t in range(frames):
            if 0 <= first_frame + t < T:
                crop[m, t] = slice_[first_band + m, first_frame + t]
    high = np.stack([slow_resize(column, M) for column in crop.T], axis=1)
    return np.stack([slow_resize(row, T) for row in high])
