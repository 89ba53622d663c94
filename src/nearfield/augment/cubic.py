"""Cubic convolution along one axis: four taps a value and no filter before (Keys, IEEE Trans. ASSP 29(6), 1981).

Unlike the splines of `spline.py` it needs no system solved over the whole axis, so an axis may be as long as a spectrum,
and an end may stand anywhere. SHARPNESS is Keys's a: -0.75, which image libraries call bicubic.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHARPNESS = -0.75


def evaluate(values: Tensor, at: Tensor, first: Tensor, last: Tensor, outside: Tensor) -> Tensor:
    """(B, S, C) values at 0..S-1, (B, T) positions -> (B, T, C).

    Taps beyond `first` or `last` (B,) take the value there; what then still lies outside 0..S-1 is `outside` (B,).
    """
    B, S, C = values.shape
    base = at.floor()
    weights = _kernel((at - base).float())
    taps = base.long()[..., None] + torch.arange(-1, 3, device=values.device)
    taps = torch.minimum(torch.maximum(taps, first[:, None, None]), last[:, None, None])
    weights = torch.where((taps >= 0) & (taps < S), weights, 0.0)
    rows = taps.clamp(0, S - 1) + torch.arange(B, device=values.device)[:, None, None] * S
    table = values.float().reshape(-1, C)
    out = F.embedding_bag(rows.view(-1, 4), table, per_sample_weights=weights.view(-1, 4), mode="sum")
    missing = 1 - weights.sum(dim=-1)  # the weights of all four sum to 1
    return torch.addcmul(out.view(B, at.shape[1], C), missing[..., None], outside.float()[:, None, None])


def _kernel(u: Tensor) -> Tensor:
    """The weights of the four neighbours at fraction u in 0..1 between the middle two: (..., 4)."""
    a, v = SHARPNESS, 1 - u
    return torch.stack(
        [a * u * v * v, (a + 2) * u**3 - (a + 3) * u**2 + 1, (a + 2) * v**3 - (a + 3) * v**2 + 1, a * v * u * u], dim=-1
    )
