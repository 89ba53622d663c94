"""EmoMusic, "1000 Songs": 744 clips of 45 s with arousal and valence (Soleymani et al., CrowdMM 2013).

Layout: `annotations/songs_info.csv` (song_id, Artist, Song title, Genre, Mediaeval 2013 set, ...),
`annotations/static_annotations.csv` (song_id, mean_arousal, mean_valence, ...), and `clips_45seconds/2.mp3`.

Labels: `arousal` and `valence` in factors, the means over annotators as they are published; genre. Split: the set's own,
development for training and evaluation held out; validation is then drawn from the development songs by artist.

Terms: for research; the songs are from the Free Music Archive. A list of faults is not known as a file: the set was
published as 1,000 songs and later reduced to 744, because some occurred more than once, and its tables hold those 744.
Dynamic annotations are not read.
"""

from __future__ import annotations

from pathlib import Path

from nearfield.data.sets.gather import Gathering, SetResult, audio_by_stem, below, locate
from nearfield.data.sets.tables import Row, number, read_table
from nearfield.data.split import HELD_OUT
from nearfield.data.track import Track

PARTS = ("all",)
_INFO = ("song_id", "Artist", "Song title", "Genre", "Mediaeval 2013 set")
_LABELS = ("song_id", "mean_arousal", "mean_valence")
_SPLITS = {"development": "train", "evaluation": HELD_OUT}


def read(folder: Path, part: str) -> SetResult:
    """The clips with their labels; see the module."""
    gathering = Gathering("emomusic", folder)
    info = locate(gathering.root, "table of songs", below("songs_info.csv"))
    labels = locate(gathering.root, "table of annotations", below("static_annotations.csv"))
    music = locate(gathering.root, "folder of clips", below("clips_45seconds"))
    files = audio_by_stem(gathering, music)
    label_of = {row["song_id"]: row for row in read_table(gathering, labels, _LABELS)}
    for row in read_table(gathering, info, _INFO):
        _song(gathering, row, label_of.get(row["song_id"]), files, music)
    return gathering.result()


def _song(gathering: Gathering, row: Row, label: Row | None, files: dict[str, Path], music: Path) -> None:
    song, side = row["song_id"], row["Mediaeval 2013 set"]
    if label is None:
        gathering.fail(row.place, f"song {song!r} has no row in static_annotations.csv")
    elif number(label["mean_arousal"]) is None or number(label["mean_valence"]) is None:
        gathering.fail(label.place, f"arousal and valence are {label['mean_arousal']!r} and {label['mean_valence']!r}")
    elif side not in _SPLITS:
        gathering.fail(row.place, f"the set is {side!r}, neither development nor evaluation")
    else:
        track = Track(
            song,
            "",
            title=row["Song title"],
            artist=row["Artist"],
            genre=row["Genre"],
            split=_SPLITS[side],
            factors={"arousal": label["mean_arousal"], "valence": label["mean_valence"]},
        )
        gathering.add(track, files.get(song, music / f"{song}.mp3"))
