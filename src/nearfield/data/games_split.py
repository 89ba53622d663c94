"""How the games corpus was divided into train and held-out: the function behind the column `split` of games.tsv."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from nearfield.data.games import SMALL_PACKAGES, GameFile

_SPLIT_SEED = "nearfield games 58"
_WHOLE_SHARE = 0.08  # of the tracks, held out as whole packages
_BIG_TRACKS, _BIG_ARTISTS = 25, 4  # a package this large, with this many named artists, is divided by artist
_BIG_SHARE = 0.2
_MAX_GROUP = 20  # groups of packages larger than this are never held out whole
# One person's music under several package names, where the tags do not say so.
_SAME_MAKER = (
    (
        "a7xpg-data",
        "gunroar-data",
        "mu-cade-data",
        "noiz2sa-data",
        "parsec47-data",
        "rrootage-data",
        "titanion-data",
        "torus-trooper-data",
        "tumiki-fighters-data",
        "val-and-rick-data",
    ),
    ("caveexpress-data", "cavepacker-data"),
    ("tuxmath-data", "tuxtype-data"),
)


def games_split(files: Sequence[GameFile]) -> tuple[str, ...]:
    """'held-out' or 'train' for each file, '' for files that are no tracks; the column `split` of games.tsv.

    Held out are (a) whole packages, drawn in the order of a seeded hash until 8 % of the tracks are reached,
    separately inside and outside the small subset; and (b) in the large packages of several artists, whole
    artists drawn likewise until a fifth of the package is reached, so that a retrieval within one package has
    several artists to tell apart. A named artist is never on both sides: packages that share one, or a copy,
    or a maker, are drawn together in (a), and (b) takes an artist's tracks in every package. Nothing here
    depends on which subset is fetched.
    """
    tracks = [f for f in files if f.is_track]
    held = set(_whole_packages(files, tracks))
    held |= _artists_of_big_packages(tracks, held)
    return tuple(("held-out" if f in held else "train") if f.is_track else "" for f in files)


def _whole_packages(files: Sequence[GameFile], tracks: Sequence[GameFile]) -> Iterator[GameFile]:
    group_of = _package_groups(files)
    groups = defaultdict(list)
    for track in tracks:
        groups[group_of[track.package]].append(track)
    for small in (True, False):
        room = round(_WHOLE_SHARE * sum((t.package in SMALL_PACKAGES) == small for t in tracks))
        for name in sorted(groups, key=_draw):
            members = groups[name]
            here = any(t.package in SMALL_PACKAGES for t in members) == small
            if here and len(members) <= min(room, _MAX_GROUP):
                room -= len(members)
                yield from members


def _artists_of_big_packages(tracks: Sequence[GameFile], whole: set[GameFile]) -> set[GameFile]:
    held = set(whole)
    by_package = defaultdict(list)
    for track in tracks:
        by_package[track.package].append(track)
    for _, members in sorted(by_package.items()):
        counts = Counter(_artist_key(t.artist) for t in members if t.artist)
        if len(members) < _BIG_TRACKS or len(counts) < _BIG_ARTISTS:
            continue
        goal = max(6, round(_BIG_SHARE * len(members)))
        count = sum(t in held for t in members)
        # artists of one track come last: they have no second track to be found by
        for artist in sorted(counts, key=lambda a: (counts[a] == 1, _draw(a))):
            new = {t for t in tracks if t.artist and _artist_key(t.artist) == artist} - held
            if new and counts[artist] < goal and count < goal and count + counts[artist] <= goal + 1:
                held |= new
                count += counts[artist]
    return held - whole


def _package_groups(files: Sequence[GameFile]) -> dict[str, str]:
    """Package -> the name of its group: joined by a named artist, a copied file, or a known maker."""
    group = {f.package: f.package for f in files}

    def join(one: str, other: str) -> None:
        kept, gone = group[one], group[other]
        for package, name in group.items():
            if name == gone:
                group[package] = kept

    first: dict[str, str] = {}
    for file in files:
        if file.is_track and file.artist:
            join(first.setdefault(_artist_key(file.artist), file.package), file.package)
        for copied in (file.exact_dup_of, file.near_dup_of):
            if copied:
                join(copied.split(":")[0], file.package)
    for packages in _SAME_MAKER:
        for package in packages:
            join(packages[0], package)
    return group


def _artist_key(artist: str) -> str:
    """One spelling per artist: 'Kevin MacLeod - "Hitman"' is Kevin MacLeod."""
    return re.split(r" - | \(", artist.casefold())[0].strip(' "')


def _draw(name: str) -> str:
    return hashlib.sha256(f"{_SPLIT_SEED}/{name}".encode()).hexdigest()
