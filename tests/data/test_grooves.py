"""The grooves corpus: factors that are independent, harmony in key, and fetches that go on where they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from nearfield.data.band.factors import TONICS
from nearfield.data.band.harmony import SCALES
from nearfield.data.grooves import fetch_grooves, read_pieces, with_factor
from nearfield.data.grooves_factors import TEMPO_RANGE_BPM, draw_piece, split_of, track_of
from nearfield.data.grooves_score import compose, mma_text
from nearfield.data.grooves_styles import SOUNDFONTS, groove_styles
from nearfield.data.manifest import read_manifest
from nearfield.data.midi import Arrangement, Event, Part, Song, arrange, read_song, write_song
from nearfield.data.split import split_tracks
from nearfield.errors import CorpusError

PIECES = [draw_piece(7, n) for n in range(300)]


class FakePrograms:
    """Arranges one note and plays noise; fails for the soundfont it is told to."""

    def __init__(self, broken: str = "") -> None:
        self.broken, self.played = broken, 0

    @property
    def versions(self) -> Mapping[str, str]:
        return {"mma": "1"}

    def arrange(self, text: str) -> bytes:
        notes = (Event(0, 0x90, b"\x40\x40"), Event(96, 0x80, b"\x40\x00"), Event(96, 0xFF, b"\x2f"))
        return write_song(Song(192, (Part("Chord", notes),)))

    def play(self, midi: bytes, soundfont: str, reverb: float) -> npt.NDArray[np.float32]:
        if soundfont == self.broken:
            raise CorpusError("fluidsynth", "is broken", "mend it")
        self.played += 1
        return np.random.default_rng(0).normal(0, 0.1, (22050 * 3, 2)).astype(np.float32)


def test_labels_are_in_range_and_drawn_the_same_again() -> None:
    assert len(groove_styles()) >= 150
    assert [draw_piece(7, n) for n in range(300)] == PIECES
    low, high = TEMPO_RANGE_BPM
    assert all(low <= p.tempo_bpm <= high for p in PIECES)
    assert len({p.key for p in PIECES}) == 24
    assert {p.soundfont for p in PIECES} == set(SOUNDFONTS)
    assert not [problem for p in PIECES for problem in track_of(p).problems()]


@pytest.mark.parametrize(
    "change", [{"tempo_bpm": 99.0}, {"soundfont": "timgm6mb-soundfont"}, {"drums_db": -3.5}, {"key": "E minor"}]
)
def test_one_factor_changes_and_nothing_else(change: dict[str, object]) -> None:
    piece = PIECES[0]
    changed = with_factor(piece, **change)
    assert asdict(changed) == asdict(piece) | change
    assert changed.digest != piece.digest
    if "key" not in change:
        bars, before = compose(changed), compose(piece)
        shared = min(len(bars), len(before))
        assert bars[:shared] == before[:shared]


def test_whole_styles_are_held_out() -> None:
    sides = {p.style: p.split for p in PIECES}
    assert all(sides[p.style] == p.split for p in PIECES)
    every = [split_of(style) for style in groove_styles()]
    assert every.count("held-out") / len(every) == pytest.approx(0.15, abs=0.06)
    assert every.count("validation") / len(every) == pytest.approx(0.1, abs=0.05)
    split = split_tracks([track_of(p) for p in PIECES])
    assert {PIECES[n].split for n in split.validation} == {"validation"}
    assert {PIECES[n].split for n in split.held_out} == {"held-out"}
    assert {PIECES[n].split for n in split.train} == {"train"}


def test_what_cannot_be_is_an_error() -> None:
    for change in ({"tempo_bpm": float("nan")}, {"key": "H major"}, {"style": "none"}, {"colour": 1}):
        with pytest.raises(CorpusError):
            with_factor(PIECES[0], **change)


def test_melody_and_most_chords_are_in_key() -> None:
    for piece in PIECES[:100]:
        tonic, mode = piece.key.split()
        scale = {(TONICS.index(tonic) + s) % 12 for s in SCALES[mode]}
        bars = compose(piece)
        chords = [c for b in bars for c in b.chords]
        assert np.mean([c.root in scale for c in chords]) >= 0.5
        own = [t.pitch % 12 in scale | {q for c in b.chords for q in c.pitch_classes} for b in bars for t in b.tune]
        assert all(own)


def test_the_text_fills_every_bar() -> None:
    for piece in PIECES[:20]:
        lines = [line for line in mma_text(piece).splitlines() if line.endswith("}")]
        for line in lines:
            notes = line[line.index("{") + 1 : -1].split(";")[:-1]
            assert sum(int(n.split("t ")[0]) for n in notes) == piece.beats_per_bar * 192


def test_the_text_of_a_piece_is_pinned() -> None:
    piece = PIECES[0]
    assert (piece.style, piece.groove, piece.tempo_bpm, piece.key) == (
        "charleston",
        "Charleston1WalkSus",
        73.61,
        "F minor",
    )
    lines = mma_text(piece).splitlines()
    assert lines[:3] == ["RndSeed 897769775", "Tempo 74", "Groove stdlib/charleston:Charleston1WalkSus"]
    assert lines[8:10] == [
        "1 Fm7 / / / {192t 72;96t 68;96t 68;384t r;}",
        "2 A#m7 / / / {96t 70;96t 72;96t 73;96t 75;96t 77;96t 79;96t 80;96t 80;}",
    ]
    assert len(lines) == 8 + 9  # 26 s at 73.61 are 7.97 bars of four quarters, and one more


def test_an_arrangement_sets_tempo_levels_and_instruments_and_touches_no_note() -> None:
    def part(name: str, channel: int) -> Part:
        notes = (Event(0, 0x90 | channel, b"\x40\x40"), Event(96, 0x80 | channel, b"\x40\x00"))
        own = (Event(0, 0xC0 | channel, b"\x02"), Event(0, 0xB0 | channel, bytes([7, 100])))
        return Part(name, (*own, *notes, Event(96, 0xFF, b"\x2f")))

    tempo = Part("", (Event(0, 0xFF, b"\x51" + (779221).to_bytes(3, "big")), Event(0, 0xFF, b"\x2f")))
    song = Song(192, (tempo, part("Drum-Kick", 9), part("Chord", 1), part("Solo", 2)))
    how = Arrangement(77.66, {"drums": 127, "chords": 64}, {0: 16}, 40)
    made = read_song(write_song(arrange(song, how)))
    assert [p.events[0].channel for p in made.parts[1:]] == [9, 1]  # nobody plays the melody
    assert int.from_bytes(made.parts[0].events[0].data[1:], "big") == round(60e6 / 77.66) == 772_599
    chords = made.parts[2].events
    assert [e.data[1] for e in chords if e.command == 0xB0 and e.data[0] == 7] == [64, 50]  # ours, and the song's share
    assert [e.data[0] for e in chords if e.command == 0xC0] == [16]
    assert [e.data[0] for e in made.parts[1].events if e.command == 0xC0] == [2]  # drum kits stay
    assert [(e.tick, e.data) for e in chords if e.is_note] == [(0, b"\x40\x40")]


def test_a_song_is_written_as_it_was_read() -> None:
    data = FakePrograms().arrange("")
    assert write_song(read_song(data)) == data


def test_fetching_again_renders_only_what_is_missing(tmp_path: Path) -> None:
    programs = FakePrograms()
    first = fetch_grooves(tmp_path, 4, 3, workers=0, tools=programs)
    assert (first.rendered, first.already_there, programs.played) == (4, 0, 4)
    assert read_manifest(first.manifest_path).tracks == first.manifest.tracks
    assert read_pieces(first.pieces_path) == tuple(draw_piece(3, n) for n in range(4))
    first.manifest.locate(first.manifest.tracks[2]).unlink()
    again = fetch_grooves(tmp_path, 4, 3, workers=0, tools=programs)
    assert (again.rendered, again.already_there, programs.played) == (1, 3, 5)


def test_a_piece_that_fails_is_listed(tmp_path: Path) -> None:
    broken = draw_piece(3, 0).soundfont
    result = fetch_grooves(tmp_path, 8, 3, workers=0, tools=FakePrograms(broken))
    assert {f.path for f in result.failures} == {p.id for n in range(8) if (p := draw_piece(3, n)).soundfont == broken}
    assert len(result.manifest) == 8 - len(result.failures)


def test_without_the_programs_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CorpusError, match=r"apt-get and dpkg-deb not found"):
        fetch_grooves(tmp_path, 1)
