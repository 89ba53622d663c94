"""A piece of the grooves corpus as a row of factors: drawn each by itself, changed one at a time, kept as Parquet."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nearfield.data.band.factors import KEYS
from nearfield.data.grooves_styles import ENSEMBLES, LEADS, SOUNDFONTS, groove_styles
from nearfield.data.split import HELD_OUT, VALIDATION
from nearfield.data.track import Track
from nearfield.errors import CorpusError, readable
from nearfield.parquet import read_table

FORMAT = 1  # of pieces.parquet, and of what a row sounds like
TEMPO_RANGE_BPM = (50.0, 200.0)
DURATION_S = 26.0
_VALIDATION_SHARE, _HELD_OUT_SHARE = 0.1, 0.15  # of the styles
_RANGES: Mapping[str, tuple[float, float]] = {
    "number": (0, 2**31),
    "seed": (0, 2**63 - 1),
    "tune_seed": (0, 2**31),
    "performance_seed": (0, 2**31),
    "tempo_bpm": (30.0, 300.0),
    "duration_s": (2.0, 600.0),
    **dict.fromkeys(("drums_db", "bass_db", "chords_db", "melody_db"), (-24.0, 4.0)),
    "reverb": (0.0, 1.0),
    "tilt_db_per_octave": (-6.0, 6.0),
    "level_db": (-40.0, 0.0),
}


@dataclass(frozen=True)
class Piece:
    """Everything that decides a piece, and its number and seed, which name it.

    `tune_seed`, `style` and the key's mode decide chords and melody; the tonic shifts them; `groove` arranges them, with
    chances taken from `performance_seed`. The rest changes how it is played. Tempo and duration decide the bars.
    """

    seed: int
    number: int
    style: str  # a name in grooves.tsv
    groove: str  # one of the style's
    beats_per_bar: int  # quarters: the style's, 4 or 3
    tempo_bpm: float  # quarter notes a minute
    key: str  # one of the band's 24 KEYS
    tune_seed: int
    performance_seed: int
    soundfont: str  # the Debian package
    ensemble: str  # which instruments stand in for the style's own
    lead: str  # who plays the melody
    drums_db: float  # against the style's own balance, as the three below
    bass_db: float
    chords_db: float
    melody_db: float
    reverb: float  # 0 dry, 1 all that the synthesiser has
    tilt_db_per_octave: float  # equalisation, a straight line in dB over log frequency
    level_db: float  # of the peak, against the loudest allowed
    duration_s: float
    split: str  # train, validation or held-out: whole styles, the same for every seed

    def __post_init__(self) -> None:
        style = groove_styles().get(self.style)
        if style is None:
            raise _wrong("style", self.style, groove_styles())
        _one_of("groove", self.groove, style.grooves)
        _one_of("beats_per_bar", self.beats_per_bar, (style.beats_per_bar,))
        _one_of("key", self.key, KEYS)
        _one_of("soundfont", self.soundfont, SOUNDFONTS)
        _one_of("ensemble", self.ensemble, ENSEMBLES)
        _one_of("lead", self.lead, LEADS)
        _one_of("split", self.split, ("train", VALIDATION, HELD_OUT))
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:  # also catches NaN
                raise CorpusError(name, f"is {getattr(self, name)}", f"choose {low:g} to {high:g}")

    @property
    def id(self) -> str:
        return f"grooves/{self.seed}/{self.number:05d}"

    @property
    def digest(self) -> str:
        """12 hex digits of all that can be heard: equal for pieces that sound alike."""
        heard = {k: v for k, v in asdict(self).items() if k not in ("seed", "number", "split")}
        return hashlib.sha256(json.dumps([FORMAT, heard], sort_keys=True).encode()).hexdigest()[:12]

    @property
    def path(self) -> str:
        """Where it lies in the corpus; the digest in the name says that the file is of these factors."""
        return f"audio/{self.seed}/{self.number:05d}-{self.digest}.flac"


def draw_piece(seed: int, number: int) -> Piece:
    """Draw a piece; every factor comes from a generator of its own, made of (seed, number, the factor's name)."""

    def rng(name: str) -> np.random.Generator:
        return np.random.default_rng([seed, number, zlib.crc32(name.encode())])

    def pick(name: str, options: Sequence[str]) -> str:
        return options[int(rng(name).integers(len(options)))]

    def between(name: str, low: float, high: float, digits: int = 2) -> float:
        return round(float(rng(name).uniform(low, high)), digits)

    style = groove_styles()[pick("style", tuple(groove_styles()))]
    slow, fast = (math.log(t) for t in TEMPO_RANGE_BPM)
    as_written = rng("written").random() < 0.3
    return Piece(
        seed=seed,
        number=number,
        style=style.name,
        groove=pick("groove", style.grooves),
        beats_per_bar=style.beats_per_bar,
        tempo_bpm=round(math.exp(float(rng("tempo_bpm").uniform(slow, fast))), 2),
        key=pick("key", KEYS),
        tune_seed=int(rng("tune_seed").integers(2**31)),
        performance_seed=int(rng("performance_seed").integers(2**31)),
        soundfont=pick("soundfont", tuple(SOUNDFONTS)),
        ensemble=ENSEMBLES[0] if as_written else pick("ensemble", ENSEMBLES[1:]),
        lead=pick("lead", tuple(LEADS)),
        drums_db=between("drums_db", -6, 3),
        bass_db=between("bass_db", -6, 3),
        chords_db=between("chords_db", -6, 3),
        melody_db=between("melody_db", -6, 3),
        reverb=between("reverb", 0, 1),
        tilt_db_per_octave=between("tilt_db_per_octave", -1.5, 1.5),
        level_db=between("level_db", -9, 0),
        duration_s=DURATION_S,
        split=split_of(style.name),
    )


def split_of(style: str) -> str:
    """The side that all pieces of a style fall on, so that what is held out was never heard in another key or tempo."""
    place = np.random.default_rng([zlib.crc32(b"split"), zlib.crc32(style.encode())]).random()
    return (
        HELD_OUT if place < _HELD_OUT_SHARE else VALIDATION if place < _HELD_OUT_SHARE + _VALIDATION_SHARE else "train"
    )


def with_factor(piece: Piece, **changes: Any) -> Piece:
    """The piece with these factors changed and everything else the same; raises CorpusError for what cannot be.

    A new style brings its own metre and, unless `groove` is given, the groove in the same place of its list.
    """
    unknown = sorted(set(changes) - {f.name for f in fields(Piece)})
    if unknown:
        raise CorpusError("factors", f"unknown: {', '.join(unknown)}", "use the columns of pieces.parquet")
    if (style := groove_styles().get(changes.get("style", ""))) is not None:
        place = groove_styles()[piece.style].grooves.index(piece.groove)
        brought = {"groove": style.grooves[place % len(style.grooves)], "beats_per_bar": style.beats_per_bar}
        changes = brought | changes
    return replace(piece, **changes)


def track_of(piece: Piece) -> Track:
    """The catalogue row of a piece; the licence is that of the soundfont's recordings."""
    factors = {k: str(v) for k, v in asdict(piece).items()}
    return Track(
        id=piece.id,
        path=piece.path,
        duration_s=piece.duration_s,
        title=f"{piece.groove} {piece.number}",
        genre=piece.style,
        package=piece.soundfont,
        licence=SOUNDFONTS[piece.soundfont].licence,
        tempo_bpm=piece.tempo_bpm,
        key=piece.key,
        split=piece.split,
        content_hash=f"piece:{piece.digest}",
        factors=factors,
    )


def write_pieces(pieces: Sequence[Piece], path: Path, versions: Mapping[str, str]) -> None:
    """pieces.parquet: `id`, `path` and every factor, a row a piece; `versions` (package -> version) in its metadata."""
    rows = [{"id": p.id, "path": p.path, **asdict(p)} for p in pieces]
    header = json.dumps({"format": FORMAT, "versions": dict(versions)})
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata({"nearfield": header}), file)
    os.replace(part, path)


def read_pieces(path: Path) -> tuple[Piece, ...]:
    """The rows of a pieces.parquet; raises CorpusError for any other file."""
    remedy = "write it again with 'nearfield corpus fetch'"
    try:
        table = read_table(path)
        header = json.loads((table.schema.metadata or {}).get(b"nearfield", b"{}"))
        if header.get("format") != FORMAT:
            raise CorpusError(readable(path), f"its format is {header.get('format')}, not {FORMAT}", remedy)
        return tuple(Piece(**r) for r in table.select([f.name for f in fields(Piece)]).to_pylist())
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise CorpusError(readable(path), f"cannot be read ({error})", remedy) from error


def _one_of(name: str, value: object, allowed: Sequence[object] | Mapping[str, object]) -> None:
    if value not in allowed:
        raise _wrong(name, value, allowed)


def _wrong(name: str, value: object, allowed: Sequence[object] | Mapping[str, object]) -> CorpusError:
    return CorpusError(name, f"there is no {value!r}", f"use one of: {', '.join(str(a) for a in allowed)}")
