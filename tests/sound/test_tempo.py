"""The tempo estimator on clicks of known tempo, on the band, and on sound without a beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.data.band import draw_factors, render
from nearfield.sound.mel import log_mel
from nearfield.sound.tempo import MIN_CONFIDENCE, estimate_tempo, onset_strength

RATE_HZ = 16_000


def clicks(tempo_bpm: float, seconds: float = 20.0, first_s: float = 0.1) -> np.ndarray:
    """(n,) short bursts of a decaying tone, one a beat."""
    sound = np.zeros(round(seconds * RATE_HZ), np.float32)
    time = np.arange(1600) / RATE_HZ
    burst = (0.5 * np.exp(-time / 0.01) * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    for at in np.arange(first_s, seconds - 0.2, 60 / tempo_bpm):
        start = round(at * RATE_HZ)
        sound[start : start + burst.size] += burst
    return sound


@pytest.mark.parametrize("tempo_bpm", [75.0, 83.7, 99.0, 120.0, 133.3, 151.0, 170.0])
def test_clicks_have_their_tempo_within_half_a_per_cent(tempo_bpm: float) -> None:
    found = estimate_tempo(log_mel(clicks(tempo_bpm)))
    assert found.tempo_bpm == pytest.approx(tempo_bpm, rel=0.005)
    assert found.confidence > 0.7


@settings(max_examples=10, deadline=None)
@given(st.floats(40, 240), st.floats(0, 1))
def test_clicks_of_any_tempo_have_it_or_an_octave_of_it(tempo_bpm: float, first_s: float) -> None:
    found = estimate_tempo(log_mel(clicks(tempo_bpm, 12.0, first_s))).tempo_bpm
    assert found is not None
    apart = np.log2(found / tempo_bpm)
    assert abs(apart - round(apart)) < np.log2(1.02)


def test_the_band_plays_in_the_tempo_that_is_found() -> None:
    rng = np.random.default_rng(5)
    apart = []
    for _ in range(6):
        factors = draw_factors(rng, duration_s=10.0)
        found = estimate_tempo(log_mel(render(factors, RATE_HZ)))
        assert found.tempo_bpm is not None
        assert found.confidence > MIN_CONFIDENCE
        apart.append(np.log2(found.tempo_bpm / factors.tempo_bpm))
    folded = np.abs(np.array(apart) - np.round(apart))
    assert (folded < np.log2(1.01)).sum() >= 5


def test_a_faster_performance_is_faster_by_as_much() -> None:
    slow = replace(draw_factors(np.random.default_rng(2), 8.0), tempo_bpm=96.0)
    one, other = (
        estimate_tempo(log_mel(render(replace(slow, tempo_bpm=bpm), RATE_HZ))).tempo_bpm for bpm in (96.0, 108.0)
    )
    assert one is not None
    assert other is not None
    apart = np.log2(other / one) - np.log2(108 / 96)
    assert abs(apart - round(apart)) < np.log2(1.01)


def test_level_does_not_matter() -> None:
    sound = render(draw_factors(np.random.default_rng(3), 10.0), RATE_HZ)
    loud, soft = (estimate_tempo(log_mel(sound * gain)) for gain in (1.0, 0.03))
    assert soft.tempo_bpm == pytest.approx(loud.tempo_bpm, rel=0.01)
    assert soft.confidence == pytest.approx(loud.confidence, abs=0.1)


@pytest.mark.parametrize("seconds", [5.0, 10.0, 30.0])
def test_noise_has_hardly_any_confidence(seconds: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(3):
        noise = (0.1 * rng.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)
        assert estimate_tempo(log_mel(noise)).confidence < MIN_CONFIDENCE


def test_sound_in_which_nothing_begins_has_no_tempo() -> None:
    time = np.arange(10 * RATE_HZ) / RATE_HZ
    chord = sum(0.1 * np.sin(2 * np.pi * hz * time) for hz in (220.0, 277.2, 330.0))
    for sound in (np.zeros(10 * RATE_HZ), 0.3 * np.sin(2 * np.pi * 440 * time), chord):
        found = estimate_tempo(log_mel(sound))
        assert found.tempo_bpm is None
        assert found.confidence == 0


def test_too_short_a_sound_has_no_tempo() -> None:
    for seconds in (0.01, 1.0, 3.9):
        assert estimate_tempo(log_mel(clicks(120, 4.5)[: round(seconds * RATE_HZ)])).tempo_bpm is None
    assert estimate_tempo(log_mel(clicks(120, 4.5))).tempo_bpm == pytest.approx(120, rel=0.02)


def test_onsets_stand_where_clicks_begin() -> None:
    onsets = onset_strength(log_mel(clicks(60.0, 6.0, 0.5)))
    assert onsets.shape == (8, 599)
    assert (onsets >= 0).all()
    total = onsets.sum(axis=0)
    for beat in range(5):
        around = total[50 + 100 * beat - 8 : 50 + 100 * beat + 8]
        assert around.max() > 10 * np.median(total) + 0.1
    assert total[75::100][:5].max() < 0.05 * total.max()


@pytest.mark.parametrize("wrong", [np.zeros((95, 600)), np.zeros(600), np.full((96, 600), np.nan)])
def test_what_is_no_log_mel_is_an_error(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="estimate_tempo takes"):
        estimate_tempo(wrong)
