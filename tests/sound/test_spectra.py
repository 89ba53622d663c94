"""Spectra beside log-mels: the same frames, however the sound comes in, and numbers that float16 holds."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import tone_track
from nearfield.sound.mel import MelConfig, log_mel
from nearfield.sound.spectra import spectrum_bins, stream_heard


def whole(sound: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    parts = list(stream_heard([sound[n : n + size] for n in range(0, len(sound), size)]))
    return np.concatenate([p.log_mel for p in parts]), np.concatenate([p.amplitude for p in parts])


@pytest.mark.parametrize("size", [77, 1600, 20_000])
def test_both_are_of_the_front_ends_frames(size: int) -> None:
    sound = tone_track(3, 1.1)
    mels, amplitude = whole(sound, size)
    wanted = log_mel(sound)
    assert mels.dtype == amplitude.dtype == np.float16
    assert np.abs(mels.T.astype(float) - wanted).max() <= 0.002
    assert amplitude.shape == (wanted.shape[1], 513)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    for t in (10, 55, 90):
        real = np.abs(np.fft.rfft(sound[160 * t - 200 : 160 * t + 200] * window, 1024))
        assert np.abs(amplitude[t] - real).max() <= 0.0005 * real.max()


def test_there_are_as_many_bins_as_interpolation_needs() -> None:
    assert spectrum_bins() == 513
    assert spectrum_bins(MelConfig(window=800)) == 1025
    assert spectrum_bins(MelConfig(window=200)) == 257


def test_what_is_louder_than_float16_is_cut_off_not_infinite() -> None:
    amplitude = whole(np.float32(1e6) * tone_track(0, 1.0), 4000)[1]
    assert amplitude.max() == np.finfo(np.float16).max
