"""The facts of the games corpus, and how it is split."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from nearfield.data import games_split as splitting
from nearfield.data.games import SMALL_PACKAGES, games_files, games_tracks
from nearfield.data.games_split import games_split
from nearfield.errors import CorpusError

# ------------------------------------------------------------------------------------------ facts


def test_the_facts_count_what_is_documented() -> None:
    tracks = games_tracks()
    assert (len(games_files()), len({f.package for f in games_files()})) == (849, 102)
    assert len(tracks) == 756
    assert sum(t.duration_s or 0 for t in tracks) / 3600 == pytest.approx(38.63, abs=0.01)
    assert len({t.package for t in tracks}) == 97
    assert len({t.artist for t in tracks if t.artist}) == 122
    assert sum(bool(t.artist) for t in tracks) == 474
    assert len({t.album for t in tracks if t.album}) == 77
    assert all(len(t.content_hash) == 4 + 32 for t in tracks)


def test_the_small_subset_is_part_of_the_full_one() -> None:
    small = games_tracks("small")
    assert len(small) == 281
    assert sum(t.duration_s or 0 for t in small) / 3600 == pytest.approx(18.75, abs=0.01)
    assert len({t.artist for t in small if t.artist}) == 37
    assert {t.package for t in small} == SMALL_PACKAGES
    assert {t.id for t in small} < {t.id for t in games_tracks()}
    full = {t.id: t for t in games_tracks()}
    assert all(full[t.id] == t for t in small)


def test_ids_are_short_and_unique() -> None:
    ids = [t.id for t in games_tracks()]
    assert len(set(ids)) == 756
    assert "games/blobwars-data/arctic" in ids
    assert all(i.startswith(f"games/{t.package}/") for i, t in zip(ids, games_tracks(), strict=True))
    longer = [i for i in ids if i.count("/") > 2]
    assert len(longer) < 20, "only files of one name in one package need a folder in front"


def test_an_unknown_subset_is_named() -> None:
    with pytest.raises(CorpusError, match="choose one of small, full"):
        games_tracks("tiny")


# ------------------------------------------------------------------------------------------ split


def test_the_split_column_is_what_its_function_gives() -> None:
    files = games_files()
    assert games_split([replace(f, split="") for f in files]) == tuple(f.split for f in files)


def test_the_split_has_the_intended_shape() -> None:
    tracks = games_tracks()
    held = [t for t in tracks if t.split == "held-out"]
    of_package = Counter(t.package for t in tracks)
    held_of = Counter(t.package for t in held)
    whole = {p for p in held_of if held_of[p] == of_package[p]}
    assert {t.split for t in tracks} == {"train", "held-out"}
    assert len(held) == 119
    assert sum(t.duration_s or 0 for t in held) / 3600 == pytest.approx(6.14, abs=0.01)
    assert (len(held_of), len(whole), sum(t.package in whole for t in held)) == (25, 19, 65)
    assert sum(n >= 5 for n in held_of.values()) == 12
    assert sum(t.package in SMALL_PACKAGES for t in held) == 40


def test_no_named_artist_and_no_copy_is_on_both_sides() -> None:
    sides = defaultdict(set)
    for track in games_tracks():
        if track.artist:
            sides[track.artist.casefold()].add(track.split)
    assert all(len(s) == 1 for s in sides.values())
    for packages in splitting._SAME_MAKER:
        assert len({t.split for t in games_tracks() if t.package in packages}) == 1


def test_packages_divided_by_artist_keep_several_artists_held_out() -> None:
    tracks = games_tracks()
    held = [t for t in tracks if t.split == "held-out"]
    divided = {t.package for t in held} & {t.package for t in tracks if t.split == "train"}
    assert len(divided) == 6
    for package in divided:
        mine = [t for t in held if t.package == package]
        assert len(mine) >= 6
        assert len({t.artist for t in mine}) >= 2
        assert all(t.artist for t in mine), "who is not named cannot be kept apart"
