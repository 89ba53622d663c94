"""Rows of a benchmark kept as they are found, so that what was asked once of the same vectors is not asked again."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import nearfield.study
from nearfield.catalogue.journal import Journal, records
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.row import Row

Rows = tuple[Row, ...]


@dataclass(frozen=True)
class Kept:
    """Rows of a question and what was left out of it."""

    rows: Rows
    notes: tuple[str, ...]
    seconds: float


@dataclass
class Answers:
    """What is known, by a key of everything that it depends on; new answers are also written to the journal."""

    journal: Journal | None = None
    known: dict[str, Kept] = field(default_factory=dict)

    def get(self, key: str, find: Callable[[], Kept]) -> Kept:
        if key not in self.known:
            self.known[key] = find()
            if self.journal is not None:
                self.journal.append(_record(key, self.known[key]))
        return self.known[key]


@contextlib.contextmanager
def answers_in(file: Path | None) -> Iterator[Answers]:
    """Those of a file, which need not be there yet; None keeps them for this run only."""
    if file is None:
        yield Answers()
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    known = dict(_read(payload) for payload in records(file))
    with Journal(file) as journal:
        yield Answers(journal, known)


def key_of(*parts: Any) -> str:
    """Of plain values and of vectors; of the code that makes rows, too."""
    total = hashlib.sha256(_code().encode())
    for part in parts:
        plain = digest_of(part) if isinstance(part, np.ndarray) else part
        total.update(json.dumps(plain, sort_keys=True).encode() + b"\n")
    return total.hexdigest()[:32]


def digest_of(vectors: Vectors) -> str:
    """16 hex digits of an array's numbers and shape."""
    return hashlib.sha256(f"{vectors.shape}".encode() + np.ascontiguousarray(vectors, "<f4").tobytes()).hexdigest()[:16]


@functools.cache
def _code() -> str:
    """A digest of the modules that questions are made of: rows of older ones are not taken over."""
    total = hashlib.sha256()
    for room in ("benchmark", "tasks"):
        for file in sorted(Path(nearfield.study.__path__[0], room).glob("*.py")):
            total.update(file.read_bytes())
    return total.hexdigest()


def _record(key: str, kept: Kept) -> bytes:
    rows: Sequence[dict[str, Any]] = [asdict(row) for row in kept.rows]  # NaN is written as Python writes it
    return json.dumps({"key": key, "rows": rows, "notes": kept.notes, "seconds": kept.seconds}).encode()


def _read(payload: bytes) -> tuple[str, Kept]:
    row = json.loads(payload)
    return row["key"], Kept(tuple(Row(**r) for r in row["rows"]), tuple(row["notes"]), row["seconds"])
