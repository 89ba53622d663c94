"""Key from samples: spectral peaks folded to pitch classes, compared with what each key is known to use.

Peaks between 60 and 1000 Hz are placed by a parabola (a bin is 2 Hz wide, a semitone at 60 Hz 3.6 Hz), the tuning is
their common offset from the equal-tempered grid (after Zhu, Kankanhalli and Gao, ICME 2005: here a circular mean), and
the pitch classes of half-second frames are averaged at equal length. The key is the profile that correlates best
(Krumhansl 1990). The profiles are what 400 grooves of the training split sound like on the mean, since those of
Krumhansl and Kessler, Temperley, and Albrecht and Shanahan were right less often on styles left out of the fit and on
the band (studies/estimators/tune.py); both corpora share their functional harmony, so real music may be another matter.
What cannot be told from pitch classes alone, such as a minor loop from its relative major, is often told wrongly.
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
MIN_CONFIDENCE = 0.3  # white noise of 5 s and more stays below
SHORTEST_S = 1.0

_WINDOW, _HOP = 8192, 4096
_LOW_HZ, _HIGH_HZ = 60.0, 1000.0
_FAINTEST = 0.01  # of a frame's highest peak
_SILENCE = 1e-5  # root mean square, of full scale
_FRAMES_PER_BLOCK = 64
_CLEAR = 0.25  # deviation of the pitch classes against their length, from which on a key is clear
_PROFILES = (  # from the tonic up, major and minor; tune.py fits them again to within 0.002
    (0.432, -0.315, 0.203, -0.352, 0.268, 0.077, -0.269, 0.368, -0.352, 0.198, -0.313, 0.054),
    (0.470, -0.375, 0.140, 0.264, -0.322, 0.132, -0.350, 0.392, 0.082, -0.249, 0.089, -0.272),
)

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KeyEstimate:
    """`key` like "F# minor" ("" where nothing sounds).

    `confidence`, 0 to 1, is the correlation with the key's profile, less where all pitch classes sound alike.
    """

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

    Silence has no key and steady noise one of low confidence, but drums alone can pass for pitch (bursts of noise were seen
    to reach 0.46 to 0.78). Below one second: none. Raises ValueError for another shape or samples that are not finite.
    """
    found = chroma(samples_16k)
    if found is None:
        return KeyEstimate("", 0.0, 0.0)
    folded, tuning = found
    fit = _standard(folded) @ templates().T
    best = int(fit.argmax())
    contrast = float(np.linalg.norm(folded - folded.mean()) / np.linalg.norm(folded))
    return KeyEstimate(KEYS[best], float(np.clip(fit[best] * min(1.0, contrast / _CLEAR), 0, 1)), tuning)


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
def templates() -> Float:
    """(24, 12) profiles of KEYS, standardised."""
    return np.stack([_standard(np.roll(profile, tonic)) for profile in _PROFILES for tonic in range(12)])


def _standard(classes: npt.ArrayLike) -> Float:
    """Mean 0 and length 1, so that a product is a correlation; of equal entries zeros."""
    array = np.asarray(classes, np.float64)
    centred = array - array.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-9))
