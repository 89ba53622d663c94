"""Random resized crops: the whole slice is the slice, others are as a slow oracle resizes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfield.augment.random_resized_crop import Crops, RandomResizedCrop, random_resized_crop
from oracles.augment import slow_crop

CASES = ((0, 24, 0, 40), (3, 15, 5, 30), (0, 24, -10, 60), (9, 15, -10, 24), (2, 20, 26, 24), (5, 1, 7, 1))


def slices(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 6, (n, 24, 40)).astype(np.float32))


def crops_of(*cases: tuple[int, int, int, int]) -> Crops:
    return Crops(*torch.tensor(cases).T)


def test_the_whole_slice_is_left_as_it_is() -> None:
    source = slices(2)
    assert torch.equal(random_resized_crop(source, crops_of(CASES[0], CASES[0])), source)
    never = RandomResizedCrop(probability=0).draw(1, np.random.default_rng(0), 24, 40)
    assert torch.equal(random_resized_crop(source, never), source)


def test_equals_the_slow_oracle() -> None:
    source = slices(len(CASES))
    out = random_resized_crop(source, crops_of(*CASES)).numpy()
    wanted = [slow_crop(s.double().numpy(), *case) for s, case in zip(source, CASES, strict=True)]
    assert np.abs(out - np.stack(wanted)).max() < 1e-4


def test_a_crop_inside_equals_bicubic_interpolation() -> None:
    source = slices(1)
    out = random_resized_crop(source, crops_of((3, 15, 5, 30)))
    wanted = F.interpolate(source[:, None, 3:18, 5:35], size=(24, 40), mode="bicubic")[:, 0]
    assert (out - wanted).abs().max() < 1e-4


def test_draws_stay_in_the_area_and_repeat_by_seed() -> None:
    config = RandomResizedCrop()
    drawn, again = (config.draw(3000, np.random.default_rng(0), 96, 300) for _ in range(2))
    assert torch.equal(drawn.first_frame, again.first_frame)
    assert (drawn.first_band >= 0).all()
    assert (drawn.first_band + drawn.bands <= 96).all()
    assert drawn.first_frame.min() >= -75
    assert (drawn.first_frame + drawn.frames).max() <= 375
    assert (drawn.frames.min(), drawn.frames.max()) == (180, 449)
    assert (drawn.bands == 96).double().mean().item() == pytest.approx(0.5 / 0.9, abs=0.02)
    assert not torch.equal(drawn.frames[:3000], drawn.frames[3000:])
    shared = RandomResizedCrop(shared=True).draw(50, np.random.default_rng(0), 96, 300)
    assert torch.equal(shared.first_frame[:50], shared.first_frame[50:])


@pytest.mark.parametrize(
    "bad",
    [{"min_mel_ratio": 0.0}, {"min_time_ratio": 2.0}, {"virtual_time_ratio": 1.2}, {"probability": 1.5}],
)
def test_impossible_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        RandomResizedCrop(**bad)  # type: ignore[arg-type]
