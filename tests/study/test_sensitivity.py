"""Sensitivity with embeddings whose answer is known, on real files: broken ones among them, and runs that are ended."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.data.manifest import Manifest
from nearfield.data.track import Track
from nearfield.errors import ManipulationError, SpaceError
from nearfield.sound import audio
from nearfield.sound.manipulate import KINDS, Manipulation, level
from nearfield.study.metrics import unit
from nearfield.study.sensitivity.comparison import Comparison, bootstrap_median, mean_distance
from nearfield.study.sensitivity.measure import Sensitivity, draw_sounds, measure_sensitivity
from nearfield.study.sensitivity.vectors import VersionVectors
from nearfield.study.sensitivity.versions import (
    RATE_HZ,
    Progress,
    Recipe,
    Sound,
    VersionStore,
    make_versions,
    middle,
    version_of,
)

Samples = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float32]

RECIPE = Recipe(excerpt_s=1.5)
CHANGES = (
    Manipulation("level", -12),
    Manipulation("level", 6),
    Manipulation("tempo", 1.25),
    Manipulation("pitch", 12),
    Manipulation("low shelf", 18),
    Manipulation("tilt", -3),
    Manipulation("white noise", 10),
    Manipulation("side", 1),
)


def piece(n: int, seconds: float = 2.0) -> Samples:
    """(n, 2): a tone of its own pitch and level, louder on the left."""
    rate_hz = 44_100
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    mono = 0.02 * 1.25**n * np.sin(2 * np.pi * 200 * 2 ** (n / 4) * time)
    return np.stack([mono, 0.5 * mono], axis=1).astype(np.float32)


@pytest.fixture
def sounds(tmp_path: Path) -> list[Sound]:
    found = []
    for n in range(8):
        path = tmp_path / f"{n}.wav"
        soundfile.write(path, piece(n), 44_100, subtype="FLOAT")
        found.append(Sound(n, f"t{n}", str(path)))
    return found


def by_level(samples: Samples, rate_hz: float) -> Vector:
    """An angle that is the level: 60 dB are a quarter of the circle."""
    angle = math.pi / 2 * (20 * math.log10(level(samples)) + 60) / 60
    return np.array([math.cos(angle), math.sin(angle), 0], np.float32)


def by_pitch(samples: Samples, rate_hz: float) -> Vector:
    """An angle that is the strongest frequency: 4 octaves are a quarter of the circle."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size), 1 << 17))
    angle = math.pi / 2 * math.log2(np.argmax(spectrum) * rate_hz / (1 << 17) / 100) / 4
    return np.array([math.cos(angle), math.sin(angle), 0], np.float32)


def catalogue_of(embed: Callable[[Samples, float], Vector], sounds: list[Sound]) -> npt.NDArray[np.float32]:
    return np.stack([embed(audio.load(s.path), RATE_HZ) for s in sounds])


def measured(
    sounds: list[Sound],
    embed: Callable[[Samples, float], Vector],
    cache: Path,
    changes: tuple[Manipulation, ...] = CHANGES,
) -> Sensitivity:
    rng = np.random.default_rng(0)
    vectors = catalogue_of(embed, sounds)
    return measure_sensitivity(sounds, vectors, embed, cache, rng, manipulations=changes, recipe=RECIPE, k=2, workers=0)


def test_an_embedding_of_the_level_moves_under_level_and_nothing_else(sounds: list[Sound], tmp_path: Path) -> None:
    result = measured(sounds, by_level, tmp_path / "cache")
    angles = np.array([math.pi / 2 * (20 * math.log10(1.25) * n) / 60 for n in range(8)])
    apart = 1 - np.cos(angles[:, None] - angles[None, :])
    chance = apart[~np.eye(8, dtype=bool)].mean()
    assert result.random_distance == pytest.approx(chance, rel=1e-3)
    assert result.baseline.recall_at_1.value == 1
    assert result.baseline.distance.value == 0
    for found in result.amounts:
        if found.kind == "level":
            wanted = (1 - math.cos(math.pi / 2 * found.amount / 60)) / chance
            assert found.distance.value == pytest.approx(wanted, rel=1e-3)
            assert found.recall_at_1.value < 0.5
            assert found.kept.value < 0.8
        else:
            assert found.distance.value < 1e-3, found.kind
            assert (found.recall_at_1.value, found.median_rank.value, found.kept.value) == (1, 1, 1), found.kind
        assert found.distance.n == 8


