"""Factors to a score: bar by bar, every bar of every part from its own generator.

A generator is seeded by (seed, style, role, bar), so writing more bars never alters those already written,
and the tempo, which only decides how many bars are needed, leaves the shared ones as they are. All is written
in C and transposed at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from nearfield.data.band.drums import DRUM_PITCHES
from nearfield.data.band.factors import Factors
from nearfield.data.band.harmony import PENTATONICS, PROGRESSIONS, SCALES, Chord, parse_progression, voice
from nearfield.data.band.melody import Motifs, bar_of_melody, draw_motifs
from nearfield.data.band.styles import STYLE_TABLE, STYLES, Groove, Pattern, Style

TIMING_LIMIT_STD = 2.5  # offsets are clipped at this many of the style's standard deviations
_FORMS = ("AABA", "ABAB", "AABC", "ABAC")
_HITS = {"X": 0.95, "x": 0.72, "o": 0.4}
_ROLES = ("form", "section", "turn", "drums", "bass", "chords", "melody")


@dataclass(frozen=True)
class Note:
    """One note. Beats are on the straight grid: swing bends them and tempo makes them seconds when played."""

    part: str  # one of factors.PARTS
    start_beat: float
    length_beats: float
    pitch: int  # MIDI; drums by General MIDI's percussion map
    velocity: float  # 0 to 1
    offset_s: float  # the player's hand: seconds early (-) or late (+), at any tempo


@dataclass(frozen=True)
class Score:
    """What is played: notes in order of start, part and pitch, and the factors they were written for."""

    factors: Factors
    beats_per_bar: int
    bars: int
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Section:
    """What the bars under one letter of the form share."""

    bars: tuple[tuple[Chord, ...], ...]
    groove: Groove
    bass: Pattern
    chords: Pattern
    motifs: Motifs
    energy: float  # how hard everybody plays, 0.75 to 1


def compose(factors: Factors) -> Score:
    """Write as many bars as fill `duration_s` at the tempo."""
    style = STYLE_TABLE[factors.style]
    beats = factors.duration_s * factors.tempo_bpm / 60.0
    bars = max(1, math.ceil(beats / style.beats_per_bar - 1e-9))
    shift = factors.transposition_semitones
    written = [
        n if n.part == "drums" else replace(n, pitch=n.pitch + shift) for n in _Writer(factors, style).bars(bars)
    ]
    written.sort(key=lambda n: (n.start_beat, n.part, n.pitch))
    return Score(factors, style.beats_per_bar, bars, tuple(written))


class _Writer:
    """Writes bars in order; keeps what the next bar leans on: the last voicing and the last melody pitch."""

    def __init__(self, factors: Factors, style: Style) -> None:
        self._style = style
        self._mode = factors.mode
        self._seeds = (factors.seed, STYLES.index(factors.style))
        self._form = str(self._rng("form", 0).choice(_FORMS))
        self._letters = {letter: self._section(i) for i, letter in enumerate("ABC")}
        self._voicing: tuple[int, ...] = ()
        self._melody_pitch = 72

    def bars(self, count: int) -> Iterator[Note]:
        harmony = [self._harmony(bar) for bar in range(count + 1)]  # one more: bass lines approach the next chord
        for bar in range(count):
            section = self._letters[self._letter(bar)]
            yield from self._drums(bar, section)
            yield from self._bass(bar, section.bass, harmony[bar], harmony[bar + 1][0])
            yield from self._chords(bar, section.chords, harmony[bar])
            yield from self._melody(bar, section.motifs, harmony[bar])

    def _rng(self, role: str, index: int) -> np.random.Generator:
        return np.random.default_rng([*self._seeds, _ROLES.index(role), index])

    def _letter(self, bar: int) -> str:
        return self._form[bar // self._style.section_bars % len(self._form)]

    def _section(self, index: int) -> _Section:
        rng, style = self._rng("section", index), self._style
        family = PROGRESSIONS[style.harmony][self._mode]
        written = parse_progression(family[int(rng.integers(len(family)))], self._mode, style.tones)
        stretched = [bar for bar in written for _ in range(style.bars_per_chord)]
        wanted = style.section_bars
        chorus = tuple((stretched * math.ceil(wanted / len(stretched)))[:wanted])
        odd = index % 2
        motifs = draw_motifs(rng, style.cells, lifted=odd == 1)
        energy = float(rng.uniform(0.75, 0.9)) + 0.1 * odd
        return _Section(chorus, style.grooves[odd], style.bass[odd], style.chords[odd], motifs, energy)

    def _harmony(self, bar: int) -> tuple[Chord, ...]:
        """The bar's chords; every other section that does not turn round by itself ends on the dominant."""
        at, place = divmod(bar, self._style.section_bars)
        chords = self._letters[self._letter(bar)].bars[place]
        last = place == self._style.section_bars - 1
        if last and self._style.harmony != "modal" and self._rng("turn", at).random() < 0.5:
            return parse_progression("V7", self._mode, self._style.tones)[0]
        return chords

    def _note(
        self,
        rng: np.random.Generator,
        part: str,
        bar: int,
        start: float,
        length: float,
        pitch: int,
        velocity: float,
    ) -> Note:
        """One humanised note; `start` in beats within the bar."""
        std_s = self._style.timing_std_s
        hand, feeling = rng.standard_normal(2).tolist()
        offset_s = std_s * min(max(hand, -TIMING_LIMIT_STD), TIMING_LIMIT_STD)
        accent = 0.05 if start == 0 else 0.0
        energy = self._letters[self._letter(bar)].energy
        touch = min(max(energy * (velocity + accent) + 0.04 * feeling, 0.08), 1.0)
        return Note(part, bar * self._style.beats_per_bar + start, length, pitch, touch, offset_s)

    def _drums(self, bar: int, section: _Section) -> Iterator[Note]:
        rng, style = self._rng("drums", bar), self._style
        place = bar % style.section_bars
        fills = place == style.section_bars - 1 or (place == style.section_bars // 2 - 1 and rng.random() < 0.4)
        fill_from = style.beats_per_bar - (2 if rng.random() < 0.4 and style.beats_per_bar > 2 else 1)
        if style.fills == "none" or not fills:
            fill_from = style.beats_per_bar
        for drum, pattern in section.groove.items():
            slot = style.beats_per_bar / len(pattern)
            for i, hit in enumerate(pattern):
                if hit != "." and (i * slot < fill_from or drum == "kick"):
                    yield self._note(rng, "drums", bar, i * slot, slot, DRUM_PITCHES[drum], _HITS[hit])
        if fill_from < style.beats_per_bar:
            yield from self._fill(rng, bar, fill_from)
        if place == 0 and bar > 0 and style.fills != "none":
            yield self._note(rng, "drums", bar, 0.0, 2.0, DRUM_PITCHES["crash"], 0.75)

    def _fill(self, rng: np.random.Generator, bar: int, fill_from: int) -> Iterator[Note]:
        """Rising sixteenths on the snare, or down the toms; some are left out."""
        slots = 4 * (self._style.beats_per_bar - fill_from)
        for i in range(slots):
            done = i / slots
            drum = "snare" if self._style.fills == "snare" or done < 0.3 else "tom" if done < 0.7 else "tom low"
            if i == 0 or rng.random() < 0.75:
                velocity = 0.45 + 0.4 * done
                yield self._note(rng, "drums", bar, fill_from + i / 4, 0.25, DRUM_PITCHES[drum], velocity)

    def _bass(self, bar: int, pattern: Pattern, chords: tuple[Chord, ...], following: Chord) -> Iterator[Note]:
        rng = self._rng("bass", bar)
        slot = self._style.beats_per_bar / len(pattern)
        for i, length, token in _tokens(pattern):
            chord = chords[i * len(chords) // len(pattern)]
            root = _bass_root(chord)
            choice = int(rng.integers(3))  # drawn whether used or not: the stream must not hang on the token
            if token == "a":
                target = _bass_root(following)
                pitch = target + (-1, 1, -2)[choice] if target != root else root + 7
            elif token == "w":
                pitch = root + (chord.interval(3), chord.interval(5), chord.interval(7))[choice]
            else:
                pitch = root + (12 if token == "8" else chord.interval(int(token)))
            velocity = 0.78 if i * slot % 1 == 0 else 0.68
            yield self._note(rng, "bass", bar, i * slot, length * slot * 0.95, pitch, velocity)

    def _chords(self, bar: int, pattern: Pattern, chords: tuple[Chord, ...]) -> Iterator[Note]:
        rng = self._rng("chords", bar)
        slot = self._style.beats_per_bar / len(pattern)
        voicings = []
        for chord in chords:
            self._voicing = voice(chord, self._voicing)
            voicings.append(self._voicing)
        for i, length, token in _tokens(pattern):
            voicing = voicings[i * len(chords) // len(pattern)]
            velocity = 0.7 if i * slot % 1 == 0 else 0.62
            for pitch in voicing if token == "x" else (_single(voicing, int(token)),):
                yield self._note(rng, "chords", bar, i * slot, length * slot * 0.97, pitch, velocity)

    def _melody(self, bar: int, motifs: Motifs, chords: tuple[Chord, ...]) -> Iterator[Note]:
        rng, style = self._rng("melody", bar), self._style
        scale = (PENTATONICS if style.pentatonic else SCALES)[self._mode]
        place = bar % style.section_bars
        tune = bar_of_melody(motifs, rng, place, style.section_bars, chords, scale, self._melody_pitch)
        beats = style.beats_per_bar
        for t in tune:
            self._melody_pitch = t.pitch
            yield self._note(rng, "melody", bar, t.start * beats, 0.95 * t.length * beats, t.pitch, t.velocity)


def _tokens(pattern: Pattern) -> Iterator[tuple[int, int, str]]:
    """(slot, slots held, character) of every note a pattern begins."""
    for i, token in enumerate(pattern):
        if token not in ".-":
            held = len(pattern[i + 1 :]) - len(pattern[i + 1 :].lstrip("-"))
            yield i, 1 + held, token


def _bass_root(chord: Chord) -> int:
    """The root between G1 (31) and F#2 (42) in C."""
    return 31 + (chord.root - 31) % 12


def _single(voicing: tuple[int, ...], which: int) -> int:
    """A voice by number from the lowest (1); 5 is the lowest an octave up, as is 4 where there are three."""
    place = 0 if which == 5 else which - 1
    octave, index = divmod(place, len(voicing))
    return voicing[index] + 12 * (octave + (which == 5))
