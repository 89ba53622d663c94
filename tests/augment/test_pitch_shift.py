"""Pitch-shifting: identity at 0, a tone lands where it should, and what it costs against real sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfield.augment.pitch_shift import PitchShift, pitch_shift
from nearfield.sound.mel import log_mel


def tone(hz: float) -> np.ndarray:
    time = np.arange(16_000) / 16_000
    return (0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def test_zero_semitones_change_nothing() -> None:
    slices = torch.rand(3, 96, 40) * 6
    assert (pitch_shift(slices, torch.zeros(3)) - slices).abs().max() < 1e-5


@pytest.mark.parametrize("semitones", [-5.0, -2.0, 1.0, 3.5, 12.0])
@pytest.mark.parametrize("hz", [880.0, 1500.0, 2637.0])
def test_a_tone_peaks_in_the_band_of_the_higher_tone(hz: float, semitones: float) -> None:
    shifted = pitch_shift(torch.from_numpy(log_mel(tone(hz))[None]), torch.tensor([semitones]))[0].numpy()
    real = log_mel(tone(hz * 2 ** (semitones / 12)))
    assert abs(int(shifted[:, 50].argmax()) - int(real[:, 50].argmax())) <= 1


def test_up_and_down_again_keeps_the_middle_bands() -> None:
    smooth = torch.from_numpy(np.sin(np.linspace(0, 6, 96))[None, :, None] * np.ones((1, 96, 5))).float()
    there = pitch_shift(smooth, torch.tensor([4.0]))
    back = pitch_shift(there, torch.tensor([-4.0]))
    assert (back - smooth)[:, 10:70].abs().max() < 0.01


def test_a_slice_in_log_frequency_moves_by_the_octave() -> None:
    """A spectrum that is a function of frequency, g(f), becomes g(f / 2)."""
    from nearfield.augment.equalise import band_centres_hz

    hz = band_centres_hz()
    bump = np.exp(-0.5 * (np.log2(hz / 900) / 0.4) ** 2)
    moved = np.exp(-0.5 * (np.log2(hz / 1800) / 0.4) ** 2)
    out = pitch_shift(torch.from_numpy(bump[None, :, None]).float(), torch.tensor([12.0]))[0, :, 0].numpy()
    assert np.abs(out - moved)[5:].max() < 0.02


def test_draws_cover_the_range_and_repeat_by_seed() -> None:
    drawn = PitchShift(5).draw(5000, np.random.default_rng(0))
    assert drawn.shape == (10_000,)
    assert drawn.abs().max() <= 5
    assert drawn.mean().abs() < 0.1
    assert drawn.std().item() == pytest.approx(10 / np.sqrt(12), rel=0.02)
    assert torch.equal(drawn, PitchShift(5).draw(5000, np.random.default_rng(0)))
    shared = PitchShift(shared=True).draw(9, np.random.default_rng(0))
    assert torch.equal(shared[:9], shared[9:])
    with pytest.raises(ValueError, match="must not be negative"):
        PitchShift(-1)
