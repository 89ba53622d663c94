"""The linear-frequency amplitude spectrum of the front end's own frames, for a store that keeps it beside the log-mels.

Kept are fewer bins than the front end's: its transform is five times as long as its window, so that neighbouring bins say
nearly the same. Half as many still lie close enough together for the spectrum between them to be found by interpolation.
Amplitude and not power, because its square root fits float16 with room at both ends: a relative error of 2^-11 down to
6e-5, where the power is far below what the log compression shows, and full scale at 200 of 65504.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.sound.mel import DEFAULT, MelConfig, Samples, frames_to_log_mel, stream_frames

_BINS_PER_WINDOW = 2.5  # the least length of a transform, in windows: its bins then are 0.4 / (window's duration) apart
_MOST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, eq=False)
class Heard:
    """Both of the same T frames, float16: `log_mel` (T, M) and `amplitude` (T, K)."""

    log_mel: npt.NDArray[np.float16]
    amplitude: npt.NDArray[np.float16]


def spectrum_bins(config: MelConfig = DEFAULT) -> int:
    """K: bins at even steps from 0 Hz to half the rate; 513 of the default's 1025."""
    n_fft = config.n_fft
    while n_fft % 4 == 0 and n_fft // 2 >= _BINS_PER_WINDOW * config.window:
        n_fft //= 2
    return 1 + n_fft // 2


def stream_heard(blocks: Iterable[Samples], config: MelConfig = DEFAULT) -> Iterator[Heard]:
    """Log-mels, and the spectra they are of, from blocks of samples; memory is bounded by the block size."""
    bins = spectrum_bins(config)

    def transform(padded: Samples, n_frames: int) -> npt.NDArray[np.float16]:
        amplitude = np.empty((n_frames, bins), np.float32)
        log_mel = frames_to_log_mel(padded, n_frames, config, amplitude)
        np.minimum(amplitude, _MOST, out=amplitude)
        return np.concatenate([log_mel.astype(np.float16), amplitude.astype(np.float16)], axis=1)

    for frames in stream_frames(blocks, transform, config):
        yield Heard(frames[:, : config.n_mels], frames[:, config.n_mels :])
