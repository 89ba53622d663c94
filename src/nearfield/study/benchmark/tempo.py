"""Tempo asked of a catalogue, learned from pieces whose tempo is exact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nearfield.data.track import Track
from nearfield.study.benchmark.lessons import Exam, Round, exams
from nearfield.study.benchmark.task import Asked, Catalogue
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.intervals import Floats
from nearfield.study.tasks.learners import ProbeSettings
from nearfield.study.tasks.tempo_key import tempo_by_neighbours, tempo_by_probe, tempo_measures

Way = Literal["linear", "hidden", "neighbours"]
WAYS: tuple[Way, ...] = ("linear", "hidden", "neighbours")


@dataclass(frozen=True, eq=False)
class TempoTask:
    """Accuracy1 and Accuracy2 of what a probe, or the nearest pieces, say."""

    exam: Exam
    way: Way
    settings: ProbeSettings | None = None

    @property
    def name(self) -> str:
        return f"tempo/{self.exam.test.name}/{self.way}"

    @property
    def catalogues(self) -> tuple[str, ...]:
        return self.exam.catalogues

    @property
    def label(self) -> str:
        return "tempo"

    def ask(self, vectors: Mapping[str, Vectors], seed: int) -> Asked:
        """`seed`: of what probes begin with. Raises BenchError as tempo_by_probe and tempo_by_neighbours do."""
        rng = np.random.default_rng(seed)
        found = [self._said(part, vectors, rng) for part in self.exam.rounds]
        less = zip(*(answers.without for answers in found), strict=False)  # block g is left out of every round at once
        return self._asked(_joined(answers.bpm for answers in found), without=[_joined(bpm) for bpm in less])

    def of_answers(self, bpm: Mapping[str, float]) -> Asked:
        """The same figures of answers by track id, as an estimator gives them; none, or NaN, is wrong."""
        said = np.array([bpm.get(t.id, np.nan) for t in self.exam.asked], np.float64)
        missing = int(np.isnan(said).sum())
        return self._asked(said, (f"{missing} tracks without an answer, which are wrong",) if missing else ())

    def _said(self, part: Round, vectors: Mapping[str, Vectors], rng: np.random.Generator) -> _Said:
        learn, asked = self.exam.points(part, vectors)
        taught = _bpm(self.exam.lessons(part))
        if self.way == "neighbours":
            return _Said(tempo_by_neighbours(learn, taught, asked), ())
        found = tempo_by_probe(learn, taught, self.exam.groups(part), asked, self.way, rng, self.settings)
        return _Said(found.bpm, tuple(found.without))

    def _asked(self, said: Floats, notes: tuple[str, ...] = (), without: Sequence[Floats] = ()) -> Asked:
        measures = tempo_measures(_bpm(self.exam.asked), said, _bpm(self.exam.learned), without)
        return Asked(measures, self.exam.clusters(), (*self.exam.notes, *notes))


@dataclass(frozen=True, eq=False)
class _Said:
    """`bpm` (n,) and the answers of probes taught less, each (n,)."""

    bpm: Floats
    without: tuple[Floats, ...]


def tempo_tasks(catalogues: Mapping[str, Catalogue], settings: ProbeSettings | None = None) -> tuple[TempoTask, ...]:
    """Each catalogue of known tempo in every way; none where nothing that teaches is given."""
    every = exams(catalogues, lambda track: track.tempo_bpm is not None, by_sound=False)
    return tuple(TempoTask(exam, way, settings) for exam in every for way in WAYS)


def _bpm(tracks: tuple[Track, ...]) -> Floats:
    return np.array([np.nan if t.tempo_bpm is None else t.tempo_bpm for t in tracks], np.float64)


def _joined(parts: Iterable[Floats]) -> Floats:
    return np.concatenate(list(parts))
