"""The 23 descriptors of bliss (MIT), by its Python binding bliss-audio: what a music player sorts a library by.

Tempo, timbre (zero crossings; mean and deviation of centroid, roll-off, flatness and loudness) and 13 numbers of chroma.
A track is given whole, as its users give it, and not as the slices that a SPACE is made of: a tempo averaged over slices of
3 s is another. So bliss hears more of a track than its neighbours in a table do.

The binding reads files only: sound is decoded here, as for every other embedding, and handed over as a mono WAV at 22,050 Hz,
the rate that bliss resamples to.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from nearfield.catalogue.slices import SILENCE_STD
from nearfield.errors import AudioError, AuditError, readable
from nearfield.sound import audio
from nearfield.study.embedding.heard import Vector, sound_samples

NAME = "bliss"
RATE_HZ = 22_050
_SHORTEST_S = 1.0


def library() -> Any:
    """bliss_audio; AuditError when it is not installed."""
    try:
        import bliss_audio
    except ImportError as error:
        cause = f"bliss-audio cannot be imported ({error})"
        raise AuditError(NAME, cause, "pip install 'nearfield[bench]'") from error
    return bliss_audio


def of_file(path: str) -> Vector:
    """(23,) of a whole sound file; AudioError when it cannot be heard."""
    return _analysed(readable(path), audio.load(path, RATE_HZ))


def of_samples(samples: npt.ArrayLike, rate_hz: float) -> Vector:
    """(23,) of a waveform, mono (n,) or (n, channels)."""
    return _analysed("samples", audio.resample(sound_samples(samples), rate_hz, RATE_HZ))


def _analysed(subject: str, samples: npt.NDArray[np.float32]) -> Vector:
    if len(samples) < _SHORTEST_S * RATE_HZ:
        cause = f"too short ({len(samples) / RATE_HZ:.2f} s)"
        raise AudioError(subject, cause, f"give at least {_SHORTEST_S:g} s of sound")
    if np.std(samples, dtype=np.float64) < SILENCE_STD:
        raise AudioError(subject, "silent (below -80 dB)", "leave it out, or record it again")
    song = library().Song
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "whole.wav"
        soundfile.write(place, samples, RATE_HZ, subtype="FLOAT")
        try:
            return np.asarray(song(str(place)).analysis, np.float32)
        except BaseException as error:  # the binding has one kind of error, and panics of Rust are not Exceptions
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise AudioError(subject, f"bliss cannot analyse it ({error})", "leave it out") from error
