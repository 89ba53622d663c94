"""GiantSteps tempo and key: previews of electronic dance music, about 2 minutes each (Knees et al., ISMIR 2015).

Layout, of github.com/GiantSteps/giantsteps-tempo-dataset (664 previews) and giantsteps-key-dataset (604): `audio` with
`28952.LOFI.mp3` (fetched by their audio_dl.sh, or converted to .wav by their convert_audio.sh); `annotations/tempo` and
`annotations_v2/tempo` with `28952.LOFI.bpm`, one number; `annotations/key` with `28952.LOFI.key`, like `Db major`;
`annotations/genre` with `28952.LOFI.genre`, where there.

Parts of tempo: `v2`, the crowdsourced annotations of Schreiber and Müller (ISMIR 2018), in which a few previews have no
tempo (0.0), and here too; `v1`, those of 2015, from users' corrections. Key has one part. No split: both are used for tests.
Files belong together by the number their names begin with (some names have zeros in front).

Terms: the annotations CC BY-SA 4.0, as mirdata's loaders say; the audio is Beatport's, without terms. Left out: the ten
folds in `splits` of the tempo set, and GiantSteps+ (Zenodo 1095691), which is laid out otherwise.
"""

from __future__ import annotations

from pathlib import Path

from nearfield.data.scan import parse_key, parse_tempo
from nearfield.data.sets.gather import Gathering, SetResult, audio_by_stem, below, locate
from nearfield.data.sets.tables import number, read_words
from nearfield.data.track import Track

TEMPO_PARTS = ("v2", "v1")
KEY_PARTS = ("all",)


def read_tempo(folder: Path, part: str) -> SetResult:
    """The previews with their tempi; see the module."""
    gathering = Gathering("giantsteps-tempo", folder)
    where = "annotations_v2/tempo" if part == "v2" else "annotations/tempo"
    annotations = locate(gathering.root, f"folder of tempi ({part})", below(where), "*.bpm")
    files, genres = _audio(gathering), _genres(gathering, annotations)
    for path in sorted(annotations.glob("*.bpm")):
        words = read_words(gathering, path)
        if not words:
            continue
        tempo_bpm = parse_tempo(words[0])
        if tempo_bpm is None and number(words[0]) != 0:
            gathering.fail(path, f"holds {words[0]!r}, where a tempo from 20 to 400, or 0, is due")
            continue
        name = _number(path)
        gathering.add(Track(name, "", tempo_bpm=tempo_bpm, genre=genres.get(name, "")), _file(files, path))
    return gathering.result()


def read_key(folder: Path, part: str) -> SetResult:
    """The previews with their keys; see the module."""
    gathering = Gathering("giantsteps-key", folder)
    annotations = locate(gathering.root, "folder of keys", below("annotations/key"), "*.key")
    files, genres = _audio(gathering), _genres(gathering, annotations)
    for path in sorted(annotations.glob("*.key")):
        words = read_words(gathering, path)
        if not words:
            continue
        key = parse_key(" ".join(words))
        if not key:
            gathering.fail(path, f"holds {' '.join(words)!r}, where a key like 'Db major' is due")
            continue
        name = _number(path)
        gathering.add(Track(name, "", key=key, genre=genres.get(name, "")), _file(files, path))
    return gathering.result()


def _number(path: Path) -> str:
    """'0010089.LOFI.key' -> '10089'."""
    name = path.name.partition(".")[0]
    return name.lstrip("0") or name


def _audio(gathering: Gathering) -> dict[str, Path]:
    return {_number(path): path for path in audio_by_stem(gathering, gathering.root).values()}


def _file(files: dict[str, Path], annotation: Path) -> Path:
    """The audio of an annotation, or where it should be."""
    absent = annotation.parents[2] / "audio" / f"{annotation.stem}.mp3"
    return files.get(_number(annotation), absent)


def _genres(gathering: Gathering, annotations: Path) -> dict[str, str]:
    """By number; from `annotations/genre` beside, whichever version of the tempi is read."""
    paths = sorted((annotations.parents[1] / "annotations" / "genre").glob("*.genre"))
    return {_number(path): " ".join(words) for path in paths if (words := read_words(gathering, path))}
