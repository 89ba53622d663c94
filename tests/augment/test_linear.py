"""Shifting a power spectrum: identity at 0, peaks where they should land, power kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfield.augment.linear import shifted_log_mel


def test_zero_semitones_change_nothing() -> None:
    power = torch.rand(65, 7)
    assert torch.equal(pitch_shift_power(power, 0.0), power)


@pytest.mark.parametrize("semitones", [-12.0, -5.0, 3.0, 12.0])
def test_a_bump_moves_by_the_ratio_and_keeps_its_power(semitones: float) -> None:
    bins, ratio = np.arange(1025), 2 ** (semitones / 12)
    bump = np.exp(-0.5 * ((bins - 300) / 12) ** 2)[:, None]
    wanted = np.exp(-0.5 * ((bins / ratio - 300) / 12) ** 2)[:, None]
    power = torch.from_numpy(bump).float()
    assert np.abs(pitch_shift_power(power, semitones, keep_power=False).numpy() - wanted).max() < 0.01
    assert pitch_shift_power(power, semitones).sum().item() == pytest.approx(bump.sum(), rel=0.01)


def test_above_what_was_there_is_nothing() -> None:
    out = pitch_shift_power(torch.ones(101, 3), -12.0, keep_power=False)
    assert (out[53:] == 0).all()
    assert (out[1:49] - 1).abs().max() < 1e-6
