"""Equalisers of real sound: a shelf, a peak, a tilt.

Shelves and peaks are the second-order sections of R. Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter
coefficients", shelves with slope S = 1; the tilt is a straight line in dB over octaves, applied to the spectrum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal

Samples = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Shape = Literal["low shelf", "peak", "high shelf"]

PIVOT_HZ = 1000.0  # where a tilt leaves the level as it is
_LOWEST_HZ = 20.0  # below it a tilt rises no further
_TAIL_S = 0.5  # zeros on both sides, into which a tilt's response dies away instead of wrapping round


@dataclass(frozen=True, eq=False)
class Biquad:
    """A second-order section: numerator `b` and denominator `a`, three numbers each, at `rate_hz`."""

    b: Floats
    a: Floats
    rate_hz: float

    def __call__(self, samples: Samples) -> Samples:
        """(n,) -> (n,), from a state of rest."""
        return np.asarray(scipy.signal.lfilter(self.b, self.a, samples.astype(np.float64)), np.float32)

    def response_db(self, hz: npt.ArrayLike) -> Floats:
        """The gain at each frequency."""
        _, response = scipy.signal.freqz(self.b, self.a, np.asarray(hz, np.float64), fs=self.rate_hz)
        return np.asarray(20 * np.log10(np.abs(response)))


def biquad(shape: Shape, hz: float, gain_db: float, rate_hz: float, octaves: float = 1.0) -> Biquad:
    """An equaliser at `hz`, which lies below half of `rate_hz`: the middle of a shelf's slope, or the top of a peak.

    `octaves`: how wide a peak is, between the points of half its gain in dB; shelves do not use it.
    """
    A, w = 10 ** (gain_db / 40), 2 * math.pi * hz / rate_hz
    cos, sin = math.cos(w), math.sin(w)
    if shape == "peak":
        alpha = sin * math.sinh(math.log(2) / 2 * octaves * w / sin)
        b, a = [1 + alpha * A, -2 * cos, 1 - alpha * A], [1 + alpha / A, -2 * cos, 1 - alpha / A]
        return Biquad(np.array(b), np.array(a), rate_hz)
    side = 1.0 if shape == "low shelf" else -1.0
    root = math.sqrt(2 * A) * sin
    up, down = A + 1, A - 1
    b = [
        A * (up - side * down * cos + root),
        side * 2 * A * (down - side * up * cos),
        A * (up - side * down * cos - root),
    ]
    a = [up + side * down * cos + root, -side * 2 * (down + side * up * cos), up + side * down * cos - root]
    return Biquad(np.array(b), np.array(a), rate_hz)


def tilted(samples: Samples, db_per_octave: float, rate_hz: float) -> Samples:
    """(n,) -> (n,): the spectrum tilted about 1 kHz, without a change of phase; 0 dB per octave gives the same sound."""
    tail = round(_TAIL_S * rate_hz)
    length = scipy.fft.next_fast_len(samples.size + 2 * tail, real=True)
    spectrum = scipy.fft.rfft(np.pad(samples.astype(np.float64), (tail, length - samples.size - tail)))
    gain_db = tilt_db(scipy.fft.rfftfreq(length, 1 / rate_hz), db_per_octave)
    changed = scipy.fft.irfft(spectrum * 10 ** (gain_db / 20), length)
    return np.asarray(changed[tail : tail + samples.size], np.float32)


def tilt_db(hz: npt.ArrayLike, db_per_octave: float) -> Floats:
    """The gain of a tilt at each frequency; held below 20 Hz."""
    return np.asarray(db_per_octave * np.log2(np.maximum(np.asarray(hz, np.float64), _LOWEST_HZ) / PIVOT_HZ))
