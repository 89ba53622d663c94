"""Pitch-shifting a power spectrogram on its linear frequency axis, before any filterbank.

The cleaner neighbour of `pitch_shift`, for where the sound is at hand: the mel filters see the moved spectrum, so each
band is as wide as it should be where the partial lands, and nothing repeats beyond the ends. A store of log-mels cannot
use it, the filterbank being applied already. As there, the window's lobe around a partial is widened by the ratio, which
real shifting does not do; `keep_power` divides by the ratio, so that a partial keeps its power instead of its peak.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nearfield.augment import cubic


def pitch_shift_power(power: Tensor, semitones: float, keep_power: bool = True) -> Tensor:
    """(F, T) power at evenly spaced frequencies from 0 on, and semitones up -> the same shape; 0 where nothing was."""
    F = power.shape[0]
    ratio = 2.0 ** (semitones / 12)
    at = torch.arange(F, dtype=torch.float64, device=power.device)[None, :] / ratio
    first, last = (torch.tensor([n], device=power.device) for n in (-2, F + 2))
    nothing = torch.zeros(1, device=power.device)
    # positions far outside would be read at the last tap, which is outside too and so counts as nothing
    moved = cubic.evaluate(power[None], at, first, last, nothing)[0].clamp(min=0)  # cubics overshoot below silence
    return moved / ratio if keep_power else moved
