"""FMA: 106,574 tracks of the Free Music Archive with genres (Defferrard et al., ISMIR 2017).

Layout: `fma_metadata/tracks.csv` (two rows of header, then one with `track_id` alone) and `genres.csv` beside it, where
there; the audio in `fma_small/000/000002.mp3`, and so on for `fma_medium`, `fma_large` and `fma_full`.

Parts: `small` (8,000 clips of 30 s, eight genres), `medium` (25,000), `large` (all, clips of 30 s), `full` (all, whole):
each holds those before it. Split: the set's own (training, validation, test). Genre: the top genre, empty where the set
has none; tags: the titles of `track.genres_all`. Tags of the archive's users are not read.

Terms: the metadata CC BY 4.0, the audio what each artist chose, named per track. Not sure: which of the clips cannot be
decoded (some are known to be shorter than 30 s); such files are listed when they are read.
"""

from __future__ import annotations

import re
from pathlib import Path

from nearfield.data.sets.gather import Gathering, SetResult, below, locate
from nearfield.data.sets.tables import Form, Row, number, read_table, year
from nearfield.data.split import HELD_OUT, VALIDATION
from nearfield.data.track import Track

PARTS = ("small", "medium", "large", "full")
_TRACKS = Form(header_rows=2, over_lines=True)
_GENRES = Form(over_lines=True)
_TEXTS = ("track.title", "artist.name", "album.title", "track.genre_top", "track.license")
_COLUMNS = ("set.split", "set.subset", *_TEXTS, "track.genres_all", "track.duration", "album.date_released")
_SPLITS = {"training": "train", "validation": VALIDATION, "test": HELD_OUT}


def read(folder: Path, part: str) -> SetResult:
    """The tracks of one size of the set; see the module."""
    gathering = Gathering(f"fma-{part}", folder)
    table = locate(gathering.root, "table of tracks", below("tracks.csv"))
    music = locate(gathering.root, "folder of audio", below(f"fma_{part}"), "[0-9]*")
    titles = _titles(gathering, table.with_name("genres.csv"))
    wanted = PARTS[: PARTS.index(part) + 1]
    for row in read_table(gathering, table, _COLUMNS, _TRACKS):
        track_id, subset, split = row[""], row["set.subset"], row["set.split"]
        if track_id == "track_id":
            continue  # the third row of the header
        if not track_id.isdecimal() or subset not in PARTS or split not in _SPLITS:
            gathering.fail(row.place, f"track_id, subset and split are {track_id!r}, {subset!r} and {split!r}")
        elif subset in wanted:
            name = f"{int(track_id):06d}"
            gathering.add(_track(row, titles, whole=part == "full"), music / name[:3] / f"{name}.mp3")
    return gathering.result()


def _track(row: Row, titles: dict[str, str], whole: bool) -> Track:
    title, artist, album, genre, licence = (row[column] for column in _TEXTS)
    genres = re.findall(r"\d+", row["track.genres_all"])
    duration_s = number(row["track.duration"])  # of the whole track, not of a clip
    return Track(
        row[""],
        "",
        duration_s if whole and duration_s else None,
        title=title,
        artist=artist,
        album=album,
        genre=genre,
        year=year(row["album.date_released"]),
        licence=licence,
        tags=tuple(dict.fromkeys(titles[g] for g in genres if g in titles)),
        split=_SPLITS[row["set.split"]],
    )


def _titles(gathering: Gathering, path: Path) -> dict[str, str]:
    """Titles of genres by number."""
    if not path.is_file():
        gathering.notes.append("without genres.csv: no tags")
        return {}
    return {row["genre_id"]: row["title"] for row in read_table(gathering, path, ("genre_id", "title"), _GENRES)}
