"""Time-stretching of log-mel slices: resampling along frames by cubic-spline interpolation (arXiv 2401.08889, section 3).

The paper names the method, not the range of its factors: here tempo_ratio is log-uniform in a configurable range, so
that faster and slower are alike. The source is longer than the slice; nothing is padded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


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
    B, M, S = source.shape
    reach = (n_frames - 1) / 2 * float(tempo_ratio.max())
    if reach > (S - 1) / 2 + 1e-6:
        raise ValueError(f"tempo_ratio {float(tempo_ratio.max()):.3f} needs {math.ceil(2 * reach) + 1} frames, got {S}")
    steps = torch.arange(n_frames, dtype=torch.float64, device=source.device) - (n_frames - 1) / 2
    at = ((S - 1) / 2 + steps[None, :] * tempo_ratio.double()[:, None]).clamp(0, S - 1)
    coefficients = torch.matmul(_spline_filter(S).to(source.device), source.transpose(1, 2).float())  # (B, S + 2, M)
    base = at.floor().clamp(max=S - 2)
    weights = _basis((at - base).float())
    rows = base.long() + torch.arange(B, device=source.device)[:, None] * (S + 2)
    taps = rows[..., None] + torch.arange(4, device=source.device)  # coefficient i stands at position i - 1
    stretched = F.embedding_bag(
        taps.view(-1, 4), coefficients.reshape(-1, M), per_sample_weights=weights.view(-1, 4), mode="sum"
    )
    return stretched.view(B, n_frames, M).transpose(1, 2)


def _basis(u: Tensor) -> Tensor:
    """The four cubic B-spline weights at fraction u in 0..1 between two knots: (..., 4)."""
    u2, u3 = u * u, u * u * u
    return torch.stack([(1 - u) ** 3, 3 * u3 - 6 * u2 + 4, -3 * u3 + 3 * u2 + 3 * u + 1, u3], dim=-1) / 6


@lru_cache(maxsize=8)
def _spline_filter(n: int) -> Tensor:
    """(n + 2, n): samples to the B-spline coefficients of the natural cubic spline through them."""
    system = np.zeros((n + 2, n + 2))
    for i in range(n):
        system[i + 1, i : i + 3] = (1 / 6, 4 / 6, 1 / 6)
    system[0, :3] = system[-1, -3:] = (1, -2, 1)  # no curvature at the ends
    inverse = np.linalg.inv(system)[:, 1:-1]
    inverse[np.abs(inverse) < 1e-12] = 0  # far taps decay into denormal numbers, which multiply ten times slower
    return torch.from_numpy(inverse.astype(np.float32))
