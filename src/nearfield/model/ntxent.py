"""NT-Xent, the normalised temperature-scaled cross-entropy loss (SimCLR, arXiv 2002.05709, equation 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(anchors: Tensor, positives: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean loss over the 2B views of B positive pairs.

    `anchors` and `positives` are (B, D), row i of one being the positive of row i of the other; they are normalised
    here. Each view is told from the 2B - 2 views of other pairs; computed in float32.
    """
    if anchors.shape != positives.shape or anchors.ndim != 2 or len(anchors) < 2:
        raise ValueError(
            f"nt_xent takes two (B, D) tensors, B > 1; got {tuple(anchors.shape)}, {tuple(positives.shape)}"
        )
    views = F.normalize(torch.cat([anchors, positives]).float(), dim=1)
    n = len(anchors)
    logits = views @ views.T / temperature
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=logits.device), float("-inf"))
    partner = torch.arange(2 * n, device=logits.device).roll(n)
    return F.cross_entropy(logits, partner)
