"""Equalising log-mel slices: a random parametric curve, applied to the power under the log compression.

The curve is what an equaliser has: a low shelf, peaks, a high shelf. Its gains are added in decibels at each mel band's
centre, so a band is scaled by the gain at its middle; within a band the curve is taken as flat (arXiv 2401.08889 names
equalisation, not the curves: the ranges here are ours).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nearfield.sound.mel import DEFAULT, MelConfig, hz_to_mel, mel_to_hz


@dataclass(frozen=True)
class Equalise:
    """Gains are uniform in +-`max_gain_db`; corners and centres log-uniform in their ranges; peaks 0.5 to 2 octaves wide.

    `shared` gives both slices of a pair one curve.
    """

    max_gain_db: float = 12.0
    peaks: int = 3
    low_shelf_hz: tuple[float, ...] = (80.0, 400.0)
    peak_hz: tuple[float, ...] = (150.0, 5000.0)
    high_shelf_hz: tuple[float, ...] = (2000.0, 6000.0)
    probability: float = 1.0
    shared: bool = False

    def __post_init__(self) -> None:
        if not (self.max_gain_db >= 0 and self.peaks >= 0 and 0 <= self.probability <= 1):
            raise ValueError(f"max_gain_db and peaks must not be negative and probability in 0..1, got {self}")

    def draw(self, batch: int, rng: np.random.Generator, mel: MelConfig = DEFAULT) -> Tensor:
        """Gain in dB of each mel band for the 2 x `batch` views: (2B, M) float32; 0 where not applied."""
        rows = batch if self.shared else 2 * batch
        curve = np.stack([self._curve(rng, mel) for _ in range(rows)])
        curve *= (rng.random((rows, 1)) < self.probability).astype(float)
        return torch.from_numpy(np.tile(curve, (2, 1)) if self.shared else curve).float()

    def _curve(self, rng: np.random.Generator, mel: MelConfig) -> npt.NDArray[np.float64]:
        gains = rng.uniform(-self.max_gain_db, self.max_gain_db, 2 + self.peaks)
        low, high = (_log_uniform(rng, r) for r in (self.low_shelf_hz, self.high_shelf_hz))
        centres = [_log_uniform(rng, self.peak_hz) for _ in range(self.peaks)]
        widths = rng.uniform(0.5, 2.0, self.peaks)
        hz = band_centres_hz(mel)
        curve = gains[0] * shelf(hz / low) + gains[1] * shelf(high / hz)
        for gain, centre, width in zip(gains[2:], centres, widths, strict=True):
            curve += gain * np.exp(-0.5 * (np.log2(hz / centre) / (width / 2)) ** 2)
        return np.asarray(curve)


def equalise(log_mel: Tensor, gain_db: Tensor) -> Tensor:
    """(N, M, T) slices and (N, M) gains in dB -> the slices with each band's power scaled by its gain."""
    power = torch.expm1(log_mel * math.log(10.0)).clamp(min=0)  # a spline may overshoot below silence
    gain = torch.pow(10.0, gain_db / 10.0)[:, :, None]
    return torch.log1p(power * gain) / math.log(10.0)


def shelf(ratio: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Share of a shelf's gain at a frequency `ratio` times its corner: 1 far below, 1/2 at it, 0 far above."""
    return np.asarray(1.0 / (1.0 + ratio**2))


def band_centres_hz(mel: MelConfig = DEFAULT) -> npt.NDArray[np.float64]:
    """(M,) centre frequencies of the mel bands."""
    edges = np.linspace(hz_to_mel(mel.low_hz), hz_to_mel(mel.high_hz), mel.n_mels + 2)
    return mel_to_hz(edges[1:-1])


def _log_uniform(rng: np.random.Generator, span: tuple[float, ...]) -> float:
    return float(np.exp(rng.uniform(math.log(span[0]), math.log(span[1]))))
