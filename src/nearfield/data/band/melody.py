"""Tunes: two motifs to a section, varied over the chords in four-bar phrases that close on a long note."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.data.band.harmony import Chord

# Rhythms of one bar: "x" a note, "-" held, "." silence.
CELLS: Mapping[str, tuple[str, ...]] = {
    "song": (
        "x---x---x-x-x---",
        "x-x-x---x---....",
        "x-----x-x---x---",
        "..x-x-x-x---x---",
        "x---x-x-x-x-x-x-",
        "x-------x-x-x---",
        "....x-x-x-------",
    ),
    "busy": (
        "x-xxx-x-x-xxx-x-",
        "x-x-x-xxx-x-x---",
        "xxx-x-x-xxx-x---",
        "x-x-xxx-x-x-xxx-",
        "x---xxx-x-x-x-x-",
    ),
    "offbeat": (
        "x--x--x-x--x--x-",
        "..x--x--x-x-x---",
        "x--x--x-----x-x-",
        "x-x--x--x--x----",
        "..x-..x-x--x--x-",
        "x--xx-..x--xx-..",
    ),
    "sparse": (
        "x-------x-------",
        "x-----------x---",
        "....x-------x---",
        "x-----x---------",
        "x---..x-x-------",
    ),
    "swing": (
        "x-x-x---..x-x---",
        "..x-x-x-x-x-x---",
        "x---x-x-..x-....",
        "x-x-x-x-x-x-x-x-",
        "..x-..x-x-----x-",
    ),
    "waltz": ("x-------x---", "x---x---x---", "x-----x-x-x-", "x-----------", "x---x-x-x-x-"),
    "two": ("x-x-x---", "x---x-x-", "xxx-x-x-", "x-x-xxx-", "x--xx---"),
    "triplet": ("x-xx--x-x---", "..xx-xx-----", "x-xx-xx-xx--", "x-----x-xx-x", "...x-xx--..."),
}

LOW, HIGH = 62, 84  # the tune's range in C, MIDI
_PHRASES = ("aaba", "abab", "abaa", "aabb")
_STEPS = (-2, -1, -1, 0, 1, 1, 2)


@dataclass(frozen=True)
class Motif:
    """A rhythm and a line: `steps[i]` is how many scale steps note i lies from the one before."""

    rhythm: str
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Motifs:
    """A section's material: motif a, motif b, their order in a phrase, and where in the range it begins."""

    a: Motif
    b: Motif
    phrase: str
    centre: int
    answers: bool  # whether the last bar of every phrase is left to the others


@dataclass(frozen=True)
class TuneNote:
    """A note within its bar."""

    start: float  # fraction of the bar
    length: float  # fraction of the bar
    pitch: int
    velocity: float


def draw_motifs(rng: np.random.Generator, family: str, lifted: bool) -> Motifs:
    """Draw a section's motifs; a lifted section sings a fourth higher."""
    cells = CELLS[family]
    first, second = (int(i) for i in rng.choice(len(cells), 2, replace=False))
    a, b = (Motif(cells[i], tuple(int(s) for s in rng.choice(_STEPS, 16))) for i in (first, second))
    centre = int(rng.integers(67, 73)) + (5 if lifted else 0)
    return Motifs(a, b, str(rng.choice(_PHRASES)), centre, bool(rng.random() < 0.3))


def bar_of_melody(
    motifs: Motifs,
    rng: np.random.Generator,
    place: int,
    section_bars: int,
    chords: tuple[Chord, ...],
    scale: tuple[int, ...],
    previous_pitch: int,
) -> list[TuneNote]:
    """A bar's notes in order.

    What is drawn does not depend on the chords, the scale or the pitch before: another mode keeps the rhythm.
    """
    in_phrase = place % 4
    motif = motifs.a if motifs.phrase[in_phrase] == "a" else motifs.b
    drop, bend = rng.random(16) < 0.08, np.where(rng.random(16) < 0.15, rng.choice([-1, 1], 16), 0)
    closes = in_phrase == 3
    rhythm = _closing(motif.rhythm) if closes else motif.rhythm
    if closes and motifs.answers and place != section_bars - 1:
        return []
    return _sing(motif, rhythm, drop, bend, chords, scale, _home(previous_pitch, motifs.centre, in_phrase))


def _sing(
    motif: Motif,
    rhythm: str,
    drop: npt.NDArray[np.bool_],
    bend: npt.NDArray[np.int64],
    chords: tuple[Chord, ...],
    scale: tuple[int, ...],
    pitch: int,
) -> list[TuneNote]:
    slots = len(rhythm)
    starts = [i for i, c in enumerate(rhythm) if c == "x"]
    sung = []
    for k, start in enumerate(starts):
        chord = chords[start * len(chords) // slots]
        strong = start % (slots // 4 if slots % 4 == 0 else slots // 3) == 0
        pitch = _step(pitch, motif.steps[k % 16] + int(bend[k % 16]) if k else 0, scale)
        if strong or k == len(starts) - 1:
            pitch = _nearest(pitch, chord.pitch_classes[:4])
        pitch = pitch - 12 if pitch > HIGH else pitch + 12 if pitch < LOW else pitch
        held = 1 + len(rhythm[start + 1 :]) - len(rhythm[start + 1 :].lstrip("-"))
        if not drop[k % 16] or k == 0:
            sung.append(TuneNote(start / slots, held / slots, pitch, 0.82 if strong else 0.7))
    return sung


def _closing(rhythm: str) -> str:
    """The rhythm's first half, then one note held."""
    half = len(rhythm) // 2
    return rhythm[:half] + "x" + "-" * (half - half // 4 - 1) + "." * (len(rhythm) - 2 * half + half // 4)


def _home(previous: int, centre: int, in_phrase: int) -> int:
    """Where a bar sets out: a phrase at its centre, later bars from where the tune is, drawn back to it."""
    return centre if in_phrase == 0 else round(0.6 * previous + 0.4 * centre)


def _step(pitch: int, steps: int, scale: tuple[int, ...]) -> int:
    """Move by scale steps from the scale's note nearest to `pitch`."""
    ladder = [12 * octave + s for octave in range(11) for s in scale]
    above = bisect_left(ladder, pitch)
    here = above if ladder[above] - pitch < pitch - ladder[above - 1] else above - 1
    return ladder[here + steps]


def _nearest(pitch: int, pitch_classes: tuple[int, ...]) -> int:
    """The nearest pitch of these classes, the lower of two equally near."""
    return min(
        (pitch + d for d in range(-6, 7) if (pitch + d) % 12 in pitch_classes),
        key=lambda p: (abs(p - pitch), p),
    )
