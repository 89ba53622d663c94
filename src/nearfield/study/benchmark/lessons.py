"""What tempo and key are learned from, and whom they are asked of.

Catalogues that teach (grooves, band) are divided by their manifest's split, or where it names none by a fixed hash of the
artist (data/split.py): what is not held out is learned from, what is held out is asked. All other catalogues are only asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nearfield.data.split import split_tracks
from nearfield.data.track import Track
from nearfield.study.benchmark.labels import codes, known, shared
from nearfield.study.benchmark.rules import Teaching, rules_of
from nearfield.study.benchmark.task import Asked, Catalogue
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.intervals import Indices

Labelled = Callable[[Track], bool]


@dataclass(frozen=True, eq=False)
class Round:
    """Rows of each teaching catalogue to learn from, and the rows (n,) asked of the test with a probe of these."""

    learn: Mapping[str, Indices]
    asked: Indices


@dataclass(frozen=True, eq=False)
class Exam:
    """One catalogue asked, in rounds; no row is asked twice. `teachers`: the catalogues learned from, by name."""

    test: Catalogue
    teachers: Mapping[str, Catalogue]
    rounds: tuple[Round, ...]
    notes: tuple[str, ...]

    @property
    def catalogues(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.teachers, self.test.name]))

    @property
    def asked(self) -> tuple[Track, ...]:
        """In the order of the rounds."""
        return tuple(self.test.tracks[row] for part in self.rounds for row in part.asked)

    def lessons(self, part: Round) -> tuple[Track, ...]:
        return tuple(self.teachers[name].tracks[row] for name, rows in part.learn.items() for row in rows)

    @property
    def learned(self) -> tuple[Track, ...]:
        """The lessons of every round."""
        return tuple(track for part in self.rounds for track in self.lessons(part))

    def points(self, part: Round, vectors: Mapping[str, Vectors]) -> tuple[Vectors, Vectors]:
        """Vectors of a round's lessons and of those asked. Raises BenchError where a catalogue has none."""
        learn = [self.teachers[name].vectors(vectors)[rows] for name, rows in part.learn.items()]
        return np.concatenate(learn), self.test.vectors(vectors)[part.asked]

    def groups(self, part: Round) -> Indices:
        """(N,) which lessons a probe's settings are chosen on together."""
        texts: list[str] = []
        for name, rows in part.learn.items():
            teaching = rules_of(name).teaching
            found = shared([self.teachers[name].tracks[row] for row in rows], teaching.groups if teaching else ())
            texts += [f"{name} {text}" if text else "" for text in found]
        return codes(texts)

    def clusters(self) -> Indices:
        """(n,) of those asked."""
        return codes(shared(self.asked, rules_of(self.test.name).clusters))


@runtime_checkable
class Asks(Protocol):
    """A task that can also be answered from the sound: `label` is tempo or key."""

    @property
    def exam(self) -> Exam: ...

    @property
    def label(self) -> str: ...

    def of_answers(self, answers: Mapping[str, Any]) -> Asked:
        """Of answers by track id, BPM or names of keys; none is wrong."""
        ...


def exams(catalogues: Mapping[str, Catalogue], labelled: Labelled, by_sound: bool) -> tuple[Exam, ...]:
    """Every catalogue with labelled tracks to ask, where there are others to learn from.

    `by_sound`: a catalogue that teaches is asked sound by sound, learning from its own pieces of other sounds.
    """
    teaching = {name: t for name in catalogues if (t := rules_of(name).teaching) is not None}
    sides = {name: _sides(catalogues[name], labelled) for name in teaching}
    lessons = {name: learn for name, (learn, _) in sides.items() if learn.size}
    found = []
    for name, test in catalogues.items():
        asked = sides[name][1] if name in teaching else _rows(test, labelled)
        if by_sound and name in teaching:
            rounds = list(_by_sound(test, teaching[name], lessons.get(name, asked[:0]), asked))
        else:
            rounds = [Round(lessons, asked)] if lessons and asked.size else []
        if rounds:
            teachers = {n: catalogues[n] for n in rounds[0].learn}
            found.append(Exam(test, teachers, tuple(rounds), tuple(_notes(test, rounds, labelled, by_sound))))
    return tuple(found)


def _sides(catalogue: Catalogue, labelled: Labelled) -> tuple[Indices, Indices]:
    """Rows with vectors to learn from, and to ask; the division is that of the whole manifest."""
    split = split_tracks(catalogue.whole)
    held = {catalogue.whole[n].id for n in split.held_out}
    rows = _rows(catalogue, labelled)
    out = np.array([catalogue.tracks[row].id in held for row in rows], bool)
    return rows[~out], rows[out]


def _rows(catalogue: Catalogue, labelled: Labelled) -> Indices:
    return np.flatnonzero([labelled(t) for t in catalogue.tracks])


def _by_sound(test: Catalogue, teaching: Teaching, lessons: Indices, asked: Indices) -> Iterator[Round]:
    """For each sound of those asked, the lessons of all other sounds that are of none of their styles."""
    sound, style = (np.array([known(t, name) for t in test.tracks], str) for name in (teaching.sound, teaching.style))
    for one in np.unique(sound[asked]):
        here = asked[sound[asked] == one]
        others = lessons[(sound[lessons] != one) & ~np.isin(style[lessons], style[here])]
        if others.size:
            yield Round({test.name: others}, here)


def _notes(test: Catalogue, rounds: list[Round], labelled: Labelled, by_sound: bool) -> Iterator[str]:
    teaching = rules_of(test.name).teaching
    if unheard := len(test.whole) - len(test.tracks):
        yield f"{unheard} tracks without a vector of every embedding left out"
    if unknown := sum(not labelled(t) for t in test.tracks):
        yield f"{unknown} tracks without such a label left out"
    asked = sum(len(part.asked) for part in rounds)
    if by_sound and teaching is not None:
        yield f"asked of {asked} held-out pieces, {teaching.sound} by {teaching.sound}, learning from others in other styles"
    else:
        learned = ", ".join(f"{len(rows)} pieces of {name}" for name, rows in rounds[0].learn.items())
        yield f"learned from {learned}; asked of {asked} tracks" + (" that are held out" if teaching else "")
    if teaching is not None and not any(t.split for t in test.whole):
        yield "the manifest names no split: held out are artists by a fixed hash of their names"
