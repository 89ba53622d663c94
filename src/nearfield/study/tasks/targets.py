"""What a probe is to say of a track: a class, numbers, or which tags it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError
from nearfield.study.tasks.intervals import Floats, Indices

Kind = Literal["classes", "numbers", "tags"]


@dataclass(frozen=True, eq=False)
class Targets:
    """Of N tracks. `values` (N, Y): numbers; flags of tags, 0 or 1; or of classes one 1 in a row (`codes` says where).

    `names` (Y,): what the columns are. `known` (N,): tracks of which it is known; the others neither teach nor are asked.
    """

    kind: Kind
    values: Floats
    names: tuple[str, ...]
    known: npt.NDArray[np.bool_]

    @property
    def codes(self) -> Indices:
        """(N,) the class of each track."""
        return np.asarray(self.values.argmax(axis=1), np.int64)

    def strata(self) -> Indices:
        """(N,) what a split is to spread evenly: the class, else nothing."""
        return self.codes if self.kind == "classes" else np.zeros(len(self.values), np.int64)

    def of(self, rows: Indices) -> Targets:
        return replace(self, values=self.values[rows], known=self.known[rows])


def classes(labels: Sequence[str], names: Sequence[str] | None = None) -> Targets:
    """One of the `names` (all that occur, sorted, if None) a track; "" is not known. Raises BenchError for another."""
    text = np.array(labels, str)
    known = np.asarray(text != "")
    columns = tuple(sorted({str(t) for t in text[known]})) if names is None else tuple(names)
    if strange := sorted({str(t) for t in text[known]} - set(columns)):
        raise BenchError("labels", f"{strange[0]!r} is no class", f"use some of: {', '.join(columns)}")
    values = text[:, None] == np.array(columns, str) if columns else np.zeros((len(text), 0))
    return Targets("classes", np.asarray(values, np.float64), columns, known)


def numbers(values: npt.ArrayLike, names: Sequence[str]) -> Targets:
    """(N, Y) numbers, a column a name; a row with NaN is not known. Raises BenchError for another shape, and infinity."""
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or table.shape[1] != len(names) or np.isinf(table).any():
        cause = f"shape {table.shape} for {len(names)} names, or infinite numbers"
        raise BenchError("numbers", cause, "give (N, Y) finite numbers, NaN for what is not known")
    return Targets("numbers", table, tuple(names), np.asarray(~np.isnan(table).any(axis=1)))


def tags(sets: Sequence[frozenset[str]]) -> Targets:
    """The tags of each track; no tag at all is not known, as in retrieval."""
    names = sorted(set().union(*sets))
    flags = np.array([[name in held for name in names] for held in sets], bool).reshape(len(sets), len(names))
    return replace(flagged(flags, names), known=np.asarray(flags.any(axis=1)))


def flagged(flags: npt.ArrayLike, names: Sequence[str]) -> Targets:
    """(N, T) flags, a column a tag; every track is known, also without a tag. Raises BenchError for another shape or value."""
    table = np.asarray(flags)
    if table.ndim != 2 or table.shape[1] != len(names) or not np.isin(table, (0, 1)).all():
        cause = f"shape {table.shape} for {len(names)} tags, or values beside 0 and 1"
        raise BenchError("tags", cause, "give one flag a track and tag, (N, T)")
    return Targets("tags", table.astype(np.float64), tuple(names), np.ones(len(table), bool))
