"""What each style plays: patterns on a grid, as short strings.

A pattern's length sets its grid: 16 characters over a 4-beat bar are sixteenths, 12 are triplets. In every
pattern "." is silence and "-" holds the note before.

- drums: X accent, x normal, o ghost.
- bass: 1 3 5 7 8 chord tones, a approach to the next root, w a walking tone.
- chords: x the whole chord, 1 2 3 4 single voices from the lowest, 5 the lowest voice an octave up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Pattern = str
Groove = Mapping[str, Pattern]


@dataclass(frozen=True)
class Style:
    """One style's vocabulary; grooves, bass and chords hold one variant for each section letter, in turn."""

    beats_per_bar: int
    grooves: tuple[Groove, ...]
    bass: tuple[Pattern, ...]
    chords: tuple[Pattern, ...]
    harmony: str  # a family in harmony.PROGRESSIONS
    cells: str  # a family in melody.CELLS
    tones: int = 3  # notes in a chord before the style's sevenths (4) and ninths (5)
    swing_unit_beats: float = 0.5  # the grid swing bends: 0.5 eighths, 0.25 sixteenths, 0 none
    own_swing: float = 0.0  # the style's feel where Factors.swing is 0; 1 is a full triplet
    section_bars: int = 8
    bars_per_chord: int = 1
    timing_std_s: float = 0.005
    pentatonic: bool = False
    fills: str = "snare"  # snare, toms, none


