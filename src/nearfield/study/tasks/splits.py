"""Which tracks a probe learns from and which it is asked: whole groups (artists) in fixed folds, kept as a file.

Nothing is drawn: the same tracks, groups and labels fall the same way on any machine. As in scikit-learn's
StratifiedGroupKFold the largest groups go first, each to the fold where the labels stay most even; deviations: the evenness
is the sum of squared shares of each label, and ties go to the smaller fold.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError, readable
from nearfield.study.tasks.intervals import Indices, cluster_codes

FORMAT = 1
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Folds:
    """`fold` (N,): 0 to count - 1, in which fold each track is asked. `catalogue`: hash of the tracks and their groups."""

    fold: Indices
    count: int
    catalogue: str


def make_folds(
    ids: Sequence[str], groups: Sequence[str], labels: Sequence[str] | None = None, count: int = FOLDS
) -> Folds:
    """Folds of N tracks with unique `ids`; tracks of one group ("": alone) share a fold, labels are spread evenly.

    Raises BenchError for lists that do not fit, ids that are not unique, and fewer groups than folds.
    """
    if len(set(ids)) != len(ids) or not len(ids) == len(groups) == len(labels or ids):
        cause = f"{len(ids)} ids ({len(set(ids))} of them different), {len(groups)} groups, {len(labels or ids)} labels"
        raise BenchError("folds", cause, "give a different id, a group and a label a track")
    keys = [("group", g) if g else ("track", i) for i, g in zip(ids, groups, strict=True)]
    order = {key: n for n, key in enumerate(sorted(set(keys), key=_place))}
    kinds = np.unique(np.array(labels if labels is not None else [""] * len(ids), str), return_inverse=True)[1]
    fold = dealt(np.array([order[key] for key in keys], np.int64), kinds, count)
    return Folds(fold, count, catalogue_hash(ids, groups))


def dealt(groups: npt.ArrayLike, kinds: npt.ArrayLike, count: int) -> Indices:
    """(N,) folds of group numbers (N,), -1 alone, and label numbers (N,), 0 or more: the rule of this module.

    Raises BenchError for fewer groups than folds, or less than two folds.
    """
    codes, labels = cluster_codes(groups), np.asarray(kinds, np.int64)
    groups_there = int(codes.max(initial=-1)) + 1
    if count < 2 or groups_there < count:
        raise BenchError(
            "folds", f"{count} of {groups_there} groups", "have two folds or more, and no more than groups"
        )
    held = np.zeros((groups_there, int(labels.max()) + 1))
    np.add.at(held, (codes, labels), 1)
    shares = held / np.maximum(held.sum(axis=0), 1)
    fold_of, filled, sizes = np.empty(groups_there, np.int64), np.zeros((count, held.shape[1])), np.zeros(count)
    for group in np.argsort(-held.sum(axis=1), kind="stable"):
        rise = np.square(filled + shares[group]).sum(axis=1) - np.square(filled).sum(axis=1)
        chosen = np.lexsort((sizes, rise.round(12)))[0]
        fold_of[group] = chosen
        filled[chosen] += shares[group]
        sizes[chosen] += held[group].sum()
    return np.asarray(fold_of[codes])


def blocks_of(groups: Indices, kinds: Indices, count: int) -> Indices:
    """(N,) blocks of whole groups, dealt as folds are; as many as there are groups where those are fewer."""
    count = min(count, len(np.unique(groups)))
    return dealt(groups, kinds, count) if count > 1 else np.zeros(len(groups), np.int64)


def blocks_within(folds: Indices, groups: Indices, kinds: Indices, count: int) -> Indices:
    """(N,) blocks numbered through, as many in each fold, so that none lies in two; -1 where the fold is -1."""
    blocks, every = np.full(len(folds), -1), np.unique(folds[folds >= 0])
    for fold in every:
        rows = np.flatnonzero(folds == fold)
        dealt_here = blocks_of(cluster_codes(groups[rows]), kinds[rows], max(1, count // len(every)))
        blocks[rows] = blocks.max(initial=-1) + 1 + dealt_here
    return blocks


def write_folds(folds: Folds, ids: Sequence[str], path: Path) -> None:
    """As JSON, a line a track, replacing what was there. Raises BenchError when it cannot be written."""
    lines = (f"  {json.dumps(i)}: {int(f)}" for i, f in zip(ids, folds.fold, strict=True))
    head = f'{{"format": {FORMAT}, "count": {folds.count}, "catalogue": "{folds.catalogue}", "folds": {{\n'
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(head + ",\n".join(lines) + "\n}}\n", encoding="ascii")
        os.replace(part, path)
    except OSError as error:
        raise BenchError(readable(path), error.strerror or str(error), "choose a place that can be written") from error


def read_folds(path: Path, ids: Sequence[str], groups: Sequence[str]) -> Folds:
    """The folds of these tracks, in their order, from a file of the same tracks in any order.

    Raises BenchError when it cannot be read, holds something else, or was made of other tracks or groups.
    """
    name, again = readable(path), "make the folds again"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        form, count, catalogue, held = (content[key] for key in ("format", "count", "catalogue", "folds"))
        numbers = [held.get(i) for i in ids]
    except OSError as error:
        raise BenchError(name, error.strerror or str(error), "give the file of the folds") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(name, "is not a file of folds", again) from error
    if form != FORMAT:
        raise BenchError(name, f"format is {form}, this version reads {FORMAT}", again)
    if catalogue != catalogue_hash(ids, groups):
        raise BenchError(name, "was made of other tracks or groups", again)
    if type(count) is not int or not all(type(f) is int and 0 <= f < count for f in numbers):
        raise BenchError(name, "has tracks without a fold", again)
    return Folds(np.array(numbers, np.int64), count, catalogue)


def catalogue_hash(ids: Sequence[str], groups: Sequence[str]) -> str:
    """Of the tracks and their groups, whatever their order."""
    lines = sorted(json.dumps([i, g]) for i, g in zip(ids, groups, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _place(key: tuple[str, str]) -> bytes:
    """A fixed order of groups that has nothing to do with their names' alphabet, in which labels often hide."""
    return hashlib.sha256(json.dumps(key).encode()).digest()
