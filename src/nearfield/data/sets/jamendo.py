"""MTG-Jamendo: 55,000 full tracks under Creative Commons, with their uploaders' tags (Bogdanov et al., ML4MD 2019).

Layout: the repository MTG/mtg-jamendo-dataset with `data/splits/split-N/autotagging_SUBSET-train.tsv` (and -validation,
-test; tab-separated: TRACK_ID, ARTIST_ID, ALBUM_ID, PATH, DURATION, TAGS, a cell a tag), and the audio unpacked by its
script into folders `00` to `99`, together in any folder: `14/214.mp3`, or `14/214.low.mp3` of the smaller `audio-low`.
Where they are there, `data/raw.meta.tsv` gives names and dates, and `audio_licenses.txt` each track's terms.

Parts: the subset and which of the five splits, `top50tags-0` by default: top50tags, genre, instrument, moodtheme or all.
Tags stay as they are written (`genre---rock`, `mood/theme---happy`).

Terms: the metadata CC BY-NC-SA 4.0, the audio what each artist chose. Not sure: whether every version of
`audio_licenses.txt` has three lines a track (path, title, terms), parted by empty ones; a track it does not name so has
its licence left empty. Not checked: whether an artist is on one side of a split only.
"""

from __future__ import annotations

from pathlib import Path

from nearfield.data.sets.gather import Gathering, SetResult, below, locate, seek
from nearfield.data.sets.tables import Form, Row, number, read_table, year
from nearfield.data.split import HELD_OUT, VALIDATION
from nearfield.data.track import Track

SUBSETS = ("top50tags", "genre", "instrument", "moodtheme", "all")
PARTS = tuple(f"{subset}-{n}" for subset in SUBSETS for n in range(5))
_COLUMNS = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
_TAGS = Form("\t", quoted=False, open_end=True)
_NAMES = Form("\t", quoted=False)
_SPLITS = {"train": "train", "validation": VALIDATION, "test": HELD_OUT}


def read(folder: Path, part: str) -> SetResult:
    """The tracks of one subset and split; see the module."""
    gathering = Gathering("mtg-jamendo", folder)
    subset, _, n = part.rpartition("-")
    stem = "autotagging" if subset == "all" else f"autotagging_{subset}"
    tables = {
        split: locate(gathering.root, f"split {n} of {subset}", below(f"split-{n}/{stem}-{split}.tsv", 3))
        for split in _SPLITS
    }
    music = locate(gathering.root, "folder of audio", below("[0-9][0-9]", 3), "*.mp3").parent
    names, terms = _names(gathering), _terms(gathering)
    for split, table in tables.items():
        for row in read_table(gathering, table, _COLUMNS, _TAGS):
            _track(gathering, row, names.get(row["TRACK_ID"]), terms, music, _SPLITS[split])
    return gathering.result()


def _track(gathering: Gathering, row: Row, names: Row | None, terms: dict[str, str], music: Path, split: str) -> None:
    duration_s = number(row["DURATION"])
    tags = tuple(tag for tag in (row["TAGS"], *row.rest) if tag)
    if duration_s is None or not tags or any("---" not in tag for tag in tags):
        gathering.fail(row.place, f"DURATION is {row['DURATION']!r} and TAGS are {', '.join(tags) or 'none'}")
        return
    track = Track(
        row["TRACK_ID"],
        "",
        duration_s,
        title=names["TRACK_NAME"] if names else "",
        artist=(names["ARTIST_NAME"] if names else "") or row["ARTIST_ID"],
        album=(names["ALBUM_NAME"] if names else "") or row["ALBUM_ID"],
        year=year(names["RELEASEDATE"]) if names else None,
        licence=terms.get(row["PATH"], ""),
        tags=tags,
        split=split,
        factors={"artist_id": row["ARTIST_ID"], "album_id": row["ALBUM_ID"]},
    )
    file = music / row["PATH"]
    low = file.with_suffix(".low.mp3")
    gathering.add(track, low if low.exists() and not file.exists() else file)


def _names(gathering: Gathering) -> dict[str, Row]:
    path = seek(gathering.root, below("raw.meta.tsv"))
    if path is None:
        gathering.notes.append("without data/raw.meta.tsv: artists and albums are known by their numbers")
        return {}
    columns = ("TRACK_ID", "TRACK_NAME", "ARTIST_NAME", "ALBUM_NAME", "RELEASEDATE")
    return {row["TRACK_ID"]: row for row in read_table(gathering, path, columns, _NAMES)}


def _terms(gathering: Gathering) -> dict[str, str]:
    """Licences by PATH."""
    path = seek(gathering.root, below("audio_licenses.txt"))
    if path is None:
        gathering.notes.append("without audio_licenses.txt: licences are not known")
        return {}
    records = path.read_text(encoding="utf-8", errors="replace").replace("\r", "").split("\n\n")
    lines = ([line.strip() for line in record.strip().split("\n")] for record in records)
    return {record[0]: record[2] for record in lines if len(record) == 3}
