"""The front end against the published network's numbers, librosa, a slow oracle, and itself when streaming."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfield
from nearfield.sound.mel import DEFAULT, MelConfig, hz_to_mel, log_mel, mel_filters, mel_to_hz, stream_log_mel
from oracles.mel import slow_log_mel

GOLDEN = Path(__file__).parents[1] / "golden"


def test_equals_the_published_front_end() -> None:
    golden = np.load(GOLDEN / "pipeline.npz")
    ours = nearfield.log_mel(golden["waveform"])
    assert ours.shape == (96, 801)
    assert ours.dtype == np.float32
    assert np.abs(ours - golden["logmel"]).max() < 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_equals_librosa_on_random_signals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = (rng.standard_normal(16_000 + 137 * seed) * 10.0 ** rng.uniform(-4, 0)).astype(np.float32)
    padded = np.pad(samples, 1024, mode="reflect")  # this version of librosa pads with zeros by default
    mel = librosa.feature.melspectrogram(
        y=padded,
        sr=16_000,
        n_fft=2048,
        win_length=400,
        hop_length=160,
        n_mels=96,
        htk=True,
        norm=2.0,
        fmax=8000,
        center=False,
    )
    ours = log_mel(samples)
    assert ours.shape == mel.shape
    assert np.abs(ours - np.log10(1 + 10_000 * mel)).max() < 1e-4


def test_equals_the_slow_oracle() -> None:
    samples = np.random.default_rng(5).standard_normal(1500).astype(np.float32) * 0.1
    assert np.abs(log_mel(samples) - slow_log_mel(samples)).max() < 2e-5


def test_filters_are_htk_triangles_of_unit_norm() -> None:
    filters = mel_filters()
    assert filters.shape == (96, 1025)
    assert np.allclose(np.linalg.norm(filters, axis=1), 1, atol=1e-6)
    reference = librosa.filters.mel(sr=16_000, n_fft=2048, n_mels=96, fmax=8000, htk=True, norm=2.0)
    assert np.abs(filters - reference).max() < 1e-6


def test_mel_scale_is_its_own_inverse() -> None:
    hz = np.linspace(0, 8000, 50)
    assert np.allclose(mel_to_hz(hz_to_mel(hz)), hz, atol=1e-9)
    assert float(hz_to_mel(1000.0)) == pytest.approx(999.9855, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 5000),
    cuts=st.lists(st.integers(1, 1200), min_size=1, max_size=8),
    seed=st.integers(0, 99),
)
def test_streaming_equals_the_whole_however_it_is_cut(n: int, cuts: list[int], seed: int) -> None:
    samples = np.random.default_rng(seed).standard_normal(n).astype(np.float32)
    blocks, at = [], 0
    while at < n:
        size = cuts[len(blocks) % len(cuts)]
        blocks.append(samples[at : at + size])
        at += size
    streamed = np.concatenate(list(stream_log_mel(blocks)), axis=1)
    whole = log_mel(samples)
    assert streamed.shape == whole.shape == (96, 1 + n // 160)
    assert np.abs(streamed - whole).max() < 1e-5


def test_nothing_streamed_gives_nothing() -> None:
    assert list(stream_log_mel([])) == []


def test_level_moves_it_by_the_log_of_the_power() -> None:
    loud = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    difference = log_mel(loud) - log_mel(loud / 10)
    assert np.abs(difference - 2).max() < 0.01  # 20 dB is two decades of power, far above the 1 + of the logarithm


@pytest.mark.parametrize("bad", [np.zeros(0), np.zeros((2, 100)), np.float32(3.0)])
def test_what_is_no_mono_signal_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mono samples"):
        log_mel(bad)


def test_other_settings_change_the_shape() -> None:
    config = MelConfig(n_mels=40, hop=320)
    assert log_mel(np.ones(3200, np.float32), config).shape == (40, 11)
    assert DEFAULT.frames_per_second == 100
