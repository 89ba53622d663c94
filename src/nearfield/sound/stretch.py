"""Tempo and pitch of real sound, one without the other, by python-stretch (Signalsmith Stretch, MIT)."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.errors import ManipulationError
from nearfield.sound.audio import resample

Samples = npt.NDArray[np.float32]

_SEED = 0  # of the random phases the library gives to noise-like parts: the same sound gives the same answer


def stretched(samples: Samples, rate_hz: float, tempo_ratio: float = 1.0, semitones: float = 0.0) -> Samples:
    """(n,) -> (round(n / tempo_ratio),): faster by `tempo_ratio`, or higher by `semitones`, or both.

    The library makes up for its own latency: a click at second t comes at t / tempo_ratio within 2 ms. Within some
    100 ms of either end the sound is weaker by up to 1.6 dB; where noise prevails, all of it is (white noise by 1.8 dB
    at double tempo). Raises ManipulationError where the library is not installed.

    To make sound higher it is slowed, then played back faster by resampling: tones are true to 0.2 cents. The library's
    own transposition misses low ones, at 110 Hz by up to 21 cents.
    """
    if samples.size == 0:
        return samples.copy()
    playback = 2 ** (semitones / 12)
    stretch = stretch_library().Signalsmith.Stretch(_SEED)
    stretch.preset(1, float(rate_hz))
    stretch.timeFactor = tempo_ratio / playback
    out = np.asarray(stretch.process(np.ascontiguousarray(samples[None]))[0], np.float32)
    out = resample(out, rate_hz * playback, rate_hz)
    length = round(samples.size / tempo_ratio)
    return np.pad(out[:length], (0, max(0, length - out.size)))


def stretch_library() -> Any:
    """python-stretch, imported when it is first needed; ManipulationError where it is not installed."""
    try:
        return importlib.import_module("python_stretch")
    except ImportError as error:
        cause = f"python-stretch cannot be imported ({error})"
        raise ManipulationError("tempo and pitch", cause, "pip install 'nearfield[audit]'") from error
