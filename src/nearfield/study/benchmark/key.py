"""Key asked of a catalogue, learned from pieces whose key is exact.

In a catalogue that teaches, sound by sound: a piece is asked of a probe that has learned from pieces of other styles, tunes
and sounds, none of them held out. The MIREX score is mir_eval's: a fifth above the true key counts half, a fifth below
nothing (tasks/tempo_key.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from nearfield.study.benchmark.labelling import DEPTHS
from nearfield.study.benchmark.lessons import Exam, exams
from nearfield.study.benchmark.task import Asked, Catalogue
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.learners import Depth, ProbeSettings
from nearfield.study.tasks.tempo_key import KeyAnswers, key_by_probe, key_measures

_RULE = "MIREX weighted by mir_eval's rule: of fifths only the one above the true key counts half"


@dataclass(frozen=True, eq=False)
class KeyTask:
    """The MIREX score and the share of exact answers of what a probe says."""

    exam: Exam
    depth: Depth
    settings: ProbeSettings | None = None

    @property
    def name(self) -> str:
        return f"key/{self.exam.test.name}/{self.depth}"

    @property
    def catalogues(self) -> tuple[str, ...]:
        return self.exam.catalogues

    @property
    def label(self) -> str:
        return "key"

    def ask(self, vectors: Mapping[str, Vectors], seed: int) -> Asked:
        """`seed`: of what probes begin with. Raises BenchError as key_by_probe does."""
        rng = np.random.default_rng(seed)
        found: list[KeyAnswers] = []
        for part in self.exam.rounds:
            learn, asked = self.exam.points(part, vectors)
            keys = [t.key for t in self.exam.lessons(part)]
            found.append(key_by_probe(learn, keys, self.exam.groups(part), asked, self.depth, rng, self.settings))
        less = zip(*(answers.without for answers in found), strict=False)  # block g is left out of every round at once
        return self._asked(_chain(answers.keys for answers in found), without=[_chain(keys) for keys in less])

    def of_answers(self, keys: Mapping[str, str]) -> Asked:
        """The same figures of answers by track id, as an estimator gives them; none, or "", is wrong."""
        said = [keys.get(t.id, "") for t in self.exam.asked]
        missing = said.count("")
        return self._asked(said, (f"{missing} tracks without an answer, which are wrong",) if missing else ())

    def _asked(self, said: list[str], notes: tuple[str, ...] = (), without: Sequence[Sequence[str]] = ()) -> Asked:
        true, learned = ([t.key for t in tracks] for tracks in (self.exam.asked, self.exam.learned))
        return Asked(
            key_measures(true, said, learned, without), self.exam.clusters(), (*self.exam.notes, _RULE, *notes)
        )


def key_tasks(catalogues: Mapping[str, Catalogue], settings: ProbeSettings | None = None) -> tuple[KeyTask, ...]:
    """Each catalogue of known key by both depths of a probe; none where nothing that teaches is given."""
    every = exams(catalogues, lambda track: track.key != "", by_sound=True)
    return tuple(KeyTask(exam, depth, settings) for exam in every for depth in DEPTHS)


def _chain(parts: Iterable[Sequence[str]]) -> list[str]:
    return list(chain.from_iterable(parts))
