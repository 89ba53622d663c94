"""The store: crash-safe, verified, and the same numbers back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import tone_track
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.melstore import MelStore, StoreWriter
from nearfield.data.prepare import Progress, prepare, track_frames
from nearfield.data.track import Track
from nearfield.errors import AudioError, NearfieldError, StoreError
from nearfield.sound.mel import MelConfig, log_mel


def frames(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 6, (n, 96)).astype(np.float16)


def small_store(folder: Path, sizes: list[int], shard_bytes: int = 1 << 30) -> Path:
    tracks = tuple(Track(f"t{i}", f"{i}.ogg", package=f"p{i % 3}") for i in range(len(sizes)))
    with StoreWriter(folder, shard_bytes=shard_bytes) as writer:
        for i, (track, size) in enumerate(zip(tracks, sizes, strict=True)):
            writer.append(track, frames(i, size))
    write_manifest(Manifest("small", folder, tracks), folder / "manifest.parquet")
    return folder


def test_what_goes_in_comes_out_across_shards(tmp_path: Path) -> None:
    sizes = [400, 10, 700, 333, 1]
    store = MelStore(small_store(tmp_path / "s", sizes, shard_bytes=500 * 192))
    assert len(list((tmp_path / "s").glob("shard-*.f16"))) == 3
    assert [e.frames for e in store.entries] == sizes
    assert store.nbytes == sum(sizes) * 192
    for i, part in enumerate(store.read([4, 0, 2, 1, 3])):
        assert np.array_equal(part, frames([4, 0, 2, 1, 3][i], sizes[[4, 0, 2, 1, 3][i]]))
    assert store.verify() == []


def test_groups_follow_the_file_and_the_budget(tmp_path: Path) -> None:
    store = MelStore(small_store(tmp_path / "s", [100] * 10))
    assert store.groups(range(10), 1 << 30) == [list(range(10))]
    assert store.groups([7, 1, 5, 3], 250 * 192) == [[1, 3], [5, 7]]


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    folder = small_store(tmp_path / "s", [50, 60, 70])
    data = bytearray((folder / "shard-0000.f16").read_bytes())
    data[60 * 192] ^= 1
    (folder / "shard-0000.f16").write_bytes(bytes(data))
    assert [f.path for f in MelStore(folder).verify()] == ["t1"]


def test_a_torn_end_is_cut_off_and_written_again(tmp_path: Path) -> None:
    folder = small_store(tmp_path / "s", [50, 60])
    with (folder / "shard-0000.f16").open("ab") as shard:
        shard.write(b"half a track")
    with (folder / "index.jsonl").open("ab") as index:
        index.write(b'{"id": "t2", "content')
    assert len(MelStore(folder)) == 2
    with StoreWriter(folder) as writer:
        writer.append(Track("t2", "2.ogg"), frames(2, 70))
        assert set(writer.entries) == {"t0", "t1", "t2"}
    assert (folder / "shard-0000.f16").stat().st_size == 180 * 192


def test_a_store_cut_short_says_so(tmp_path: Path) -> None:
    folder = small_store(tmp_path / "s", [50, 60])
    os.truncate(folder / "shard-0000.f16", 100 * 192)
    with pytest.raises(StoreError, match="shorter than the index says"):
        MelStore(folder)


def test_other_things_are_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a log-mel store"):
        MelStore(tmp_path)
    folder = small_store(tmp_path / "s", [50])
    with pytest.raises(StoreError, match="another front end"):
        StoreWriter(folder, MelConfig(hop=320))
    (folder / "store.json").write_text('{"format": 99}')
    with pytest.raises(StoreError, match="format is 99, this version reads 1"):
        MelStore(folder)


def test_frames_of_the_wrong_shape_are_refused(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s") as writer, pytest.raises(ValueError, match="float16"):
        writer.append(Track("a", "a"), np.zeros((10, 95), np.float16))


def corpus(folder: Path, n: int, seconds: float = 4.0) -> Manifest:
    folder.mkdir(exist_ok=True)
    for i in range(n):
        soundfile.write(folder / f"{i}.wav", tone_track(i, seconds), 16_000)
    return Manifest("tones", folder, tuple(Track(f"t{i}", f"{i}.wav") for i in range(n)))


def test_prepare_lists_failures_and_continues(tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "music", 4)
    (tmp_path / "music/1.wav").write_bytes(b"nothing")
    soundfile.write(tmp_path / "music/2.wav", np.zeros(64_000), 16_000)
    seen: list[Progress] = []
    result = prepare(manifest, tmp_path / "store", workers=2, progress=seen.append)
    assert (result.prepared, result.already_there, len(result.failures)) == (2, 0, 2)
    assert sorted(f.cause for f in result.failures) == [
        "not a sound file that can be read",
        "silent from beginning to end",
    ]
    assert [p.done for p in seen] == [1, 2, 3, 4]
    assert result.audio_s == pytest.approx(2 * 4.01, abs=0.02)
    soundfile.write(tmp_path / "music/1.wav", tone_track(1, 4.0), 16_000)
    again = prepare(manifest, tmp_path / "store", workers=1)
    assert (again.prepared, again.already_there, len(again.failures)) == (1, 2, 1)
    store = MelStore(tmp_path / "store")
    wanted = log_mel(soundfile.read(tmp_path / "music/3.wav", dtype="float32")[0]).T.astype(np.float16)
    given = store.frames([t.id for t in store.tracks].index("t3"))
    assert np.abs(given.astype(float) - wanted.astype(float)).max() <= 0.004


def test_a_changed_file_is_prepared_again_when_its_hash_says_so(tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "music", 1)
    hashed = Manifest("tones", manifest.root, (Track("t0", "0.wav", content_hash="1"),))
    prepare(hashed, tmp_path / "store", workers=1)
    changed = Manifest("tones", manifest.root, (Track("t0", "0.wav", content_hash="2"),))
    assert prepare(changed, tmp_path / "store", workers=1).prepared == 1
    assert len(MelStore(tmp_path / "store")) == 1


def test_too_short_and_constant_sound_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", np.array([0.5]), 16_000)
    with pytest.raises(AudioError, match="too short"):
        track_frames(str(tmp_path / "one.wav"))
    soundfile.write(tmp_path / "dc.wav", np.full(32_000, 0.5), 16_000)
    with pytest.raises(AudioError, match="silent"):
        track_frames(str(tmp_path / "dc.wav"))


_KILLED = """
import sys
from pathlib import Path
from nearfield.data.manifest import read_manifest
from nearfield.data.prepare import prepare
if __name__ == "__main__":
    prepare(read_manifest(Path(sys.argv[1])), Path(sys.argv[2]), workers=1)
