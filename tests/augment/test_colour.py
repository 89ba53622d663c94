"""Colour: nothing at strength zero, filters' own gains, and the cells a codec leaves out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch

from nearfield.augment.colour import Colour, Colours, butterworth_db, colour
from nearfield.augment.equalise import band_centres_hz
from nearfield.sound.mel import log_mel


def test_no_colour_changes_nothing() -> None:
    slices = torch.rand(3, 96, 40) * 5
    none = Colours(torch.zeros(3, 96), torch.full((3,), math.inf))
    assert (colour(slices, none) - slices).abs().max() < 1e-5
    drawn = Colour(probability=0).draw(4, np.random.default_rng(0))
    assert drawn.gain_db.abs().max() == 0
    assert torch.isinf(drawn.depth_db).all()


@pytest.mark.parametrize("order", [1, 3, 8])
def test_limits_are_those_of_butterworth_filters(order: int) -> None:
    hz = band_centres_hz()
    b, a = scipy.signal.butter(order, 2 * np.pi * 3000, "low", analog=True)
    _, response = scipy.signal.freqs(b, a, 2 * np.pi * hz)
    assert np.abs(butterworth_db(hz / 3000, np.array(order)) - 20 * np.log10(np.abs(response))).max() < 1e-6
    b, a = scipy.signal.butter(order, 2 * np.pi * 100, "high", analog=True)
    _, response = scipy.signal.freqs(b, a, 2 * np.pi * hz)
    assert np.abs(butterworth_db(100 / hz, np.array(order)) - 20 * np.log10(np.abs(response))).max() < 1e-6


def test_is_like_limiting_the_band_of_the_sound() -> None:
    """Noise with its spectrum shaped as by a fourth-order low-pass at 3 kHz: a fifth of a decibel on average over time."""
    noise = np.random.default_rng(0).standard_normal(64_000).astype(np.float32) * 0.1
    shape = 10 ** (butterworth_db(np.fft.rfftfreq(len(noise), 1 / 16_000) / 3000, np.array(4)) / 20)
    real = log_mel(np.fft.irfft(np.fft.rfft(noise) * shape).astype(np.float32)).mean(axis=1)
    curve = torch.from_numpy(butterworth_db(band_centres_hz() / 3000, np.array(4))[None]).float()
    given = Colours(curve, torch.tensor([math.inf]))
    ours = colour(torch.from_numpy(log_mel(noise)[None]), given)[0].numpy().mean(axis=1)
    assert real.max() - real.min() > 2
    assert np.abs(ours - real).max() < 0.02


def test_a_codec_leaves_out_what_lies_too_deep() -> None:
    power = torch.tensor([1000.0, 1.0, 0.99, 500.0])  # 30 dB below the loudest is 1
    slices = torch.log10(1 + power)[None, :, None].repeat(2, 1, 2)
    slices[1] += 1.0
    found = colour(slices, Colours(torch.zeros(2, 4), torch.tensor([30.001, 60.0])))
    assert found[0, :, 0] == pytest.approx(
        [float(slices[0, 0, 0]), float(slices[0, 1, 0]), 0.0, float(slices[0, 3, 0])]
    )
    assert (found[1] - slices[1]).abs().max() < 1e-5


def test_drawn_colours_stay_in_range_and_repeat_by_seed() -> None:
    drawn = Colour(max_gain_db=3).draw(500, np.random.default_rng(0))
    assert drawn.gain_db.shape == (1000, 96)
    assert drawn.gain_db.max() <= 3
    assert drawn.depth_db.min() >= 45
    assert drawn.depth_db.max() <= 90
    again = Colour(max_gain_db=3).draw(500, np.random.default_rng(0))
    assert torch.equal(drawn.gain_db, again.gain_db)
    assert torch.equal(drawn.depth_db, again.depth_db)
    shared = Colour(shared=True).draw(20, np.random.default_rng(0))
    assert torch.equal(shared.gain_db[:20], shared.gain_db[20:])
    assert torch.equal(shared.depth_db[:20], shared.depth_db[20:])
    some = Colour(probability=0.3).draw(2000, np.random.default_rng(0))
    assert torch.isinf(some.depth_db).float().mean().item() == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"low_pass_hz": (8000.0, 3000.0)}, "low_pass_hz must be two numbers above 0, the lower first"),
        ({"depth_db": (40.0,)}, "depth_db must be two numbers"),
        ({"most_order": 0}, "most_order must be at least 1"),
        ({"max_gain_db": -1.0}, "max_gain_db must be finite"),
        ({"probability": 1.5}, r"probability must be in 0\.\.1"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Colour(**settings)  # type: ignore[arg-type]
