"""Resizing a crop and shifting a spectrum value by value, in float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nearfield.sound.mel import mel_filters

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


def slow_shifted_mel(power: Array, semitones: float) -> Array:
    """(K,) power -> (96,) before the compression: each of the filterbank's bins read where it stood, by the polynomial."""
    last, ratio, filters = len(power) - 1, 2 ** (semitones / 12), mel_filters().astype(float)
    moved = np.zeros(filters.shape[1])
    for f in range(len(moved)):
        at = f * last / (len(moved) - 1) / ratio
        if at > last:
            continue
        nodes = range(math.floor(at) - 3, math.floor(at) + 5)
        for node in nodes:
            weight = math.prod((at - other) / (node - other) for other in nodes if other != node)
            mirrored = abs(node) if abs(node) <= last else 2 * last - node
            moved[f] += weight * power[mirrored] / ratio
    return filters @ moved
