"""MagnaTagATune: 25,863 clips of 29 s with 188 tags from players of the game TagATune (Law et al., ISMIR 2009).

Layout: `annotations_final.csv` (tab-separated: clip_id, 188 columns of 0 and 1, mp3_path), `clip_info_final.csv`
(tab-separated: clip_id, title, artist, album, ... mp3_path), and the clips in sixteen folders `0` to `f`, together in any
folder. Parts: `top50`, the 50 most frequent tags, as most papers report (the list is that of Choi et al., ISMIR 2016, and
those after them); `all`, every tag.

Split: folders 0 to b for training, c for validation, d to f held out. The script that cut the clips chose the folder by a
hash of the album, so an album stays on one side; an artist with several albums may be on both. Some papers split
otherwise, or leave out clips that have none of the 50 tags: they are kept here, with no tags.

Terms: the comment in each clip says CC BY-NC-SA 1.0 (Magnatune), for research. Not sure: the order of tags of equal count.
Three clips are published as empty files; they are listed as failures.
"""

from __future__ import annotations

from pathlib import Path

from nearfield.data.sets.gather import Gathering, SetResult, below, locate
from nearfield.data.sets.tables import Form, Row, read_table
from nearfield.data.split import HELD_OUT, VALIDATION
from nearfield.data.track import Track

PARTS = ("top50", "all")
LICENCE = "CC BY-NC-SA 1.0"
TOP_50 = frozenset(
    [
        "guitar",
        "classical",
        "slow",
        "techno",
        "strings",
        "drums",
        "electronic",
        "rock",
        "fast",
        "piano",
        "ambient",
        "beat",
        "violin",
        "vocal",
        "synth",
        "female",
        "indian",
        "opera",
        "male",
        "singing",
        "vocals",
        "no vocals",
        "harpsichord",
        "loud",
        "quiet",
        "flute",
        "woman",
        "male vocal",
        "no vocal",
        "pop",
        "soft",
        "sitar",
        "solo",
        "man",
        "classic",
        "choir",
        "voice",
        "new age",
        "dance",
        "male voice",
        "female vocal",
        "beats",
        "harp",
        "cello",
        "no voice",
        "weird",
        "country",
        "metal",
        "female voice",
        "choral",
    ]
)
_TABS = Form("\t")
_SPLITS = {**dict.fromkeys("0123456789ab", "train"), "c": VALIDATION, **dict.fromkeys("def", HELD_OUT)}


def read(folder: Path, part: str) -> SetResult:
    """The clips with their tags; see the module."""
    gathering = Gathering("magnatagatune", folder)
    annotations = locate(gathering.root, "table of tags", below("annotations_final.csv"))
    info = locate(gathering.root, "table of clips", below("clip_info_final.csv"))
    music = locate(gathering.root, "folder of clips", below("[0-9a-f]")).parent
    about = {row["clip_id"]: row for row in read_table(gathering, info, ("clip_id", "title", "artist", "album"), _TABS)}
    for row in read_table(gathering, annotations, ("clip_id", "mp3_path"), _TABS):
        _clip(gathering, row, about.get(row["clip_id"]), music, part)
    return gathering.result()


def _clip(gathering: Gathering, row: Row, about: Row | None, music: Path, part: str) -> None:
    path = row["mp3_path"]
    marks = {tag: mark for tag, mark in row.cells.items() if tag not in ("clip_id", "mp3_path")}
    if path[1:2] != "/" or path[0] not in _SPLITS:
        gathering.fail(row.place, f"mp3_path is {path!r}, which lies in none of the folders 0 to f")
    elif wrong := [tag for tag, mark in marks.items() if mark not in ("0", "1")]:
        gathering.fail(row.place, f"{wrong[0]!r} is {marks[wrong[0]]!r}, neither 0 nor 1")
    else:
        tags = (tag for tag, mark in marks.items() if mark == "1" and (part == "all" or tag in TOP_50))
        title, artist, album = (about[c] if about else "" for c in ("title", "artist", "album"))
        track = Track(
            row["clip_id"],
            "",
            title=title,
            artist=artist,
            album=album,
            licence=LICENCE,
            tags=tuple(tags),
            split=_SPLITS[path[0]],
        )
        gathering.add(track, music / path)
