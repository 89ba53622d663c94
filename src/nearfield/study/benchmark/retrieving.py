"""Retrieval asked of a catalogue, by a rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from nearfield.errors import BenchError
from nearfield.study.benchmark.labels import codes, copies, known, shared
from nearfield.study.benchmark.rules import RetrievalRule, Rules
from nearfield.study.benchmark.task import Asked, Catalogue
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.intervals import Indices
from nearfield.study.tasks.retrieval import Retrieval, retrieve


@dataclass(frozen=True, eq=False)
class RetrievalTask:
    """Tracks of one label found among all others, or among those of the same pool; copies are never candidates."""

    catalogue: Catalogue
    rule: RetrievalRule
    clusters: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"retrieval/{self.catalogue.name}/{self.rule.name}"

    @property
    def catalogues(self) -> tuple[str, ...]:
        return (self.catalogue.name,)

    @property
    def possible(self) -> bool:
        """Whether two tracks of one pool share a label; only asking tells whether they may meet."""
        labels = self.rule.label.held(self.catalogue.tracks)
        for rows in self._pools():
            all_held = [label for row in rows for label in labels[row]]
            if len(set(all_held)) < len(all_held):
                return True
        return False

    def ask(self, vectors: Mapping[str, Vectors], seed: int) -> Asked:
        """Nothing is drawn here. Raises BenchError when no track has a relevant candidate, and as retrieve does."""
        points = self.catalogue.vectors(vectors)
        parts = [self._in_pool(points, rows) for rows in self._pools()]
        if not sum(len(p.queries) for p in parts):
            raise BenchError(self.name, "no track has another of its label to find", "leave this task out")
        found = _pooled(parts)
        tracks = [self.catalogue.tracks[row] for row in found.queries]
        return Asked(found.measures(), codes(shared(tracks, self.clusters)), tuple(self._notes(found)))

    def _pools(self) -> Iterator[Indices]:
        """Rows that may be each other's candidates."""
        rule, tracks = self.rule, self.catalogue.tracks
        side = np.array([not rule.splits or t.split in rule.splits for t in tracks], bool)
        pool_of = np.array([known(t, rule.within) if rule.within else "" for t in tracks], str)
        for pool in rule.pools or tuple(dict.fromkeys(pool_of.tolist())):
            rows = np.flatnonzero(side & (pool_of == pool))
            if rows.size:
                yield rows

    def _in_pool(self, points: Vectors, rows: Indices) -> Retrieval:
        tracks = [self.catalogue.tracks[row] for row in rows]
        barred = [*copies(tracks), *(codes(shared(tracks, (name,))) for name in self.rule.apart)]
        found = retrieve(points[rows], self.rule.label.relevance(tracks), barred)
        return replace(found, queries=rows[found.queries])

    def _notes(self, found: Retrieval) -> Iterator[str]:
        rule, catalogue = self.rule, self.catalogue
        asked = np.concatenate(list(self._pools()))
        if unheard := len(catalogue.whole) - len(catalogue.tracks):
            yield f"{unheard} tracks without a vector of every embedding left out"
        if outside := len(catalogue.tracks) - len(asked):
            sides = " and ".join(rule.splits) or "all"
            pools = f", of the same {rule.within} among {', '.join(rule.pools)}" if rule.pools else ""
            yield f"{outside} tracks left out: candidates are {sides} tracks{pools}"
        if found.unlabelled:
            yield f"{found.unlabelled} tracks without a label neither ask nor answer"
        if found.unanswerable:
            yield f"{found.unanswerable} tracks without a relevant candidate answer only"
        for name in rule.apart:
            unknown = sum(not known(catalogue.tracks[row], name) for row in asked)
            yield f"tracks of one {name} are not each other's candidates" + (
                f"; of {unknown} it is not known" if unknown else ""
            )
        yield from rule.notes


def retrieval_tasks(catalogue: Catalogue, rules: Rules) -> tuple[RetrievalTask, ...]:
    """Those for which there are labels."""
    every = (RetrievalTask(catalogue, rule, rules.clusters) for rule in rules.retrieval)
    return tuple(task for task in every if task.possible)


def _pooled(parts: list[Retrieval]) -> Retrieval:
    """Queries of all pools as one."""
    names = dict.fromkeys(chain.from_iterable(p.values for p in parts))
    return Retrieval(
        np.concatenate([p.queries for p in parts]),
        {name: np.concatenate([p.values[name] for p in parts]) for name in names},
        {name: np.concatenate([p.chance[name] for p in parts]) for name in names},
        sum(p.unlabelled for p in parts),
        sum(p.unanswerable for p in parts),
        sum(p.directionless for p in parts),
    )