"""


def test_a_kill_at_any_moment_loses_only_what_was_in_hand(tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "music", 12, seconds=20.0)
    write_manifest(manifest, tmp_path / "m.parquet")
    script = tmp_path / "run.py"
    script.write_text(_KILLED)
    index = tmp_path / "store/index.jsonl"
    for wanted in (2, 5):
        run = subprocess.Popen(
            [sys.executable, script, tmp_path / "m.parquet", tmp_path / "store"], start_new_session=True
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and run.poll() is None:
            if index.exists() and index.read_bytes().count(b"\n") >= wanted:
                break
            time.sleep(0.005)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        assert index.read_bytes().count(b"\n") >= wanted
    prepare(manifest, tmp_path / "store", workers=1)
    prepare(manifest, tmp_path / "straight", workers=1)
    killed, straight = MelStore(tmp_path / "store"), MelStore(tmp_path / "straight")
    assert len(killed) == 12
    assert killed.verify() == []
    order = [t.id for t in killed.tracks]
    for n, track in enumerate(straight.tracks):
        assert np.array_equal(straight.frames(n), killed.frames(order.index(track.id)))


def test_a_full_disk_keeps_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StoreWriter(tmp_path / "s") as writer:
        writer.append(Track("t0", "0"), frames(0, 50))

        def full(fd: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device"):
            writer.append(Track("t1", "1"), frames(1, 50))
        monkeypatch.undo()
    with StoreWriter(tmp_path / "s") as writer:
        assert set(writer.entries) == {"t0"}
        writer.append(Track("t1", "1"), frames(1, 50))
    write_manifest(Manifest("m", tmp_path, (Track("t0", "0"), Track("t1", "1"))), tmp_path / "s/manifest.parquet")
    assert MelStore(tmp_path / "s").verify() == []


def test_the_digest_is_of_the_content_not_of_the_order(tmp_path: Path) -> None:
    tracks = tuple(Track(f"t{i}", f"{i}") for i in range(3))
    digests = []
    for name, order in (("a", (0, 1, 2)), ("b", (2, 0, 1)), ("c", (0, 1))):
        with StoreWriter(tmp_path / name) as writer:
            for i in order:
                writer.append(tracks[i], frames(i, 50))
        write_manifest(Manifest("m", tmp_path, tracks), tmp_path / name / "manifest.parquet")
        digests.append(MelStore(tmp_path / name).digest())
    assert digests[0] == digests[1] != digests[2]


def test_two_writers_are_one_too_many(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s"), pytest.raises(StoreError, match="another nearfield is writing"):
        StoreWriter(tmp_path / "s")
    StoreWriter(tmp_path / "s").__exit__(None, None, None)


@pytest.mark.parametrize("loss", ["cut", "gone"])
def test_tracks_whose_bytes_are_lost_are_made_again(tmp_path: Path, loss: str) -> None:
    manifest = corpus(tmp_path / "music", 4)
    prepare(manifest, tmp_path / "store", workers=0)
    shard = tmp_path / "store/shard-0000.f16"
    if loss == "cut":
        os.truncate(shard, 500 * 192)
    else:
        shard.unlink()
    again = prepare(manifest, tmp_path / "store", workers=0)
    assert (again.prepared, again.already_there) == ((3, 1) if loss == "cut" else (4, 0))
    store = MelStore(tmp_path / "store")
    assert len(store) == 4
    assert store.verify() == []


@pytest.mark.parametrize(("offset", "silent"), [(0.9, True), (0.7, False)])
def test_an_offset_neither_makes_silence_audible_nor_drowns_what_is_faint(
    tmp_path: Path, offset: float, silent: bool
) -> None:
    faint = 0.0 if silent else 0.003 * np.sin(np.arange(64_000) * 0.3)
    soundfile.write(tmp_path / "x.wav", offset + faint * np.ones(64_000), 16_000, subtype="FLOAT")
    if silent:
        with pytest.raises(AudioError, match="silent"):
            track_frames(str(tmp_path / "x.wav"))
    else:
        assert track_frames(str(tmp_path / "x.wav")).shape == (401, 96)


def test_a_negative_number_of_workers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NearfieldError, match="-1 processes"):
        prepare(corpus(tmp_path / "music", 1), tmp_path / "store", workers=-1)
