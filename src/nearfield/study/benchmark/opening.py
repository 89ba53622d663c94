"""The embeddings of a benchmark, each opened on every catalogue, and the tracks that all of them have."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nearfield.data.manifest import Manifest
from nearfield.errors import BenchError, NearfieldError, readable
from nearfield.study.embedding import Embedding, Reading, named, open_embedding
from nearfield.study.metrics import Vectors

PLACE = "{catalogue}"
_PLAIN = re.compile(r"^[A-Za-z0-9][\w.+-]*$")


@dataclass(frozen=True)
class Contender:
    """What is asked: `given` as open_embedding takes it, "{catalogue}" in it standing for the catalogue's name.

    `name`: what it is called, "" to be called as the embedding calls itself. A `baseline` that cannot be had is listed.
    """

    name: str
    given: str
    baseline: bool = False

    @classmethod
    def of(cls, text: str) -> Contender:
        """`NAME=GIVEN`, or GIVEN alone."""
        return cls(*named(text))


@dataclass(frozen=True)
class Absent:
    """What could not be asked about a catalogue, and why."""

    model: str
    catalogue: str
    cause: str
    remedy: str


@dataclass(frozen=True, eq=False)
class Opened:
    """A contender on the catalogues that it could be opened on."""

    name: str
    baseline: bool
    embeddings: Mapping[str, Embedding]


@dataclass(frozen=True, eq=False)
class Field:
    """Everyone there is, and who is missing where. `lacking`: of each catalogue the tracks that are not judged, and why."""

    opened: tuple[Opened, ...]
    absent: tuple[Absent, ...]
    judged: Mapping[str, tuple[str, ...]]
    lacking: Mapping[str, Mapping[str, str]]

    def vectors(self, of: Opened, catalogue: str) -> Vectors:
        """(N, D): a row for each judged track, in the catalogue's order."""
        embedding = of.embeddings[catalogue]
        place = {id_: row for row, id_ in enumerate(embedding.ids)}
        return np.asarray(embedding.vectors[[place[id_] for id_ in self.judged[catalogue]]], np.float32)


def catalogue_of(text: str) -> tuple[str, Path]:
    """`NAME=MANIFEST`; raises BenchError for anything else."""
    name, _, given = text.partition("=")
    if not (_PLAIN.match(name) and given):
        remedy = "write NAME=MANIFEST, the name of letters, digits, dots and dashes"
        raise BenchError(readable(text), "is no catalogue", remedy)
    return name, Path(os.path.expanduser(given))


def open_field(
    contenders: Sequence[Contender],
    manifests: Mapping[str, Manifest],
    how: Callable[[str, str], Reading],
) -> Field:
    """Every contender on every catalogue; `how(model, catalogue)` says where heard files are kept and who is told.

    Raises BenchError for two of one name, a catalogue whose tracks no two share; for a contender that is no baseline the
    error that keeps it from every catalogue.
    """
    absent: list[Absent] = []
    opened = [one for c in contenders if (one := _open(c, manifests, how, absent)) is not None]
    if twice := [name for name, count in Counter(o.name for o in opened).items() if count > 1]:
        raise BenchError("models", f"two are called {twice[0]!r}", "name them apart: NAME=MODEL")
    if not opened:
        raise BenchError("models", "none is given", "name a model, a space or a file of vectors")
    judged, lacking = {}, {}
    for name, manifest in manifests.items():
        here = {o.name: o.embeddings[name] for o in opened if name in o.embeddings}
        judged[name], lacking[name] = _common(manifest, here)
    return Field(tuple(opened), tuple(absent), judged, lacking)


def _open(
    contender: Contender, manifests: Mapping[str, Manifest], how: Callable[[str, str], Reading], absent: list[Absent]
) -> Opened | None:
    found: dict[str, Embedding] = {}
    missed: list[tuple[str, NearfieldError]] = []
    called = contender.name or contender.given
    for catalogue, manifest in manifests.items():
        try:
            given = contender.given.replace(PLACE, catalogue)
            found[catalogue] = open_embedding(given, manifest, how(called, catalogue))
        except NearfieldError as error:
            missed.append((catalogue, error))
    if missed and not found and not contender.baseline:
        raise missed[0][1]
    name = contender.name or next((e.name for e in found.values()), contender.given)
    absent += [Absent(readable(name), c, f"{e.subject}: {e.cause}", e.remedy) for c, e in missed]
    called_so = {c: replace(e, name=name) for c, e in found.items()}
    return Opened(name, contender.baseline, called_so) if found else None


def _common(manifest: Manifest, here: Mapping[str, Embedding]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Tracks that everyone has, and of the others who lacks them."""
    has = {name: set(embedding.ids) for name, embedding in here.items()}
    lacks = {t.id: [name for name, ids in has.items() if t.id not in ids] for t in manifest}
    judged = tuple(id_ for id_, who in lacks.items() if not who) if here else ()
    if here and not judged:
        cause = f"no track has a vector of all of {', '.join(here)}"
        raise BenchError(readable(manifest.name), cause, "give embeddings of the same tracks")
    causes = {(name, row.id): row.cause for name, embedding in here.items() for row in embedding.left_out}
    first = {id_: who[0] for id_, who in lacks.items() if who}
    return judged, {id_: f"{name}: {causes.get((name, id_), 'has no vector')}" for id_, name in first.items()}