def test_an_embedding_of_the_pitch_moves_under_pitch_and_nothing_else(sounds: list[Sound], tmp_path: Path) -> None:
    result = measured(sounds, by_pitch, tmp_path / "cache")
    for found in result.amounts:
        if found.kind == "pitch":  # an octave is a quarter of the quarter circle
            wanted = (1 - math.cos(math.pi / 8)) / result.random_distance
            assert found.distance.value == pytest.approx(wanted, rel=0.02)
            # four steps up a ladder of eight: the lowest comes 8th, the highest is still the nearest there is
            assert (found.recall_at_1.value, found.median_rank.value) == (1 / 8, 4.5)
        else:
            assert found.distance.value < 1e-3, found.kind
            assert found.recall_at_1.value == 1, found.kind


def test_an_embedding_that_ignores_what_is_changed_stays(sounds: list[Sound], tmp_path: Path) -> None:
    """Eight different directions, told by the pitch of the unchanged tones; no change but pitch makes another of them."""

    def embed(samples: Samples, rate_hz: float) -> Vector:
        angle = math.atan2(*by_pitch(samples, rate_hz)[1::-1])
        n = round(4 * (angle / (math.pi / 2) * 4 - 1))
        return np.eye(8, dtype=np.float32)[min(max(n, 0), 7)]

    changes = tuple(m for m in CHANGES if m.kind != "pitch")
    result = measured(sounds, embed, tmp_path / "cache", changes)
    for found in (result.baseline, *result.amounts):
        assert (found.distance.value, found.distance.high, found.distance_to_track.value) == (0, 0, 0)
        assert (found.recall_at_1.value, found.median_rank.high, found.kept.value) == (1, 1, 1)
    assert result.random_distance == 1
    assert result.chance_kept == 2 / 7


def test_equal_vectors_count_against_the_original() -> None:
    points = unit(np.array([[1, 0], [1, 0], [0, 1], [1, 1]], np.float32))
    compare = Comparison(points, mean_distance(points), 1, np.random.default_rng(0))
    vectors = VersionVectors({"a": {None: np.array([1, 0], np.float32)}}, ())
    baseline, _ = compare.all([Sound(0, "a", "")], vectors, [])
    assert (baseline.median_rank.value, baseline.recall_at_1.value) == (2, 0)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(3, 30), d=st.integers(2, 6), k=st.integers(1, 5), seed=st.integers(0, 999))
