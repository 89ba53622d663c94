"""What a question to an embedding is, and what it is asked about."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nearfield.data.track import Track
from nearfield.errors import BenchError
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.intervals import Indices
from nearfield.study.tasks.row import Measure


@dataclass(frozen=True)
class Catalogue:
    """Music that is asked about. `name` says which labels count.

    `whole`: all tracks of the manifest, of which folds are made; `tracks`: those that every embedding has a vector for, which
    alone are asked. Both in the manifest's order.
    """

    name: str
    whole: tuple[Track, ...]
    tracks: tuple[Track, ...]

    @classmethod
    def of(cls, name: str, whole: Sequence[Track], ids: Collection[str] | None = None) -> Catalogue:
        """With vectors for the tracks of these ids; None: for all. Raises BenchError for ids of no track."""
        kept = {t.id for t in whole} if ids is None else set(ids)
        if strange := sorted(kept - {t.id for t in whole}):
            raise BenchError(name, f"{strange[0]!r} is none of its tracks", "match vectors and manifest first")
        return cls(name, tuple(whole), tuple(t for t in whole if t.id in kept))

    def vectors(self, given: Mapping[str, Vectors]) -> Vectors:
        """Its own (N, D) of those given. Raises BenchError where they are not there, or not one a track."""
        found = given.get(self.name)
        if found is None or np.ndim(found) != 2 or len(found) != len(self.tracks):
            cause = "has no vectors" if found is None else f"vectors of shape {np.shape(found)}"
            raise BenchError(self.name, cause, f"give one row for each of its {len(self.tracks)} tracks, (N, D)")
        return found


@dataclass(frozen=True, eq=False)
class Asked:
    """What a task found: figures of n tracks each, and `clusters` (n,), which of those are drawn together.

    `notes`: what was left out and why, in words; the same for every embedding of the same tracks.
    """

    measures: tuple[Measure, ...]
    clusters: Indices
    notes: tuple[str, ...] = ()


class Task(Protocol):
    """A question. `name`: like retrieval/emotify/genre; `catalogues`: whose vectors it wants."""

    @property
    def name(self) -> str: ...

    @property
    def catalogues(self) -> tuple[str, ...]: ...

    def ask(self, vectors: Mapping[str, Vectors], seed: int) -> Asked:
        """Of (N, D) vectors of each catalogue, rows as its tracks. Raises BenchError when there is nothing to ask."""
        ...
