"""Pitch-shifting log-mel slices: each is read at the frequencies it had before, on a cubic spline along the mel axis.

Exact for the HTK scale: band m of the result, at f Hz, takes the spectrum at f / ratio, whatever number of bands that is.
It moves the centre of a partial but not its width: a partial shifted up stays as narrow in mels as it was below, where
real sound would spread it over fewer. What lies outside the front end's range repeats its nearest band. `linear.py` does
without either fault, from stored spectra.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nearfield.augment import spline
from nearfield.augment.equalise import band_centres_hz
from nearfield.sound.mel import DEFAULT, MelConfig, hz_to_mel


@dataclass(frozen=True)
class PitchShift:
    """Semitones uniform in +-`max_semitones`; `shared` shifts both slices of a pair alike.

    `from_spectra` shifts the spectra of a store that keeps them, before the filterbank (linear.py), and does so first.
    """

    max_semitones: float = 5.0
    probability: float = 1.0
    shared: bool = False
    from_spectra: bool = False

    def __post_init__(self) -> None:
        if not (self.max_semitones >= 0 and 0 <= self.probability <= 1):
            raise ValueError(f"max_semitones must not be negative and probability in 0..1, got {self}")

    def draw(self, batch: int, rng: np.random.Generator) -> Tensor:
        """Semitones for the 2 x `batch` views: (2B,) float64; 0 where not applied."""
        size = (1, batch) if self.shared else (2, batch)
        semitones = rng.uniform(-self.max_semitones, self.max_semitones, size)
        semitones = np.where(rng.random(size) < self.probability, semitones, 0.0)
        return torch.from_numpy(np.broadcast_to(semitones, (2, batch)).ravel().copy())


def pitch_shift(log_mel: Tensor, semitones: Tensor, mel: MelConfig = DEFAULT) -> Tensor:
    """(N, M, T) slices and (N,) semitones up -> slices of the same shape."""
    low, high = float(hz_to_mel(mel.low_hz)), float(hz_to_mel(mel.high_hz))
    step = (high - low) / (mel.n_mels + 1)
    source_hz = torch.from_numpy(band_centres_hz(mel))[None, :] / torch.pow(2.0, semitones.double().cpu() / 12)[:, None]
    at = (2595.0 * torch.log10(1 + source_hz / 700.0) - low) / step - 1  # band m is centred m + 1 steps up
    return spline.evaluate(log_mel, at.to(log_mel.device))
