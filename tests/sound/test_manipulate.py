"""Manipulations: what was asked for comes out, what was not stays, and no change is no change."""

from __future__ import annotations

import importlib
import math
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.data.band import draw_factors, render
from nearfield.errors import AudioError, ManipulationError
from nearfield.sound import codec, stretch
from nearfield.sound.filters import PIVOT_HZ, biquad, tilt_db, tilted
from nearfield.sound.manipulate import EQUALISER_HZ, KINDS, Manipulation, changed, level, standard

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000


def tone(hz: float, seconds: float = 6.0, rate_hz: int = RATE_HZ) -> Samples:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def clicks(seconds: int, rate_hz: int = RATE_HZ) -> Samples:
    sound = np.zeros(seconds * rate_hz, np.float32)
    sound[rate_hz::rate_hz] = 1
    return sound


def pitch_hz(samples: Samples, rate_hz: int = RATE_HZ) -> float:
    """The strongest frequency, to a tenth of the resolution; the ends are left out."""
    middle = samples[2000:-2000] * np.hanning(samples.size - 4000)
    spectrum = np.abs(np.fft.rfft(middle, 8 * middle.size))
    return float(np.argmax(spectrum) * rate_hz / (8 * middle.size))


def click_seconds(samples: Samples, expected_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The centre of the energy within 60 ms of each expected second."""
    reach = round(0.06 * RATE_HZ)
    found = []
    for at in np.round(expected_s * RATE_HZ).astype(int):
        energy = np.square(samples[at - reach : at + reach + 1], dtype=np.float64)
        found.append((at - reach + float(np.average(np.arange(energy.size), weights=energy))) / RATE_HZ)
    return np.array(found)


@cache
def song(seed: int = 1, seconds: float = 8.0, rate_hz: int = RATE_HZ) -> Samples:
    return render(draw_factors(np.random.default_rng(seed), duration_s=seconds), rate_hz)


def cents(hz: float, wanted_hz: float) -> float:
    return abs(1200 * math.log2(hz / wanted_hz))


def decibel(ratio: float) -> float:
    return 20 * math.log10(ratio)


@pytest.mark.parametrize("ratio", KINDS["tempo"].amounts)
def test_tempo_moves_clicks_and_keeps_pitch_length_and_level(ratio: float) -> None:
    change = Manipulation("tempo", ratio)
    sound = clicks(8)
    out = changed(sound, RATE_HZ, change)
    assert out.size == round(sound.size / ratio)
    expected_s = np.arange(1, 8) / ratio
    assert np.abs(click_seconds(out, expected_s) - expected_s).max() < 0.002
    for hz in (110.0, 440.0):
        assert cents(pitch_hz(changed(tone(hz), RATE_HZ, change)), hz) < 1
    music = song()
    assert decibel(level(changed(music, RATE_HZ, change)) / level(music)) == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize("semitones", KINDS["pitch"].amounts)
def test_pitch_moves_tones_and_keeps_clicks_length_and_level(semitones: float) -> None:
    change = Manipulation("pitch", semitones)
    for hz in (110.0, 440.0):
        out = changed(tone(hz), RATE_HZ, change)
        assert cents(pitch_hz(out), hz * 2 ** (semitones / 12)) < 1
    sound = clicks(6)
    out = changed(sound, RATE_HZ, change)
    assert out.size == sound.size
    assert np.abs(click_seconds(out, np.arange(1.0, 6)) - np.arange(1.0, 6)).max() < 0.002
    music = song()
    assert decibel(level(changed(music, RATE_HZ, change)) / level(music)) == pytest.approx(0, abs=0.001)


def onsets(samples: Samples) -> npt.NDArray[np.float64]:
    """The rise of energy, 100 values a second."""
    hop = RATE_HZ // 100
    energy = np.square(samples[: samples.size // hop * hop], dtype=np.float64).reshape(-1, hop).mean(axis=1)
    return np.maximum(np.diff(np.log(energy + 1e-5)), 0)


def test_the_band_faster_is_the_band_at_that_tempo() -> None:
    """Its rise of energy lies where that of the original lies, time divided by the ratio; and not with another ratio."""
    music = song(3)
    for ratio in (0.8, 1.25):
        rise = onsets(changed(music, RATE_HZ, Manipulation("tempo", ratio)))
        match = {}
        for guess in (ratio * 0.96, ratio, ratio * 1.04):
            at = np.arange(rise.size) * guess
            match[guess] = float(np.corrcoef(rise, np.interp(at, np.arange(onsets(music).size), onsets(music)))[0, 1])
        assert max(match, key=lambda guess: match[guess]) == ratio
        assert match[ratio] > 0.5


def test_level_is_the_gain_asked_for_and_does_not_clip() -> None:
    music = song()
    for gain_db in KINDS["level"].amounts:
        out = changed(music, RATE_HZ, Manipulation("level", gain_db))
        assert np.abs(out - music * 10 ** (gain_db / 20)).max() <= 1e-6 * np.abs(out).max()
    assert np.abs(changed(music, RATE_HZ, Manipulation("level", 18))).max() > 1


@pytest.mark.parametrize("shape", EQUALISER_HZ)
@pytest.mark.parametrize("gain_db", [-18.0, -3.0, 9.0, 18.0])
def test_shelves_and_peaks_measure_as_designed(shape: str, gain_db: float) -> None:
    """From steady tones: the formulas' landmarks, and the response between them, level restored or not."""
    section = biquad(shape, EQUALISER_HZ[shape], gain_db, RATE_HZ)
    landmarks = {
        "low shelf": {10.0: gain_db, 200.0: gain_db / 2, 7900.0: 0.0},
        "peak": {5.0: 0.0, 1000.0: gain_db, 7990.0: 0.0},
        "high shelf": {10.0: 0.0, 4000.0: gain_db / 2, 7999.0: gain_db},
    }[shape]
    for hz, wanted_db in landmarks.items():
        assert section.response_db(hz) == pytest.approx(wanted_db, abs=0.06)
    hz_all = [50.0, 200.0, 700.0, 1000.0, 2500.0, 4000.0, 6000.0]
    measured = [decibel(level(section(tone(hz))[RATE_HZ:]) / level(tone(hz)[RATE_HZ:])) for hz in hz_all]
    assert measured == pytest.approx(section.response_db(hz_all), abs=0.05)
    noise = np.random.default_rng(0).normal(0, 0.1, 8 * RATE_HZ).astype(np.float32)
    out = changed(noise, RATE_HZ, Manipulation(shape, gain_db))
    assert level(out) == pytest.approx(level(noise), rel=1e-5)
    hz, ratio_db = spectrum_ratio_db(noise, out)
    offset = ratio_db - section.response_db(hz)
    assert np.ptp(offset) < 0.5  # a change of level alone lies between the design and what came out


def spectrum_ratio_db(before: Samples, after: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Frequencies from 100 Hz to 7 kHz, and how much stronger they are after: the transfer function by Welch's method."""
    hz, cross = scipy.signal.csd(before, after, RATE_HZ, nperseg=4096)
    _, power = scipy.signal.welch(before, RATE_HZ, nperseg=4096)
    ratio = 20 * np.log10(np.abs(cross / power))
    inside = (hz > 100) & (hz < 7000)
    return hz[inside], ratio[inside]


def test_the_width_of_a_peak_is_between_the_points_of_half_its_gain() -> None:
    section = biquad("peak", 1000, 12, 192_000, octaves=1.0)  # at a high rate, where the bilinear warp is little
    assert section.response_db([1000 / 2**0.5, 1000 * 2**0.5]) == pytest.approx([6, 6], abs=0.05)


@pytest.mark.parametrize("slope", KINDS["tilt"].amounts)
def test_a_tilt_is_a_straight_line_over_octaves(slope: float) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 8 * RATE_HZ).astype(np.float32)
    hz, ratio_db = spectrum_ratio_db(noise, tilted(noise, slope, RATE_HZ))
    fit = np.polyfit(np.log2(hz / PIVOT_HZ), ratio_db, 1)
    assert fit == pytest.approx([slope, 0], abs=0.05)
    assert np.abs(ratio_db - np.polyval(fit, np.log2(hz / PIVOT_HZ))).max() < 0.5
    out = changed(noise, RATE_HZ, Manipulation("tilt", slope))
    assert level(out) == pytest.approx(level(noise), rel=1e-5)
    assert tilt_db([0, 5, 20], slope) == pytest.approx(slope * np.log2(20 / PIVOT_HZ))


def lag(before: Samples, after: Samples) -> int:
    """By how many samples `after` is late."""
    n = before.size
    found = np.fft.irfft(np.fft.rfft(after, 2 * n) * np.conj(np.fft.rfft(before, 2 * n)))
    return (int(np.argmax(found)) + n) % (2 * n) - n


@pytest.mark.parametrize(("name", "kbit_s"), [(k, a) for k in ("mp3", "opus") for a in KINDS[k].amounts])
def test_a_codec_keeps_its_rate_place_length_and_level(name: codec.Codec, kbit_s: float) -> None:
    pytest.importorskip("av", reason="the [audit] extra is not installed")
    music = song(1, 5.0, codec.CODED_HZ)
    data = codec.encoded(music, name, kbit_s)
    assert len(data) * 8 / 1000 / 5 == pytest.approx(kbit_s, rel=0.1)
    for rate_hz in (RATE_HZ, 44_100):
        sound = song(1, 4.0, rate_hz)
        out = changed(sound, rate_hz, Manipulation(name, kbit_s))
        assert out.size == sound.size
        assert level(out) == pytest.approx(level(sound), rel=1e-5)
        assert abs(lag(sound, out)) <= 2e-4 * rate_hz
        assert not np.array_equal(out, sound)
        if kbit_s >= 64 and rate_hz == RATE_HZ:
            assert level(out - sound) < 0.15 * level(sound)


def test_a_codec_does_not_clip_what_is_beyond_full_scale() -> None:
    pytest.importorskip("av", reason="the [audit] extra is not installed")
    loud = song(1, 3.0) * np.float32(20)
    out = codec.coded(loud, RATE_HZ, "opus", 128)
    assert np.abs(out).max() == pytest.approx(np.abs(loud).max(), rel=0.1)


@pytest.mark.parametrize("kind", ["white noise", "pink noise"])
def test_noise_has_its_ratio_and_colour_and_comes_from_the_generator(kind: str) -> None:
    sound = tone(1000, 8.0)
    for snr_db in (10.0, 30.0):
        out, again, other = (
            changed(sound, RATE_HZ, Manipulation(kind, snr_db), np.random.default_rng(seed)) for seed in (0, 0, 1)
        )
        assert np.array_equal(out, again)
        assert not np.array_equal(out, other)
        assert level(out) == pytest.approx(level(sound), rel=1e-5)
        scale = float(np.dot(out, sound) / np.dot(sound, sound))
        noise = out - scale * sound
        assert decibel(scale * level(sound) / level(noise)) == pytest.approx(snr_db, abs=0.1)
    hz, power = scipy.signal.welch(noise, RATE_HZ, nperseg=8192)
    inside = (hz > 50) & (hz < 7000) & (np.abs(hz - 1000) > 20)
    slope = np.polyfit(np.log2(hz[inside]), 10 * np.log10(power[inside]), 1)[0]
    assert slope == pytest.approx(0 if kind == "white noise" else -10 * math.log10(2), abs=0.15)


def test_side_takes_one_channel_at_the_level_of_the_mean() -> None:
    left, right = tone(300), 0.5 * tone(700)
    both = np.stack([left, right], axis=1)
    mean = (left + right) / 2
    assert np.array_equal(changed(both, RATE_HZ, Manipulation("side", 0)), both.mean(axis=1))
    for amount, one in ((1, left), (-1, right)):
        out = changed(both, RATE_HZ, Manipulation("side", amount))
        assert np.abs(out - one * (level(mean) / level(one))).max() < 1e-5
    with pytest.raises(AudioError, match=r"not \(n, 2\)"):
        changed(left, RATE_HZ, Manipulation("side", 1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_identity_gives_equal_sound_and_lies_between_the_standard_amounts(kind: str) -> None:
    traits = KINDS[kind]
    still = Manipulation(kind, traits.identity)
    sound = song(2, 1.0)
    given = sound if traits.channels == 1 else np.stack([sound, sound], axis=1)
    out = changed(given, RATE_HZ, still)
    assert still.is_identity
    assert np.array_equal(out, sound)
    assert out is not sound
    assert list(traits.amounts) == sorted(set(traits.amounts))
    assert traits.identity not in traits.amounts
    if math.isfinite(traits.identity):
        assert min(traits.amounts) < traits.identity < max(traits.amounts)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 5000),
    ratio=st.floats(0.5, 2),
    semitones=st.floats(-12, 12),
    gain_db=st.floats(-18, 18),
    seed=st.integers(0, 99),
)
def test_any_length_and_amount_gives_finite_sound_of_the_right_length(
    n: int, ratio: float, semitones: float, gain_db: float, seed: int
) -> None:
    sound = np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32)
    amounts = {"tempo": ratio, "pitch": semitones, "tilt": gain_db / 3, "pink noise": 20.0}
    for kind, amount in {**amounts, **dict.fromkeys(EQUALISER_HZ, gain_db)}.items():
        out = changed(sound, RATE_HZ, Manipulation(kind, amount), np.random.default_rng(seed))
        assert out.dtype == np.float32
        assert out.shape == (round(n / ratio) if kind == "tempo" else n,)
        assert np.isfinite(out).all()


