"""The band keeps its word: every factor is set alone, and is what the sound says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.data.band import (
    INSTRUMENT_SETS,
    KEYS,
    PARTS,
    STYLES,
    Factors,
    Mix,
    Note,
    Score,
    compose,
    draw_factors,
    render,
    track_of,
    write_library,
)
from nearfield.data.band.compose import TIMING_LIMIT_STD
from nearfield.data.band.harmony import PROGRESSIONS, SCALES, parse_chord, parse_progression, voice
from nearfield.data.band.styles import STYLE_TABLE
from nearfield.data.manifest import read_manifest
from nearfield.data.track import KEY_PATTERN
from nearfield.errors import ConfigError, CorpusError

RATE_HZ = 16000
MAJOR_AND_MINOR = ("C major", "C minor")
TEMPO_SAMPLE, TEMPO_HITS = 36, 34  # 35 when measured; one may go with other FFT builds


# ---- the score ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_tempo_and_duration_only_decide_how_much_of_the_score_is_written(style: str) -> None:
    slow = compose(Factors(style=style, tempo_bpm=60.0, seed=4, duration_s=12.0)).notes
    fast = compose(Factors(style=style, tempo_bpm=180.0, seed=4, duration_s=12.0)).notes
    long = compose(Factors(style=style, tempo_bpm=60.0, seed=4, duration_s=36.0)).notes
    assert 0 < len(slow) < len(fast)
    assert fast[: len(slow)] == slow
    assert long == fast


@pytest.mark.parametrize("style", STYLES)
def test_how_it_is_played_leaves_the_score_alone(style: str) -> None:
    plain = Factors(style=style, seed=11, duration_s=5.0)
    changes: Sequence[dict[str, Any]] = (
        *({"instruments": name} for name in INSTRUMENT_SETS),
        {"swing": 1.0},
        {"level_db": -9.0},
        {"tilt_db_per_octave": 3.0},
        {"reverb_wet": 0.4},
        {"mix": Mix(drums_db=-6.0, melody_db=3.0)},
    )
    notes = compose(plain).notes
    assert all(compose(replace(plain, **change)).notes == notes for change in changes)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("mode", ["major", "minor"])
def test_a_key_is_one_shift_of_every_pitched_note(style: str, mode: str) -> None:
    in_c = compose(Factors(style=style, seed=2, key=f"C {mode}", duration_s=4.0)).notes
    shifts = []
    for key in (k for k in KEYS if k.endswith(mode)):
        notes = compose(Factors(style=style, seed=2, key=key, duration_s=4.0)).notes
        drums = [n for n in notes if n.part == "drums"]
        assert drums == [n for n in in_c if n.part == "drums"]
        moved = {b.pitch - a.pitch for a, b in zip(in_c, notes, strict=True) if a.part != "drums"}
        assert len(moved) == 1
        shifts.append(moved.pop())
        assert [replace(n, pitch=0) for n in notes] == [replace(n, pitch=0) for n in in_c]
    assert sorted(shifts) == list(range(-6, 6))
    assert [s % 12 for s in shifts] == list(range(12))


@pytest.mark.parametrize("style", STYLES)
def test_a_mode_changes_pitches_and_keeps_rhythm(style: str) -> None:
    major, minor = (compose(Factors(style=style, seed=5, key=key)).notes for key in MAJOR_AND_MINOR)
    rhythms = [
        sorted((n.start_beat, n.part, n.length_beats) for n in notes if n.part in ("drums", "bass", "melody"))
        for notes in (major, minor)
    ]
    assert rhythms[0] == rhythms[1]
    assert major != minor


@pytest.mark.parametrize("style", STYLES)
def test_another_seed_is_another_piece(style: str) -> None:
    first, second = (compose(Factors(style=style, seed=s)).notes for s in (0, 1))
    melodies = [[(n.start_beat, n.pitch) for n in notes if n.part == "melody"] for notes in (first, second)]
    assert melodies[0] != melodies[1]


def test_every_style_writes_differently() -> None:
    pieces = {tuple((n.part, n.start_beat, n.pitch) for n in compose(Factors(style=s)).notes) for s in STYLES}
    assert len(pieces) == len(STYLES) >= 8


@pytest.mark.parametrize("style", STYLES)
def test_parts_keep_to_their_ranges_and_all_play(style: str) -> None:
    notes = [n for seed in range(4) for n in compose(Factors(style=style, seed=seed, duration_s=24.0)).notes]
    ranges = {part: [n.pitch for n in notes if n.part == part] for part in PARTS}
    assert 28 <= min(ranges["bass"]) <= max(ranges["bass"]) <= 56
    assert 52 <= min(ranges["chords"]) <= max(ranges["chords"]) <= 88
    assert 62 <= min(ranges["melody"]) <= max(ranges["melody"]) <= 90
    assert all(n.length_beats > 0 and 0 < n.velocity <= 1 and n.start_beat >= 0 for n in notes)
    assert len({round(n.velocity, 3) for n in notes}) > 50


@pytest.mark.parametrize("style", STYLES)
def test_the_hand_is_as_loose_as_the_style_says(style: str) -> None:
    std_s = STYLE_TABLE[style].timing_std_s
    offsets = [n.offset_s for n in compose(Factors(style=style, duration_s=100.0, tempo_bpm=150.0)).notes]
    assert 0.93 * std_s < np.std(offsets) < 1.03 * std_s
    assert np.max(np.abs(offsets)) <= TIMING_LIMIT_STD * std_s
    assert abs(np.mean(offsets)) < 0.1 * std_s


def test_patterns_fill_their_bars_and_progressions_match_between_modes() -> None:
    for style in STYLE_TABLE.values():
        patterns = [*style.bass, *style.chords, *(p for groove in style.grooves for p in groove.values())]
        assert all(len(p) % style.beats_per_bar == 0 for p in patterns)
        assert len(style.grooves) == len(style.bass) == len(style.chords) == 2
    for family in PROGRESSIONS.values():
        assert len(family["major"]) == len(family["minor"])
        for mode in SCALES:
            assert all(parse_progression(text, mode, 5) for text in family[mode])


@pytest.mark.parametrize(
    ("numeral", "mode", "tones", "classes"),
    [
        ("I", "major", 3, (0, 4, 7)),
        ("V", "minor", 4, (7, 11, 2, 5)),
        ("IV", "major", 4, (5, 9, 0, 4)),
        ("bVII", "major", 4, (10, 2, 5, 9)),
        ("iih7", "minor", 3, (2, 5, 8, 0)),
        ("ii", "major", 5, (2, 5, 9, 0, 4)),
    ],
)
def test_a_numeral_is_its_chord(numeral: str, mode: str, tones: int, classes: tuple[int, ...]) -> None:
    assert parse_chord(numeral, mode, tones).pitch_classes == classes


def test_voices_move_little() -> None:
    previous: tuple[int, ...] = ()
    moves = []
    for (chord,) in parse_progression("I vi ii V I IV ii V iii vi ii V I", "major", 4):
        voicing = voice(chord, previous)
        assert {p % 12 for p in voicing} == set(chord.pitch_classes)
        if previous:
            moves.append(max(min(abs(p - q) for q in previous) for p in voicing))
        previous = voicing
    assert max(moves) <= 3


# ---- the sound ------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_sound() -> None:
    factors = draw_factors(np.random.default_rng(3), duration_s=4.0)
    first, again = render(factors, RATE_HZ), render(compose(factors), RATE_HZ)
    assert first.dtype == np.float32
    assert first.shape == (4 * RATE_HZ,)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, render(replace(factors, seed=factors.seed + 1), RATE_HZ))


@pytest.mark.parametrize("instruments", INSTRUMENT_SETS)
def test_every_style_sounds_on_every_set(instruments: str) -> None:
    for style in STYLES:
        sound = render(Factors(style, instruments, tempo_bpm=140.0, duration_s=1.0), 8000)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() == pytest.approx(0.98, abs=1e-4)
        assert 0.03 < np.sqrt(np.mean(sound**2)) < 0.5
        assert abs(sound[-1]) < 1e-3


def test_sets_differ_in_spectrum_and_44100_works() -> None:
    centroids = [_centroid_hz(render(Factors(instruments=i, duration_s=1.5), 44100), 44100) for i in INSTRUMENT_SETS]
    assert max(centroids) > 1.5 * min(centroids)
    assert all(200 < c < 3000 for c in centroids)


def test_tempo_is_audible() -> None:
    """Measured: 35 of 36 drawn pieces (every style twice, 10 s) within 4 %, octaves folded."""
    rng = np.random.default_rng(17)
    sample = [draw_factors(rng, 10.0, styles=(STYLES[i % len(STYLES)],)) for i in range(TEMPO_SAMPLE)]
    hits = 0
    for factors in sample:
        ratio = _tempo_bpm(render(factors, RATE_HZ)) / factors.tempo_bpm
        hits += min(abs(ratio * octave - 1) for octave in (0.25, 0.5, 1.0, 2.0, 4.0)) < 0.04
    print(f"tempo heard in {hits} of {len(sample)}")
    assert hits >= TEMPO_HITS


def test_key_turns_the_chroma() -> None:
    plain = Factors(style="bossa nova", instruments="jazz quartet", duration_s=6.0, mix=Mix(drums_db=-60.0))
    reference = _chroma(render(plain, RATE_HZ))
    for key, semitones in (("D major", 2), ("F major", 5), ("F# major", 6), ("A major", 9)):
        chroma = _chroma(render(replace(plain, key=key), RATE_HZ))
        match = [float(np.corrcoef(np.roll(reference, k), chroma)[0, 1]) for k in range(12)]
        assert int(np.argmax(match)) == semitones
        assert match[semitones] > 0.9


@pytest.mark.parametrize("instruments", INSTRUMENT_SETS)
@pytest.mark.parametrize("part", ["bass", "chords", "melody"])
def test_a4_is_440_hz(instruments: str, part: str) -> None:
    sound = render(_one_note(instruments, part, 69), RATE_HZ)
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 8 * len(sound))) ** 2
    freqs = np.fft.rfftfreq(8 * len(sound), 1 / RATE_HZ)
    near = np.abs(freqs - 440.0) < 14.0
    cents = 1200 * np.log2(np.average(freqs[near], weights=power[near]) / 440.0)
    assert abs(cents) < 10


@pytest.mark.parametrize("instruments", INSTRUMENT_SETS)
def test_notes_end_without_a_click(instruments: str) -> None:
    bend = np.abs(np.diff(render(_one_note(instruments, "melody", 72), RATE_HZ), 2))
    end = round(1.9 * RATE_HZ)  # 3.8 beats at 120
    assert bend[end - 80 : end + 3200].max() <= 1.1 * bend[end - 3200 : end - 80].max()


def test_level_is_the_peak() -> None:
    loud = render(Factors(duration_s=2.0), RATE_HZ)
    for level_db in (-3.0, -12.0, -40.0):
        quiet = render(Factors(duration_s=2.0, level_db=level_db), RATE_HZ)
        np.testing.assert_allclose(quiet, loud * 10 ** (level_db / 20), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("tilt", [-4.0, -1.5, 1.0, 3.0])
def test_tilt_is_a_line_over_octaves(tilt: float) -> None:
    flat, tilted = (
        np.abs(np.fft.rfft(render(Factors(duration_s=4.0, tilt_db_per_octave=t), RATE_HZ))) for t in (0.0, tilt)
    )
    freqs = np.fft.rfftfreq(4 * RATE_HZ, 1 / RATE_HZ)
    inside = (freqs > 60) & (freqs < 7000) & (flat > np.median(flat) / 4)
    slope = np.polyfit(np.log2(freqs[inside]), 20 * np.log10(tilted[inside] / flat[inside]), 1)[0]
    assert slope == pytest.approx(tilt, abs=0.05)


def test_mix_turns_one_part_down() -> None:
    factors = Factors(duration_s=4.0, reverb_wet=0.0)
    mixed, drumless = render(factors, RATE_HZ), render(replace(factors, mix=Mix(drums_db=-60.0)), RATE_HZ)
    assert _share_above(drumless, 5000.0) < 0.3 * _share_above(mixed, 5000.0)


def test_swing_delays_the_second_eighth() -> None:
    straight = Score(Factors(duration_s=2.0, tempo_bpm=60.0), 4, 1, (Note("drums", 0.5, 0.25, 37, 0.9, 0.0),))
    swung = replace(straight, factors=replace(straight.factors, swing=1.0))
    starts_s = [np.argmax(np.abs(render(s, RATE_HZ)) > 0.2) / RATE_HZ for s in (straight, swung)]
    assert starts_s == pytest.approx([0.5, 2 / 3], abs=0.004)


# ---- the factors ----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_factors_survive_as_text(seed: int) -> None:
    factors = draw_factors(np.random.default_rng(seed))
    assert Factors.from_text(factors.to_text()) == factors


@settings(max_examples=40, deadline=None)
@given(st.floats(20, 400), st.floats(-60, 12), st.integers(0, 2**63 - 1))
def test_any_number_survives_as_text(tempo_bpm: float, drums_db: float, seed: int) -> None:
    factors = Factors(tempo_bpm=tempo_bpm, mix=Mix(drums_db=drums_db), seed=seed)
    assert Factors.from_text(factors.to_text()) == factors


def test_drawn_factors_are_spread_and_independent() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_factors(rng) for _ in range(3000)]
    tempi = np.log([f.tempo_bpm for f in drawn])
    assert np.quantile(tempi, 0.5) == pytest.approx(np.log(100.0), abs=0.05)
    assert {f.key for f in drawn} == set(KEYS)
    styles = np.array([STYLES.index(f.style) for f in drawn])
    sets = np.array([INSTRUMENT_SETS.index(f.instruments) for f in drawn])
    keys = np.array([KEYS.index(f.key) for f in drawn])
    assert np.abs(np.corrcoef([styles, sets, keys, tempi]) - np.eye(4)).max() < 0.06


def test_keys_are_written_as_the_catalogue_writes_them() -> None:
    assert len(set(KEYS)) == 24
    assert all(KEY_PATTERN.match(key) for key in KEYS)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"style": "gabber"}, "rock"),
        ({"instruments": "kazoo"}, "chip"),
        ({"key": "H dur"}, "F# minor"),
        ({"tempo_bpm": 0.0}, "20 to 400"),
        ({"tempo_bpm": float("nan")}, "20 to 400"),
        ({"seed": -1}, "seed"),
        ({"duration_s": 0.0}, "duration_s"),
        ({"level_db": 1.0}, "level_db"),
        ({"mix": Mix(bass_db=40.0)}, "bass_db"),
    ],
)
def test_impossible_factors_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Factors(**changes)


def test_impossible_text_and_rates_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown: tempo"):
        Factors.from_text({"tempo": "120"})
    with pytest.raises(ConfigError, match="not a number"):
        Factors.from_text({"tempo_bpm": "fast"})
    with pytest.raises(ConfigError, match="rate_hz"):
        render(Factors(), 1000)


# ---- the library ----------------------------------------------------------------------------------------


def test_a_library_is_files_tags_and_a_manifest(tmp_path: Path) -> None:
    made = write_library(tmp_path, 6, seed=9, duration_s=1.0, file_format="flac", variants_per_piece=2)
    assert read_manifest(tmp_path / "manifest.parquet") == made
    assert len(made) == 12
    for track in made:
        with soundfile.SoundFile(made.locate(track)) as file:
            assert (file.title, file.artist, file.album, file.genre) == (
                track.title,
                track.artist,
                track.album,
                track.genre,
            )
            sound = file.read(dtype="float32")
        factors = Factors.from_text(track.factors)
        assert (track.tempo_bpm, track.key, track.genre) == (factors.tempo_bpm, factors.key, factors.style)
        np.testing.assert_allclose(sound, render(factors, 22050), atol=1.5 / 32768)
    assert len({t.content_hash for t in made}) == 12
    assert len({t.artist for t in made}) == 2
    pieces = [[n for t, n in _melodies(made) if f"piece-{i:04d}" in t.tags] for i in range(6)]
    assert all(first[: len(second)] == second[: len(first)] for first, second in pieces)


def _melodies(made: Any) -> list[tuple[Any, list[float]]]:
    """The starts of a piece's melody: what variants in two modes and keys share."""
    found = []
    for track in made:
        notes = compose(Factors.from_text(track.factors)).notes
        found.append((track, [n.start_beat for n in notes if n.part == "drums"]))
    return found


