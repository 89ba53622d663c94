"""Every question to every embedding, and what the first of them does better than each other one, on the same tracks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from nearfield.data.manifest import Manifest
from nearfield.errors import BenchError
from nearfield.study.benchmark.answers import Answers, Kept, key_of
from nearfield.study.benchmark.estimators import Estimator
from nearfield.study.benchmark.lessons import Asks
from nearfield.study.benchmark.opening import Field, Opened
from nearfield.study.benchmark.task import Asked, Task
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.intervals import ROUNDS
from nearfield.study.tasks.row import Row, difference_rows, rows_of

Tell = Callable[[str, int, int, int], None]
CHANCE = "chance"


@dataclass(frozen=True)
class Score:
    """A row of the table: what `model` did; with `against`, how much better than that one, paired by track."""

    model: str
    row: Row
    against: str = ""


@dataclass(frozen=True)
class Account:
    """Of one task: what was left out and how long its answers took to find."""

    task: str
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Table:
    """Everything that was found, and of tasks that could not be asked why not: `failed` (task and model, cause)."""

    scores: tuple[Score, ...]
    accounts: tuple[Account, ...]
    failed: tuple[tuple[str, str], ...]


def run(
    field: Field,
    manifests: Mapping[str, Manifest],
    tasks: Sequence[Task],
    answers: Answers,
    seed: int,
    *,
    estimators: Sequence[Estimator] = (),
    rounds: int = ROUNDS,
    tell: Tell | None = None,
) -> Table:
    """Rows of every task for everyone who has vectors of its catalogues, for chance, and for the estimators it takes.

    A question that cannot be asked of an embedding is listed, and the others go on.
    """
    scores: list[Score] = []
    accounts: list[Account] = []
    failed: list[tuple[str, str]] = []
    for done, task in enumerate(tasks):
        if tell is not None:
            tell("asking", done, len(tasks), len(failed))
        found = _Asking(field, manifests, task, answers, seed, rounds)
        scores += found.everyone() + found.estimated(estimators)
        accounts.append(Account(task.name, tuple(dict.fromkeys(found.notes)), round(found.seconds, 1)))
        failed += found.failed
    if tell is not None:
        tell("asking", len(tasks), len(tasks), len(failed))
    return Table(tuple(scores), tuple(accounts), tuple(failed))


class _Asking:
    """One task: who is asked, and what came of it."""

    def __init__(
        self,
        field: Field,
        manifests: Mapping[str, Manifest],
        task: Task,
        answers: Answers,
        seed: int,
        rounds: int,
    ) -> None:
        self.task, self.answers, self.seed, self.rounds = task, answers, seed, rounds
        self.present = [o for o in field.opened if all(c in o.embeddings for c in task.catalogues)]
        self.vectors = {o.name: {c: field.vectors(o, c) for c in task.catalogues} for o in self.present}
        judged = {c: [list(field.judged[c]), manifests[c].digest()] for c in task.catalogues}
        grid = repr(getattr(task, "settings", None))  # of its probes, where it has any
        self.about = [task.name, grid, judged, seed, rounds]
        self.notes: list[str] = []
        self._failed: dict[str, list[str]] = {}
        self.seconds = 0.0
        self._asked: dict[str, Asked] = {}

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The task with those whom it could not be asked, and why."""
        return [(f"{self.task.name} ({', '.join(names)})", cause) for cause, names in self._failed.items()]

    def everyone(self) -> list[Score]:
        scores: list[Score] = []
        answered: list[Opened] = []
        chance: tuple[Row, ...] = ()
        for one in self.present:
            kept = self._try(one.name, self._key(one), partial(self._rows, one.name))
            if kept is not None:
                answered.append(one)
                chance = chance or kept.rows
                scores += [Score(one.name, row) for row in kept.rows]
        # chance is exact: it is what the tracks and labels make of it
        scores += [Score(CHANCE, replace(r, value=r.chance, low=r.chance, high=r.chance)) for r in chance]
        return scores + self._differences(answered)

    def _differences(self, answered: Sequence[Opened]) -> list[Score]:
        """The first less each other one, of those who have answered."""
        first, scores = self.present[0] if self.present else None, list[Score]()
        if first is None or first not in answered:
            return scores
        for other in answered[1:]:
            names = f"{first.name} - {other.name}"
            key = key_of(*self.about, "minus", *self._values(first), *self._values(other))
            kept = self._try(names, key, partial(self._paired, first.name, other.name))
            if kept is not None:
                scores += [Score(first.name, row, other.name) for row in kept.rows]
        return scores

    def estimated(self, estimators: Sequence[Estimator]) -> list[Score]:
        """Rows of what estimates the label itself from the sound."""
        if not isinstance(self.task, Asks):
            return []
        scores: list[Score] = []
        for estimator in estimators:
            place = self.task.exam.test.name
            said = estimator.answers.get(place) if estimator.label == self.task.label else None
            if said is not None:
                asked = self.task.of_answers(said)
                rows = rows_of(self.task.name, asked.measures, asked.clusters, self.seed, self.rounds)
                scores += [Score(estimator.name, row) for row in rows]
        return scores

    def _try(self, who: str, key: str, find: Callable[[], Kept]) -> Kept | None:
        try:
            kept = self.answers.get(key, find)
        except BenchError as error:
            cause = error.cause if error.subject == self.task.name else f"{error.subject}: {error.cause}"
            self._failed.setdefault(cause, []).append(who)
            return None
        self.seconds += kept.seconds  # when it was found, be that now or in an earlier run
        self.notes += kept.notes
        return kept

    def _rows(self, name: str) -> Kept:
        begun, asked = time.monotonic(), self._ask(name)
        rows = rows_of(self.task.name, asked.measures, asked.clusters, self.seed, self.rounds)
        return Kept(rows, asked.notes, time.monotonic() - begun)

    def _paired(self, first: str, second: str) -> Kept:
        begun, (a, b) = time.monotonic(), (self._ask(first), self._ask(second))
        rows = difference_rows(self.task.name, a.measures, b.measures, a.clusters, self.seed, self.rounds)
        return Kept(rows, (), time.monotonic() - begun)

    def _ask(self, name: str) -> Asked:
        if name not in self._asked:
            self._asked[name] = self.task.ask(self.vectors[name], self.seed)
        return self._asked[name]

    def _key(self, one: Opened) -> str:
        return key_of(*self.about, *self._values(one))

    def _values(self, one: Opened) -> list[Vectors]:
        return [self.vectors[one.name][c] for c in self.task.catalogues]
