"""Exact nearest neighbours of every track of a space: BLAS proposes in blocks, float64 decides.

No row of a block of products is sorted. Of each query the best so far are pooled, and the cosine of its K-th is the bar;
one comparison over the whole block finds what clears it, soon very little. At the end the pool is scored again in float64
as in search/exact.py, with which the answer agrees to the bit: equal vectors score equally, ties go to the lower index.
Where more than a pool holds lies within rounding of the bar (many equal vectors), search/exact.py answers that query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.errors import SpaceError
from nearfield.search.exact import HAIR, Floats, Indices, TopK, merge, rescored, row_lengths, top_k, unit_rows

Groups = Sequence[npt.ArrayLike]

QUERY_BLOCK = 1024
VECTOR_BLOCK = 4096  # 1024 x 4096 products are 16 MiB
_SPARE = 32  # places of a pool beyond K, for what rounding leaves undecided


def nearest_of_all(
    vectors: Floats,
    k: int,
    exclude_groups: Groups | npt.NDArray[np.integer] | None = None,
    queries: npt.ArrayLike | None = None,
    block: int = VECTOR_BLOCK,
) -> TopK:
    """The `k` other vectors (N, D) of highest cosine for every vector, or for the rows (Q,) named by `queries`.

    A row is never its own neighbour. `exclude_groups`: one (N,) integer array or several; two rows of one group (the same
    artist, copies of one recording) are never neighbours; -1 belongs to no group. A zero vector scores 0 with everything.
    (Q, K) indices and scores with K = min(k, N - 1), -1 and -inf where fewer are allowed. Memory beside the
    vectors, a copy of them and the answer is bounded by `block`. Raises SpaceError for shapes that do not fit, rows that
    do not exist, and NaN or infinity.
    """
    if vectors.ndim != 2:
        raise SpaceError("search", f"vectors of shape {vectors.shape}", "give one row a track, (N, D)")
    n = len(vectors)
    groups = group_table(exclude_groups, n)
    rows = np.arange(n) if queries is None else query_rows(queries, n)
    k = max(0, min(k, n - 1))
    unit = np.empty((n, vectors.shape[1]), np.float32)
    for first in range(0, n, QUERY_BLOCK):
        unit[first : first + QUERY_BLOCK] = unit_rows(
            np.asarray(vectors[first : first + QUERY_BLOCK], np.float32), first
        )
    space = _Space(unit, row_lengths(unit), groups)
    indices, scores = np.full((len(rows), k), -1, np.int64), np.full((len(rows), k), -np.inf, np.float32)
    for first in range(0, len(rows) if k else 0, QUERY_BLOCK):
        part = slice(first, first + QUERY_BLOCK)
        _search(rows[part], space, max(1, block), indices[part], scores[part])
    return TopK(indices, scores)


def group_table(groups: Groups | npt.NDArray[np.integer] | None, n: int) -> npt.NDArray[np.int64]:
    """(G, N) group numbers, -1 for none. Raises SpaceError for an array that is not of N integers."""
    if groups is None:
        return np.empty((0, n), np.int64)
    whole = isinstance(groups, np.ndarray) and groups.ndim == 1
    arrays = [np.asarray(g) for g in ([groups] if whole else groups)]
    for array in arrays:
        if array.shape != (n,) or array.dtype.kind not in "iu":
            cause = f"a group array of shape {array.shape} and type {array.dtype} for {n} vectors"
            raise SpaceError("search", cause, "give one integer a track, -1 for no group")
    return np.array(arrays, np.int64).reshape(len(arrays), n)


def query_rows(queries: npt.ArrayLike, n: int) -> Indices:
    """(Q,) rows that exist among `n`; SpaceError for others."""
    rows = np.asarray(queries)
    if rows.size == 0:
        return np.empty(0, np.int64)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= n:
        raise SpaceError("search", f"queries that are not rows of {n} vectors", f"give whole numbers from 0 to {n - 1}")
    return rows.astype(np.int64)


def same_group(groups: npt.NDArray[np.int64], rows: Indices, others: Indices) -> npt.NDArray[np.bool_]:
    """Which pairs share a group of any array (G, N); `rows` and `others` broadcast."""
    same = np.zeros(np.broadcast_shapes(rows.shape, others.shape), bool)
    for group in groups:
        same |= (group[rows] == group[others]) & (group[rows] >= 0)
    return same


@dataclass(frozen=True, eq=False)
class _Space:
    """(N, D) unit vectors, their lengths (N,) to the last bit, and who may not meet whom (G, N)."""

    unit: Floats
    lengths: npt.NDArray[np.float64]
    groups: Indices

    def barred(self, rows: Indices, others: Indices) -> npt.NDArray[np.bool_]:
        return np.asarray((rows == others) | same_group(self.groups, rows, others))


def _search(rows: Indices, space: _Space, block: int, indices: Indices, scores: Floats) -> None:
    """Fill (Q, K) indices and scores of a block of query rows."""
    unit, k = space.unit, indices.shape[1]
    asked, pools = unit[rows], _Pools(len(rows), k)
    for first in range(0, len(unit), block):
        rough = asked @ unit[first : first + block].T
        if first == 0:
            rough[space.barred(rows[:, None], np.arange(rough.shape[1]))] = -np.inf
            q, column = _best_of_each(rough, pools.width)
        else:
            q, column = np.divmod(np.flatnonzero(rough >= pools.bars[:, None]), rough.shape[1])
            keep = ~space.barred(rows[q], column + first)
            q, column = q[keep], column[keep]
        pools.add(q, column + first, rough[q, column])
    unsure = pools.overflowed()
    for one in np.flatnonzero(~unsure):
        near = pools.numbers[one, pools.scores[one] >= pools.bars[one]]
        near = near[near >= 0]
        merge(indices[one], scores[one], near, rescored(asked[one], unit[near], space.lengths[near]))
    for one in np.flatnonzero(unsure):
        gone = np.flatnonzero(space.barred(rows[one], np.arange(len(unit))))
        slow = top_k(asked[one], unit, k, [gone.tolist()])
        indices[one], scores[one] = slow.indices[0], slow.scores[0]


def _best_of_each(rough: Floats, width: int) -> tuple[Indices, Indices]:
    """Rows and columns of the `width` greatest of every row, what is -inf left out."""
    if rough.shape[1] <= width:
        q, column = np.nonzero(rough > -np.inf)
        return q, column
    column = np.argpartition(rough, -width, axis=1)[:, -width:].ravel()
    q = np.repeat(np.arange(len(rough)), width)
    keep = rough[q, column] > -np.inf
    return q[keep], column[keep]


class _Pools:
    """Of each query the best so far by rough score (Q, W), unordered, and the bar that others have to clear (Q,)."""

    def __init__(self, n: int, k: int) -> None:
        self.k, self.width = k, k + _SPARE
        self.scores = np.full((n, self.width), -np.inf, np.float32)
        self.numbers = np.full((n, self.width), -1, np.int64)
        self.bars = np.full(n, -np.inf, np.float32)

    def add(self, q: Indices, numbers: Indices, scores: Floats) -> None:
        """Take candidates in, ordered by their query `q`; of more than fit the least are dropped."""
        count = np.bincount(q, minlength=len(self.bars))
        changed = np.flatnonzero(count)
        if not changed.size:
            return
        place = np.arange(len(q)) - np.repeat(np.cumsum(count) - count, count)  # 0, 1, .. within each query
        line = np.repeat(np.arange(changed.size), count[changed])
        new = np.full((changed.size, int(count.max())), -np.inf, np.float32)
        new_numbers = np.full(new.shape, -1, np.int64)
        new[line, place], new_numbers[line, place] = scores, numbers
        every = np.concatenate([self.scores[changed], new], axis=1)
        every_number = np.concatenate([self.numbers[changed], new_numbers], axis=1)
        best = np.argpartition(every, -self.width, axis=1)[:, -self.width :]
        self.scores[changed] = np.take_along_axis(every, best, axis=1)
        self.numbers[changed] = np.take_along_axis(every_number, best, axis=1)
        kth = np.partition(self.scores[changed], self.width - self.k, axis=1)[:, self.width - self.k]
        self.bars[changed] = kth - HAIR

    def overflowed(self) -> npt.NDArray[np.bool_]:
        """(Q,) where something dropped may have cleared the bar: the pool is full of what does."""
        return np.asarray((self.numbers >= 0).all(axis=1) & (self.scores.min(axis=1) >= self.bars))
