"""Random resized crops of log-mel slices (BYOL-A, arXiv 2103.06695, section III-C): a rough shift of pitch and tempo.

A crop of random size and place is taken from a virtual area, the slice with room before and after it, and resized to
the slice's own size by bicubic interpolation. The paper's values are the defaults: the area is 1.5 times as long as the
slice and no higher; the crop's height is min(U(0.6, 1.5), 1) and its length U(0.6, 1.5) times the slice's.

Deviations: the room beside the slice is filled with the slice's mean, where the paper has zeros, since our log-mels are
not normalised to a mean of zero first. The paper leaves open how pixels are aligned: here by their centres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nearfield.augment import cubic


@dataclass(frozen=True)
class RandomResizedCrop:
    """Heights and lengths are uniform in ratios of the slice's; heights above 1 count as 1.

    `virtual_time_ratio` is the length of the area that crops are taken from; `shared` crops both slices of a pair alike.
    """

    min_mel_ratio: float = 0.6
    max_mel_ratio: float = 1.5
    min_time_ratio: float = 0.6
    max_time_ratio: float = 1.5
    virtual_time_ratio: float = 1.5
    probability: float = 1.0
    shared: bool = False

    def __post_init__(self) -> None:
        for axis in ("mel", "time"):
            low, high = getattr(self, f"min_{axis}_ratio"), getattr(self, f"max_{axis}_ratio")
            if not 0 < low <= high:
                raise ValueError(f"min_{axis}_ratio must be above 0 and at most max_{axis}_ratio, got {low} and {high}")
        if not max(1.0, self.max_time_ratio) <= self.virtual_time_ratio:
            raise ValueError(f"virtual_time_ratio must be at least 1 and max_time_ratio, got {self.virtual_time_ratio}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be in 0..1, got {self.probability}")

    def draw(self, batch: int, rng: np.random.Generator, n_mels: int, n_frames: int) -> Crops:
        """A crop for each of the 2 x `batch` views; the whole slice where not applied."""
        size = (1, batch) if self.shared else (2, batch)
        area = int(self.virtual_time_ratio * n_frames)
        mel_ratio = np.minimum(rng.uniform(self.min_mel_ratio, self.max_mel_ratio, size), 1.0)
        time_ratio = rng.uniform(self.min_time_ratio, self.max_time_ratio, size)
        bands = np.maximum((mel_ratio * n_mels).astype(np.int64), 1)
        frames = np.clip((time_ratio * n_frames).astype(np.int64), 1, area)
        first_band = rng.integers(0, n_mels - bands + 1)
        first_frame = rng.integers(0, area - frames + 1) - (area - n_frames) // 2
        whole = rng.random(size) >= self.probability

        def per_view(value: npt.NDArray[np.int64], untouched: int) -> Tensor:
            return torch.from_numpy(np.broadcast_to(np.where(whole, untouched, value), (2, batch)).ravel().copy())

        return Crops(
            per_view(first_band, 0), per_view(bands, n_mels), per_view(first_frame, 0), per_view(frames, n_frames)
        )


@dataclass(frozen=True)
class Crops:
    """Where crops lie in slices of (M, T); each (N,) int64. Frames before 0 or beyond T - 1 lie outside the slice."""

    first_band: Tensor
    bands: Tensor
    first_frame: Tensor
    frames: Tensor

    def of(self, rows: Tensor) -> Crops:
        """The crops of some slices."""
        return Crops(self.first_band[rows], self.bands[rows], self.first_frame[rows], self.frames[rows])

    def to(self, device: torch.device) -> Crops:
        return Crops(*(getattr(self, f).to(device) for f in ("first_band", "bands", "first_frame", "frames")))


def random_resized_crop(log_mel: Tensor, crops: Crops) -> Tensor:
    """(N, M, T) slices and their N crops -> the crops, resized to (N, M, T)."""
    mean = log_mel.mean(dim=(1, 2))
    high = _resized(log_mel, crops.first_band, crops.bands, mean)
    return _resized(high.transpose(1, 2), crops.first_frame, crops.frames, mean).transpose(1, 2)


def _resized(values: Tensor, first: Tensor, count: Tensor, outside: Tensor) -> Tensor:
    """(N, S, C): positions first .. first + count - 1 of the middle axis, resized to S."""
    S = values.shape[1]
    centres = torch.arange(S, dtype=torch.float64, device=values.device) + 0.5
    at = first[:, None] + centres[None, :] * (count.double() / S)[:, None] - 0.5
    return cubic.evaluate(values, at, first, first + count - 1, outside)
