"""Retrieval by label: for every track all others, nearest first, and how many of those it wants come early.

Precision@K, R-precision and the reciprocal rank as usual (Manning, Raghavan and Schuetze 2008, chapter 8); mAP@R is that of
Musgrave, Belongie and Lim (ECCV 2020, arXiv 2003.08505, section 3.2): 1/R sum over i <= R of P(i) where the i-th is
relevant, R of them being relevant. nDCG has gains of 0 to 1 and the discount 1 / log2(1 + rank) (Jarvelin and Kekalainen
2002, with the logarithm at every rank), over the whole ranking and for its first K.

Deviations: tracks of one group (an artist, copies of one recording) are not each other's candidates; a query without a
relevant candidate is left out and counted. Precision@K is over K even where fewer are relevant, so its best may be below 1.
Cosines are taken in float64 and rounded to 2^-24: what differs by rounding alone is a tie, and goes to the lower index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError
from nearfield.search.all_pairs import Groups, group_table, same_group
from nearfield.study.metrics import Vectors
from nearfield.study.tasks import chance
from nearfield.study.tasks.intervals import Floats, Indices
from nearfield.study.tasks.relevance import Relevance
from nearfield.study.tasks.row import Measure
from nearfield.study.tasks.scores import mean_of

SIZES = (1, 5, 10)
_STEPS = 2**24  # from cosine 0 to 1: the resolution of float32
_CELLS = 2_000_000  # pairs ranked at a time: 16 MB an array


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What Q queries found. `queries` (Q,): their rows; `values` and `chance`: (Q,) of each metric.

    `unlabelled`: tracks without a label, which neither ask nor answer; `unanswerable`: labelled ones without a relevant
    candidate, which answer only. `directionless`: labelled ones whose vector is zero, so that they score 0 with all.
    """

    queries: Indices
    values: Mapping[str, Floats]
    chance: Mapping[str, Floats]
    unlabelled: int
    unanswerable: int
    directionless: int

    def measures(self) -> tuple[Measure, ...]:
        """The mean of each metric over the queries; without any they are NaN."""
        n = len(self.queries)
        return tuple(
            Measure(name, mean_of(values), float(self.chance[name].mean()) if n else float("nan"), n)
            for name, values in self.values.items()
        )


def retrieve(
    vectors: Vectors,
    relevance: Relevance,
    exclude_groups: Groups | npt.NDArray[np.integer] | None = None,
    sizes: Sequence[int] = SIZES,
) -> Retrieval:
    """Rank for every track of (N, D) vectors all others by cosine.

    `exclude_groups`: one (N,) integer array or several; tracks of one group are not each other's candidates, -1 is none.
    Memory beside a float64 copy of the vectors is bounded. Raises BenchError for shapes that do not fit, a size below 1, NaN
    or infinity; SpaceError for groups that do not fit.
    """
    if np.ndim(vectors) != 2 or len(vectors) != len(relevance.known):
        cause = f"vectors of shape {np.shape(vectors)} for {len(relevance.known)} tracks"
        raise BenchError("retrieval", cause, "give one row a track, (N, D)")
    if not sizes or min(sizes) < 1:
        raise BenchError("retrieval", f"{list(sizes)} neighbours", "ask for one or more")
    tracks = np.flatnonzero(relevance.known)
    groups = group_table(exclude_groups, len(vectors))[:, tracks]
    unit, directionless = _unit(vectors, tracks)
    block = max(1, _CELLS // max(1, len(tracks)))
    parts = [
        _ranked(np.arange(first, min(first + block, len(tracks))), unit, relevance, tracks, groups, tuple(sizes))
        for first in range(0, len(tracks), block)
    ]
    asked = np.concatenate([p.asked for p in parts] or [np.empty(0, np.int64)])
    names = _names(tuple(sizes))
    return Retrieval(
        tracks[asked],
        {m: np.concatenate([p.values[m] for p in parts] or [np.empty(0)]) for m in names},
        {m: np.concatenate([p.chance[m] for p in parts] or [np.empty(0)]) for m in names},
        unlabelled=len(vectors) - len(tracks),
        unanswerable=len(tracks) - len(asked),
        directionless=directionless,
    )


@dataclass(frozen=True, eq=False)
class _Part:
    asked: Indices
    values: dict[str, Floats]
    chance: dict[str, Floats]


def _names(sizes: tuple[int, ...]) -> tuple[str, ...]:
    at = [f"{name}@{k}" for name in ("precision", "nDCG") for k in sizes]
    return (*at, "R-precision", "mAP@R", "MRR", "nDCG")


def _unit(vectors: Vectors, tracks: Indices) -> tuple[Floats, int]:
    """(C, D) rows of length 1 in float64, zero rows left zero, and how many of those there are."""
    rows = np.asarray(vectors)[tracks].astype(np.float64)
    if not np.isfinite(rows).all():
        bad = int(tracks[~np.isfinite(rows).all(axis=1)][0])
        raise BenchError("retrieval", f"vector {bad} holds NaN or infinity", "embed it again, or leave it out")
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    rows /= np.where(largest > 0, largest, 1)  # squares of very small numbers would vanish
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1), int(np.count_nonzero(lengths == 0))


