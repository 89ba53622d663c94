"""Positive pairs: near in time, one track once a batch, and the same whenever a step is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.test_melstore import small_store
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.melstore import MelStore, StoreWriter
from nearfield.data.pairs import MixedPairs, PairConfig, PairStream, draw_starts, shares
from nearfield.data.split import split_tracks
from nearfield.data.track import Track
from nearfield.errors import StoreError


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.integers(420, 5000), min_size=1, max_size=30),
    near=st.integers(0, 400),
    more=st.integers(0, 900),
    source=st.integers(300, 420),
    seed=st.integers(0, 999),
)
def test_slices_lie_inside_the_track_and_apart_as_asked(
    lengths: list[int], near: int, more: int, source: int, seed: int
) -> None:
    config = PairConfig(len(lengths), source, near, near + more)
    n_frames = np.array(lengths)
    starts = draw_starts(n_frames, config, np.random.default_rng(seed))
    assert starts.shape == (2, len(lengths))
    assert (starts >= 0).all()
    assert (starts + source <= n_frames).all()
    apart = np.abs(starts[0] - starts[1])
    assert (apart <= near + more).all()
    room = n_frames - source
    assert (apart[room >= 2 * near] >= near).all()


def test_starts_cover_the_track_evenly_on_both_sides() -> None:
    starts = draw_starts(np.full(20_000, 2300), PairConfig(2, 300, 300, 800), np.random.default_rng(0))
    assert starts[0].mean() == pytest.approx(1000, abs=10)
    assert starts[0].min() < 3
    assert starts[0].max() > 1997
    offset = starts[1] - starts[0]
    assert np.abs(offset).min() == 300
    assert np.abs(offset).max() == 800
    assert (offset > 0).mean() == pytest.approx(0.5, abs=0.02)
    middle = offset[(starts[0] > 800) & (starts[0] < 1200)]
    assert np.abs(np.histogram(np.abs(middle), 5, (300, 800))[0] / len(middle) - 0.2).max() < 0.03


def test_without_a_least_distance_the_anchor_itself_is_one_choice_of_many() -> None:
    starts = draw_starts(np.full(50_000, 340), PairConfig(2, 300, 0, 5), np.random.default_rng(0))
    inner = (starts[0] >= 5) & (starts[0] <= 35)
    offsets = (starts[1] - starts[0])[inner]
    assert np.abs(np.bincount(offsets + 5, minlength=11) / inner.sum() - 1 / 11).max() < 0.01


def test_a_track_too_short_to_part_the_slices_gives_its_ends() -> None:
    starts = draw_starts(np.array([420, 420]), PairConfig(2, 300, 300, 800), np.random.default_rng(0))
    assert starts.tolist() == [[0, 0], [120, 120]]


def test_batches_hold_the_frames_they_name_and_each_track_once(tmp_path: Path) -> None:
    store = MelStore(small_store(tmp_path / "s", [500 + 10 * i for i in range(9)] + [200]))
    stream = PairStream(store, range(10), PairConfig(4, 300, 50, 100), seed=3)
    seen: list[int] = []
    for step in range(6):
        batch = stream.batch(step)
        assert batch.frames.shape == (2, 4, 300, 96)
        assert len(set(batch.tracks.tolist())) == 4
        seen += batch.tracks.tolist()
        for view in batch.frames:
            for number, cut in zip(batch.tracks, view, strict=True):
                whole = store.frames(int(number))
                windows = np.lib.stride_tricks.sliding_window_view(whole[:, 0], 300)
                assert (windows == cut[:, 0]).all(axis=1).any()
    assert 9 not in seen, "a track of 200 frames holds no slice of 300"
    assert set(seen) == set(range(9))


def test_a_step_is_the_same_in_any_order_and_differs_by_seed(tmp_path: Path) -> None:
    store = MelStore(small_store(tmp_path / "s", [600] * 8))
    config = PairConfig(4, 300, 50, 100)
    forward = [PairStream(store, range(8), config, 1).batch(s).frames for s in range(5)]
    other = PairStream(store, range(8), config, 1)
    for step in (4, 0, 3):
        assert np.array_equal(other.batch(step).frames, forward[step])
    assert not np.array_equal(PairStream(store, range(8), config, 2).batch(0).frames, forward[0])


def test_a_store_beyond_the_budget_is_read_group_by_group_in_file_order(tmp_path: Path) -> None:
    store = MelStore(small_store(tmp_path / "s", [400] * 12))
    stream = PairStream(store, range(12), PairConfig(2, 300, 10, 50), 0, budget_bytes=4 * 400 * 192, passes_per_group=2)
    groups = [set((stream.batch(s).tracks // 4).tolist()) for s in range(24)]
    assert groups == [{s // 4 % 3} for s in range(24)]
    assert {int(t) for s in range(12) for t in stream.batch(s).tracks} == set(range(12))


def test_too_few_tracks_for_a_batch_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    store = MelStore(small_store(tmp_path / "s", [400] * 3))
    with pytest.raises(StoreError, match="only 3 are at hand; choose a smaller batch_pairs"):
        PairStream(store, range(3), PairConfig(4, 300, 10, 50), 0)


def test_whole_artists_fall_on_one_side_the_same_way_everywhere() -> None:
    tracks = [Track(f"t{i}", f"{i}", artist=f"artist {i % 200}") for i in range(1000)]
    split = split_tracks(tracks)
    sides = [{tracks[n].artist for n in side} for side in (split.train, split.validation, split.held_out)]
    assert sum(len(s) for s in sides) == len(set().union(*sides)) == 200
    assert [len(s) for s in (split.train, split.validation, split.held_out)] == [705, 100, 195]
    assert sorted(split.train + split.validation + split.held_out) == list(range(1000))


def test_a_manifest_with_a_split_keeps_it() -> None:
    tracks = [Track(f"t{i}", f"{i}", package=f"p{i}", split="held-out" if i < 7 else "train") for i in range(100)]
    split = split_tracks(tracks)
    assert split.held_out == tuple(range(7))
    assert len(split.train) + len(split.validation) == 93
    assert 3 <= len(split.validation) <= 18


def test_the_order_in_which_tracks_were_prepared_changes_no_batch(tmp_path: Path) -> None:
    tracks = tuple(Track(f"t{i}", f"{i}") for i in range(6))
    batches = []
    for name, order in (("a", range(6)), ("b", (3, 1, 5, 0, 4, 2))):
        with StoreWriter(tmp_path / name) as writer:
            for i in order:
                writer.append(tracks[i], np.full((600 + i, 96), i, np.float16))
        write_manifest(Manifest("m", tmp_path, tracks), tmp_path / name / "manifest.parquet")
        batches.append(PairStream(MelStore(tmp_path / name), range(6), PairConfig(4, 300, 50, 100), 5).batch(2).frames)
    assert np.array_equal(batches[0], batches[1])


def test_a_flat_untagged_folder_is_split_track_by_track() -> None:
    split = split_tracks([Track(f"song {i}.wav", f"song {i}.wav") for i in range(200)])
    assert len(split.train) > 120
    assert len(split.validation) > 5
    assert len(split.held_out) > 10


def test_nothing_left_to_train_on_says_so(tmp_path: Path) -> None:
    store = MelStore(small_store(tmp_path / "s", [400] * 3))
    with pytest.raises(StoreError, match="no track is left to train on"):
        PairStream(store, [], PairConfig(2, 300, 10, 50), 0)


def packaged_store(folder: Path, name: str, packages: list[str]) -> MelStore:
    """A store whose tracks say which they are in every number."""
    tracks = tuple(Track(f"{name}{i}", f"{i}", package=p) for i, p in enumerate(packages))
    with StoreWriter(folder) as writer:
        for i, track in enumerate(tracks):
            writer.append(track, np.full((800, 96), i, np.float16))
    write_manifest(Manifest(name, folder, tracks), folder / "manifest.parquet")
    return MelStore(folder)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_share_of_each_batch_is_of_one_package(tmp_path: Path, share: float) -> None:
    store = packaged_store(tmp_path, "x", [f"p{i % 4}" for i in range(64)])
    stream = PairStream(store, range(64), PairConfig(16, 300, 50, 100, share), seed=0)
    named = set()
    for step in range(40):
        tracks = stream.batch(step).tracks
        assert len(set(tracks)) == 16
        packages = [store.tracks[n].package for n in tracks]
        assert len(set(packages[: round(16 * share)])) == 1
        named.add(packages[0])
    assert named == {"p0", "p1", "p2", "p3"}


def test_a_package_with_few_tracks_gives_what_it_has(tmp_path: Path) -> None:
    store = packaged_store(tmp_path, "x", ["one"] * 3 + [""] * 20)
    batch = PairStream(store, range(23), PairConfig(10, 300, 50, 100, 0.5), seed=0).batch(0)
    assert sorted(batch.tracks[:3]) == [0, 1, 2]
    assert len(set(batch.tracks)) == 10


def tempo_store(folder: Path, tempo_bpm: Sequence[float | None]) -> MelStore:
    packages = ["even" if i % 2 == 0 else "odd" for i in range(len(tempo_bpm))]
    tracks = tuple(
        Track(f"{i:03}", f"{i}", tempo_bpm=t, package=p)
        for i, (t, p) in enumerate(zip(tempo_bpm, packages, strict=True))
    )
    with StoreWriter(folder / "t") as writer:
        for i, track in enumerate(tracks):
            writer.append(track, np.full((500, 96), i, np.float16))
    write_manifest(Manifest("t", folder, tracks), folder / "t" / "manifest.parquet")
    return MelStore(folder / "t")


def test_a_share_of_a_batch_is_of_nearly_one_tempo(tmp_path: Path) -> None:
    tempo = [60 * 2 ** (i / 40) for i in range(40)] + [None] * 10  # one octave
    store = tempo_store(tmp_path, tempo)
    stream = PairStream(store, range(50), PairConfig(16, 300, 50, 100, same_tempo_share=0.5), seed=0)
    middles = set()
    for step in range(60):
        tracks = stream.batch(step).tracks
        assert len(set(tracks.tolist())) == 16
        octave = np.sort(tracks[:8]) / 40
        assert (tracks[:8] < 40).all()  # those whose tempo is known
        around = np.append(octave, octave[0] + 1)  # half and double are equal: the octave is a circle
        assert 1 - np.diff(around).max() == pytest.approx(7 / 40)  # eight neighbours of the forty
        middles |= set(tracks[:8].tolist())
    assert middles == set(range(40))
    assert np.array_equal(stream.batch(3).tracks[:8], stream.batch(3).tracks[:8])


def test_one_package_and_one_tempo_share_a_batch(tmp_path: Path) -> None:
    store = tempo_store(tmp_path, [60 * 2 ** (i / 40) for i in range(40)])
    config = PairConfig(16, 300, 50, 100, same_package_share=0.25, same_tempo_share=0.5)
    for step in range(20):
        tracks = PairStream(store, range(40), config, seed=1).batch(step).tracks
        assert len(set(tracks.tolist())) == 16
        assert len(set((tracks[:4] % 2).tolist())) == 1  # packages go by even and odd
    unknown = tempo_store(tmp_path / "unknown", [None] * 20)
    plain = PairStream(unknown, range(20), PairConfig(8, 300, 50, 100), seed=1)
    asked = PairStream(unknown, range(20), PairConfig(8, 300, 50, 100, same_tempo_share=0.5), seed=1)
    assert np.array_equal(asked.batch(0).tracks, plain.batch(0).tracks)


def test_tracks_left_to_the_page_cache_give_the_same_batches(tmp_path: Path) -> None:
    store = MelStore(small_store(tmp_path / "s", [500 + 10 * i for i in range(12)], shard_bytes=4 * 600 * 192))
    assert len({e.shard for e in store.entries}) > 1
    config = PairConfig(4, 300, 50, 100)
    held, mapped = (PairStream(store, range(12), config, 3, mapped=m) for m in (False, True))
    for step in range(5):
        assert np.array_equal(held.batch(step).frames, mapped.batch(step).frames)
    assert all(isinstance(f, np.memmap) for f in store.log_mels.mapped([3, 1]))


@pytest.mark.parametrize("name", ["same_package_share", "same_tempo_share"])
def test_a_share_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be in 0..1, got 1.5"):
        PairConfig(**{name: 1.5})
    with pytest.raises(ValueError, match="together must not be above 1"):
        PairConfig(same_package_share=0.6, same_tempo_share=0.6)


def test_mixed_batches_hold_each_corpus_by_its_weight(tmp_path: Path) -> None:
    one, other = packaged_store(tmp_path / "a", "a", [""] * 30), packaged_store(tmp_path / "b", "b", [""] * 40)
    config = PairConfig(12, 300, 50, 100)
    mixed = MixedPairs([(one, range(30)), (other, range(40))], config, 0, weights={"b": 2.0})
    seen = set()
    for step in range(30):
        batch = mixed.batch(step)
        assert (batch.tracks[:4] < 30).all()
        assert (batch.tracks[4:] >= 30).all()
        values = batch.frames[0, :, 0, 0].astype(int)
        assert (values == np.where(batch.tracks < 30, batch.tracks, batch.tracks - 30)).all()
        seen |= set(batch.tracks.tolist())
    assert seen == set(range(70))
    again = MixedPairs([(one, range(30)), (other, range(40))], config, 0, weights={"b": 2.0})
    assert np.array_equal(again.batch(7).tracks, mixed.batch(7).tracks)


def test_one_corpus_alone_is_its_own_stream(tmp_path: Path) -> None:
    store = packaged_store(tmp_path, "a", [""] * 30)
    config = PairConfig(8, 300, 50, 100)
    alone, mixed = PairStream(store, range(30), config, 4), MixedPairs([(store, range(30))], config, 4)
    for step in (0, 5):
        assert np.array_equal(alone.batch(step).frames, mixed.batch(step).frames)
        assert np.array_equal(alone.batch(step).tracks, mixed.batch(step).tracks)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 500), st.lists(st.floats(0.01, 100), min_size=1, max_size=5))
def test_shares_sum_to_the_batch_and_keep_to_the_weights(pairs: int, weights: list[float]) -> None:
    names = [str(i) for i in range(len(weights))]
    counts = shares(pairs, names, dict(zip(names, weights, strict=True)))
    assert sum(counts) == pairs
    exact = pairs * np.array(weights) / sum(weights)
    assert (np.abs(np.array(counts) - exact) < 1).all()


def test_weights_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a weight is given for 'c'; the corpora are a, b"):
        shares(8, ["a", "b"], {"c": 1})
    for weights in ({"a": -1.0}, {"a": 0.0, "b": 0.0}):
        with pytest.raises(ValueError, match="weights must not be negative, and one of them above 0"):
            shares(8, ["a", "b"], weights)
