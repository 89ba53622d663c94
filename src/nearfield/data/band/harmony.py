"""Functional harmony: progressions in Roman numerals, chords, and voicings that move as little as they can.

Everything here is in C; the composer transposes at the very end, so a key is a shift and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MODES = ("major", "minor")
SCALES: Mapping[str, tuple[int, ...]] = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PENTATONICS: Mapping[str, tuple[int, ...]] = {"major": (0, 2, 4, 7, 9), "minor": (0, 3, 5, 7, 10)}

# A bar with two chords is written with a bar line between them. Both modes hold the same number of
# progressions, so that changing the mode changes the chords and nothing else.
PROGRESSIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "pop": {
        "major": ("I V vi IV", "I vi IV V", "vi IV I V", "I iii IV iv", "I IV ii V", "IV V iii vi"),
        "minor": (
            "i bVI bIII bVII",
            "i iv bVI V",
            "i bVII bVI bVII",
            "i v bVI iv",
            "i iv bVII bIII",
            "bVI bVII v i",
        ),
    },
    "dance": {
        "major": ("vi IV I V", "IV V iii vi", "I iii vi IV", "ii V I vi", "IV I ii vi"),
        "minor": ("i bVII bVI V", "i iv bVII bIII", "bVI bVII i i", "i bIII bVI bVII", "iv i bVI bVII"),
    },
    "jazz": {
        "major": (
            "Imaj7 vi7 ii7 V7",
            "ii7 V7 Imaj7 VI7",
            "Imaj7 II7 ii7 V7",
            "Imaj7|vi7 ii7|V7 iii7|VI7 ii7|V7",
            "iii7 VI7 ii7 V7",
        ),
        "minor": (
            "i7 bVImaj7 iih7 V7",
            "iih7 V7 i7 i7",
            "i7 iv7 bVII7 bIIImaj7",
            "i7|iv7 iih7|V7 i7|bVImaj7 iih7|V7",
            "iv7 bVII7 iih7 V7",
        ),
    },
    "folk": {
        "major": ("I IV V I", "I I V V V V I I", "I IV I V I IV V I", "I V I V IV I V I", "I vi ii V"),
        "minor": ("i iv V i", "i i V V V V i i", "i iv i V i iv V i", "i V i V iv i V i", "i bVI iv V"),
    },
    "modal": {
        "major": ("I bVII I bVII", "I I IV IV", "I bVII IV I", "I ii I ii", "I IV bVII IV"),
        "minor": ("i bVII i bVII", "i i iv iv", "i bVI bVII i", "i bII i bII", "i iv bVII v"),
    },
    "blues": {
        "major": (
            "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7",
            "I7 IV7 I7 I7 IV7 IV7 I7 VI7 ii7 V7 I7|VI7 ii7|V7",
            "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 V7 I7 V7",
        ),
        "minor": (
            "i7 i7 i7 i7 iv7 iv7 i7 i7 V7 iv7 i7 V7",
            "i7 iv7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7|iv7 iih7|V7",
            "i7 iv7 i7 i7 iv7 iv7 i7 i7 V7 V7 i7 V7",
        ),
    },
}

_ROOTS = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}
_NUMERAL = re.compile(r"(b?)([ivIV]+)(maj7|h7|7|)$")


@dataclass(frozen=True)
class Chord:
    """A root (pitch class in C) and the intervals above it in semitones, ascending from 0."""

    root: int
    intervals: tuple[int, ...]

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        return tuple((self.root + i) % 12 for i in self.intervals)

    def interval(self, degree: int) -> int:
        """Semitones from the root to the 1, 3, 5 or 7 of this chord (8 where it has no seventh)."""
        place = {1: 0, 3: 1, 5: 2, 7: 3}[degree]
        return self.intervals[place] if place < len(self.intervals) else 12


def parse_chord(numeral: str, mode: str, tones: int) -> Chord:
    """The chord of a Roman numeral, thickened to `tones` notes (3 to 5) with what the mode's scale offers."""
    match = _NUMERAL.match(numeral)
    if match is None:
        raise ValueError(f"not a Roman numeral: {numeral!r}")
    flat, degree, suffix = match.groups()
    root = (_ROOTS[degree.upper()] - (flat == "b")) % 12
    third, fifth = (4 if degree.isupper() else 3), (6 if suffix == "h7" else 7)
    intervals = [0, third, fifth]
    seventh = {"maj7": 11, "h7": 10, "7": 10, "": 11 if (root + 11) % 12 in SCALES[mode] else 10}[suffix]
    if suffix or tones >= 4:
        intervals.append(seventh)
    if tones >= 5:
        intervals.append(14 if (root + 2) % 12 in SCALES[mode] else 13)
    return Chord(root, tuple(intervals))


def parse_progression(text: str, mode: str, tones: int) -> tuple[tuple[Chord, ...], ...]:
    """One tuple of chords (sharing the bar evenly) for each bar written."""
    return tuple(tuple(parse_chord(n, mode, tones) for n in bar.split("|")) for bar in text.split())


def voice(
    chord: Chord, previous: tuple[int, ...], low: int = 52, high: int = 76, centre: float = 63.0
) -> tuple[int, ...]:
    """Four or three MIDI pitches for a chord, ascending: the candidate nearest to the previous voicing.

    Five-note chords leave out the fifth, or the root where the bass has it anyway.
    """
    tones = (
        chord.intervals if len(chord.intervals) < 5 else (chord.intervals[1], chord.intervals[2], *chord.intervals[3:])
    )
    best: tuple[float, tuple[int, ...]] = (float("inf"), ())
    for candidate in _candidates(chord.root, tones, low, high):
        best = min(best, (_cost(candidate, previous, centre), candidate))
    return best[1]


def _candidates(root: int, tones: tuple[int, ...], low: int, high: int) -> list[tuple[int, ...]]:
    found = []
    classes = sorted({(root + t) % 12 for t in tones})
    for turn in range(len(classes)):
        order = classes[turn:] + [c + 12 for c in classes[:turn]]
        for octave in range(3, 7):
            close = [12 * octave + c for c in order]
            drop = sorted([close[-2] - 12, *close[:-2], close[-1]])
            found += [tuple(v) for v in (close, drop) if v[0] >= low and v[-1] <= high]
    return found


def _cost(candidate: tuple[int, ...], previous: tuple[int, ...], centre: float) -> float:
    """Semitones moved, plus a pull to the middle, plus a dislike of a second at the bottom or a cluster."""
    mean = sum(candidate) / len(candidate)
    moved = sum(min(abs(c - p) for p in previous) for c in candidate) if previous else 0
    muddy = 2.0 * (candidate[1] - candidate[0] < 3) + 1.0 * (candidate[-1] - candidate[0] > 16)
    return moved + 0.5 * abs(mean - centre) + muddy
