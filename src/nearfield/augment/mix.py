"""Mixing in the background: a second slice of the batch, quietly, under the first (MULE, arXiv 2210.03799, section 3.2).

The pair keeps what is common to it while the background differs, so that the background cannot tell who is whose
positive. Powers add, not logarithms: the front end's compression is undone and applied again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Mix:
    """The background's share of the sum's power is drawn from Beta(`alpha`, `beta`), for a share `probability` of slices.

    MULE names a Beta(5, 2) for the kept part's weight; the same law is the default here (background: Beta(2, 5)).
    `shared` lays the two slices of one other pair behind the two of this one, with one share: the pair then sounds like a
    piece that is not in the corpus, instead of losing what its slices have in common.
    """

    alpha: float = 2.0
    beta: float = 5.0
    probability: float = 1.0
    shared: bool = False

    def __post_init__(self) -> None:
        if not (self.alpha > 0 and self.beta > 0 and 0 <= self.probability <= 1):
            raise ValueError(f"alpha and beta must be above 0 and probability in 0..1, got {self}")

    def draw(self, batch: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """For 2 x `batch` views: background shares (2B,) float32, and which view lies behind each (2B,).

        The background of a view is the same view of another pair: (own + 1 .. own + B - 1) modulo B in its own half.
        """
        views = 1 if self.shared else 2
        share = np.where(
            rng.random((views, batch)) < self.probability, rng.beta(self.alpha, self.beta, (views, batch)), 0.0
        )
        behind = (np.arange(batch) + rng.integers(1, batch, (views, batch))) % batch
        both = np.broadcast_to(behind, (2, batch)) + np.array([[0], [batch]])
        shares = np.broadcast_to(share, (2, batch)).astype(np.float32)
        return torch.from_numpy(shares.ravel()), torch.from_numpy(both.ravel())


def mix(log_mel: Tensor, share: Tensor, behind: Tensor) -> Tensor:
    """(N, M, T) slices with (N,) shares of background `log_mel[behind]`; both are brought to the same mean power first."""
    power = torch.expm1(log_mel * math.log(10.0)).clamp(min=0)  # times the front end's scale, which cancels
    level = power.mean(dim=(1, 2), keepdim=True).clamp(min=0.01)
    background = power[behind] * (level / level[behind])
    weight = share[:, None, None]
    mixed = torch.log1p(torch.lerp(power, background, weight)) / math.log(10.0)
    return torch.where(weight > 0, mixed, log_mel)
