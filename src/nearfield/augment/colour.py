"""Recording colour of log-mel slices: limits of the band, level, and what a codec of few bits leaves out.

Laid over all views, each with its own, it keeps a contrastive encoder from telling tracks apart by their mastering or codec.
The band limits are those of Butterworth filters, whose gain at each band's centre scales its power. A codec drops what its
neighbours mask: here each cell more than `depth_db` below the loudest band of its frame becomes silence. The level is the
slice's own affair (an encoder standardises its slices), but it decides what the log compression hides near silence.
No paper is followed; the ranges are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nearfield.augment.equalise import band_centres_hz, equalise
from nearfield.sound.mel import DEFAULT, MelConfig


@dataclass(frozen=True)
class Colours:
    """Of each view the gain of each band in dB (2B, M), and the codec's depth in dB (2B,), infinite where there is none."""

    gain_db: Tensor
    depth_db: Tensor

    def of(self, views: Tensor) -> Colours:
        """Those of some views."""
        return Colours(self.gain_db[views], self.depth_db[views])

    def to(self, device: torch.device) -> Colours:
        """The same on another device."""
        return Colours(self.gain_db.to(device), self.depth_db.to(device))


@dataclass(frozen=True)
class Colour:
    """Corners are log-uniform in their ranges, filters of order 1 to `most_order`, gains uniform in +-`max_gain_db`, depths
    uniform in their range; for a share `probability` of the views. `shared` gives both slices of a pair one colour.
    """

    high_pass_hz: tuple[float, ...] = (20.0, 150.0)
    low_pass_hz: tuple[float, ...] = (3000.0, 8000.0)
    most_order: int = 8
    max_gain_db: float = 6.0
    depth_db: tuple[float, ...] = (45.0, 90.0)
    probability: float = 1.0
    shared: bool = False

    def __post_init__(self) -> None:
        for name in ("high_pass_hz", "low_pass_hz", "depth_db"):
            span = getattr(self, name)
            if len(span) != 2 or not 0 < span[0] <= span[1] < math.inf:
                raise ValueError(f"{name} must be two numbers above 0, the lower first, got {span}")
        if self.most_order < 1:
            raise ValueError(f"most_order must be at least 1, got {self.most_order}")
        if not 0 <= self.max_gain_db < math.inf:
            raise ValueError(f"max_gain_db must be finite and not negative, got {self.max_gain_db}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be in 0..1, got {self.probability}")

    def draw(self, batch: int, rng: np.random.Generator, mel: MelConfig = DEFAULT) -> Colours:
        """The colours of the 2 x `batch` views."""
        rows = batch if self.shared else 2 * batch
        high, low = (
            np.exp(rng.uniform(math.log(span[0]), math.log(span[1]), (rows, 1)))
            for span in (self.high_pass_hz, self.low_pass_hz)
        )
        orders = rng.integers(1, self.most_order + 1, (2, rows, 1))
        level = rng.uniform(-self.max_gain_db, self.max_gain_db, (rows, 1))
        depth = rng.uniform(self.depth_db[0], self.depth_db[1], rows)
        hz = band_centres_hz(mel)
        curve = level + butterworth_db(high / hz, orders[0]) + butterworth_db(hz / low, orders[1])
        chosen = rng.random(rows) < self.probability
        gain_db = torch.from_numpy(np.where(chosen[:, None], curve, 0.0)).float()
        depth_db = torch.from_numpy(np.where(chosen, depth, np.inf)).float()
        times = 2 if self.shared else 1
        return Colours(gain_db.repeat(times, 1), depth_db.repeat(times))


def colour(log_mel: Tensor, colours: Colours) -> Tensor:
    """(N, M, T) slices with N colours -> the slices as such a recording would have them."""
    limited = equalise(log_mel, colours.gain_db)
    power = torch.expm1(limited * math.log(10.0))
    floor = power.amax(dim=1, keepdim=True) * torch.pow(10.0, -colours.depth_db / 10)[:, None, None]
    return torch.where(power < floor, 0.0, limited)


def butterworth_db(ratio: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Gain in dB of a Butterworth filter at `ratio` times its corner, into the stop band: -3 dB at 1."""
    return np.asarray(-10 * np.log10(1 + ratio ** (2 * order)))
