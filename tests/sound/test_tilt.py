"""Tilt, centroid and level of noise that was shaped to have them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from nearfield.sound.tilt import measure_spectrum

RATE_HZ = 16_000


def shaped_noise(tilt_db_per_octave: float, seed: int = 0, seconds: float = 30.0) -> np.ndarray:
    """(n,) noise whose power density falls or rises by so much an octave, at 0.1 root mean square."""
    spectrum = scipy.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)))
    hz = np.arange(spectrum.size) * RATE_HZ / (2 * (spectrum.size - 1))
    spectrum[0] = 0
    spectrum[1:] *= 10 ** (tilt_db_per_octave * np.log2(hz[1:] / 1000) / 20)
    sound = scipy.fft.irfft(spectrum)
    return np.asarray(0.1 * sound / sound.std())


@pytest.mark.parametrize("tilt", [-9.0, -6.0, -3.01, 0.0, 2.0])
def test_shaped_noise_has_its_tilt(tilt: float) -> None:
    found = measure_spectrum(shaped_noise(tilt))
    assert found is not None
    assert found.tilt_db_per_octave == pytest.approx(tilt, abs=0.15)


def test_a_resonance_hardly_turns_the_line() -> None:
    noise = shaped_noise(-3.0)
    hum = 0.3 * np.sin(2 * np.pi * 3000 * np.arange(noise.size) / RATE_HZ)
    found = measure_spectrum(noise + hum)
    assert found is not None
    assert found.tilt_db_per_octave == pytest.approx(-3.0, abs=0.3)


def test_a_tone_has_its_frequency_as_centroid_and_its_level() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(5 * RATE_HZ) / RATE_HZ)
    found = measure_spectrum(tone)
    assert found is not None
    assert found.centroid_octaves == pytest.approx(np.log2(1000), abs=0.002)
    assert found.level_db == pytest.approx(20 * np.log10(0.5) - 3.0103, abs=0.01)


@pytest.mark.parametrize("gain_db", [-30.0, 6.0])
def test_gain_moves_the_level_alone(gain_db: float) -> None:
    sound = shaped_noise(-4.0)
    before, after = measure_spectrum(sound), measure_spectrum(sound * 10 ** (gain_db / 20))
    assert before is not None
    assert after is not None
    assert after.level_db - before.level_db == pytest.approx(gain_db, abs=1e-6)
    assert after.tilt_db_per_octave == pytest.approx(before.tilt_db_per_octave, abs=1e-6)
    assert after.centroid_octaves == pytest.approx(before.centroid_octaves, abs=1e-9)


def test_silence_around_a_sound_does_not_count() -> None:
    sound = shaped_noise(-4.0, seconds=4096 * 40 / RATE_HZ)
    gap = np.zeros(4096 * 40)
    alone, framed = measure_spectrum(sound), measure_spectrum(np.concatenate([gap, sound, gap]))
    assert alone == framed


@pytest.mark.parametrize("sound", [np.zeros(0), np.zeros(RATE_HZ), np.full(100, 0.5), np.full(RATE_HZ, 1e-5)])
def test_what_cannot_be_heard_has_no_spectrum(sound: np.ndarray) -> None:
    assert measure_spectrum(sound) is None


def test_an_offset_alone_has_no_tilt() -> None:
    found = measure_spectrum(np.full(RATE_HZ, 0.1))
    assert found is not None
    assert np.isfinite(found.tilt_db_per_octave)
    assert found.level_db == pytest.approx(-20, abs=1e-9)


@pytest.mark.parametrize("wrong", [np.zeros((2, 100)), np.full(16_000, np.nan)])
def test_what_is_no_mono_sound_is_an_error(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite mono samples"):
        measure_spectrum(wrong)
