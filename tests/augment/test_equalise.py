"""Equalising: identity at 0 dB, exact powers, and the same as filtering the sound up to a stated error."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from nearfield.augment.equalise import Equalise, band_centres_hz, equalise, shelf
from nearfield.sound.mel import log_mel, mel_filters


def test_no_gain_changes_nothing_and_gain_scales_the_power() -> None:
    slices = torch.rand(2, 96, 30) * 5 + 0.5
    assert (equalise(slices, torch.zeros(2, 96)) - slices).abs().max() < 1e-5
    gain = torch.full((2, 96), -6.0)
    power = (10.0 ** equalise(slices, gain).double() - 1) / (10.0 ** slices.double() - 1)
    assert (10 * power.log10() + 6).abs().max() < 1e-3


def test_band_centres_are_where_the_filters_peak() -> None:
    peaks = mel_filters().argmax(axis=1) * 16_000 / 2048
    assert np.abs(peaks - band_centres_hz()).max() <= 8


@pytest.mark.parametrize("gain_db", [-12.0, 6.0, 12.0])
def test_is_like_filtering_the_sound_with_a_shelf(gain_db: float) -> None:
    """A first-order low shelf on noise: within 0.05 (half a decibel) of its log-mels on average over time."""
    corner_hz, rate_hz = 300.0, 16_000
    noise = np.random.default_rng(0).standard_normal(64_000).astype(np.float32) * 0.1
    hz, amplitude = band_centres_hz(), 10 ** (gain_db / 20)
    root = np.sqrt(amplitude)
    b, a = scipy.signal.bilinear([1, 2 * np.pi * corner_hz * root], [1, 2 * np.pi * corner_hz / root], rate_hz)
    real = log_mel(scipy.signal.lfilter(b, a, noise).astype(np.float32))
    _, response = scipy.signal.freqz(b, a, hz, fs=rate_hz)
    curve = torch.from_numpy(20 * np.log10(np.abs(response))[None].astype(np.float32))
    ours = equalise(torch.from_numpy(log_mel(noise)[None]), curve)[0].numpy()
    assert np.abs(ours.mean(axis=1) - real.mean(axis=1)).max() < 0.05
    assert np.corrcoef(ours.ravel(), real.ravel())[0, 1] > 0.99


def test_drawn_curves_stay_in_range_and_repeat_by_seed() -> None:
    drawn = Equalise(max_gain_db=6, peaks=0).draw(300, np.random.default_rng(0))
    assert drawn.shape == (600, 96)
    assert drawn.abs().max() <= 12
    assert drawn.abs().mean() > 1
    assert torch.equal(drawn, Equalise(max_gain_db=6, peaks=0).draw(300, np.random.default_rng(0)))
    shared = Equalise(shared=True).draw(20, np.random.default_rng(0))
    assert torch.equal(shared[:20], shared[20:])
    some = Equalise(probability=0.3).draw(2000, np.random.default_rng(0))
    assert (some == 0).all(dim=1).float().mean().item() == pytest.approx(0.7, abs=0.03)
    assert Equalise(max_gain_db=0).draw(4, np.random.default_rng(0)).abs().max() == 0


def test_shelf_and_bad_settings() -> None:
    assert np.allclose(shelf(np.array([0.001, 1.0, 1000.0])), [1, 0.5, 0], atol=1e-5)
    with pytest.raises(ValueError, match="must not be negative"):
        Equalise(max_gain_db=-1)
