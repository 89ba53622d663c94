"""The facts of the games corpus, music of free games from Debian packages: what games.tsv says of each file.

The facts (titles, artists, licences, hashes, split) ship with Nearfield; the recordings are fetched
(corpora.py) and keep their own licences, named per track.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath

from nearfield.data.track import Track
from nearfield.errors import CorpusError

SUBSETS = ("small", "full")
SMALL_PACKAGES = frozenset(
    [
        "blobwars-data",
        "colobot-common-sounds",
        "davegnukem-data",
        "drascula-music",
        "marsshooter-data",
        "nexuiz-music",
        "pushover-data",
        "singularity-music",
        "trackballs-data",
        "ufoai-music",
        "warzone2100-music",
        "wesnoth-1.16-music",
        "wizznic-data",
        "zaz-data",
    ]
)
MIN_DURATION_S = 30.0


@dataclass(frozen=True)
class GameFile:
    """One line of games.tsv: an audio file of a Debian package. `path` is inside the package, `md5` in hex.

    `kind` is music, ambience or stem; the two `dup` columns name the file this one repeats ('package:path').
    """

    package: str
    path: str
    duration_s: float
    title: str
    artist: str
    album: str
    genre: str
    licence: str
    kind: str
    exact_dup_of: str
    near_dup_of: str
    split: str
    md5: str

    @property
    def is_track(self) -> bool:
        """Whether it belongs to the corpus: music, 30 s or longer, no copy of another file."""
        repeats = self.exact_dup_of or self.near_dup_of
        return self.kind == "music" and self.duration_s >= MIN_DURATION_S and not repeats


@cache
def games_files() -> tuple[GameFile, ...]:
    """All files of games.tsv, in its order (package, then path)."""
    text = resources.files("nearfield.data").joinpath("games.tsv").read_text("utf-8")
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(GameFile(duration_s=float(row.pop("duration_s")), **row) for row in rows)


def games_tracks(subset: str = "full") -> tuple[Track, ...]:
    """The corpus as it is when every file is there: 756 tracks (38.6 h), or the small subset's 281 (18.7)."""
    return tuple(track_of(f) for files in wanted_files(subset).values() for f in files)


def wanted_files(subset: str) -> dict[str, list[GameFile]]:
    """Package -> its files that are tracks of the subset, in the order of games.tsv."""
    if subset not in SUBSETS:
        raise CorpusError(f"subset {subset!r}", "is not known", f"choose one of {', '.join(SUBSETS)}")
    wanted: dict[str, list[GameFile]] = {}
    for file in games_files():
        if file.is_track and (subset == "full" or file.package in SMALL_PACKAGES):
            wanted.setdefault(file.package, []).append(file)
    return wanted


def track_of(file: GameFile) -> Track:
    """The track that a file is once it lies in its package's folder."""
    return Track(
        id=_ids()[file.package, file.path],
        path=f"{file.package}/{file.path}",
        duration_s=file.duration_s,
        title=file.title,
        artist=file.artist,
        album=file.album,
        genre=file.genre,
        package=file.package,
        licence=file.licence,
        split=file.split,
        content_hash=f"md5:{file.md5}",
    )


@cache
def _ids() -> Mapping[tuple[str, str], str]:
    """'games/<package>/<shortest end of the path that is its own>', over all files: a subset changes none."""
    found = {}
    by_package = defaultdict(list)
    for file in games_files():
        by_package[file.package].append(file.path)
    for package, paths in by_package.items():
        ends = {p: _ends(p) for p in paths}
        times = Counter(e for es in ends.values() for e in es)
        for path, candidates in ends.items():
            found[package, path] = f"games/{package}/" + next(e for e in candidates if times[e] == 1)
    return found


def _ends(path: str) -> list[str]:
    parts = PurePosixPath(path).with_suffix("").parts
    return ["/".join(parts[-n:]) for n in range(1, len(parts) + 1)] + [path]
