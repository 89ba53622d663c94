"""Mixing in: powers add, nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfield.augment.mix import Mix, mix
from nearfield.sound.mel import log_mel


def noise(seed: int, level: float = 0.1) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(48_000) * level).astype(np.float32)


def test_share_zero_changes_nothing_at_all() -> None:
    slices = torch.rand(4, 96, 300) * 6
    assert torch.equal(mix(slices, torch.zeros(4), torch.tensor([1, 0, 3, 2])), slices)


def test_equals_the_power_sum_at_a_pinned_share() -> None:
    rng = np.random.default_rng(0)
    slices = torch.from_numpy(rng.uniform(1, 6, (2, 96, 300)).astype(np.float32))
    out = mix(slices, torch.tensor([0.25, 0.0]), torch.tensor([1, 0])).numpy()[0]
    own, other = ((10.0 ** slices[i].double().numpy() - 1) / 1e4 for i in (0, 1))
    wanted = np.log10(1 + 1e4 * (0.75 * own + 0.25 * other * own.mean() / other.mean()))
    assert np.abs(out - wanted).max() < 1e-4


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_is_like_mixing_the_sound_itself(share: float) -> None:
    """Uncorrelated signals: the same mean power in every band, up to the cross terms of single frames."""
    first, second = noise(1), noise(2)
    slices = torch.from_numpy(np.stack([log_mel(first)[:, :300], log_mel(second)[:, :300]]))
    ours = mix(slices, torch.tensor([share, 0.0]), torch.tensor([1, 0]))[0].numpy()
    real = log_mel(np.sqrt(1 - share) * first + np.sqrt(share) * second)[:, :300]
    ratio = (10.0**ours).mean(axis=1) / (10.0**real).mean(axis=1)
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    assert np.abs(ratio - 1).max() < 0.15
    assert np.corrcoef(ours.ravel(), real.ravel())[0, 1] > 0.75


def test_backgrounds_are_other_pairs_and_shares_follow_the_beta_law() -> None:
    share, behind = Mix(2, 5).draw(5000, np.random.default_rng(0))
    assert share.shape == behind.shape == (10_000,)
    assert (behind != torch.arange(10_000)).all()
    assert (behind[:5000] < 5000).all()
    assert (behind[5000:] >= 5000).all()
    assert share.mean().item() == pytest.approx(2 / 7, abs=0.005)
    again, _ = Mix(2, 5).draw(5000, np.random.default_rng(0))
    assert torch.equal(share, again)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        Mix(alpha=0)


def test_shared_backgrounds_are_the_two_slices_of_one_other_pair() -> None:
    share, behind = Mix(shared=True).draw(50, np.random.default_rng(1))
    assert torch.equal(share[:50], share[50:])
    assert torch.equal(behind[:50] + 50, behind[50:])
    assert (behind[:50] != torch.arange(50)).all()
