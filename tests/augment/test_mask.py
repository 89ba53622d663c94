"""Masks: nothing at zero strength, the mean where hidden, the promised share of patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfield.augment.mask import Mask, mask


def test_nothing_hidden_changes_nothing() -> None:
    slices = torch.rand(4, 96, 300)
    for none in (Mask(0, 16, 0, 50), Mask(2, 0, 2, 0), Mask(probability=0)):
        assert torch.equal(mask(slices, none.draw(2, np.random.default_rng(0), 96, 300)), slices)


def test_hidden_places_take_the_mean_of_their_slice() -> None:
    slices = torch.rand(2, 6, 8)
    hidden = torch.zeros(2, 6, 8, dtype=torch.bool)
    hidden[0, 2:4] = True
    out = mask(slices, hidden).numpy()
    wanted = slices.numpy().copy()
    for m in (2, 3):
        for t in range(8):
            wanted[0, m, t] = slices[0].double().mean().item()
    assert np.abs(out - wanted).max() < 1e-6


def test_bands_are_as_wide_as_allowed_and_anywhere() -> None:
    hidden = Mask(1, 16, 0, 0).draw(2000, np.random.default_rng(0), 96, 300)
    assert (hidden.all(dim=2) == hidden.any(dim=2)).all()
    width = hidden[:, :, 0].sum(dim=1)
    assert (width.min(), width.max()) == (0, 16)
    assert width.double().mean().item() == pytest.approx(8, abs=0.3)
    assert hidden[:, :, 0].any(dim=0).all()


def test_patches_are_hidden_at_the_ratio_exactly() -> None:
    hidden = Mask(0, 0, 0, 0, patch_ratio=0.9).draw(20, np.random.default_rng(0), 96, 300)
    corners = hidden[:, ::16, ::16]
    assert (corners.sum(dim=(1, 2)) == round(0.9 * 6 * 19)).all()
    spread = corners.repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)[:, :, :300]
    assert torch.equal(hidden, spread)


def test_the_same_seed_gives_the_same_and_sharing_joins_the_views() -> None:
    first, second = (Mask().draw(9, np.random.default_rng(3), 96, 300) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first[:9], first[9:])
    shared = Mask(patch_ratio=0.3, shared=True).draw(9, np.random.default_rng(3), 96, 300)
    assert torch.equal(shared[:9], shared[9:])


@pytest.mark.parametrize("name", ["mel_masks", "max_frames", "patch_mels", "patch_ratio", "probability"])
def test_impossible_settings_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Mask(**{name: -1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_mels must be at most the slice's 96"):
        Mask(max_mels=97).draw(1, np.random.default_rng(0), 96, 300)
