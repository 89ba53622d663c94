"""Time-stretching of log-mel slices: resampling along frames by cubic-spline interpolation (arXiv 2401.08889, section 3).

The paper names the method, not the range of its factors: here tempo_ratio is log-uniform in a configurable range, so
that faster and slower are alike. The source is longer than the slice; nothing is padded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nearfield.augment import spline


@dataclass(frozen=True)
class TimeStretch:
    """tempo_ratio in [`min_ratio`, `max_ratio`], applied to a share `probability` of slices.

    `shared` stretches both slices of a pair alike instead of each by its own factor.
    """

    min_ratio: float = 0.7
    max_ratio: float = 1.4
    probability: float = 1.0
    shared: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.min_ratio <= self.max_ratio:
            raise ValueError(f"tempo_ratio range must be 0 < min <= max, got {self.min_ratio} to {self.max_ratio}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be in 0..1, got {self.probability}")

    def source_frames(self, slice_frames: int) -> int:
        """How many frames to cut, so that the fastest stretch finds enough; the parity of `slice_frames` is kept."""
        longest = math.ceil((slice_frames - 1) * max(1.0, self.max_ratio)) + 1
        return longest + (longest - slice_frames) % 2

    def draw(self, batch: int, rng: np.random.Generator) -> Tensor:
        """tempo_ratio for the two views of `batch` pairs: (2, B), float64; 1 where not applied."""
        size = (1, batch) if self.shared else (2, batch)
        ratio = np.exp(rng.uniform(math.log(self.min_ratio), math.log(self.max_ratio), size))
        ratio = np.where(rng.random(size) < self.probability, ratio, 1.0)
        return torch.from_numpy(np.broadcast_to(ratio, (2, batch)).copy())


def time_stretch(source: Tensor, tempo_ratio: Tensor, n_frames: int) -> Tensor:
    """The middle of each source, stretched: (B, M, S) and (B,) -> (B, M, n_frames).

    Output frame t is read at source frame (S - 1) / 2 + (t - (n_frames - 1) / 2) * tempo_ratio, on the natural cubic
    spline through the source's frames; a tempo_ratio of 1.25 is 25 % faster. Raises ValueError when a source is too
    short for its ratio.
    """
    S = source.shape[2]
    reach = (n_frames - 1) / 2 * float(tempo_ratio.max())
    if reach > (S - 1) / 2 + 1e-6:
        raise ValueError(f"tempo_ratio {float(tempo_ratio.max()):.3f} needs {math.ceil(2 * reach) + 1} frames, got {S}")
    steps = torch.arange(n_frames, dtype=torch.float64, device=source.device) - (n_frames - 1) / 2
    at = (S - 1) / 2 + steps[None, :] * tempo_ratio.double()[:, None]
    return spline.evaluate(source.transpose(1, 2), at).transpose(1, 2)
