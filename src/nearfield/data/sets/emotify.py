"""Emotify: 400 excerpts of a minute with the emotions that listeners felt (Aljanaki et al., IP&M 2016).

Layout: `data.csv` (a row a listener and excerpt: track id, genre, nine emotions as 0 or 1, mood, ...) and `emotifymusic`
with a folder a genre, `rock/1.mp3` to `rock/100.mp3`. Track ids run through the genres: 1 to 100 are classical, 101 to
200 rock, 201 to 300 electronic, 301 to 400 pop, so that track 101 is `rock/1.mp3`; `rock/101.mp3` is taken, too.

Labels: genre; for each emotion the share of its listeners that felt it, and `listeners`, how many there were, in factors;
`emotion_top`, that of the largest share (of equal ones the first in the table's order). Artist, album and title from the
files' own tags. No split is part of the set.

Terms: none but to cite the paper. Not sure: that the files' numbers begin at 1 in each genre stands in no document known
here; it is how others' programs read the set. The table says nothing of artists.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from nearfield.data.scan import tags_of
from nearfield.data.sets.gather import Gathering, SetResult, below, locate
from nearfield.data.sets.tables import Row, read_table
from nearfield.data.track import Track
from nearfield.errors import AudioError

PARTS = ("all",)
EMOTIONS = (
    "amazement",
    "solemnity",
    "tenderness",
    "nostalgia",
    "calmness",
    "power",
    "joyful_activation",
    "tension",
    "sadness",
)
_GENRES = ("classical", "rock", "electronic", "pop")


def read(folder: Path, part: str) -> SetResult:
    """The excerpts with shares of emotions; see the module."""
    gathering = Gathering("emotify", folder)
    table = locate(gathering.root, "table of answers", below("data.csv"))
    music = locate(gathering.root, "folder of genres", below("classical")).parent
    answers: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in read_table(gathering, table, ("track id", "genre", *EMOTIONS)):
        track_id, genre = row["track id"], row["genre"]
        if not track_id.isdecimal() or genre not in _GENRES or not 1 <= int(track_id) <= 400:
            gathering.fail(row.place, f"track id and genre are {track_id!r} and {genre!r}")
        elif wrong := [e for e in EMOTIONS if row[e] not in ("0", "1")]:
            gathering.fail(row.place, f"{wrong[0]} is {row[wrong[0]]!r}, neither 0 nor 1")
        else:
            answers[int(track_id), genre].append(row)
    for (number, genre), rows in sorted(answers.items()):
        _add(gathering, number, genre, rows, music)
    return gathering.result()


def _add(gathering: Gathering, number: int, genre: str, rows: list[Row], music: Path) -> None:
    direct, within = (music / genre / f"{n}.mp3" for n in (number, (number - 1) % 100 + 1))
    file = direct if direct.exists() else within
    shares = {e: sum(row[e] == "1" for row in rows) / len(rows) for e in EMOTIONS}
    factors = {e: f"{share:.4f}" for e, share in shares.items()}
    factors |= {"listeners": str(len(rows)), "emotion_top": max(EMOTIONS, key=shares.__getitem__)}
    track = Track(f"{number:03d}", "", genre=genre, factors=factors)
    if file.is_file() and file.stat().st_size:
        try:
            said = tags_of(file)
        except AudioError as error:
            gathering.fail(file, error.cause, error.remedy)
            return
        track = Track(
            track.id,
            "",
            said.duration_s,
            title=said.title,
            artist=said.artist,
            album=said.album,
            genre=genre,
            factors=factors,
        )
    gathering.add(track, file)
