"""Masking log-mel slices: bands of time and frequency (SpecAugment, arXiv 1904.08779, section 2), or patches (Myna).

A masked place takes the slice's mean, which SpecAugment's zero is on its normalised input. Its policies are for spoken
sentences; the widths here are ours, for 3 s: up to a sixth of the bands and of the frames, twice each. Time warping, its
third change, is left out: `time_stretch` is there for that.

Patches follow Myna (arXiv 2502.12511, section 3), which hides 0.9 of a grid of 16 x 16 patches, a fixed number in every
slice. Deviations: Myna drops the hidden tokens before a transformer, while the encoders here need a whole slice and see
the mean there; where the grid does not divide a slice, its last patches are narrower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Mask:
    """`mel_masks` bands of 0 to `max_mels` mels, `time_masks` of 0 to `max_frames`, and `patch_ratio` of all patches.

    `patch_ratio` is 0 (no patches) by default and 0.9 in Myna, for which `mel_masks` and `time_masks` are 0. Patches are
    `patch_mels` x `patch_frames`. `shared` masks both slices of a pair in the same places.
    """

    mel_masks: int = 2
    max_mels: int = 16
    time_masks: int = 2
    max_frames: int = 50
    patch_ratio: float = 0.0
    patch_mels: int = 16
    patch_frames: int = 16
    probability: float = 1.0
    shared: bool = False

    def __post_init__(self) -> None:
        for name in ("mel_masks", "max_mels", "time_masks", "max_frames"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("patch_mels", "patch_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("patch_ratio", "probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, got {getattr(self, name)}")

    def draw(self, batch: int, rng: np.random.Generator, n_mels: int, n_frames: int) -> Tensor:
        """Which places of the 2 x `batch` views are masked: (2B, M, T) bool.

        Raises ValueError for masks wider than a slice.
        """
        for name, length in (("max_mels", n_mels), ("max_frames", n_frames)):
            if getattr(self, name) > length:
                raise ValueError(f"{name} must be at most the slice's {length}, got {getattr(self, name)}")
        rows = batch if self.shared else 2 * batch
        mels = _stretches(rows, self.mel_masks, self.max_mels, n_mels, rng)
        frames = _stretches(rows, self.time_masks, self.max_frames, n_frames, rng)
        hidden = mels[:, :, None] | frames[:, None, :]
        if self.patch_ratio > 0:
            hidden |= self._patches(rows, rng, n_mels, n_frames)
        hidden &= (rng.random(rows) < self.probability)[:, None, None]
        return torch.from_numpy(np.concatenate([hidden, hidden]) if self.shared else hidden)

    def _patches(self, rows: int, rng: np.random.Generator, n_mels: int, n_frames: int) -> Flags:
        """(rows, M, T): round(`patch_ratio` x patches) of them in every row."""
        down, along = -(-n_mels // self.patch_mels), -(-n_frames // self.patch_frames)
        order = rng.random((rows, down * along)).argsort(axis=1).argsort(axis=1)
        chosen = (order < round(self.patch_ratio * down * along)).reshape(rows, down, along)
        wide = np.repeat(chosen, self.patch_frames, axis=2)[:, :, :n_frames]
        return np.repeat(wide, self.patch_mels, axis=1)[:, :n_mels]


def mask(log_mel: Tensor, hidden: Tensor) -> Tensor:
    """(N, M, T) slices with the places `hidden` (N, M, T) set to each slice's mean."""
    return torch.where(hidden, log_mel.mean(dim=(1, 2), keepdim=True), log_mel)


def _stretches(rows: int, count: int, longest: int, length: int, rng: np.random.Generator) -> Flags:
    """(rows, length): `count` stretches a row, each of a length uniform in 0..`longest`, anywhere that it fits."""
    width = rng.integers(0, longest + 1, (rows, count))
    first = rng.integers(0, length - width + 1)
    place = np.arange(length)
    inside = (place >= first[..., None]) & (place < (first + width)[..., None])
    return np.asarray(inside.any(axis=1))
