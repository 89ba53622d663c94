"""Gain: identity at 0 dB, and exactly what multiplying the samples does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfield.augment.gain import Gain, gain
from nearfield.sound.mel import log_mel


def test_no_gain_changes_nothing() -> None:
    slices = torch.rand(3, 96, 30) * 6
    assert torch.equal(gain(slices, torch.zeros(3)), slices)


@pytest.mark.parametrize("gain_db", [-18.0, -3.0, 6.0, 18.0])
def test_is_multiplying_the_samples(gain_db: float) -> None:
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.05
    real = log_mel(noise * np.float32(10 ** (gain_db / 20)))
    ours = gain(torch.from_numpy(log_mel(noise)[None]), torch.tensor([gain_db]))[0].numpy()
    assert np.abs(ours - real).max() < 1e-4


def test_equals_its_definition_down_to_silence() -> None:
    levels = np.array([[[0.0, 1e-3, 0.1, 1.0, 4.0, 8.0]]])
    ours = gain(torch.from_numpy(levels).float(), torch.tensor([-12.0])).numpy()
    assert np.abs(ours - np.log10(1 + 10**-1.2 * (10**levels - 1))).max() < 1e-5


def test_draws_stay_in_range_and_repeat_by_seed() -> None:
    drawn, again = (Gain(9).draw(2000, np.random.default_rng(0)) for _ in range(2))
    assert torch.equal(drawn, again)
    assert drawn.abs().max() <= 9
    assert drawn.std().item() == pytest.approx(18 / np.sqrt(12), rel=0.03)
    assert not torch.equal(drawn[:2000], drawn[2000:])
    shared = Gain(shared=True).draw(9, np.random.default_rng(0))
    assert torch.equal(shared[:9], shared[9:])
    some = Gain(probability=0.3).draw(2000, np.random.default_rng(0))
    assert (some == 0).double().mean().item() == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("name", ["max_gain_db", "probability"])
def test_impossible_settings_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Gain(**{name: -1})
