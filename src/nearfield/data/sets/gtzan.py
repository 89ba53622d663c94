"""GTZAN: 1,000 excerpts of 30 s in ten genres (Tzanetakis and Cook, IEEE TSAP 2002), by the fault-filtered split.

Layout: ten folders `blues` to `rock` (in `genres`, `Data/genres_original`, or any), with `blues/blues.00000.wav` or `.au`;
beside them the lists `train_filtered.txt`, `valid_filtered.txt` and `test_filtered.txt`, a line a file
(`blues/blues.00029.wav`), which follow Sturm's catalogue of the set's faults (2013): Kereliuk, Sturm and Larsen, "Deep
Learning and Music Adversaries" (IEEE TMM 2015). The lists are not part of the set: github.com/jongpillee/music_dataset_split
has them as names. An older form of them holds numbers, which are not understood here and are listed as failures.

Parts: `filtered`, the files of the three lists with that split; `all`, whatever lies in the folders, without a split.
Where `gtzan_tempo_beat*/tempo/gtzan_blues_00000.bpm` are there (github.com/TempoBeatDownbeat/gtzan_tempo_beat), tempo too.

Terms: none are known. Not sure: which files a given copy cannot decode (jazz.00054.wav is truncated in one that goes
round); such a file is in the manifest and is listed when it is read.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from nearfield.data.scan import parse_tempo
from nearfield.data.sets.gather import Gathering, SetResult, audio_by_stem, below, locate, seek
from nearfield.data.sets.tables import read_words
from nearfield.data.split import HELD_OUT, VALIDATION
from nearfield.data.track import Track

PARTS = ("filtered", "all")
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
_SPLITS = {"train": "train", "valid": VALIDATION, "test": HELD_OUT}


def read(folder: Path, part: str) -> SetResult:
    """The excerpts with their genres; see the module."""
    gathering = Gathering("gtzan", folder)
    music = locate(gathering.root, "folder of genres", below("blues")).parent
    tempi = seek(gathering.root, below("tempo"), "gtzan_*.bpm")
    files = {genre: audio_by_stem(gathering, music / genre) for genre in GENRES if (music / genre).is_dir()}
    gathering.notes += [f"no folder {genre}" for genre in GENRES if genre not in files]
    if part == "all":
        for genre, stems in files.items():
            for stem, file in stems.items():
                _add(gathering, genre, stem, file, "", tempi)
        return gathering.result()
    for name, split in _SPLITS.items():
        listed = locate(gathering.root, f"list of the {name} files", below(f"{name}_filtered.txt"))
        for word in read_words(gathering, listed) or ():
            entry = PurePosixPath(word)
            genre = entry.parent.name
            if genre in GENRES:
                file = files.get(genre, {}).get(entry.stem, music / genre / entry.name)
                _add(gathering, genre, entry.stem, file, split, tempi)
            else:
                gathering.fail(listed, f"names {word!r}, where genre/file is due")
    return gathering.result()


def _add(gathering: Gathering, genre: str, stem: str, file: Path, split: str, tempi: Path | None) -> None:
    tempo_bpm = None
    if tempi is not None and (annotation := tempi / f"gtzan_{stem.replace('.', '_')}.bpm").is_file():
        words = read_words(gathering, annotation)
        tempo_bpm = parse_tempo(words[0]) if words else None
        if words and tempo_bpm is None:
            gathering.fail(annotation, f"holds {words[0]!r}, where a tempo from 20 to 400 is due")
    gathering.add(Track(stem, "", genre=genre, tempo_bpm=tempo_bpm, split=split), file)
