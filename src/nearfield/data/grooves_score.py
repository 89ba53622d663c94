"""A piece's chords and melody, and the text from which MMA arranges it.

Chords are functional harmony by mode and by the style's family, the melody is made of motifs over them (the band's
harmony and melody). Every bar has its own generator, so another tempo changes the number of bars and none of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nearfield.data.band.factors import TONICS
from nearfield.data.band.harmony import PROGRESSIONS, SCALES, Chord, parse_progression
from nearfield.data.band.melody import TuneNote, bar_of_melody, draw_motifs
from nearfield.data.grooves_factors import Piece
from nearfield.data.grooves_styles import groove_styles

TICKS_PER_QUARTER = 192  # MMA's
_CELLS: Mapping[str, str] = {
    "pop": "song",
    "dance": "offbeat",
    "jazz": "swing",
    "folk": "two",
    "modal": "busy",
    "blues": "song",
}
_FORMS = ("AABA", "ABAB", "AABB")
_FORM, _SECTION, _BAR = range(3)  # what a generator is for
_NAMES: Mapping[tuple[int, ...], str] = {
    (0, 4, 7): "",
    (0, 3, 7): "m",
    (0, 4, 7, 11): "M7",
    (0, 4, 7, 10): "7",
    (0, 3, 7, 10): "m7",
    (0, 3, 6, 10): "m7b5",
}


@dataclass(frozen=True)
class Bar:
    """Chords that share the bar evenly, and the melody's notes in it (MIDI pitches), both in the piece's key."""

    chords: tuple[Chord, ...]
    tune: tuple[TuneNote, ...]


def n_bars(piece: Piece) -> int:
    """Bars that fill the piece's duration at its tempo, and one more."""
    return math.ceil(piece.duration_s * piece.tempo_bpm / 60 / piece.beats_per_bar) + 1


def compose(piece: Piece) -> tuple[Bar, ...]:
    """The bars of a piece. They depend on its style, key and tune_seed; tempo and duration decide how many."""
    family = groove_styles()[piece.style].harmony
    tonic, mode = piece.key.split()
    cells = "waltz" if piece.beats_per_bar == 3 else _CELLS[family]
    shift = (TONICS.index(tonic) + 6) % 12 - 6
    rng = _rng(piece, _FORM, 0)
    form = _FORMS[int(rng.integers(len(_FORMS)))]
    options = PROGRESSIONS[family][mode]
    order = rng.permutation(len(options))
    progressions = [parse_progression(options[int(order[i])], mode, 3) for i in (0, 1)]
    motifs = [draw_motifs(_rng(piece, _SECTION, i), cells, lifted=i == 1) for i in (0, 1)]
    section_bars = 12 if family == "blues" else 8
    pitch, bars = motifs[0].centre, []
    for n in range(n_bars(piece)):
        at, place = divmod(n, section_bars)
        letter = "AB".index(form[at % len(form)])
        chords = progressions[letter][place % len(progressions[letter])]
        tune = bar_of_melody(motifs[letter], _rng(piece, _BAR, n), place, section_bars, chords, SCALES[mode], pitch)
        pitch = tune[-1].pitch if tune else pitch
        moved = tuple(TuneNote(t.start, t.length, t.pitch + shift, t.velocity) for t in tune)
        bars.append(Bar(tuple(Chord((c.root + shift) % 12, c.intervals) for c in chords), moved))
    return tuple(bars)


def mma_text(piece: Piece) -> str:
    """The piece as MMA reads it.

    Instruments, levels and the tempo's decimals, which MMA would cut, are set in the arrangement (midi.py).
    """
    style = groove_styles()[piece.style]
    lines = [
        f"RndSeed {piece.performance_seed}",
        f"Tempo {round(piece.tempo_bpm)}",
        f"Groove {style.file}:{piece.groove}",
        "Begin Solo",
        "  Voice Flute",
        "  Volume mf",
        "  Articulate 95",
        "End",
    ]
    for n, bar in enumerate(compose(piece), 1):
        tune = "".join(f"{note};" for note in _notes(bar, piece.beats_per_bar))
        lines.append(f"{n} {_chords(bar, piece.beats_per_bar)} {{{tune}}}")
    return "\n".join(lines) + "\n"


def chord_name(chord: Chord) -> str:
    """'C#m7b5' and the like, as MMA spells chords."""
    return TONICS[chord.root] + _NAMES[chord.intervals]


def _chords(bar: Bar, beats: int) -> str:
    """A chord or '/' for every beat."""
    count = len(bar.chords)
    starts = {math.ceil(i * beats / count): chord for i, chord in enumerate(bar.chords)}
    return " ".join(chord_name(starts[b]) if b in starts else "/" for b in range(beats))


def _notes(bar: Bar, beats: int) -> Iterator[str]:
    """'<length>t <pitch>' and '<length>t r' in order; together they fill the bar."""
    whole = beats * TICKS_PER_QUARTER
    at = 0
    for note in bar.tune:
        start, end = round(note.start * whole), round((note.start + note.length) * whole)
        if start > at:
            yield f"{start - at}t r"
        yield f"{end - start}t {note.pitch}"
        at = end
    if at < whole:
        yield f"{whole - at}t r"


def _rng(piece: Piece, role: int, index: int) -> np.random.Generator:
    return np.random.default_rng([piece.tune_seed, role, index])
