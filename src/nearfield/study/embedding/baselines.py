"""Hand-made embeddings of a catalogue's files: what any learned one is seen beside.

`mfcc`, `mean-log-mel` and `log-mel` are made of the slices' log-mels (study/handmade.py), `chroma-tempogram` of their
samples by librosa, `bliss` of the whole sound by bliss-audio.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from nearfield.catalogue.slices import Cutter, Excerpt
from nearfield.sound.mel import DEFAULT
from nearfield.study.embedding import bliss, chroma_tempogram
from nearfield.study.embedding.heard import Vector, excerpts_of_file, excerpts_of_samples
from nearfield.study.handmade import log_mel_statistics, mean_log_mel, mfcc_statistics, standardised
from nearfield.study.metrics import Vectors

CUTTER = Cutter(DEFAULT, slice_frames=300)

_OfSlices = Callable[[list[Excerpt]], Vectors]  # S excerpts -> (S, D)


def _of_log_mels(features: Callable[[npt.NDArray[np.float32]], Vectors]) -> _OfSlices:
    return lambda excerpts: features(np.stack([CUTTER.log_mel(e) for e in excerpts]))


_OF_SLICES: Mapping[str, _OfSlices] = MappingProxyType(
    {
        "mfcc": _of_log_mels(mfcc_statistics),
        "mean-log-mel": _of_log_mels(mean_log_mel),
        "log-mel": _of_log_mels(log_mel_statistics),
        "chroma-tempogram": lambda excerpts: chroma_tempogram.statistics(excerpts, CUTTER),
    }
)
_NEEDED: Mapping[str, Callable[[], object]] = MappingProxyType(
    {"chroma-tempogram": chroma_tempogram.library, bliss.NAME: bliss.library}
)
BASELINES = (*_OF_SLICES, bliss.NAME)


@dataclass(frozen=True)
class Raw:
    """The features of one track before they are standardised: (D,), the mean over its slices; `bliss` hears it whole."""

    name: str

    def check(self) -> None:
        """AuditError when the library that makes them is not installed."""
        if self.name in _NEEDED:
            _NEEDED[self.name]()

    def of_file(self, path: str) -> Vector:
        return bliss.of_file(path) if self.name == bliss.NAME else self._mean(excerpts_of_file(path, CUTTER))

    def of_samples(self, samples: npt.ArrayLike, rate_hz: float) -> Vector:
        if self.name == bliss.NAME:
            return bliss.of_samples(samples, rate_hz)
        return self._mean(excerpts_of_samples(samples, rate_hz, CUTTER))

    def _mean(self, excerpts: list[Excerpt]) -> Vector:
        return np.asarray(_OF_SLICES[self.name](excerpts).mean(axis=0), np.float32)


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