STYLE_TABLE: Mapping[str, Style] = {
    "rock": Style(
        4,
        (
            {"kick": "X.......X.x.....", "snare": "....X.......X...", "hat": "X.x.X.x.X.x.X.x."},
            {"kick": "X..x....X.x...x.", "snare": "....X.......X..o", "ride": "X.x.X.x.X.x.X.x."},
        ),
        ("1-1-1-1-1-1-1-1-", "1--11---1-1-5-a-"),
        ("x-------x-x-x---", "x-x-x-x-x-x-x-x-"),
        "pop",
        "song",
        pentatonic=True,
        fills="toms",
    ),
    "disco": Style(
        4,
        (
            {
                "kick": "X...X...X...X...",
                "snare": "....x.......x...",
                "clap": "....X.......X...",
                "open": "..x...x...x...x.",
                "hat": "x..xx..xx..xx..x",
            },
            {
                "kick": "X...X...X...X...",
                "clap": "....X.......X...",
                "open": "..X...X...X...X.",
                "tamb": "x.xxx.xxx.xxx.xx",
            },
        ),
        ("1-8-1-8-1-8-1-8-", "1-8-1-8-5-8-1-a-"),
        ("..x-..x-..x-.xx-", "x--x--x---x-.x--"),
        "dance",
        "busy",
        tones=4,
        swing_unit_beats=0.25,
        timing_std_s=0.004,
    ),
    "house": Style(
        4,
        (
            {
                "kick": "X...X...X...X...",
                "clap": "....X.......X...",
                "open": "..X...X...X...X.",
                "shaker": "o.x.o.x.o.x.o.x.",
            },
            {
                "kick": "X...X...X...X...",
                "clap": "....X.......X..x",
                "open": "..X...X...X...X.",
                "hat": "oxxooxxooxxooxxo",
            },
        ),
        ("..1-..1-..1-..1-", "1--1--1---1-1--."),
        ("x--x--x-....x-x-", "...x--x--x--x---"),
        "dance",
        "offbeat",
        tones=4,
        swing_unit_beats=0.25,
        timing_std_s=0.002,
        pentatonic=True,
    ),
    "techno": Style(
        4,
        (
            {"kick": "X...X...X...X...", "hat": "..X...X...X...X.", "rim": "...x..x....x..x."},
            {
                "kick": "X...X...X...X...",
                "open": "..X...X...X...X.",
                "clap": "....X.......X...",
                "hat": "xoxoxoxoxoxoxoxo",
            },
        ),
        ("..11..11..11..11", ".111.111.111.181"),
        ("x..x..x..x..x...", "....x-......x-.."),
        "modal",
        "sparse",
        swing_unit_beats=0.25,
        bars_per_chord=2,
        timing_std_s=0.0015,
    ),
    "bossa nova": Style(
        4,
        (
            {"kick": "x.....xxx.....xx", "rim": "x..x..x...x..x..", "shaker": "xoxoxoxoxoxoxoxo"},
            {"kick": "x.....xxx.....xx", "rim": "..x...x..x..x...", "hat": "x.x.x.x.x.x.x.x."},
        ),
        ("1-----5-5-----1-", "1-----5-8-----a-"),
        ("x--x--x---x--x--", "x-x---x-.x--x---"),
        "jazz",
        "offbeat",
        tones=5,
        swing_unit_beats=0.0,
        fills="none",
        timing_std_s=0.006,
    ),
    "swing jazz": Style(
        4,
        (
            {
                "ride": "x...X.x.x...X.x.",
                "pedal": "....x.......x...",
                "kick": "o...o...o...o...",
                "snare": "......o.....o...",
            },
            {
                "ride": "X...X.x.X...X.xx",
                "pedal": "....x.......x...",
                "kick": "o...o...o...o...",
                "snare": "..o...x...o...o.",
            },
        ),
        ("1---w---w---a---", "1---w---5---a---"),
        ("x-....x-......x-", "..x-....x--...x-"),
        "jazz",
        "swing",
        tones=5,
        own_swing=0.7,
        timing_std_s=0.008,
    ),
    "reggae": Style(
        4,
        (
            {"kick": "........X.......", "rim": "........X.......", "hat": "x.xox.xox.xox.xo"},
            {"kick": "X.......X.......", "snare": "........X.....o.", "hat": "x.x.x.xxx.x.x.x."},
        ),
        ("1---..1-3-5-....", "..1-1-..5---3-1-"),
        ("....x.......x...", "..x-..x...x-..x."),
        "folk",
        "offbeat",
        swing_unit_beats=0.25,
        own_swing=0.2,
        timing_std_s=0.006,
    ),
    "ska": Style(
        4,
        (
            {"kick": "X.......X.......", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X.....x.X.......", "snare": "....X.......X.o.", "ride": "x.X.x.X.x.X.x.X."},
        ),
        ("1---3---5---3---", "1---5---8---a---"),
        ("..x...x...x...x.", "..x...x...x..xx."),
        "folk",
        "song",
        fills="toms",
    ),
    "waltz": Style(
        3,
        (
            {"kick": "X...........", "snare": "....o...o...", "hat": "....x...x..."},
            {"kick": "X...........", "ride": "X...x.o.x...", "pedal": "....x...x..."},
        ),
        ("1---........", "1-------5---"),
        ("....x---x---", "....x-..x-.."),
        "folk",
        "waltz",
        timing_std_s=0.007,
        fills="none",
    ),
    "hip-hop": Style(
        4,
        (
            {"kick": "X.....x...X.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X..x......X..x..", "snare": "....X..o.o..X...", "hat": "x.xxx.x.x.x.x.xx"},
        ),
        ("1-----1...5-..a-", "1--1......1-3---"),
        ("x-----------....", "x--.....x-x-...."),
        "modal",
        "sparse",
        tones=4,
        swing_unit_beats=0.25,
        own_swing=0.35,
        timing_std_s=0.008,
        pentatonic=True,
    ),
    "drum and bass": Style(
        4,
        (
            {"kick": "X.........X.....", "snare": "....X..o.o..X..o", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X.x.......xx....", "snare": "....X..x.x..X...", "ride": "X.x.X.x.X.x.X.x."},
        ),
        ("1-----------5-a-", "1---..1-..1-8---"),
        ("x---------------", "x-----x---------"),
        "modal",
        "sparse",
        tones=4,
        swing_unit_beats=0.25,
        timing_std_s=0.002,
    ),
    "ballad": Style(
        4,
        (
            {"kick": "x.......x.......", "rim": "....x.......x...", "hat": "x...o...x...o..."},
            {"kick": "X.......x.x.....", "snare": "....x.......x...", "ride": "x.o.x.o.x.o.x.o."},
        ),
        ("1-------5-------", "1-------1---a---"),
        ("1-2-3-2-4-3-2-3-", "1-3-2-3-1-4-3-2-"),
        "pop",
        "song",
        tones=4,
        swing_unit_beats=0.0,
        timing_std_s=0.008,
    ),
    "polka": Style(
        2,
        (
            {"kick": "X...X...", "snare": "..x...x.", "hat": "..x...x."},
            {"kick": "X...X...", "snare": "..x...xx", "tamb": "x.x.x.x."},
        ),
        ("1---5---", "1---3---"),
        ("..x-..x-", "..x...xx"),
        "folk",
        "two",
        bars_per_chord=2,
    ),
    "march": Style(
        2,
        (
            {"kick": "X...X...", "snare": "X.oox.oo", "crash": "o......."},
            {"kick": "X...X...", "snare": "X.x.xoxo", "hat": "....x..."},
        ),
        ("1---5---", "1-1-5-a-"),
        ("..x...x.", "..x-..x-"),
        "folk",
        "two",
        bars_per_chord=2,
        swing_unit_beats=0.25,
        timing_std_s=0.004,
    ),
    "arcade": Style(
        4,
        (
            {"kick": "X...x...X...x...", "snare": "....X.......X.x.", "hat": "xxxxxxxxxxxxxxxx"},
            {"kick": "X..x..x.X..x..x.", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
        ),
        ("1-8-1-8-1-8-1-8-", "1-1-5-5-8-8-5-a-"),
        ("1234123412341234", "1353135313531353"),
        "pop",
        "busy",
        swing_unit_beats=0.25,
        timing_std_s=0.001,
    ),
    "funk": Style(
        4,
        (
            {"kick": "X.x....x..x..x..", "snare": "....X..o.o..X..o", "hat": "xoxoxoxoxoxoxoxo"},
            {"kick": "X..x..x...xx....", "snare": "o...X..o.o.oX...", "hat": "x.xxx.x.x.xxx.x."},
        ),
        ("1..1..8...1.5.7.", "1-.1..7.8..1..a-"),
        ("..x..xx...x..x..", ".x..x.x..x..x.xx"),
        "modal",
        "offbeat",
        tones=5,
        swing_unit_beats=0.25,
        own_swing=0.15,
        pentatonic=True,
    ),
    "blues shuffle": Style(
        4,
        (
            {"kick": "X..x..X..x..", "snare": "...X.....X..", "hat": "x.xx.xx.xx.x"},
            {"kick": "X....xX.....", "snare": "...X.o...X.o", "ride": "X.xX.xX.xX.x"},
        ),
        ("1-13-35-57-5", "1-.5-.8-.5-a"),
        ("x-.x-xx-.x-x", "...x-....x-x"),
        "blues",
        "triplet",
        tones=4,
        swing_unit_beats=0.0,
        section_bars=12,
        timing_std_s=0.007,
        pentatonic=True,
    ),
    "country": Style(
        4,
        (
            {"kick": "X.......X.......", "snare": "o.xoX.xoo.xoX.xo"},
            {"kick": "X...x...X...x...", "snare": "o.oxX.oxo.oxX.ox", "tamb": "....x.......x..."},
        ),
        ("1-------5-------", "1-------5---a---"),
        ("....x-......x-x-", "1-x-3-x-2-x-3-x-"),
        "folk",
        "song",
        swing_unit_beats=0.25,
    ),
    "son": Style(
        4,
        (
            {
                "clave": "X..x..x...x.x...",
                "conga": "x.ox..x.x.ox..xx",
                "kick": "......x.....x...",
                "shaker": "x.x.x.x.x.x.x.x.",
            },
            {
                "clave": "X..x..x...x.x...",
                "conga": "..xx..x...xx..x.",
                "cowbell": "X.x.X.xxX.x.X.xx",
                "kick": "......x.....x...",
            },
        ),
        ("......5-----1---", "1-----5-----a---"),
        ("x-x.2x.x.x2x.x.x", "x-.xx.x..x.xx.x."),
        "modal",
        "offbeat",
        swing_unit_beats=0.0,
        timing_std_s=0.006,
    ),
}

STYLES: tuple[str, ...] = tuple(STYLE_TABLE)
