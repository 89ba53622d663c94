"""What harmony and rhythm alone tell, by librosa: pitch classes and tempo of a slice, nothing of its timbre.

Chroma: `chroma_cqt` at its defaults (constant-Q, seven octaves from C1, each frame's largest class 1); of each pitch class, C
first, mean and deviation over the slice's frames. Tempogram (Grosche, Müller and Kurth, ICASSP 2010; librosa's by
autocorrelation): the slice's onset strength autocorrelated, read at 49 tempi from 30 to 480 BPM, 12 an octave.

Deviations from librosa's defaults: the tuning is taken for 440 Hz, since 3 s are few to estimate it from; the tempogram has
one window, the slice, in place of 8.9 s that no slice lasts; so it is one spectrum, and has no deviation over time. A period
of 2 s, 30 BPM, fits once and a half into a slice: slow beats are told by their multiples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfield.catalogue.slices import Cutter, Excerpt
from nearfield.errors import AuditError
from nearfield.study.metrics import Vectors

PITCH_CLASSES = 12
TEMPI_BPM = 30 * 2 ** (np.arange(49) / 12)
_CHROMA_HOP = 512


def library(subject: str = "chroma-tempogram") -> Any:
    """librosa, for what `subject` names; AuditError when it is not installed."""
    try:
        import librosa
    except ImportError as error:
        cause = f"librosa cannot be imported ({error})"
        raise AuditError(subject, cause, "pip install 'nearfield[bench]'") from error
    return librosa


def statistics(excerpts: list[Excerpt], cutter: Cutter) -> Vectors:
    """S excerpts -> (S, 12 + 12 + 49): mean of the pitch classes, their deviation, and the tempogram at `TEMPI_BPM`."""
    librosa = library()
    hop, rate_hz = cutter.mel.hop, cutter.mel.rate_hz
    rows = []
    for excerpt in excerpts:
        samples = excerpt.samples[excerpt.lead_frames * hop :][: cutter.slice_frames * hop]
        chroma = librosa.feature.chroma_cqt(y=samples, sr=rate_hz, hop_length=_CHROMA_HOP, tuning=0.0)
        onsets = librosa.onset.onset_strength(y=samples, sr=rate_hz, hop_length=hop)
        rows.append(
            np.concatenate([chroma.mean(axis=1), chroma.std(axis=1), _tempogram(librosa, onsets, rate_hz / hop)])
        )
    return np.stack(rows).astype(np.float32)


def _tempogram(librosa: Any, onsets: Vectors, frames_per_s: float) -> Vectors:
    """(T,) onset strength -> (49,): its autocorrelation, 1 at lag 0, at the lags of `TEMPI_BPM`."""
    frames = len(onsets)
    whole = librosa.feature.tempogram(
        onset_envelope=onsets - onsets.mean(),  # else every lag is correlated, by the mean
        win_length=frames,
        center=False,
        window=np.ones,
    )
    lags = 60 * frames_per_s / TEMPI_BPM
    return np.asarray(np.interp(lags, np.arange(frames), whole[:, 0]), np.float32)
