"""Pitch-shifting stored spectra on their linear frequency axis, before the filterbank: the cleaner `pitch_shift`.

The mel filters see the moved spectrum, so each band is as wide as it should be where the partial lands, and nothing repeats
beyond the ends. As there, the window's lobe around a partial is widened by the ratio, which real shifting does not do;
`keep_power` divides by the ratio, so that a partial keeps its power instead of its peak.

Shift and filterbank are linear in the power, so both are one matrix a slice. It reads the spectrum between its bins by
Lagrange's polynomial through the eight nearest ones: the window's lobes are wide beside the bins (sound/spectra.py), which
a polynomial of degree 7 follows as closely as a cubic spline through all bins (docs/decisions/0007-augmentations.md).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nearfield.sound.mel import DEFAULT, MelConfig, mel_filters

TAPS = tuple(range(-3, 5))  # bins about the one below a position
_SLICES_PER_BLOCK = 32


def shifted_log_mel(amplitude: Tensor, semitones: Tensor, mel: MelConfig = DEFAULT, keep_power: bool = True) -> Tensor:
    """(N, T, K) amplitudes at K even steps from 0 Hz to half the rate, (N,) semitones up -> (N, M, T) log-mels."""
    N, T, K = amplitude.shape
    out = torch.empty(N, mel.n_mels, T, device=amplitude.device)
    for first in range(0, N, _SLICES_PER_BLOCK):  # blocks, since filters and power are larger than what is made of them
        some = slice(first, first + _SLICES_PER_BLOCK)
        power = amplitude[some].float().square().transpose(1, 2)
        torch.bmm(shifted_filters(semitones[some], K, mel, keep_power), power, out=out[some])
    # a polynomial overshoots below silence
    return out.clamp_(min=0).mul_(mel.scale).log1p_().mul_(1 / math.log(10))


def shifted_filters(semitones: Tensor, bins: int, mel: MelConfig = DEFAULT, keep_power: bool = True) -> Tensor:
    """(N,) semitones up -> (N, M, K): what each of K bins gives to each band once the spectrum has been moved."""
    N, device = len(semitones), semitones.device
    band, bin_, weight = (x.to(device) for x in _filter_entries(mel))
    ratio = torch.pow(2.0, semitones.double() / 12)[:, None]
    at = bin_ * ((bins - 1) / (mel.n_fft // 2)) / ratio  # where the filterbank's bins stood before
    below = at.floor()
    fraction = (at - below).float()
    powers = torch.stack([fraction**p for p in range(len(TAPS))], dim=-1)
    gains = torch.where(at <= bins - 1, weight / ratio if keep_power else weight, 0.0).float()  # nothing was beyond
    weights = torch.matmul(powers, _lagrange().to(device)) * gains[..., None]
    taps = (below.long()[..., None] + torch.tensor(TAPS, device=device)).abs()  # a power spectrum mirrors at its ends
    taps = torch.where(taps > bins - 1, 2 * (bins - 1) - taps, taps).clamp(min=0)
    row = torch.arange(N, device=device)[:, None] * mel.n_mels + band
    filters = torch.zeros(N * mel.n_mels * bins, device=device)
    filters.index_add_(0, (row[..., None] * bins + taps).flatten(), weights.flatten())
    return filters.view(N, mel.n_mels, bins)


@lru_cache(maxsize=8)
def _filter_entries(mel: MelConfig) -> tuple[Tensor, Tensor, Tensor]:
    """The filterbank's entries that are not 0: their bands, bins and weights, (E,) each."""
    filters = mel_filters(mel)
    band, bin_ = np.nonzero(filters)
    return torch.from_numpy(band), torch.from_numpy(bin_), torch.from_numpy(filters[band, bin_])


@lru_cache(maxsize=1)
def _lagrange() -> Tensor:
    """(p, tap): the polynomials, each 1 at its tap and 0 at all others, by their coefficients of fraction^p."""
    columns = []
    for tap in TAPS:
        others = [t for t in TAPS if t != tap]
        columns.append(np.poly(others)[::-1] / math.prod(tap - t for t in others))
    return torch.from_numpy(np.stack(columns, axis=1)).float()
