"""Estimates of a catalogue: right, resumed, and stopped by no file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from nearfield.data.band import Factors, render
from nearfield.data.manifest import Manifest
from nearfield.data.track import Track
from nearfield.errors import AudioError
from nearfield.study import estimate
from nearfield.study.estimate import EstimateProgress, estimate_file, estimate_manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("estimates")
    for name, tempo_bpm, key in (("a", 100.0, "D major"), ("b", 132.0, "G major")):
        sound = render(Factors(style="rock", tempo_bpm=tempo_bpm, key=key, duration_s=12.0), 22050)
        soundfile.write(root / f"{name}.wav", sound, 22050)
    (root / "broken.wav").write_bytes(b"RIFF and nothing more")
    soundfile.write(root / "silent.wav", np.zeros(22050 * 2), 22050)
    return root


def manifest(root: Path, *names: str) -> Manifest:
    return Manifest("m", root, tuple(Track(name, f"{name}.wav") for name in names))


def test_tempo_and_key_of_files_and_a_bad_file_is_listed(folder: Path) -> None:
    told: list[EstimateProgress] = []
    found = estimate_manifest(manifest(folder, "a", "broken", "b", "gone", "silent"), workers=0, progress=told.append)
    a, broken, b, gone, silent = found.estimates
    assert a is not None
    assert b is not None
    assert a.tempo_bpm is not None
    assert np.log2(a.tempo_bpm / 100) % 1 == pytest.approx(0, abs=0.01) or a.tempo_bpm == pytest.approx(100, rel=0.01)
    assert b.tempo_bpm == pytest.approx(132, rel=0.01)
    assert (broken, gone, silent) == (None, None, None)
    assert sorted(Path(f.path).stem for f in found.failures) == ["broken", "gone", "silent"]
    assert told[-1] == EstimateProgress(5, 5, 3)
    assert -60 < a.level_db < 0
    assert 6 < a.centroid_octaves < 13


def test_a_run_goes_on_where_it_was_killed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "estimates.bin"
    whole = estimate_manifest(manifest(folder, "a", "b"), cache, workers=0)
    assert (whole.known, whole.failures) == (0, ())
    cache.write_bytes(cache.read_bytes()[:-5])  # the second record is torn
    opened: list[str] = []
    real = estimate.estimate_file
    monkeypatch.setattr(estimate, "estimate_file", lambda path: opened.append(Path(path).stem) or real(path))
    again = estimate_manifest(manifest(folder, "a", "b"), cache, workers=0)
    assert again.estimates == whole.estimates
    assert (again.known, opened) == (1, ["b"])
    assert estimate_manifest(manifest(folder, "b", "a"), cache, workers=0).estimates == whole.estimates[::-1]
    assert opened == ["b"]


def test_a_moved_file_is_known_by_its_content_and_a_changed_one_is_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, place = tmp_path / "estimates.bin", tmp_path / "x.wav"
    place.write_bytes((folder / "a.wav").read_bytes())
    first = estimate_manifest(manifest(folder, "a"), cache, workers=0).estimates
    opened: list[str] = []
    real = estimate.estimate_file
    monkeypatch.setattr(estimate, "estimate_file", lambda path: opened.append(Path(path).stem) or real(path))
    assert estimate_manifest(manifest(tmp_path, "x"), cache, workers=0).estimates == first
    assert opened == []
    place.write_bytes((folder / "b.wav").read_bytes()[:-4])
    assert estimate_manifest(manifest(tmp_path, "x"), cache, workers=0).estimates != first
    assert opened == ["x"]


def test_estimates_of_older_estimators_are_made_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "estimates.bin"
    estimate_manifest(manifest(folder, "a"), cache, workers=0)
    monkeypatch.setattr(estimate, "_ESTIMATORS", 10**6)
    assert estimate_manifest(manifest(folder, "a"), cache, workers=0).known == 0


def test_processes_find_the_same(folder: Path) -> None:
    alone = estimate_manifest(manifest(folder, "a", "broken"), workers=0)
    spread = estimate_manifest(manifest(folder, "a", "broken"), workers=1)
    assert spread.estimates == alone.estimates
    assert [f.cause for f in spread.failures] == [f.cause for f in alone.failures]


def test_only_the_middle_of_a_long_file_is_read(folder: Path, tmp_path: Path) -> None:
    sound, rate = soundfile.read(folder / "b.wav")
    rng = np.random.default_rng(0)
    noise = 0.5 * rng.standard_normal(rate * 20)
    soundfile.write(tmp_path / "long.wav", np.concatenate([noise, sound, noise]).clip(-1, 1), rate)
    middle = estimate_file(tmp_path / "long.wav", longest_s=12.0)
    alone = estimate_file(folder / "b.wav")
    assert middle.level_db == pytest.approx(alone.level_db, abs=0.1)
    assert middle.tempo_bpm == pytest.approx(alone.tempo_bpm, rel=0.01)
    assert middle.key == alone.key


def test_a_file_too_short_is_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.full(8000, 0.1), 16000)
    with pytest.raises(AudioError, match=r"too short \(0.50 s\)"):
        estimate_file(tmp_path / "short.wav")