def _ranked(
    rows: Indices, unit: Floats, relevance: Relevance, tracks: Indices, groups: Indices, sizes: tuple[int, ...]
) -> _Part:
    """The metrics of a block of queries, those left out that want nothing they may have."""
    everyone = np.arange(len(tracks))
    barred = same_group(groups, rows[:, None], everyone) | (rows[:, None] == everyone)
    gains = np.where(barred, 0.0, relevance.gains(tracks[rows], tracks))
    keep = (gains > 0).any(axis=1)
    rows, barred, gains = rows[keep], barred[keep], gains[keep]
    order = best_first(unit[rows] @ unit.T, barred)
    ideal = _discounted(-np.sort(-gains, axis=1))
    found = _metrics(np.take_along_axis(gains, order, axis=1), ideal, sizes)
    return _Part(rows, found, _chances(gains, ideal, len(tracks) - barred.sum(axis=1), sizes))


def best_first(cosines: Floats, barred: npt.NDArray[np.bool_]) -> Indices:
    """(B, C) columns by falling cosine, rounded to 2^-24, ties to the lower column, those barred last.

    Rounded cosine and column are packed in one integer, which sorts faster than a stable sort of cosines.
    """
    steps = np.rint(cosines * -_STEPS).astype(np.int64)
    steps[barred] = 2 * _STEPS
    packed = (steps << 32) | np.arange(cosines.shape[1])
    packed.sort(axis=1)
    return packed & 0xFFFFFFFF


def _metrics(ranked: Floats, ideal: Floats, sizes: tuple[int, ...]) -> dict[str, Floats]:
    """Of gains (B, C) in ranked order, each row with one above 0, and the discounted gains (B, C) of the best order."""
    hits = ranked > 0
    so_far = hits.cumsum(axis=1)
    relevant, line = so_far[:, -1], np.arange(len(ranked))
    rank = np.arange(1, ranked.shape[1] + 1)
    early = np.where(hits & (rank <= relevant[:, None]), so_far / rank, 0.0)
    gained = _discounted(ranked)
    found = {f"precision@{k}": so_far[:, min(k, len(rank)) - 1] / k for k in sizes}
    found |= {f"nDCG@{k}": gained[:, min(k, len(rank)) - 1] / ideal[:, min(k, len(rank)) - 1] for k in sizes}
    return found | {
        "R-precision": so_far[line, relevant - 1] / relevant,
        "mAP@R": early.sum(axis=1) / relevant,
        "MRR": 1 / (hits.argmax(axis=1) + 1.0),
        "nDCG": gained[:, -1] / ideal[:, -1],
    }


def _chances(gains: Floats, ideal: Floats, candidates: Indices, sizes: tuple[int, ...]) -> dict[str, Floats]:
    """The same in random order; the expected gain at every place is the mean gain of the candidates."""
    relevant, width = (gains > 0).sum(axis=1), gains.shape[1]
    mean_gain = gains.sum(axis=1) / candidates
    discounts = np.concatenate([[0.0], _discounted(np.ones((1, width)))[0]])

    def ndcg(k: int) -> Floats:
        return np.asarray(mean_gain * discounts[np.minimum(k, candidates)] / ideal[:, min(k, width) - 1])

    found = {f"precision@{k}": chance.precision_at(candidates, relevant, k) for k in sizes}
    found |= {f"nDCG@{k}": ndcg(k) for k in sizes}
    return found | {
        "R-precision": chance.r_precision(candidates, relevant),
        "mAP@R": chance.map_at_r(candidates, relevant),
        "MRR": chance.reciprocal_rank(candidates, relevant),
        "nDCG": ndcg(width),
    }


def _discounted(gains: Floats) -> Floats:
    """(B, C) discounted gain up to and with each place."""
    return np.asarray((gains / np.log2(np.arange(2, gains.shape[1] + 2))).cumsum(axis=1))
