"""Ballroom: 698 excerpts of 30 s of dance music (Gouyon et al., IEEE TASLP 2006), with beats (Krebs et al., ISMIR 2013).

Layout: `BallroomData` of data1.tar.gz, a folder a dance (`ChaChaCha/Albums-Fire-08.wav`), and the annotations of
github.com/CPJKU/BallroomAnnotations in any folder, a file a piece (`Albums-Fire-08.beats`): a line a beat, its time in
seconds first and its place in the bar second, in two forms (`9.43 3`, once `9.43 9.3`) of which the second is not read.

Tempo: 60 over the median time between beats. Others take it from beats a bar apart, or from the set's own .bpm files,
which are not read. Genre: the folder's name, so that Rumba-American, Rumba-International and Rumba-Misc stand apart.

Parts: `unique`, without the second of each of the 13 pairs that are the same excerpt or recording, as Sturm found (2014)
and the annotations' README lists; 685 remain. `all`: those too. One pair (Albums-Fire-08 and -09) stands under two dances,
of which the first is kept. No split is part of the set.

Terms: none are stated for the audio; mirdata's loader says CC BY-NC-SA 4.0 of the set.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median

from nearfield.data.sets.gather import Gathering, SetResult, audio_by_stem, below, locate
from nearfield.data.sets.tables import number
from nearfield.data.track import Track

PARTS = ("unique", "all")
COPIES = frozenset(
    [
        "Albums-Chrisanne2-12",
        "Albums-Fire-09",
        "Albums-Latin_Jam2-13",
        "Media-104705",
        "Albums-AnaBelen_Veneo-15",
        "Albums-Ballroom_Magic-18",
        "Albums-Latin_Jam-13",
        "Albums-Latin_Jam-14",
        "Albums-Latin_Jam-15",
        "Albums-Latin_Jam2-14",
        "Albums-Latin_Jam2-15",
        "Media-103414",
        "Media-103415",
    ]
)


def read(folder: Path, part: str) -> SetResult:
    """The excerpts with dance and tempo; see the module."""
    gathering = Gathering("ballroom", folder)
    music = locate(gathering.root, "folder of dances", below("ChaChaCha")).parent
    annotations = locate(gathering.root, "files of beats", below("*.beats")).parent
    beats = {path.stem: path for path in sorted(annotations.glob("*.beats"))}
    files = audio_by_stem(gathering, music)
    copies = COPIES & files.keys() if part == "unique" else frozenset()
    if copies:
        gathering.notes.append(f"{len(copies)} excerpts left out that are copies of others")
    for stem, path in beats.items():
        if stem not in files and stem not in COPIES:
            gathering.fail(path, "has no audio of its name")
    for stem, file in files.items():
        if stem not in beats:
            gathering.fail(file, f"has no {stem}.beats")
        elif stem not in copies:
            _add(gathering, stem, file, beats[stem])
    return gathering.result()


def _add(gathering: Gathering, stem: str, file: Path, annotation: Path) -> None:
    try:
        lines = annotation.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        gathering.fail(annotation, f"cannot be read ({error.strerror})")
        return
    times = [number(line.split()[0]) for line in lines if line.strip()]
    gaps_s = [b - a for a, b in pairwise(times) if a is not None and b is not None and b > a]
    if not gaps_s or len(gaps_s) != len(times) - 1:
        gathering.fail(annotation, "does not hold two or more beats in rising order")
        return
    gathering.add(Track(stem, "", genre=file.parent.name, tempo_bpm=60 / median(gaps_s)), file)
