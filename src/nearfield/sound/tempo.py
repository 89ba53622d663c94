"""Tempo from log-mel frames: the pulse that the onsets of all frequencies share.

Onsets are the rises of a log-mel against the frame before, of which each band may take the loudest neighbour so that
vibrato is no onset (SuperFlux: Böck and Widmer, DAFx 2013). Their spectrum and their autocorrelation err in opposite
ways, one towards multiples of the tempo and one towards its fractions, so that the product stands at the tempo itself
(Peeters, EURASIP 2007, section 3.2). A log-normal preference decides between octaves (Ellis, JNMR 2007: 120 BPM).

Deviations: eight groups of bands are whitened by their own deviation and added as spectra, and not as onsets; both
functions are combs of three teeth; and one averaged spectrum gives both, the autocorrelation being its transform.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nearfield.sound.mel import DEFAULT, MelConfig

TEMPO_RANGE_BPM = (30.0, 300.0)
PREFERRED_BPM = 120.0
PREFERENCE_OCTAVES = 1.0  # the deviation of the log-normal preference
MIN_CONFIDENCE = 0.1  # white noise of 5 s and more stays below; of tracks with a beat nearly all are above
SHORTEST_S = 4.0

_GROUPS = 8
_LAG_FRAMES = 2
_EDGE_FRAMES = 2  # they hold the reflected padding, whose bend sounds like an onset
_LOCAL_S = 1.0  # what an onset has to stand out from
_WINDOW_S, _HOP_S = 10.24, 5.12
_POINTS = 8192  # of the transform: 0.7 BPM apart
_STEP = 1.01  # between the tempi that are tried
_TEETH = ((1, 1.0), (2, 0.7), (4, 0.5))  # multiples of the tempo, and of the beat's length, with their weights
_FAINT = 1e-3
_FAINTEST_ONSETS = 0.2  # deviation of a group's rises (log10 of power, summed): below, ripples and no onsets

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TempoEstimate:
    """`tempo_bpm` is None where nothing begins; `confidence`, 0 to 1, is how alike the onsets are a beat later."""

    tempo_bpm: float | None
    confidence: float


def estimate_tempo(log_mel: npt.ArrayLike, config: MelConfig = DEFAULT) -> TempoEstimate:
    """Tempo of (M, T) log-mels of `config`, as `sound.mel.log_mel` gives them, 30 to 300 BPM.

    Any level will do. Below four seconds, or without any onset: no tempo, confidence 0. The octave is a guess, of which
    the confidence says nothing. Raises ValueError for another shape or numbers that are not finite.
    """
    frames = np.asarray(log_mel, np.float32)
    if frames.ndim != 2 or frames.shape[0] != config.n_mels:
        raise ValueError(f"estimate_tempo takes log-mels of shape ({config.n_mels}, T); got {frames.shape}")
    if not np.isfinite(frames).all():
        raise ValueError("estimate_tempo takes finite log-mels")
    rate = config.frames_per_second
    if frames.shape[1] < SHORTEST_S * rate:
        return TempoEstimate(None, 0.0)
    onsets = onset_strength(frames[:, _EDGE_FRAMES:-_EDGE_FRAMES], config)
    if onsets.std(axis=1).max() < _FAINTEST_ONSETS:
        return TempoEstimate(None, 0.0)
    pulse = _Pulse.of(onsets, rate)
    tempi_bpm = _tempi()
    score = pulse.score(tempi_bpm) - 0.5 * (np.log2(tempi_bpm / PREFERRED_BPM) / PREFERENCE_OCTAVES) ** 2
    best = _peak(np.log(tempi_bpm), score)
    return TempoEstimate(float(np.exp(best)), pulse.likeness(float(np.exp(best))))


def onset_strength(log_mel: npt.NDArray[np.float32], config: MelConfig = DEFAULT) -> Float:
    """(M, T) log-mels -> (8, T - 2) onsets of eight groups of neighbouring bands, each above its local mean, >= 0.

    The compression is taken anew against the mean power, so that a change of level changes nothing.
    """
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    power = np.maximum(np.power(10.0, log_mel, dtype=np.float32) - 1, 0)
    mean = float(power.mean())
    if mean <= 1e-6:
        return np.zeros((_GROUPS, max(0, log_mel.shape[1] - _LAG_FRAMES)))
    level = np.log10(1 + power * (100 / mean))
    before = maximum_filter1d(level, 3, axis=0)[:, :-_LAG_FRAMES]
    rise = np.maximum(level[:, _LAG_FRAMES:] - before, 0).astype(np.float64)
    grouped = np.stack([part.sum(axis=0) for part in np.array_split(rise, _GROUPS)])
    local = uniform_filter1d(grouped, round(_LOCAL_S * config.frames_per_second), axis=1)
    return np.asarray(np.maximum(grouped - local, 0))


@dataclass(frozen=True, eq=False)
class _Pulse:
    """What repeats in the onsets: `magnitude` at each frequency, `correlation` at each lag (1 at lag 0)."""

    magnitude: Float
    correlation: Float
    rate: float

    @classmethod
    def of(cls, onsets: Float, rate: float) -> _Pulse:
        """The mean power spectrum of overlapping windows over (G, T) onsets, and its transform."""
        from scipy.fft import irfft, rfft

        length = min(round(_WINDOW_S * rate), onsets.shape[1])
        white = onsets - onsets.mean(axis=1, keepdims=True)
        white /= np.maximum(onsets.std(axis=1, keepdims=True), _FAINTEST_ONSETS)
        window = np.hanning(length)
        starts = range(0, onsets.shape[1] - length + 1, round(_HOP_S * rate))
        power = sum(np.square(np.abs(rfft(white[:, s : s + length] * window, _POINTS))).sum(axis=0) for s in starts)
        lags = length * 6 // 10  # beyond, too little of the window overlaps
        seen, weight = irfft(power)[:lags], irfft(np.square(np.abs(rfft(window, _POINTS))))[:lags]
        correlation = seen / seen[0] * weight[0] / weight
        heard = slice(round(0.4 / rate * _POINTS), round(20 / rate * _POINTS))
        magnitude = np.sqrt(power)
        return cls(magnitude / magnitude[heard].max(), correlation, rate)

    def at_tempo(self, tempi_bpm: npt.ArrayLike) -> Float:
        """Magnitude of the onsets' spectrum at tempi."""
        at = np.asarray(tempi_bpm) / 60 * _POINTS / self.rate
        return np.interp(at, np.arange(self.magnitude.size), self.magnitude)

    def after(self, seconds: npt.ArrayLike) -> Float:
        """Correlation after a time, 0 beyond what the window holds and where it is negative."""
        found = np.interp(np.asarray(seconds) * self.rate, np.arange(self.correlation.size), self.correlation, right=0)
        return np.asarray(np.maximum(found, 0))

    def score(self, tempi_bpm: Float) -> Float:
        """Logarithm of the product of both combs."""
        spectral = sum(weight * self.at_tempo(n * tempi_bpm) for n, weight in _TEETH)
        temporal = sum(weight * self.after(n * 60 / tempi_bpm) for n, weight in _TEETH)
        return np.asarray(np.log(_FAINT + spectral) + np.log(_FAINT + temporal))

    def likeness(self, tempo_bpm: float) -> float:
        """The better of the correlations after one and two beats: swing and half-time repeat after two."""
        return float(np.clip(self.after([60 / tempo_bpm, 120 / tempo_bpm]).max(), 0, 1))


@lru_cache(maxsize=1)
def _tempi() -> Float:
    slowest, fastest = TEMPO_RANGE_BPM
    steps = int(np.log(fastest / slowest) / np.log(_STEP))
    return np.asarray(slowest * _STEP ** np.arange(steps + 1))


def _peak(x: Float, y: Float) -> float:
    """Where a parabola through the highest point and its neighbours stands highest; x is evenly spaced."""
    n = int(y.argmax())
    if not 0 < n < len(y) - 1:
        return float(x[n])
    left, here, right = y[n - 1 : n + 2]
    bend = left - 2 * here + right
    return float(x[n] + (0.5 * (left - right) / bend if bend < 0 else 0.0) * (x[1] - x[0]))
