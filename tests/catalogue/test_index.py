"""Indexing: what is read again and what is not, what fails, and what is left when it is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from conftest import RATE_HZ, tone_track, write_tiny_model
from nearfield.catalogue import embed
from nearfield.catalogue.embed import (
    IndexInterrupted,
    IndexProgress,
    IndexResult,
    index_folder,
    index_manifest,
)
from nearfield.catalogue.encoder import load_model
from nearfield.catalogue.space import open_space
from nearfield.data.manifest import Manifest
from nearfield.data.track import Track
from nearfield.errors import CorpusError, SpaceError

Index = Callable[..., IndexResult]


@pytest.fixture
def index(tiny_model: Path, tmp_path: Path) -> Index:
    """`index_folder` with the tiny model, in this process, into S."""

    def call(folder: Path, **more: Any) -> IndexResult:
        return index_folder(folder, tmp_path / "S", **{"model": tiny_model, "workers": 0, **more})

    return call


def counts(result: IndexResult) -> dict[str, int]:
    names = ("added", "updated", "unchanged", "moved", "removed", "missing")
    return {n: getattr(result, n) for n in names if getattr(result, n)}


def vectors(space: Path) -> dict[str, bytes]:
    opened = open_space(space)
    return {t.path: v.tobytes() for t, v in zip(opened.tracks, opened.vectors, strict=True)}


def reading_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, task: Any) -> None:
        raise AssertionError(f"{task.path} was read")

    monkeypatch.setattr(embed.TrackReader, "__call__", fail)


def test_a_folder(index: Index, library: Path, tmp_path: Path, tiny_model: Path) -> None:
    told: list[IndexProgress] = []
    result = index(library, progress=told.append)
    assert counts(result) == {"added": 6}
    assert (result.failures, result.notes, result.n_tracks) == ((), (), 6)
    assert told == [IndexProgress(i, 6, 0, 0) for i in range(7)]
    space = open_space(tmp_path / "S")
    assert space.ids == [str(library / n) for n in ("a.wav", "b.flac", "c.ogg", "d.wav", "e.flac", "more/f.ogg")]
    assert [t.id for t in space.tracks][-1] == "more/f.ogg"
    assert [t.duration_s for t in space.tracks] == [12.0] * 6
    assert space.table["n_slices"].to_pylist() == [7] * 6
    assert space.meta.roots == (str(library),)
    model = load_model(tiny_model)
    for track, vector in zip(space.tracks, space.vectors, strict=True):
        assert np.array_equal(vector, model.embed_file(track.path).vector)


def test_workers_change_nothing(index: Index, library: Path, tmp_path: Path) -> None:
    index(library)
    alone = vectors(tmp_path / "S")
    shutil.rmtree(tmp_path / "S")
    index(library, workers=2)
    assert vectors(tmp_path / "S") == alone


def test_unchanged_files_are_not_opened(index: Index, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = index(library)
    reading_is_an_error(monkeypatch)
    again = index(library)
    assert counts(again) == {"unchanged": 6}
    assert again.space_id == first.space_id


def test_unchanged_writes_nothing(index: Index, library: Path, tmp_path: Path) -> None:
    home = tmp_path / "S" / index(library).space_id
    before = {p.name: p.stat().st_mtime_ns for p in home.iterdir()}
    index(library)
    assert {p.name: p.stat().st_mtime_ns for p in home.iterdir()} == before


def test_touched_changed_moved_removed(
    index: Index, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library)
    before = vectors(tmp_path / "S")
    os.utime(library / "a.wav", ns=(1, 1))
    soundfile.write(library / "b.flac", tone_track(77), RATE_HZ)
    (library / "c.ogg").rename(library / "more" / "moved.ogg")
    (library / "d.wav").unlink()
    shutil.copy(library / "e.flac", library / "copy.flac")
    read: list[str] = []
    embed_file = embed.Encoder.embed_file

    def noted(self: embed.Encoder, path: str | Path, slices: embed.Slices = 8) -> Any:
        read.append(str(path))
        return embed_file(self, path, slices)

    monkeypatch.setattr(embed.Encoder, "embed_file", noted)
    result = index(library)
    assert counts(result) == {"unchanged": 3, "updated": 1, "moved": 1, "missing": 1, "added": 1}
    assert read == [str(library / "b.flac")]  # all else is known by its content
    after = vectors(tmp_path / "S")
    assert after[str(library / "a.wav")] == before[str(library / "a.wav")]
    assert after[str(library / "b.flac")] != before[str(library / "b.flac")]
    assert after[str(library / "more/moved.ogg")] == before[str(library / "c.ogg")]
    assert after[str(library / "d.wav")] == before[str(library / "d.wav")]
    assert after[str(library / "copy.flac")] == before[str(library / "e.flac")]
    assert str(library / "c.ogg") not in after
    moved = next(t for t in open_space(tmp_path / "S").tracks if t.path.endswith("moved.ogg"))
    assert (moved.id, moved.duration_s) == ("more/moved.ogg", 12.0)
    assert counts(index(library, prune=True)) == {"unchanged": 6, "removed": 1}
    assert str(library / "d.wav") not in vectors(tmp_path / "S")


def test_swapped_names(index: Index, library: Path, tmp_path: Path) -> None:
    index(library)
    before = vectors(tmp_path / "S")
    a, d, aside = library / "a.wav", library / "d.wav", library / "aside"
    a.rename(aside), d.rename(a), aside.rename(d)
    os.utime(a, ns=(5, 5)), os.utime(d, ns=(6, 6))
    assert counts(index(library)) == {"updated": 2, "unchanged": 4}
    after = vectors(tmp_path / "S")
    assert (after[str(a)], after[str(d)]) == (before[str(d)], before[str(a)])


def test_a_moved_library(index: Index, library: Path, tmp_path: Path) -> None:
    index(library)
    library.rename(tmp_path / "elsewhere")
    assert counts(index(tmp_path / "elsewhere")) == {"moved": 6}
    assert open_space(tmp_path / "S").meta.roots == (str(tmp_path / "elsewhere"),)


def test_several_folders_in_one_space(index: Index, library: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    soundfile.write(other / "x.wav", tone_track(50), RATE_HZ)
    (other / "bad.wav").write_text("text")
    index(library)
    assert counts(index(other)) == {"added": 1}
    (library / "a.wav").unlink()
    assert counts(index(other, prune=True)) == {"unchanged": 1}  # the other folder is not its business
    space = open_space(tmp_path / "S")
    assert len(space) == 7
    assert space.meta.roots == (str(library), str(other))
    index(library)
    assert [f.path for f in open_space(tmp_path / "S").meta.failures] == [str(other / "bad.wav")]
    (other / "bad.wav").unlink()
    index(other)
    assert open_space(tmp_path / "S").meta.failures == ()


def test_another_model_or_slicing_is_another_space(index: Index, library: Path, tmp_path: Path) -> None:
    first = index(library)
    before = vectors(tmp_path / "S")
    second = index(library, model=write_tiny_model(tmp_path / "other.onnx", seed=1, dimensions=16))
    third = index(library, slices="all")
    assert len({first.space_id, second.space_id, third.space_id}) == 3
    assert open_space(tmp_path / "S").meta.id == third.space_id
    assert open_space(tmp_path / "S", second.space_id).vectors.shape == (6, 16)
    assert index(library).unchanged == 6
    assert vectors(tmp_path / "S") == before


def test_bad_files_are_listed(index: Index, library: Path, tmp_path: Path) -> None:
    silence = np.zeros(48_000, np.float32)
    (library / "empty.mp3").touch()
    (library / "text.mp3").write_text("not sound at all\n" * 100)
    (library / "cut.flac").write_bytes((library / "b.flac").read_bytes()[:200])
    soundfile.write(library / "silent.wav", silence, RATE_HZ)
    soundfile.write(library / "one.wav", silence[:1], RATE_HZ)
    soundfile.write(library / "nan.wav", np.full(48_000, np.nan, np.float32), RATE_HZ, "FLOAT")
    os.mkfifo(library / "pipe.wav")
    (library / "dangling.ogg").symlink_to("nowhere.ogg")
    result = index(library)
    failed = {Path(f.path).name: f.cause for f in result.failures}
    assert counts(result) == {"added": 6}
    assert set(failed) >= {
        "empty.mp3",
        "text.mp3",
        "cut.flac",
        "silent.wav",
        "one.wav",
        "nan.wav",
        "dangling.ogg",
    }
    assert failed["empty.mp3"] == "the file is empty (0 bytes)"
    assert failed["silent.wav"] == "silent (below -80 dB in every slice)"
    assert failed["one.wav"].startswith("too short")
    assert "NaN" in failed["nan.wav"]
    assert all(f.cause and f.remedy for f in result.failures)
    assert open_space(tmp_path / "S").meta.failures == result.failures


def test_a_file_that_goes_bad_keeps_its_vector(index: Index, library: Path, tmp_path: Path) -> None:
    index(library)
    before = vectors(tmp_path / "S")
    (library / "a.wav").write_bytes(b"garbage")
    result = index(library)
    assert [f.path for f in result.failures] == [str(library / "a.wav")]
    assert vectors(tmp_path / "S") == before


def test_files_out_of_reach_are_not_gone(
    index: Index, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library)
    (library / "more").rename(library / ".more")
    lstat = os.lstat

    def refused(path: str | Path) -> os.stat_result:
        if os.sep + "more" + os.sep in str(path):
            raise PermissionError(13, "Permission denied")
        return lstat(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", refused)
        assert counts(index(library, prune=True)) == {"unchanged": 5}
    assert len(open_space(tmp_path / "S")) == 6
    assert counts(index(library, prune=True)) == {"unchanged": 5, "removed": 1}


def test_nothing_to_index(index: Index, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpaceError, match="no sound files found"):
        index(tmp_path / "empty")
    (tmp_path / "empty" / "x.mp3").write_text("text")
    with pytest.raises(SpaceError, match="none of its 1 sound files can be read"):
        index(tmp_path / "empty")
    with pytest.raises(CorpusError, match="no such folder"):
        index(tmp_path / "none")
    with pytest.raises(SpaceError, match="take 1 to 1000"):
        index(tmp_path / "empty", slices=0)


def test_odd_names(index: Index, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xffsik\n"))
    folder.mkdir()
    names = ["new\nline.wav", "latin\udce4.wav", "#x.wav", " space .wav", "Füße.wav", "[bold]x.wav"]
    for seed, name in enumerate(names):
        with open(folder / name, "wb") as file:
            soundfile.write(file, tone_track(seed, 3.0), RATE_HZ, format="WAV")
    (folder / "bad\udcfe.wav").write_text("text")
    for workers in (0, 2):
        shutil.rmtree(tmp_path / "S", ignore_errors=True)
        result = index(folder, workers=workers)
        assert counts(result) == {"added": 6}
        assert result.failures[0].path.endswith("bad\\xfe.wav")
        space = open_space(tmp_path / "S")
        assert sorted(space.ids) == sorted(str(folder / n) for n in names)
        assert space.meta.roots == (str(folder),)
        assert counts(index(folder)) == {"unchanged": 6}
        assert {n.path for n in space.neighbours(str(folder / names[1]), k=9)} == {
            str(folder / n) for n in names if n != names[1]
        }


class CrashingReader(embed.TrackReader):
    """Dies on some files, as a decoder does that is led astray."""

    def __call__(self, task: Any) -> Any:
        if task.path.endswith("crash.wav"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(task)


def test_a_crash_costs_one_file(index: Index, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(library / "a.wav", library / "crash.wav")
    monkeypatch.setattr(embed, "TrackReader", CrashingReader)
    result = index(library, workers=2)
    assert counts(result) == {"added": 6}
    assert [(Path(f.path).name, f.cause) for f in result.failures] == [
        ("crash.wav", "the process reading it was ended by SIGKILL")
    ]


def test_interrupted_keeps_what_is_done(index: Index, library: Path, tmp_path: Path) -> None:
    def stop(now: IndexProgress) -> None:
        if now.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(IndexInterrupted) as stopped:
        index(library, progress=stop)
    assert stopped.value.result.n_tracks == 3
    assert len(open_space(tmp_path / "S")) == 3
    assert counts(index(library)) == {"added": 3, "unchanged": 3}


def run_until_some_are_done(folder: Path, space: Path, model: Path, stop_with: int) -> tuple[int, str]:
    """Index in a process of its own, stop it with a signal; its exit code and standard error."""
    command = [sys.executable, "-m", "nearfield.cli", "index", folder, "--space", space, "--model", model]
    process = subprocess.Popen(
        [*map(str, command), "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # started in the background, these tests are deaf to it, and so would be what they start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for _ in range(3000):
        if sum(p.stat().st_size for p in space.glob("*/journal-0.bin")) > 2500:  # three records or more
            break
        time.sleep(0.01)
    os.killpg(process.pid, stop_with) if stop_with == signal.SIGINT else process.send_signal(stop_with)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


@pytest.mark.parametrize("stop_with", [signal.SIGKILL, signal.SIGINT])
def test_stopped_anywhere_it_goes_on(index: Index, tiny_model: Path, tmp_path: Path, stop_with: int) -> None:
    folder, space = tmp_path / "many", tmp_path / "S"
    folder.mkdir()
    n = 80  # enough for a signal that comes late
    for seed in range(n):
        soundfile.write(folder / f"{seed}.wav", tone_track(seed, 6.0), RATE_HZ)
    code, errors = run_until_some_are_done(folder, space, tiny_model, stop_with)
    if stop_with == signal.SIGINT:
        assert code == 130, errors
        kept = len(open_space(space))
        assert (
            errors == f"nearfield: interrupted; {kept} tracks are in the space, the same command goes on from there\n"
        )
    else:
        assert code == -signal.SIGKILL, errors
        with pytest.raises(SpaceError, match="first indexing was interrupted"):
            open_space(space)
    result = index(folder)
    assert 3 <= result.unchanged < n
    assert result.unchanged + result.added == n
    if stop_with == signal.SIGKILL:
        assert result.notes == (f"took up {result.unchanged} tracks of an indexing that was interrupted",)
    continued = vectors(space)
    shutil.rmtree(space)
    index(folder)
    assert vectors(space) == continued


def test_a_manifest(library: Path, tmp_path: Path, tiny_model: Path) -> None:
    track = Track(id="anna", path="a.wav", title="Anna's", artist="Anna", content_hash="md5:0", package="p")
    manifest = Manifest("m", library, (track, Track(id="gone", path="gone.wav")))
    result = index_manifest(manifest, tmp_path / "S", model=tiny_model, workers=0)
    assert counts(result) == {"added": 1}
    assert [(Path(f.path).name, f.cause) for f in result.failures] == [("gone.wav", "No such file or directory")]
    (found,) = open_space(tmp_path / "S").tracks
    expected = replace(
        track,
        path=str(library / "a.wav"),
        duration_s=12.0,
        content_hash=embed.content_hash(library / "a.wav"),
    )
    assert found == expected
