"""Level changes of log-mel slices: the power under the log compression is scaled by a gain in dB.

What multiplying the samples does to the front end's output, without the sound. The compression log10(1 + 10000 mel) is
not undone: with g the gain and x the log-mel, log10(1 + g (10^x - 1)) = x + log10(g + (1 - g) 10^-x), which takes one
exponential, loses nothing where x is large, and is the slice itself at 0 dB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Gain:
    """Gains uniform in +-`max_gain_db`, for a share `probability`; `shared` gives both slices of a pair one gain."""

    max_gain_db: float = 6.0
    probability: float = 1.0
    shared: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_gain_db < math.inf:
            raise ValueError(f"max_gain_db must be finite and not negative, got {self.max_gain_db}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be in 0..1, got {self.probability}")

    def draw(self, batch: int, rng: np.random.Generator) -> Tensor:
        """Gain in dB of the 2 x `batch` views: (2B,) float32; 0 where not applied."""
        size = (1, batch) if self.shared else (2, batch)
        gain_db = rng.uniform(-self.max_gain_db, self.max_gain_db, size)
        gain_db = np.where(rng.random(size) < self.probability, gain_db, 0.0)
        return torch.from_numpy(np.broadcast_to(gain_db, (2, batch)).astype(np.float32).ravel())


def gain(log_mel: Tensor, gain_db: Tensor) -> Tensor:
    """(N, M, T) slices and (N,) gains in dB -> the slices with their power scaled."""
    level = log_mel.clamp(min=0)  # a spline may overshoot below silence
    factor = torch.pow(10.0, gain_db / 10.0)[:, None, None]
    rest = torch.exp(level * -math.log(10.0))
    return rest.mul_(1 - factor).add_(factor).log_().mul_(1 / math.log(10.0)).add_(level)
