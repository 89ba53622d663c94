"""Slices: where they lie, and that their log-mel is the whole track's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import RATE_HZ, tone_track
from nearfield.catalogue.slices import Cutter, Excerpt, ShortFileError, Slices, pooled, slice_starts
from nearfield.errors import AudioError
from nearfield.sound.mel import DEFAULT, log_mel


@pytest.mark.parametrize(
    ("n_frames", "slices", "starts"),
    [
        (299, 8, ()),
        (300, 8, (0,)),
        (449, 8, (74,)),
        (450, 8, (0, 150)),
        (600, 8, (0, 150, 300)),
        (8000, 8, (350, 1350, 2350, 3350, 4350, 5350, 6350, 7350)),
        (8000, 1, (3850,)),
        (2400, 8, (0, 300, 600, 900, 1200, 1500, 1800, 2100)),
        (299, "all", ()),
        (300, "all", (0,)),
        (350, "all", (50,)),
        (400, "all", (50,)),
        (401, "all", (50, 101)),
        (801, "all", (50, 250, 450, 501)),
        (1000, "all", (50, 250, 450, 650)),
    ],
)
def test_starts(n_frames: int, slices: Slices, starts: tuple[int, ...]) -> None:
    assert slice_starts(n_frames, 300, slices) == starts


def test_all_slices_of_the_published_pipeline_lie_where_it_has_them() -> None:
    golden = np.load(Path(__file__).parent.parent / "golden" / "pipeline.npz")
    starts = slice_starts(1 + golden["waveform"].size // DEFAULT.hop, 300, "all")
    assert [s + 150 for s in starts] == golden["centres"].tolist()
    found = [
        Cutter(DEFAULT, 300, "all").log_mel(e) for e in Cutter(DEFAULT, 300, "all").of_samples("x", golden["waveform"])
    ]
    expected = [golden["logmel"][:, s : s + 300] for s in starts]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(n_frames=st.integers(300, 10_000), slices=st.one_of(st.integers(1, 40), st.just("all")))
def test_starts_are_distinct_ordered_and_inside(n_frames: int, slices: Slices) -> None:
    starts = slice_starts(n_frames, 300, slices)
    assert 1 <= len(starts) <= (slices if slices != "all" else n_frames // 200 + 1)
    assert list(starts) == sorted(set(starts))
    assert starts[0] >= 0
    assert starts[-1] <= n_frames - 300


@pytest.mark.parametrize("slices", [1, 8, "all"])
@pytest.mark.parametrize("seconds", [3.0, 3.333, 7.77, 31.4159])
def test_log_mel_is_that_of_the_whole(slices: Slices, seconds: float, tmp_path: Path) -> None:
    samples = tone_track(3, seconds)
    cutter = Cutter(DEFAULT, 300, slices)
    whole = log_mel(samples)
    starts = slice_starts(1 + samples.size // DEFAULT.hop, 300, slices)
    expected = np.stack([whole[:, s : s + 300] for s in starts])
    soundfile.write(tmp_path / "x.wav", samples, RATE_HZ, "FLOAT")
    sources: dict[str, list[Excerpt]] = {
        "samples": list(cutter.of_samples("x", samples)),
        "file": list(cutter.of_file(tmp_path / "x.wav", samples.size)),
    }
    if slices == "all":
        for size in (1000, 48_000, 10**7):
            blocks = [samples[i : i + size] for i in range(0, samples.size, size)]
            sources[f"blocks of {size}"] = list(cutter.of_blocks("x", blocks))
    for name, excerpts in sources.items():
        found = np.stack([cutter.log_mel(e) for e in excerpts])
        np.testing.assert_allclose(found, expected, atol=2e-6, err_msg=name)


def test_resampled_file_is_close_to_the_whole(tmp_path: Path) -> None:
    samples = tone_track(4, 20.0, 44_100)
    soundfile.write(tmp_path / "x.wav", samples, 44_100, "FLOAT")
    from nearfield.sound import audio

    mono = audio.load(tmp_path / "x.wav")
    cutter = Cutter(DEFAULT, 300, 8)
    for by_seek, by_whole in zip(
        cutter.of_file(tmp_path / "x.wav", mono.size), cutter.of_samples("x", mono), strict=True
    ):
        np.testing.assert_allclose(cutter.log_mel(by_seek), cutter.log_mel(by_whole), atol=1e-3)


def test_short_tracks_are_repeated_to_three_seconds() -> None:
    cutter = Cutter(DEFAULT, 300)
    samples = tone_track(5, 1.25)
    (excerpt,) = cutter.of_samples("x", samples)
    assert np.array_equal(excerpt.samples[20_000:40_000], samples)
    assert cutter.log_mel(excerpt).shape == (96, 300)
    with pytest.raises(AudioError, match=r"too short \(0.99 s\)"):
        list(cutter.of_samples("x", samples[:15_900]))
    with pytest.raises(AudioError, match=r"too short \(0.00 s\)"):
        list(cutter.of_blocks("x", []))


def test_a_header_that_announces_too_much(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone_track(6, 10.0), RATE_HZ)
    with pytest.raises(ShortFileError):
        list(Cutter(DEFAULT, 300).of_file(tmp_path / "x.wav", 20 * RATE_HZ))


def test_audible_is_minus_eighty_decibels_without_dc() -> None:
    noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    cutter = Cutter(DEFAULT, 300)
    assert cutter.audible(Excerpt(noise * 1.1e-4 + 0.5, 0))
    assert not cutter.audible(Excerpt(noise * 0.9e-4 + 0.5, 0))
    assert not cutter.audible(Excerpt(np.full(48_000, 0.25, np.float32), 0))
    assert not cutter.audible(Excerpt(np.concatenate([noise[:320], np.zeros(48_000, np.float32), noise[:320]]), 2))


def test_pooling() -> None:
    found = pooled([np.array([[2, 0], [0, 5]], np.float32), np.array([[3, 0]], np.float32)])
    np.testing.assert_allclose(found, np.array([2, 1]) / np.sqrt(5), atol=1e-7)
    assert found.dtype == np.float32
    for bad in ([[1, 0], [-1, 0]], [[np.nan, 0]], [[0, 0]]):
        with pytest.raises(ValueError, match="finite"):
            pooled([np.array(bad, np.float32)])