def test_ranks_kept_and_distances_against_a_slow_reading(n: int, d: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    catalogue = unit(rng.normal(size=(n, d)))
    before, after = unit(rng.normal(size=(2, d)))
    k, row = min(k, n - 1), int(rng.integers(n))
    change = Manipulation("level", 3)
    apart = [1 - float(catalogue[i] @ catalogue[j]) for i in range(n) for j in range(n) if i != j]
    assert mean_distance(catalogue) == pytest.approx(np.mean(apart), abs=1e-6)
    compare = Comparison(catalogue, float(np.mean(apart)), k, rng)
    _, (found,) = compare.all([Sound(row, "a", "")], VersionVectors({"a": {None: before, change: after}}, ()), [change])
    order = [
        sorted((i for i in range(n) if i != row), key=lambda i: -float(catalogue[i] @ v))[:k] for v in (before, after)
    ]
    ahead = sum(float(catalogue[i] @ after) > float(catalogue[row] @ after) for i in range(n) if i != row)
    assert found.median_rank.value == 1 + ahead
    assert found.kept.value == pytest.approx(len(set(order[0]) & set(order[1])) / k)
    assert found.distance.value == pytest.approx((1 - float(before @ after)) / np.mean(apart), abs=1e-5)
    assert found.distance_to_track.value == pytest.approx(
        (1 - float(catalogue[row] @ after)) / np.mean(apart), abs=1e-5
    )


def test_broken_files_and_one_channel_are_listed_and_left_out(sounds: list[Sound], tmp_path: Path) -> None:
    vectors = catalogue_of(by_pitch, sounds)
    Path(sounds[2].path).write_bytes(b"RIFF, and then nothing of use")
    soundfile.write(sounds[3].path, piece(3)[:, 0], 44_100, subtype="FLOAT")
    soundfile.write(sounds[4].path, piece(4, 0.5), 44_100, subtype="FLOAT")
    sounds[5] = replace(sounds[5], path=str(tmp_path / "gone.wav"))
    changes = (Manipulation("side", -1), Manipulation("level", 3))
    result = measure_sensitivity(
        sounds,
        vectors,
        by_pitch,
        tmp_path / "cache",
        np.random.default_rng(0),
        manipulations=changes,
        recipe=RECIPE,
        workers=2,
    )
    assert result.n_tracks == 5
    assert sorted(Path(f.path).name for f in result.failures) == ["2.wav", "4.wav", "gone.wav"]
    assert any("too short (0.50 s)" in f.cause for f in result.failures)
    side, louder = result.amounts
    assert (side.distance.n, louder.distance.n) == (4, 5)
    assert (result.k, result.n_catalogue) == (7, 8)
    text = json.dumps(result.as_dict(), allow_nan=False)
    assert json.loads(text)["amounts"][1]["distance"]["n"] == 5


def test_a_change_that_applies_to_no_track_has_no_figures(sounds: list[Sound], tmp_path: Path) -> None:
    for sound in sounds:
        soundfile.write(sound.path, piece(sound.row)[:, 0], 44_100, subtype="FLOAT")
    result = measured(sounds, by_level, tmp_path / "cache", (Manipulation("side", 1), Manipulation("level", 6)))
    side, louder = result.amounts
    assert (side.distance.n, louder.distance.n, result.failures) == (0, 8, ())
    assert math.isnan(side.kept.value)
    assert side.as_dict()["kept"] == {"value": None, "low": None, "high": None, "n": 0}
    json.dumps(result.as_dict(), allow_nan=False)


def test_a_version_that_cannot_be_embedded_costs_only_itself(sounds: list[Sound], tmp_path: Path) -> None:
    calls = []

    def frail(samples: Samples, rate_hz: float) -> Vector:
        calls.append(samples.size)
        vector = by_pitch(samples, rate_hz)
        if len(calls) == 2:
            raise KeyError("a fault")
        return vector * {3: np.nan, 4: 0}.get(len(calls), 1)

    vectors = catalogue_of(by_pitch, sounds)
    rng = np.random.default_rng(0)
    changes = tuple(Manipulation("level", g) for g in (-3, 3, 9))
    result = measure_sensitivity(
        sounds, vectors, frail, tmp_path / "c", rng, manipulations=changes, recipe=RECIPE, workers=0
    )
    assert [a.distance.n for a in result.amounts] == [7, 7, 7]
    assert ["KeyError" in f.cause or "zero or not finite" in f.cause for f in result.failures] == [True] * 3
    assert result.failures[0].path.endswith("0.wav (level -3 dB)")


def test_a_run_that_was_ended_goes_on_where_it_stood(sounds: list[Sound], tmp_path: Path) -> None:
    """First while changing, then while embedding; nothing is made twice, and the figures are those of one run."""
    whole = measured(sounds, by_pitch, tmp_path / "one")
    vectors, cache, asked = catalogue_of(by_pitch, sounds), tmp_path / "two", []

    def run(embed: Callable[[Samples, float], Vector], progress: Callable[[Progress], None]) -> Sensitivity:
        rng = np.random.default_rng(0)
        return measure_sensitivity(
            sounds, vectors, embed, cache, rng, manipulations=CHANGES, recipe=RECIPE, k=2, digest="d", workers=0,
            progress=progress,
        )  # fmt: skip

    def stop_at(stage: str, done: int) -> Callable[[Progress], None]:
        def progress(at: Progress) -> None:
            if at.stage == stage and at.done >= done:
                raise KeyboardInterrupt

        return progress

    def counted(samples: Samples, rate_hz: float) -> Vector:
        asked.append(1)
        return by_pitch(samples, rate_hz)

    with pytest.raises(KeyboardInterrupt):
        run(counted, stop_at("change", 3))
    kept = {p: p.stat().st_mtime_ns for p in cache.rglob("*.flac")}
    assert len(kept) == 3 * 4  # of three tracks the excerpt, tempo, pitch and side
    assert not asked
    with pytest.raises(KeyboardInterrupt):
        run(counted, stop_at("embed", 2 * (1 + len(CHANGES))))
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert len(asked) == 2 * (1 + len(CHANGES))
    last: list[Progress] = []
    result = run(counted, last.append)
    assert len(asked) == len(sounds) * (1 + len(CHANGES))
    assert last[-1] == Progress("embed", len(asked), len(asked), 0)
    assert (result.baseline, result.amounts) == (whole.baseline, whole.amounts)
    run(counted, last.append)
    assert len(asked) == len(sounds) * (1 + len(CHANGES)), "kept vectors are not made again"


def test_kept_versions_are_the_sound_within_101_db_of_its_peak(sounds: list[Sound], tmp_path: Path) -> None:
    changes = (Manipulation("tempo", 0.8), Manipulation("side", 1), Manipulation("pink noise", 10))
    made = make_versions(sounds[:1], changes, tmp_path / "c", RECIPE, workers=0)
    store, content = VersionStore.at(tmp_path / "c", RECIPE), made.contents["t0"]
    channels = middle(sounds[0].path, 1.5)
    assert channels.shape == (72_000, 2)
    for change in (None, *changes[:2]):
        kept, exact = store.read(content, change), version_of(channels, change)
        assert kept is not None
        assert exact is not None
        assert kept.size == exact.size == (30_000 if change == changes[0] else 24_000)
        assert level(kept - exact) < 10 ** (-98 / 20) * np.abs(exact).max()
    whole = audio.load(sounds[0].path, RATE_HZ, 0.25, 1.5)
    unchanged = store.read(content, None)
    assert unchanged is not None
    assert np.abs(unchanged - whole)[200:-200].max() < 1e-3 * np.abs(whole).max()  # the middle, at the usual rate
    noisy = [store.read(content, changes[2], seed) for seed in (0, 0, 1)]
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])
    assert Recipe(1.5).digest != Recipe(2.0).digest


