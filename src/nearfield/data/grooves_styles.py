"""What the grooves corpus chooses from: styles (grooves.tsv), soundfonts, ensembles and lead instruments.

The styles are those of MMA's style files that have drums on at least nine beats of ten, a bass or chords, and four or
three quarters a bar: found by arranging eight bars in each of their grooves and counting.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class GrooveStyle:
    """One line of grooves.tsv. `file` is MMA's style file, `harmony` the family of progressions it is given."""

    name: str
    file: str
    beats_per_bar: int
    harmony: str
    grooves: tuple[str, ...]


@cache
def groove_styles() -> Mapping[str, GrooveStyle]:
    """Name -> style, in the order of grooves.tsv."""
    text = resources.files("nearfield.data").joinpath("grooves.tsv").read_text("utf-8")
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    found = (
        GrooveStyle(r["style"], r["file"], int(r["beats_per_bar"]), r["harmony"], tuple(r["grooves"].split()))
        for r in rows
    )
    return {style.name: style for style in found}


@dataclass(frozen=True)
class SoundFont:
    """A Debian package with a General MIDI soundfont: the file in it, and the terms of its recordings."""

    file: str
    licence: str


# Uncompressed ones only: a compressed soundfont costs seconds of decoding for every piece.
SOUNDFONTS: Mapping[str, SoundFont] = {
    "fluid-soundfont-gm": SoundFont("usr/share/sounds/sf2/FluidR3_GM.sf2", "MIT"),
    "musescore-general-soundfont-lossless": SoundFont("usr/share/sounds/sf2/MuseScore_General_Full.sf2", "MIT"),
    "opl3-soundfont": SoundFont("usr/share/sounds/sf2/OPL-3_FM_128M.sf2", "CC-BY-SA-4.0"),
    "timgm6mb-soundfont": SoundFont("usr/share/sounds/sf2/TimGM6mb.sf2", "GPL-2"),
}

# General MIDI programs from 0. An ensemble replaces whole families of instruments, in this order: keys and organs,
# plucked strings, bass, bowed strings and pads, winds and synthetic leads.
_FAMILIES = ((0, 1, 2), (3, 13), (4,), (5, 6, 11), (7, 8, 9, 10))
_ENSEMBLES: Mapping[str, tuple[int, ...]] = {
    "as written": (),
    "grand piano": (0, 24, 32, 48, 73),
    "electric piano": (4, 27, 33, 50, 65),
    "organ": (16, 27, 33, 19, 66),
    "vibraphone": (11, 26, 32, 49, 71),
    "marimba": (12, 24, 32, 48, 75),
    "harpsichord": (6, 25, 32, 40, 68),
    "clavinet": (7, 28, 36, 50, 62),
    "accordion": (21, 24, 32, 40, 22),
    "synthesisers": (81, 84, 38, 89, 80),
    "pads": (88, 46, 39, 94, 82),
    "guitars": (27, 25, 34, 48, 30),
    "brass": (61, 28, 33, 61, 57),
    "strings": (45, 46, 43, 48, 40),
    "steel drums": (114, 105, 35, 52, 78),
}
ENSEMBLES = tuple(_ENSEMBLES)

LEADS: Mapping[str, int | None] = {
    "nobody": None,
    "piano": 0,
    "vibraphone": 11,
    "organ": 16,
    "harmonica": 22,
    "nylon guitar": 24,
    "jazz guitar": 26,
    "overdriven guitar": 29,
    "violin": 40,
    "trumpet": 56,
    "trombone": 57,
    "alto saxophone": 65,
    "clarinet": 71,
    "flute": 73,
    "whistle": 78,
    "square lead": 80,
    "saw lead": 81,
    "choir": 52,
}


def ensemble_programs(ensemble: str) -> dict[int, int]:
    """Family of General MIDI (program // 8) -> the program that plays for it; empty for 'as written'."""
    pairs = zip(_FAMILIES, _ENSEMBLES[ensemble], strict=False)
    return {family: program for families, program in pairs for family in families}
