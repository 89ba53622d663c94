"""Natural cubic splines through the values of one axis, evaluated anywhere: what stretching and shifting share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def evaluate(values: Tensor, at: Tensor) -> Tensor:
    """(B, S, C) values at 0..S-1 along the middle axis, (B, T) positions -> (B, T, C) on each one's spline.

    Positions outside 0..S-1 are moved to the nearest end.
    """
    B, S, C = values.shape
    coefficients = torch.matmul(_filter(S).to(values.device), values.float())  # (B, S + 2, C)
    inside = at.double().clamp(0, S - 1)
    base = inside.floor().clamp(max=S - 2)
    weights = _basis((inside - base).float())
    rows = base.long() + torch.arange(B, device=values.device)[:, None] * (S + 2)
    taps = rows[..., None] + torch.arange(4, device=values.device)  # coefficient i stands at position i - 1
    out = F.embedding_bag(
        taps.view(-1, 4), coefficients.reshape(-1, C), per_sample_weights=weights.view(-1, 4), mode="sum"
    )
    return out.view(B, at.shape[1], C)


def _basis(u: Tensor) -> Tensor:
    """The four cubic B-spline weights at fraction u in 0..1 between two knots: (..., 4)."""
    u2, u3 = u * u, u * u * u
    return torch.stack([(1 - u) ** 3, 3 * u3 - 6 * u2 + 4, -3 * u3 + 3 * u2 + 3 * u + 1, u3], dim=-1) / 6


@lru_cache(maxsize=8)
def _filter(n: int) -> Tensor:
    """(n + 2, n): samples to the B-spline coefficients of the natural cubic spline through them."""
    system = np.zeros((n + 2, n + 2))
    for i in range(n):
        system[i + 1, i : i + 3] = (1 / 6, 4 / 6, 1 / 6)
    system[0, :3] = system[-1, -3:] = (1, -2, 1)  # no curvature at the ends
    inverse = np.linalg.inv(system)[:, 1:-1]
    inverse[np.abs(inverse) < 1e-12] = 0  # far taps decay into denormal numbers, which multiply ten times slower
    return torch.from_numpy(inverse.astype(np.float32))
