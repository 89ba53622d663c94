"""The key estimator on cadences in all keys, whatever the tuning, and on sound without a key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nearfield.data.track import KEY_PATTERN
from nearfield.sound.key import KEYS, MIN_CONFIDENCE, chroma, estimate_key

RATE_HZ = 16_000
CADENCES = {
    "major": [(0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)],
    "minor": [(0, 3, 7), (5, 8, 12), (7, 11, 14), (0, 3, 7)],
}


def chord(pitches: Sequence[float], seconds: float = 1.0) -> np.ndarray:
    """(n,) notes with five partials that fall by 1/n."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = np.zeros(time.size)
    for pitch in pitches:
        hz = 440 * 2 ** ((pitch - 69) / 12)
        sound += sum(np.sin(2 * np.pi * n * hz * time) / n for n in range(1, 6))
    return (0.05 * sound).astype(np.float32)


def cadence(key: str, tuning_semitones: float = 0.0) -> np.ndarray:
    number = KEYS.index(key)
    root = 60 + (number % 12 + 6) % 12 - 6 + tuning_semitones
    mode = key.split()[1]
    return np.concatenate([chord([root + p for p in (*triad, triad[0] - 12)]) for triad in CADENCES[mode]])


@pytest.mark.parametrize("key", KEYS)
def test_a_cadence_is_in_its_key(key: str) -> None:
    found = estimate_key(cadence(key))
    assert found.key == key
    assert KEY_PATTERN.match(found.key)
    assert found.confidence > 0.6
    assert found.tuning_semitones == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("tuning", [-0.4, -0.2, 0.3])
def test_a_cadence_out_of_tune_keeps_its_key_and_the_tuning_is_told(tuning: float) -> None:
    found = estimate_key(cadence("E minor", tuning))
    assert found.key == "E minor"
    assert found.tuning_semitones == pytest.approx(tuning, abs=0.05)


def test_transposed_sound_has_its_classes_moved() -> None:
    one, other = chroma(cadence("C major")), chroma(cadence("D major"))
    assert one is not None
    assert other is not None
    assert np.corrcoef(np.roll(one[0], 2), other[0])[0, 1] > 0.95  # not 1: other partials are above 1000 Hz


def test_one_tone_is_one_class() -> None:
    time = np.arange(3 * RATE_HZ) / RATE_HZ
    found = chroma(0.1 * np.sin(2 * np.pi * 440 * time))
    assert found is not None
    assert found[0].argmax() == 9
    assert found[0][9] == pytest.approx(1, abs=1e-3)


def test_level_does_not_matter() -> None:
    loud, soft = estimate_key(cadence("Bb major".replace("Bb", "A#"))), estimate_key(0.01 * cadence("A# major"))
    assert (loud.key, soft.key) == ("A# major", "A# major")
    assert soft.confidence == pytest.approx(loud.confidence, abs=0.02)


def test_noise_has_hardly_any_confidence() -> None:
    rng = np.random.default_rng(1)
    for seconds in (5, 20, 20):
        noise = (0.1 * rng.standard_normal(seconds * RATE_HZ)).astype(np.float32)
        assert estimate_key(noise).confidence < MIN_CONFIDENCE


@pytest.mark.parametrize("sound", [np.zeros(0), np.zeros(5 * RATE_HZ), np.full(RATE_HZ // 2, 0.1)])
def test_silence_and_what_is_too_short_have_no_key(sound: np.ndarray) -> None:
    found = estimate_key(sound)
    assert (found.key, found.confidence) == ("", 0.0)
    assert found.confidence < MIN_CONFIDENCE


@pytest.mark.parametrize("wrong", [np.zeros((2, 16_000)), np.full(16_000, np.nan), np.full(16_000, np.inf)])
def test_what_is_no_mono_sound_is_an_error(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite mono samples"):
        estimate_key(wrong)
