"""Shifting stored spectra: the log-mel at 0, values at pinned shifts, tones where they should land, each slice by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conftest import tone_track
from nearfield.augment.linear import shifted_filters, shifted_log_mel
from nearfield.augment.pitch_shift import pitch_shift
from nearfield.sound.mel import log_mel, mel_filters
from nearfield.sound.spectra import spectrum_bins, stream_heard
from oracles.augment import slow_shifted_mel


def tone(hz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000)).astype(np.float32)


def spectra(sound: np.ndarray) -> torch.Tensor:
    """(1, T, K) as a store keeps them."""
    return torch.from_numpy(np.concatenate([heard.amplitude for heard in stream_heard([sound])]))[None]


def shifted(sound: np.ndarray, semitones: float) -> np.ndarray:
    return shifted_log_mel(spectra(sound), torch.tensor([semitones]))[0].numpy()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_unshifted_it_is_the_log_mel_within_the_error_of_storing(seed: int) -> None:
    sound = tone_track(seed, 3.0)
    error = np.abs(shifted(sound, 0.0) - log_mel(sound))
    assert error.mean() < 0.0015
    assert np.quantile(error, 0.99) < 0.03


def test_with_all_bins_unshifted_filters_are_the_filterbank() -> None:
    filters = shifted_filters(torch.zeros(2), 1025)
    assert np.abs(filters.numpy() - mel_filters()).max() == 0


@pytest.mark.parametrize("semitones", [-7.0, -1.3, 0.0, 2.0, 5.0])
def test_filters_are_those_of_the_slow_way(semitones: float) -> None:
    power = np.random.default_rng(0).uniform(0, 1, 513)
    fast = shifted_filters(torch.tensor([semitones]), 513)[0].double().numpy() @ power
    assert np.abs(fast - slow_shifted_mel(power, semitones)).max() < 1e-5


def test_a_flat_spectrum_keeps_its_power_and_ends_where_it_ended() -> None:
    flat, whole = torch.ones(513), torch.from_numpy(mel_filters().sum(axis=1))
    up, down = torch.matmul(shifted_filters(torch.tensor([12.0, -12.0]), 513), flat)
    assert (up * 2 - whole).abs().max() < 1e-4
    centres = mel_filters().argmax(axis=1) * 8000 / 1024
    assert (down / 2 - whole)[torch.from_numpy(centres < 3800)].abs().max() < 1e-4
    assert down[torch.from_numpy(centres > 4300)].abs().max() == 0
    peaks = torch.matmul(shifted_filters(torch.tensor([-12.0]), 513, keep_power=False), flat)[0]
    assert torch.equal(peaks * 2, down)


@pytest.mark.parametrize("semitones", [-5.0, -2.0, 1.0, 3.5, 12.0])
@pytest.mark.parametrize("hz", [440.0, 880.0, 1500.0, 2637.0])
def test_a_tone_lands_where_the_higher_tone_is_and_nearer_to_it_than_on_the_mel_axis(
    hz: float, semitones: float
) -> None:
    real = log_mel(tone(hz * 2 ** (semitones / 12)))[:, 20:80]
    ours = shifted(tone(hz), semitones)[:, 20:80]
    bands = np.arange(96)[:, None]
    centre = [(10.0**x * bands).sum() / (10.0**x).sum() for x in (ours, real)]
    assert centre[0] == pytest.approx(centre[1], abs=0.15)
    on_mel_axis = pitch_shift(torch.from_numpy(log_mel(tone(hz))[None]), torch.tensor([semitones]))[0].numpy()
    assert np.abs(ours - real).mean() < np.abs(on_mel_axis[:, 20:80] - real).mean()


def test_slices_are_shifted_each_by_its_own_semitones_however_many_there_are() -> None:
    many = torch.rand(70, 5, 513, generator=torch.Generator().manual_seed(0)).half()
    semitones = torch.linspace(-5, 5, 70, dtype=torch.float64)
    together = shifted_log_mel(many, semitones)
    assert together.shape == (70, 96, 5)
    for n in (0, 31, 32, 69):
        assert (together[n] - shifted_log_mel(many[n : n + 1], semitones[n : n + 1])[0]).abs().max() < 1e-5
    assert torch.equal(together, shifted_log_mel(many, semitones))


def test_silence_stays_silence_and_nothing_falls_below_it() -> None:
    assert shifted_log_mel(torch.zeros(1, 4, 513), torch.tensor([3.0])).abs().max() == 0
    lines = torch.zeros(1, 1, spectrum_bins())
    lines[..., ::20] = 100.0  # between them the polynomial swings below 0
    assert shifted_log_mel(lines, torch.tensor([0.37])).min() >= 0
