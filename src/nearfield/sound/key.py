"""Key from samples: spectral peaks folded to pitch classes, compared with what each key is known to use.

Peaks between 60 and 1000 Hz are placed by a parabola (a bin is 2 Hz wide, a semitone at 60 Hz 3.6 Hz), the tuning is
their common offset from the equal-tempered grid (after Zhu, Kankanhalli and Gao, ICME 2005: here a circular mean), and
the pitch classes of half-second frames are averaged at equal length. The key is the profile that correlates best
(Krumhansl 1990), with the profiles of Albrecht and Shanahan (Music Perception 31, 2013, table 2), counted in scores.
Above 1000 Hz partials that are no octaves of their note take over: measured, they cost accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MODES = ("major", "minor")
KEYS = tuple(f"{tonic} {mode}" for mode in MODES for tonic in TONICS)
RATE_HZ = 16_000
MIN_CONFIDENCE = 0.2  # below it hardly any pitch class stands out
SHORTEST_S = 1.0

_WINDOW, _HOP = 8192, 4096
_LOW_HZ, _HIGH_HZ = 60.0, 1000.0
_FAINTEST = 0.01  # of a frame's highest peak
_SILENCE = 1e-5  # root mean square, of full scale
_FRAMES_PER_BLOCK = 64
_PROFILES = (  # Albrecht and Shanahan, from the tonic up
    (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
)

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KeyEstimate:
    """`key` like "F# minor" ("" where nothing sounds); `confidence` 0 to 1: its correlation with the key's profile."""

    key: str
    confidence: float
    tuning_semitones: float  # of the sound against 440 Hz, -0.5 to 0.5


@dataclass(frozen=True, eq=False)
class _Peaks:
    """Spectral peaks: the frame of each, its pitch (MIDI, fractional) and weight, the root of its magnitude."""

    frame: npt.NDArray[np.int64]
    pitch: Float
    weight: Float


def estimate_key(samples_16k: npt.ArrayLike) -> KeyEstimate:
    """Key of mono samples (n,) at 16 kHz; one key is assumed throughout, and sharps name it.

    Noise, drums and silence have no key or one of low confidence. Below one second: none. Raises ValueError for another
    shape or samples that are not finite.
    """
    found = chroma(samples_16k)
    if found is None:
        return KeyEstimate("", 0.0, 0.0)
    folded, tuning = found
    fit = _standard(folded) @ _templates().T
    best = int(fit.argmax())
    return KeyEstimate(KEYS[best], float(np.clip(fit[best], 0, 1)), tuning)


def chroma(samples_16k: npt.ArrayLike) -> tuple[Float, float] | None:
    """((12,) mean pitch classes from C, each frame of length 1; tuning in semitones), or None where nothing sounds."""
    samples = np.asarray(samples_16k, np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError(f"a key is estimated from finite mono samples of shape (n,); got {samples.shape}")
    if samples.size < SHORTEST_S * RATE_HZ or np.sqrt(np.mean(np.square(samples))) < _SILENCE:
        return None
    parts = list(_peaks(samples))
    frame = np.concatenate([p.frame for p in parts])
    if not frame.size:
        return None
    pitch = np.concatenate([p.pitch for p in parts])
    weight = np.concatenate([p.weight for p in parts])
    tuning = float(np.angle((weight * np.exp(2j * np.pi * pitch)).sum()) / (2 * np.pi))
    nearest = np.round(pitch - tuning)
    weight = weight * np.square(np.cos(np.pi * (pitch - tuning - nearest)))  # halfway between two notes: neither
    folded = np.zeros((int(frame.max()) + 1, 12))
    np.add.at(folded, (frame, nearest.astype(np.int64) % 12), weight)
    length = np.linalg.norm(folded, axis=1, keepdims=True)
    return (folded / np.maximum(length, 1e-9)).mean(axis=0), tuning


def _peaks(samples: npt.NDArray[np.float32]) -> Iterator[_Peaks]:
    """Peaks of windows half a second long, block by block."""
    from scipy.fft import rfft

    padded = np.pad(samples, (0, max(0, _WINDOW - samples.size)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    low, high = (round(hz * _WINDOW / RATE_HZ) for hz in (_LOW_HZ, _HIGH_HZ))
    taper = np.hanning(_WINDOW).astype(np.float32)
    for start in range(0, len(windows), _FRAMES_PER_BLOCK):
        spectrum = rfft(windows[start : start + _FRAMES_PER_BLOCK] * taper, axis=1)[:, low - 1 : high + 2]
        level = np.log(np.abs(spectrum).astype(np.float64) + 1e-6)
        here = level[:, 1:-1]
        loud = here > np.maximum(level.max(axis=1, keepdims=True) + np.log(_FAINTEST), np.log(1e-3))
        frame, at = np.nonzero((here > level[:, :-2]) & (here >= level[:, 2:]) & loud)
        left, peak, right = level[frame, at], level[frame, at + 1], level[frame, at + 2]
        offset = np.clip(0.5 * (left - right) / (left - 2 * peak + right - 1e-9), -0.5, 0.5)
        hz = (low + at + offset) * RATE_HZ / _WINDOW
        yield _Peaks(frame + start, 69 + 12 * np.log2(hz / 440), np.exp(0.5 * peak))


@lru_cache(maxsize=1)
def _templates() -> Float:
    """(24, 12) profiles of KEYS, standardised."""
    return np.stack([_standard(np.roll(profile, tonic)) for profile in _PROFILES for tonic in range(12)])


def _standard(classes: npt.ArrayLike) -> Float:
    """Mean 0 and length 1, so that a product is a correlation; of equal entries zeros."""
    centred = np.asarray(classes, np.float64) - np.mean(classes)
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-9))
