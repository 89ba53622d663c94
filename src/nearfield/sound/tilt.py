"""What equalisation changes: the long-term spectrum's tilt and centroid, and the level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
SILENCE_DB = -80.0  # frames below are not heard, and count for nothing
FROM_HZ, TO_HZ = 62.5, 7000.0  # what the fit sees: above, the limits of codecs and of the rate of 16 kHz set in

_WINDOW = 4096  # also the length of the frames that are audible or not
_POINTS_PER_OCTAVE = 3
_ROUNDS = 10  # of reweighting

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """Of the audible part of a sound; all three move by known amounts with gain and tilt.

    `tilt_db_per_octave`: slope of the power density, 0 for white noise, -3.01 for pink. `centroid_octaves`: log2 of the
    power's centroid in Hz, so that 1 is an octave. `level_db`: root mean square, dB against full scale.
    """

    tilt_db_per_octave: float
    centroid_octaves: float
    level_db: float


def measure_spectrum(samples_16k: npt.ArrayLike) -> Spectrum | None:
    """Tilt, centroid and level of mono samples (n,) at 16 kHz; None where less than a quarter of a second is audible.

    Raises ValueError for another shape or samples that are not finite.
    """
    samples = np.asarray(samples_16k, np.float64)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError(f"a spectrum is measured from finite mono samples of shape (n,); got {samples.shape}")
    frames = samples[: samples.size // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    power = np.square(frames).mean(axis=1)
    audible = power > 10 ** (SILENCE_DB / 10)
    if not audible.any():
        return None
    hz, density = _density(frames[audible])
    centroid_hz = float((hz * density).sum() / density.sum())
    level_db = float(10 * np.log10(power[audible].mean()))
    return Spectrum(_tilt(hz, density), float(np.log2(centroid_hz)), level_db)


def _density(frames: Float) -> tuple[Float, Float]:
    """Frequencies and mean power density, without the lowest bins, which hold offset and rumble."""
    from scipy.fft import rfft

    taper = np.hanning(_WINDOW)
    total = np.zeros(_WINDOW // 2 + 1)
    for start in range(0, len(frames), 64):
        total += np.square(np.abs(rfft(frames[start : start + 64] * taper, axis=1))).sum(axis=0)
    hz = np.arange(total.size) * RATE_HZ / _WINDOW
    return hz[5:], total[5:] / len(frames)  # from 20 Hz


def _tilt(hz: Float, density: Float) -> float:
    """A line through the density, in dB, of thirds of octaves; Tukey's biweight leaves single resonances aside.

    Bands more than 80 dB below the loudest hold nothing and are not fitted; with fewer than three left, 0.
    """
    edges = np.geomspace(FROM_HZ, TO_HZ, round(np.log2(TO_HZ / FROM_HZ) * _POINTS_PER_OCTAVE) + 1)
    bands = [density[(hz >= a) & (hz < b)].mean() for a, b in pairwise(edges)]
    decibel = 10 * np.log10(np.maximum(bands, 1e-30))
    octave = 0.5 * np.log2(edges[:-1] * edges[1:])
    held = decibel > decibel.max() - 80
    if held.sum() < 3:
        return 0.0
    x, y = octave[held], decibel[held]
    weight = np.ones_like(x)
    slope = 0.0
    for _ in range(_ROUNDS):
        slope, offset = np.polyfit(x, y, 1, w=np.sqrt(weight))
        apart = np.abs(y - slope * x - offset)
        reach = 4.685 * max(1.4826 * float(np.median(apart)), 0.01)
        weight = np.maximum(np.square(np.maximum(1 - np.square(apart / reach), 0)), 1e-6)
    return float(slope)