def test_silence_stays_silent() -> None:
    for change in (Manipulation("tempo", 1.25), Manipulation("peak", 18), Manipulation("white noise", 10)):
        out = changed(np.zeros(8000, np.float32), RATE_HZ, change, np.random.default_rng(0))
        assert not out.any()


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("tempo", 0.4), ("tempo", 2.1), ("pitch", 13), ("peak", -19), ("opus", 5), ("speed", 1), ("tempo", math.nan)],
)
def test_impossible_amounts_are_refused(kind: str, amount: float) -> None:
    with pytest.raises(ManipulationError, match="take"):
        Manipulation(kind, amount)


def test_bad_sound_is_refused() -> None:
    change = Manipulation("level", 3)
    for bad in (np.zeros(0), np.zeros((5, 2)), np.array([0.0, math.nan]), np.array([math.inf])):
        with pytest.raises(AudioError):
            changed(bad, RATE_HZ, change)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="rate"):
        changed(tone(100), 0, change)
    with pytest.raises(ManipulationError, match="generator"):
        changed(tone(100), RATE_HZ, Manipulation("white noise", 10))
    with pytest.raises(ManipulationError, match="8000 Hz"):
        changed(tone(100), 8000, Manipulation("high shelf", 3))
    with pytest.raises(ManipulationError, match="no bit rate of 33"):
        changed(tone(100), RATE_HZ, Manipulation("mp3", 33))
    with pytest.raises(ManipulationError, match="'speed'"):
        standard(["tempo", "speed"])


def test_a_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", gone)
    for ask in (stretch.stretch_library, codec.codec_library):
        with pytest.raises(ManipulationError, match=r"pip install 'nearfield\[audit\]'"):
            ask()


def test_the_standard_list_has_every_kind_and_both_directions() -> None:
    kinds = {m.kind for m in standard()}
    assert kinds == set(KINDS)
    assert len(standard()) == len(set(standard())) == 64
    assert [str(m) for m in standard(["side"])] == ["side -1 of the difference", "side 1 of the difference"]
