"""A store that keeps spectra: the same numbers back, a kill at any moment, and stores without them left as they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data.test_melstore import corpus, frames, small_store
from nearfield.cli import main
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.melstore import MelStore, StoreWriter
from nearfield.data.pairs import MixedPairs, PairConfig, PairStream
from nearfield.data.prepare import prepare
from nearfield.data.track import Track
from nearfield.errors import StoreError
from nearfield.sound.audio import load
from nearfield.sound.spectra import stream_heard

BINS = 513


def amplitudes(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, 1]).uniform(0, 200, (n, BINS)).astype(np.float16)


def store_with(folder: Path, sizes: list[int], shard_bytes: int = 1 << 30, name: str = "small") -> MelStore:
    tracks = tuple(Track(f"t{i}", f"{i}.ogg", package=f"p{i % 3}") for i in range(len(sizes)))
    with StoreWriter(folder, shard_bytes=shard_bytes, spectra=True) as writer:
        for i, (track, size) in enumerate(zip(tracks, sizes, strict=True)):
            writer.append(track, frames(i, size), amplitudes(i, size))
    write_manifest(Manifest(name, folder, tracks), folder / "manifest.parquet")
    return MelStore(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name not in ("lock", "manifest.parquet")}


def test_what_goes_in_comes_out_across_shards(tmp_path: Path) -> None:
    sizes = [400, 10, 700, 333, 1]
    store = store_with(tmp_path / "s", sizes, shard_bytes=500 * 2 * BINS)
    spectra = store.spectra()
    assert len(list((tmp_path / "s").glob("spectra-*.f16"))) == 3
    assert spectra.nbytes == sum(sizes) * BINS * 2
    for i, part in zip((4, 0, 2, 1, 3), spectra.read([4, 0, 2, 1, 3]), strict=True):
        assert np.array_equal(part, amplitudes(i, sizes[i]))
        assert np.array_equal(store.frames(i), frames(i, sizes[i]))
    assert store.verify() == []


def test_log_mels_and_their_hash_are_those_of_a_store_without(tmp_path: Path) -> None:
    store_with(tmp_path / "with", [50, 60])
    small_store(tmp_path / "without", [50, 60])
    with_, without = contents(tmp_path / "with"), contents(tmp_path / "without")
    assert set(with_) - set(without) == {"spectra-0000.f16", "spectra.jsonl"}
    assert all(with_[name] == data for name, data in without.items() if name != "store.json")
    assert MelStore(tmp_path / "with").digest() == MelStore(tmp_path / "without").digest()


def test_prepared_spectra_are_those_of_the_sound(tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "music", 2, seconds=2.0)
    prepare(manifest, tmp_path / "store", workers=0, spectra=True)
    store = MelStore(tmp_path / "store")
    for n, track in enumerate(store.tracks):
        heard = next(stream_heard([load(manifest.locate(track), 16_000)]))
        kept = store.spectra().read([n])[0]
        assert np.abs(kept[:190].astype(float) - heard.amplitude[:190]).max() <= 0.001 * float(kept.max())
        assert kept.shape == (201, BINS)


def test_the_command_keeps_spectra_when_asked(tmp_path: Path) -> None:
    write_manifest(corpus(tmp_path / "music", 1, seconds=2.0), tmp_path / "m.parquet")
    words = ["prepare", str(tmp_path / "m.parquet"), str(tmp_path / "store"), "--workers", "0"]
    assert main(words) == 0
    assert not MelStore(tmp_path / "store").has_spectra
    assert main([*words, "--spectra"]) == 0
    assert len(MelStore(tmp_path / "store").spectra().entries) == 1


def test_a_store_gets_spectra_later_and_keeps_its_log_mels(tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "music", 3, seconds=2.0)
    prepare(manifest, tmp_path / "store", workers=0)
    before = contents(tmp_path / "store")
    with pytest.raises(StoreError, match=r"holds no spectra; run 'nearfield prepare' on it again with --spectra"):
        MelStore(tmp_path / "store").spectra()
    assert prepare(manifest, tmp_path / "store", workers=0, spectra=True).prepared == 3
    after = contents(tmp_path / "store")
    assert after["shard-0000.f16"] == before["shard-0000.f16"]
    assert after["index.jsonl"] == before["index.jsonl"]
    prepare(manifest, tmp_path / "straight", workers=0, spectra=True)
    assert contents(tmp_path / "straight") == after
    assert prepare(manifest, tmp_path / "store", workers=0, spectra=True).already_there == 3


def test_a_store_with_spectra_goes_on_with_them_unasked(tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "music", 2, seconds=2.0)
    first = Manifest("tones", manifest.root, tuple(manifest)[:1])
    prepare(first, tmp_path / "store", workers=0, spectra=True)
    assert prepare(manifest, tmp_path / "store", workers=0).prepared == 1
    assert len(MelStore(tmp_path / "store").spectra().entries) == 2


@pytest.mark.parametrize("moment", range(1, 13))
def test_a_stop_at_any_write_leaves_a_store_that_is_finished_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Each of three tracks is synced four times: spectrum, its line, log-mels, their line."""
    real, calls = os.fsync, 0

    class Stopped(BaseException):
        pass

    def stop(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == moment:
            raise Stopped
        real(fd)

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(Stopped):
        store_with(tmp_path / "s", [50, 60, 70])
    monkeypatch.undo()
    tracks = [Track(f"t{i}", f"{i}.ogg", package=f"p{i % 3}") for i in range(3)]
    with StoreWriter(tmp_path / "s") as writer:
        assert sum(map(writer.holds, tracks)) in ((moment - 1) // 4, (moment - 1) // 4 + 1)
        for i, track in enumerate(tracks):
            if not writer.holds(track):
                writer.append(track, frames(i, 50 + 10 * i), amplitudes(i, 50 + 10 * i))
    store_with(tmp_path / "straight", [50, 60, 70])
    assert contents(tmp_path / "s") == contents(tmp_path / "straight")


_KILLED = """
import sys
from pathlib import Path
from nearfield.data.manifest import read_manifest
from nearfield.data.prepare import prepare
prepare(read_manifest(Path(sys.argv[1])), Path(sys.argv[2]), workers=0, spectra=True)
"""


def test_a_kill_loses_only_what_was_in_hand(tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "music", 8, seconds=8.0)
    write_manifest(manifest, tmp_path / "m.parquet")
    run = subprocess.Popen([sys.executable, "-c", _KILLED, tmp_path / "m.parquet", tmp_path / "store"])
    index, deadline = tmp_path / "store/spectra.jsonl", time.monotonic() + 60
    while time.monotonic() < deadline and run.poll() is None:
        if index.exists() and index.read_bytes().count(b"\n") >= 2:
            break
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert index.read_bytes().count(b"\n") >= 2
    again = prepare(manifest, tmp_path / "store", workers=0, spectra=True)
    assert again.already_there >= 1
    prepare(manifest, tmp_path / "straight", workers=0, spectra=True)
    assert contents(tmp_path / "store") == contents(tmp_path / "straight")


def test_damage_is_found(tmp_path: Path) -> None:
    store = store_with(tmp_path / "s", [50, 60, 70])
    file = tmp_path / "s/spectra-0000.f16"
    data = bytearray(file.read_bytes())
    data[60 * 2 * BINS] ^= 1
    file.write_bytes(bytes(data))
    assert [f.path for f in store.verify()] == ["t1"]
    os.truncate(file, 100 * 2 * BINS)
    with pytest.raises(StoreError, match="shorter than the index says"):
        MelStore(tmp_path / "s").spectra()
    lines = (tmp_path / "s/spectra.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "s/spectra.jsonl").write_text("".join(lines[:1]))
    with pytest.raises(StoreError, match="2 of its 3 tracks have no spectra; run 'nearfield prepare'"):
        MelStore(tmp_path / "s").spectra()
    assert [f.cause for f in MelStore(tmp_path / "s").verify()] == ["2 of its 3 tracks have no spectra"]
    (tmp_path / "s/store.json").write_text((tmp_path / "s/store.json").read_text().replace("513", "257"))
    with pytest.raises(StoreError, match="its spectra do not have 513 bins; prepare into a new folder"):
        StoreWriter(tmp_path / "s")


def test_a_spectrum_must_come_where_it_is_kept_and_only_there(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "a", spectra=True) as writer:
        for spectrum in (None, amplitudes(0, 49)):
            with pytest.raises(ValueError, match="a spectrum of as many frames"):
                writer.append(Track("t", "t"), frames(0, 50), spectrum)
    with StoreWriter(tmp_path / "b") as writer, pytest.raises(ValueError, match="and none in another"):
        writer.append(Track("t", "t"), frames(0, 50), amplitudes(0, 50))


def test_pairs_are_cut_from_the_same_places_of_the_spectra(tmp_path: Path) -> None:
    store = store_with(tmp_path / "s", [500 + 10 * i for i in range(9)])
    config = PairConfig(4, 300, 50, 100)
    mels = PairStream(store, range(9), config, 3)
    spectra = PairStream(store, range(9), PairConfig(4, 300, 50, 100, spectra=True), 3)
    for step in range(3):
        one, other = mels.batch(step), spectra.batch(step)
        assert np.array_equal(one.tracks, other.tracks)
        assert other.frames.shape == (2, 4, 300, BINS)
        for v in range(2):
            for b, n in enumerate(one.tracks):
                start = int(np.flatnonzero((store.frames(n)[:, :4] == one.frames[v, b, 0, :4]).all(axis=1))[0])
                whole = store.spectra().read([n])[0]
                assert np.array_equal(other.frames[v, b], whole[start : start + 300])


def test_the_budget_counts_the_spectra(tmp_path: Path) -> None:
    store = store_with(tmp_path / "s", [400] * 12)
    budget = 4 * 400 * BINS * 2
    stream = PairStream(store, range(12), PairConfig(2, 300, 10, 50, spectra=True), 0, budget, passes_per_group=2)
    groups = [set((stream.batch(s).tracks // 4).tolist()) for s in range(24)]
    assert groups == [{s // 4 % 3} for s in range(24)]


def test_of_several_stores_all_must_have_spectra(tmp_path: Path) -> None:
    one, other = store_with(tmp_path / "a", [400] * 6, name="a"), MelStore(small_store(tmp_path / "b", [400] * 6))
    config = PairConfig(4, 300, 10, 50, spectra=True)
    with pytest.raises(StoreError, match=r"b: holds no spectra; .* --spectra, or train without from_spectra"):
        MixedPairs([(one, range(6)), (other, range(6))], config, 0)
    assert MixedPairs([(one, range(6))], config, 0).batch(0).frames.shape == (2, 4, 300, BINS)