def test_a_library_in_ogg_is_the_same_music_by_two_workers(tmp_path: Path) -> None:
    one = write_library(tmp_path / "one", 2, seed=1, duration_s=1.0)
    two = write_library(tmp_path / "two", 2, seed=1, duration_s=1.0, workers=2)
    assert one.digest() == two.digest()
    assert all(t.path.endswith(".ogg") for t in one)
    assert soundfile.info(one.locate(one.tracks[0])).duration == pytest.approx(1.0, abs=0.01)


def test_an_impossible_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file_format"):
        write_library(tmp_path, 1, seed=0, file_format="mp3")
    with pytest.raises(ConfigError, match="at least one"):
        write_library(tmp_path, 0, seed=0)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(CorpusError, match="cannot be written"):
        write_library(tmp_path / "taken", 1, seed=0, duration_s=0.5)


def test_a_track_says_what_the_factors_say() -> None:
    track = track_of(Factors(key="A# minor"), "a/b.flac", "x", title="T")
    assert (track.title, track.key, track.problems()) == ("T", "A# minor", [])


# ---- instruments of measurement -------------------------------------------------------------------------


def _one_note(instruments: str, part: str, pitch: int) -> Score:
    factors = Factors(instruments=instruments, tempo_bpm=120.0, duration_s=2.5, reverb_wet=0.0)
    return Score(factors, 4, 2, (Note(part, 0.0, 3.8, pitch, 0.8, 0.0),))