def test_the_curve_runs_through_the_baseline(sounds: list[Sound], tmp_path: Path) -> None:
    changes = (Manipulation("level", 6), Manipulation("level", -12), Manipulation("white noise", 10))
    result = measured(sounds, by_level, tmp_path / "cache", changes)
    assert [a.amount for a in result.curve("level")] == [-12, 0, 6]
    assert [a.amount for a in result.curve("white noise")] == [10, math.inf]
    assert result.curve("white noise")[1].as_dict()["amount"] is None
    assert result.curve("level")[1].recall_at_1 == result.baseline.recall_at_1


def test_sounds_are_drawn_from_what_the_catalogue_and_the_manifest_share(tmp_path: Path) -> None:
    manifest = Manifest("m", tmp_path, tuple(Track(id=f"t{n}", path=f"{n}.wav") for n in range(9)))
    ids = [f"t{n}" for n in range(3, 15)]
    drawn = draw_sounds(manifest, ids, 4, np.random.default_rng(0))
    assert drawn == draw_sounds(manifest, ids, 4, np.random.default_rng(0))
    assert len(drawn) == 4
    for sound in draw_sounds(manifest, ids, 99, np.random.default_rng(1)):
        assert ids[sound.row] == sound.id
        assert sound.path == str(tmp_path / f"{sound.id[1:]}.wav")
    assert len(draw_sounds(manifest, ids, 99, np.random.default_rng(1))) == 6
    with pytest.raises(SpaceError, match=r"shares no id with manifest 'm' \(its first is 'other'\)"):
        draw_sounds(manifest, ["other"], 4, np.random.default_rng(0))


def test_what_cannot_be_asked_is_refused(sounds: list[Sound], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, good = np.random.default_rng(0), np.eye(8, 3, dtype=np.float32)
    changes = (Manipulation("level", 3),)

    def ask(sounds: list[Sound], vectors: npt.NDArray[np.float32]) -> Sensitivity:
        return measure_sensitivity(
            sounds, vectors, by_pitch, tmp_path / "c", rng, manipulations=changes, recipe=RECIPE, workers=0
        )

    for bad in (good[:2], np.full((8, 3), np.nan, np.float32), np.ones(8, np.float32)):
        with pytest.raises(SpaceError, match="at least three"):
            ask(sounds, bad)
    with pytest.raises(SpaceError, match="alike"):
        ask(sounds, np.ones((8, 3), np.float32))
    with pytest.raises(SpaceError, match="named twice"):
        ask([sounds[0], sounds[0]], good)
    with pytest.raises(SpaceError, match="not in the catalogue"):
        ask([replace(sounds[0], row=8)], good)
    with pytest.raises(SpaceError, match=r"shape \(3,\), the catalogue's are \(5,\)"):
        ask(sounds, np.eye(8, 5, dtype=np.float32))
    with pytest.raises(SpaceError, match="none of 1 tracks"):
        ask([replace(sounds[0], path=str(tmp_path / "gone.wav"))], good)
    with pytest.raises(ManipulationError, match="excerpt"):
        Recipe(excerpt_s=0.5)


def test_a_missing_library_is_said_before_any_work(
    sounds: list[Sound], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise ManipulationError("tempo", "is not installed", "pip install 'nearfield[audit]'")

    monkeypatch.setitem(KINDS, "tempo", replace(KINDS["tempo"], library=gone))  # type: ignore[arg-type]
    with pytest.raises(ManipulationError, match="audit"):
        make_versions(sounds, [Manipulation("tempo", 0.8)], tmp_path / "c", RECIPE, workers=0)
    assert not (tmp_path / "c").exists()


def test_the_median_has_an_interval() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        found = bootstrap_median(np.random.default_rng(seed).normal(3, 1, 61), rng, rounds=300)
        inside += found.low <= 3 <= found.high
    assert 180 <= inside <= 199
    assert bootstrap_median([5, 1, 9], rng).value == 5
    assert math.isnan(bootstrap_median([], rng).value)
