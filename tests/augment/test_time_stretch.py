"""Time-stretching: identity at 1, scipy's spline elsewhere, and the tempo it claims."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from nearfield.augment.time_stretch import TimeStretch, time_stretch
from nearfield.sound.mel import log_mel


def sources(seed: int, batch: int = 4, frames: int = 420) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 6, (batch, 96, frames)).astype(np.float32))


def test_ratio_one_is_the_middle_of_the_source() -> None:
    source = sources(0)
    out = time_stretch(source, torch.ones(4), 300)
    assert out.shape == (4, 96, 300)
    assert (out - source[:, :, 60:360]).abs().max() < 1e-5


@pytest.mark.parametrize("ratio", [0.5, 0.7, 0.93, 1.0, 1.25, 1.4])
def test_equals_the_natural_cubic_spline_of_scipy(ratio: float) -> None:
    source = sources(1)
    out = time_stretch(source, torch.full((4,), ratio, dtype=torch.float64), 300)
    spline = CubicSpline(np.arange(420), source.double().numpy(), axis=2, bc_type="natural")
    wanted = spline(209.5 + (np.arange(300) - 149.5) * ratio)
    assert np.abs(out.numpy() - wanted).max() < 1e-5


def test_each_slice_has_its_own_ratio() -> None:
    source = sources(2, batch=3)
    ratios = torch.tensor([0.8, 1.0, 1.3])
    together = time_stretch(source, ratios, 300)
    for i in range(3):
        assert torch.equal(together[i], time_stretch(source[i : i + 1], ratios[i : i + 1], 300)[0])


@pytest.mark.parametrize("ratio", [0.7, 1.25, 1.4])
def test_clicks_come_closer_by_the_ratio(ratio: float) -> None:
    samples = np.zeros(16_000 * 5, np.float32)
    samples[::8000] = 1.0  # every half second: 50 frames
    source = torch.from_numpy(log_mel(samples)[None, :, :420])
    envelope = time_stretch(source, torch.tensor([ratio]), 300)[0].mean(dim=0).numpy()
    envelope = envelope - envelope.mean()
    spectrum = np.abs(np.fft.rfft(envelope * np.hanning(300), 1 << 14))
    hz = np.fft.rfftfreq(1 << 14, 0.01)
    inside = (hz > 1) & (hz < 4)
    assert hz[inside][np.argmax(spectrum[inside])] == pytest.approx(2 * ratio, rel=0.02)


def test_a_source_too_short_is_refused_with_the_length_it_needs() -> None:
    with pytest.raises(ValueError, match="needs 420 frames, got 400"):
        time_stretch(sources(0, frames=400), torch.full((4,), 1.4), 300)


@pytest.mark.parametrize(("high", "frames"), [(1.4, 420), (1.5, 450), (1.0, 300), (2.0, 600)])
def test_the_source_is_just_long_enough(high: float, frames: int) -> None:
    config = TimeStretch(0.5, high)
    assert config.source_frames(300) == frames
    time_stretch(sources(0, 1, frames), torch.tensor([high]), 300)


def test_draws_are_log_uniform_within_the_range_and_repeat_by_seed() -> None:
    config = TimeStretch(0.7, 1.4)
    drawn = config.draw(20_000, np.random.default_rng(0)).numpy()
    assert drawn.shape == (2, 20_000)
    assert drawn.min() >= 0.7
    assert drawn.max() <= 1.4
    octaves = np.log(drawn / 0.7) / np.log(2)
    assert np.abs(np.histogram(octaves, 10, (0, 1))[0] / 4000 - 1).max() < 0.06
    assert np.array_equal(drawn, config.draw(20_000, np.random.default_rng(0)).numpy())
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.02


def test_probability_and_sharing() -> None:
    half = TimeStretch(1.1, 1.4, probability=0.5).draw(10_000, np.random.default_rng(0))
    assert (half == 1).double().mean() == pytest.approx(0.5, abs=0.01)
    shared = TimeStretch(shared=True).draw(50, np.random.default_rng(0))
    assert torch.equal(shared[0], shared[1])


@pytest.mark.parametrize("bad", [(0.0, 1.0, 1.0), (1.2, 1.1, 1.0), (0.7, 1.4, 1.5)])
def test_impossible_settings_are_refused(bad: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        TimeStretch(*bad)
