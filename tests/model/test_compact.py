"""The encoder: its size, its variance, what each path can and cannot hear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import tone_track
from nearfield.model.compact import CompactConfig, CompactEncoder, FastPath, modulation_basis, texture
from nearfield.model.embedder import Embedder, EmbedderConfig, standardise
from nearfield.model.scaled import ScaledConv2d
from nearfield.sound.mel import log_mel


def slices(seed: int, batch: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 6, (batch, 96, 300)).astype(np.float32))


def test_size_and_dimensions_are_as_promised() -> None:
    torch.manual_seed(0)
    encoder = CompactEncoder(CompactConfig())
    assert sum(p.numel() for p in encoder.parameters()) <= 3_000_000
    assert 256 <= CompactConfig().dimensions <= 512
    assert encoder(slices(0)).shape == (4, 256 + 128 + 4 * 96)
    assert Embedder(EmbedderConfig())(slices(0)).shape == (4, CompactConfig().dimensions) == (4, 512)
    assert CompactConfig(fast_bands=0).dimensions == 256 + 128
    alone = CompactConfig(fast_bands=0, texture_dimensions=0)
    assert alone.dimensions == 256
    assert CompactEncoder(alone)(slices(0)).shape == (4, 256)


def test_no_slice_sees_another() -> None:
    torch.manual_seed(0)
    embedder = Embedder(EmbedderConfig()).eval()
    together = embedder(slices(1))
    alone = torch.cat([embedder(s[None]) for s in slices(1)])
    assert (together - alone).abs().max() < 1e-4


def test_every_part_has_length_one_and_none_looks_at_another() -> None:
    torch.manual_seed(0)
    embedder = Embedder(EmbedderConfig()).eval()
    out = embedder(slices(1))
    parts = out.split([p.kept for p in CompactConfig().parts], dim=1)
    assert [p.shape[1] for p in parts] == [256, 128, 128]
    for part in parts:
        assert torch.allclose(part.norm(dim=1), torch.ones(4), atol=1e-5)
    with torch.no_grad():
        embedder.encoder.fast.out.weight.mul_(-2)
    changed = embedder(slices(1)).split([256, 128, 128], dim=1)
    assert (changed[0] - parts[0]).abs().max() < 1e-6
    assert (changed[1] - parts[1]).abs().max() > 0.01
    assert (changed[2] - parts[2]).abs().max() < 1e-6


def test_texture_is_what_numpy_says_of_each_band() -> None:
    x = slices(5)
    array = x.numpy().astype(np.float64)
    steps = np.diff(array, axis=2)
    wanted = np.concatenate([array.mean(2), array.std(2), np.abs(steps).mean(2), steps.std(2)], axis=1)
    assert np.abs(texture(x).numpy() - wanted).max() < 1e-4
    assert texture(torch.zeros(1, 96, 300)).abs().max() <= 1e-3


@pytest.mark.parametrize("kept", [-1, 385])
def test_a_texture_larger_than_its_statistics_is_refused(kept: int) -> None:
    with pytest.raises(ValueError, match="texture_dimensions must be 0 to 4 x n_mels = 384"):
        CompactConfig(texture_dimensions=kept)


def test_weights_are_standardised_and_scales_act_as_on_the_sound() -> None:
    torch.manual_seed(0)
    conv = ScaledConv2d(8, 16, (3, 3))
    weight = conv.standardised()
    assert weight.mean(dim=(1, 2, 3)).abs().max() < 1e-6
    assert torch.allclose(weight.square().sum(dim=(1, 2, 3)), torch.ones(16), atol=1e-4)
    torch.nn.init.normal_(conv.bias)
    x = torch.randn(2, 8, 10, 12)
    assert torch.allclose(conv(x, 0.7, 3.0), 3.0 * conv(0.7 * x), atol=1e-5)


def test_a_fresh_network_keeps_the_variance() -> None:
    torch.manual_seed(0)
    encoder = CompactEncoder(CompactConfig())
    for block in encoder.slow.blocks:
        torch.nn.init.ones_(block.skip_gain)
    music = np.stack([log_mel(tone_track(seed, 3.1))[:, :300] for seed in range(8)])
    h = encoder.slow.stem(standardise(torch.from_numpy(music)).unsqueeze(1))
    for block in encoder.slow.blocks:
        h = block(h)
        assert 0.05 < h.square().mean().item() < 5


def test_standardise_removes_level_and_gain_and_keeps_silence_still() -> None:
    x = slices(2)
    assert torch.allclose(standardise(x), standardise(3 * x + 2), atol=1e-4)
    assert standardise(x).mean(dim=(1, 2)).abs().max() < 1e-5
    assert torch.allclose(standardise(x).square().mean(dim=(1, 2)), torch.ones(4), atol=1e-4)
    assert standardise(torch.zeros(1, 96, 300)).abs().max() == 0


def test_modulation_basis_finds_the_frequency_of_a_beat() -> None:
    cosines, sines = modulation_basis(294, 96)
    hz = np.geomspace(0.5, 16, 96)
    for beat_hz in (1.5, 2.0, 5.3, 11.0):
        wave = torch.sin(2 * torch.pi * beat_hz * torch.arange(294) / 100 + 0.4)
        magnitude = ((wave @ cosines).square() + (wave @ sines).square()).sqrt().numpy()
        assert hz[int(np.argmax(magnitude))] == pytest.approx(beat_hz, rel=0.05)
        assert magnitude.max() == pytest.approx(0.5, abs=0.05)


def beat(bpm: float, offset_s: float, tone_hz: float) -> torch.Tensor:
    time = np.arange(48_480) / 16_000
    since = (time + offset_s) % (60 / bpm)
    samples = np.exp(-since * 30) * np.sin(2 * np.pi * tone_hz * time)
    return torch.from_numpy(log_mel(samples.astype(np.float32))[None, :, :300])


def test_the_fast_path_hears_tempo_and_not_where_the_bar_begins() -> None:
    torch.manual_seed(0)
    fast = FastPath(CompactConfig()).eval()

    def distance(a: torch.Tensor, b: torch.Tensor) -> float:
        x, y = fast(standardise(a)), fast(standardise(b))
        return ((x - y).norm() / x.norm()).item()

    reference = beat(120, 0.0, 440)
    assert distance(reference, beat(150, 0.0, 440)) > 2 * distance(reference, beat(120, 0.13, 440))


def test_mismatched_mels_are_refused() -> None:
    config = EmbedderConfig()
    with pytest.raises(ValueError, match="encoder takes 80 mels"):
        replace(config, encoder=replace(config.encoder, n_mels=80))


def test_stages_of_one_width_are_fine_and_unequal_lists_are_not() -> None:
    encoder = CompactEncoder(CompactConfig(channels=(16, 16, 32), blocks=(1, 1, 1)))
    assert encoder(slices(0)).shape == (4, 256 + 128 + 4 * 96)
    with pytest.raises(ValueError, match="must be of one length"):
        CompactConfig(channels=(16, 32), blocks=(1,))
