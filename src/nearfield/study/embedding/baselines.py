"""Hand-made embeddings of a catalogue's files: what any learned one is seen beside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from nearfield.catalogue.slices import Cutter, Excerpt
from nearfield.sound.mel import DEFAULT
from nearfield.study.embedding.heard import Vector, excerpts_of_file, excerpts_of_samples
from nearfield.study.handmade import mean_log_mel, mfcc_statistics, standardised
from nearfield.study.metrics import Vectors

_Features = Callable[[npt.NDArray[np.float32]], Vectors]
BASELINES: Mapping[str, _Features] = MappingProxyType({"mfcc": mfcc_statistics, "mean-log-mel": mean_log_mel})
_CUTTER = Cutter(DEFAULT, slice_frames=300)


@dataclass(frozen=True)
class Raw:
    """The features of one track before they are standardised: (D,), the mean over its slices."""

    name: str

    def of_file(self, path: str) -> Vector:
        return self._mean(excerpts_of_file(path, _CUTTER))

    def of_samples(self, samples: npt.ArrayLike, rate_hz: float) -> Vector:
        return self._mean(excerpts_of_samples(samples, rate_hz, _CUTTER))

    def _mean(self, excerpts: list[Excerpt]) -> Vector:
        log_mels = np.stack([_CUTTER.log_mel(e) for e in excerpts])
        return np.asarray(BASELINES[self.name](log_mels).mean(axis=0), np.float32)


@dataclass(frozen=True, eq=False)
class Baseline:
    """Features standardised over a catalogue: each dimension to mean 0 and deviation 1 over its (N, D) raw vectors."""

    raw: Raw
    of_tracks: Vectors

    @property
    def vectors(self) -> Vectors:
        return standardised(self.of_tracks)

    @property
    def digest(self) -> str:
        """16 hex digits of the features' name and of what they were standardised by."""
        by = np.stack([self.of_tracks.mean(axis=0), self.of_tracks.std(axis=0)])
        return hashlib.sha256(self.raw.name.encode() + by.astype("<f4").tobytes()).hexdigest()[:16]

    def embed(self, samples: npt.ArrayLike, rate_hz: float) -> Vector:
        """(D,) of a waveform, standardised as the catalogue's tracks are."""
        new = self.raw.of_samples(samples, rate_hz)
        deviation = np.maximum(self.of_tracks.std(axis=0), 1e-9)
        return np.asarray((new - self.of_tracks.mean(axis=0)) / deviation, np.float32)
