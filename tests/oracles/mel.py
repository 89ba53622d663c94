"""The front end by its definition: a direct Fourier sum per frame, in float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def slow_log_mel(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(n,) at 16 kHz -> (96, 1 + n // 160)."""
    n_fft, window, hop, n_mels = 2048, 400, 160, 96
    padded = np.pad(samples.astype(np.float64), n_fft // 2, mode="reflect")
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * i / window) for i in range(window)]
    centred = np.zeros(n_fft)
    centred[(n_fft - window) // 2 : (n_fft + window) // 2] = hann
    turn = np.exp(-2j * np.pi * np.outer(np.arange(n_fft // 2 + 1), np.arange(n_fft)) / n_fft)
    columns = []
    for t in range(1 + len(samples) // hop):
        frame = padded[t * hop : t * hop + n_fft] * centred
        columns.append(np.abs(turn @ frame) ** 2)
    power = np.array(columns).T
    return np.log10(1 + 10_000 * slow_filters(n_mels, n_fft) @ power)


def slow_filters(n_mels: int, n_fft: int) -> npt.NDArray[np.float64]:
    """Triangle by triangle, bin by bin."""
    top = 2595 * math.log10(1 + 8000 / 700)
    edges = [700 * (10 ** (top * i / (n_mels + 1) / 2595) - 1) for i in range(n_mels + 2)]
    filters = np.zeros((n_mels, n_fft // 2 + 1))
    for m in range(n_mels):
        low, centre, high = edges[m : m + 3]
        for k in range(n_fft // 2 + 1):
            hz = k * 16_000 / n_fft
            if low < hz <= centre:
                filters[m, k] = (hz - low) / (centre - low)
            elif centre < hz < high:
                filters[m, k] = (high - hz) / (high - centre)
        filters[m] /= math.sqrt(sum(filters[m] ** 2))
    return filters