def _tempo_bpm(sound: np.ndarray) -> float:
    """The tempo whose multiples agree best in the autocorrelation of the onset strength."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, 640)[::160]
    power = np.abs(np.fft.rfft(frames * np.hanning(640).astype(np.float32))) ** 2
    bands = np.add.reduceat(power, np.unique(np.geomspace(2, 300, 24).astype(int)), axis=1)
    onsets = np.maximum(np.diff(np.log10(bands + 1e-3 * bands.max()), axis=0), 0.0).mean(1)
    onsets = onsets - onsets.mean()
    n = len(onsets)
    likeness = np.fft.irfft(np.abs(np.fft.rfft(onsets, 2 * n)) ** 2)[:n] / (n - np.arange(n))
    tempi = np.exp(np.linspace(np.log(40.0), np.log(240.0), 600))
    lags = 60.0 * RATE_HZ / 160 / tempi
    score = sum(np.interp(k * lags, np.arange(n), likeness) for k in (0.5, 1, 1, 2, 4, 8))
    return float(tempi[np.argmax(score * np.exp(-0.5 * np.log2(tempi / 110.0) ** 2))])


def _chroma(sound: np.ndarray) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(sound, 4096)[::2048]
    power = (np.abs(np.fft.rfft(frames * np.hanning(4096), 8192)) ** 2).mean(0)
    freqs = np.fft.rfftfreq(8192, 1 / RATE_HZ)
    heard = (freqs > 110) & (freqs < 1800)
    classes = np.round(12 * np.log2(freqs[heard] / 440.0) + 69).astype(int) % 12
    return np.bincount(classes, np.sqrt(power[heard]), 12)


def _centroid_hz(sound: np.ndarray, rate_hz: int) -> float:
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(np.average(np.fft.rfftfreq(len(sound), 1 / rate_hz), weights=power))


def _share_above(sound: np.ndarray, low_hz: float) -> float:
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(power[np.fft.rfftfreq(len(sound), 1 / RATE_HZ) > low_hz].sum() / power.sum())
