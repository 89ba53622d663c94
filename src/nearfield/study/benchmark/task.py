"""What a question to an embedding is, and what it is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from nearfield.data.track import Track
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.intervals import Indices
from nearfield.study.tasks.row import Measure


@dataclass(frozen=True)
class Catalogue:
    """The tracks of a manifest that every embedding has a vector for, in the manifest's order; `name` says which labels count."""

    name: str
    tracks: tuple[Track, ...]


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

    @property
    def settings(self) -> Mapping[str, Any]:
        """Plain values that the answer depends on beside vectors, tracks and seed."""
        ...

    def ask(self, vectors: Mapping[str, Vectors], seed: int) -> Asked:
        """Of (N, D) vectors of each catalogue, rows as its tracks. Raises BenchError when there is nothing to ask."""
        ...


@runtime_checkable
class Asks(Protocol):
    """A task that can also be answered from the sound: `label` is tempo or key, `asked` the catalogue asked about."""

    @property
    def label(self) -> str: ...

    @property
    def asked(self) -> str: ...

    def of_answers(self, answers: Mapping[str, float | str]) -> Asked:
        """Of answers by track id; none is wrong."""
        ...
