"""Exact cosine search: the oracle and the default. BLAS proposes, float64 decides.

Scores come from matrix products in blocks, whose last bits depend on the block's shape; so whatever lies
within a hair of the K-th best is scored again in float64, one row at a time. Equal vectors then score equally
wherever they stand, and ties go to the lower index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from nearfield.errors import SpaceError

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

_QUERY_BLOCK = 256
_VECTOR_BLOCK = 32_768  # 256 queries x 32768 scores are 32 MiB
_UNIT = 1e-5  # squared norms this near to 1 are let pass
HAIR = np.float32(2e-5)  # above that, and above the rounding of float32 products of a few thousand dimensions


@dataclass(frozen=True, eq=False)
class TopK:
    """Per query (Q, K): rows of the vectors, best first, and their cosines. Where there are fewer than K: -1,
    -inf.
    """

    indices: Indices
    scores: Floats


def top_k(
    queries: npt.ArrayLike,
    vectors: Floats,
    k: int,
    exclude: Sequence[Sequence[int]] | None = None,
    block: int = _VECTOR_BLOCK,
) -> TopK:
    """The `k` vectors (N, D) of highest cosine for each of the queries (Q, D).

    `exclude`: per query the rows never returned. A zero vector scores 0 with everything. K is min(k, N).
    Memory beside the inputs is bounded by `block`. Raises SpaceError for shapes that do not fit, and for NaN
    or infinity.
    """
    asked = np.atleast_2d(np.asarray(queries, np.float32))
    if vectors.ndim != 2 or asked.ndim != 2 or asked.shape[1] != vectors.shape[1]:
        cause = f"queries of shape {asked.shape} against vectors of shape {vectors.shape}"
        raise SpaceError("search", cause, "embed the query with the space's own model")
    if exclude is not None and len(exclude) != len(asked):
        raise SpaceError("search", f"{len(exclude)} exclusions for {len(asked)} queries", "give one a query")
    k = max(0, min(k, len(vectors)))
    unit = unit_rows(asked)
    indices, scores = np.full((len(asked), k), -1, np.int64), np.full((len(asked), k), -np.inf, np.float32)
    for first in range(0, len(asked) if k else 0, _QUERY_BLOCK):
        rows = slice(first, first + _QUERY_BLOCK)
        _search(unit[rows], vectors, exclude[rows] if exclude else None, block, indices[rows], scores[rows])
    return TopK(indices, scores)


def cosines(query: npt.ArrayLike, vectors: Floats, block: int = _VECTOR_BLOCK) -> Floats:
    """(N,) cosines of one query (D,) with all vectors (N, D), in blocks."""
    unit = unit_rows(np.atleast_2d(np.asarray(query, np.float32)))[0]
    out = np.empty(len(vectors), np.float32)
    for first in range(0, len(vectors), block):
        out[first : first + block] = rescored(unit, unit_rows(vectors[first : first + block], first))
    return out


def _search(
    unit: Floats,
    vectors: Floats,
    exclude: Sequence[Sequence[int]] | None,
    block: int,
    indices: Indices,
    scores: Floats,
) -> None:
    """Fill (Q, K) indices and scores for one block of queries, going through the vectors block by block."""
    k = indices.shape[1]
    for first in range(0, len(vectors), block):
        part = unit_rows(vectors[first : first + block], first)
        rough = unit @ part.T
        for q, row in enumerate(rough):
            if exclude is not None and len(exclude[q]):
                gone = np.asarray(exclude[q], np.int64) - first
                row[gone[(gone >= 0) & (gone < len(part))]] = -np.inf
            near = _nearest(row, k, scores[q, -1])
            if near.size:
                exact = rescored(unit[q], part[near])
                merge(indices[q], scores[q], near + first, exact)


def _nearest(row: Floats, k: int, worst: np.float32) -> Indices:
    """Every index that may belong to the best `k` of a row, rounding allowed for, and may beat `worst`."""
    bar = worst
    if k < row.size:
        bar = max(bar, np.partition(row, row.size - k)[row.size - k])
    return cast(Indices, np.flatnonzero((row >= bar - HAIR) & (row > -np.inf)))


def rescored(query: Floats, vectors: Floats, lengths: npt.NDArray[np.float64] | None = None) -> Floats:
    """(n,) cosines in float64, each row by itself; rounded to float32 within -1..1. `lengths`: of the rows, if known."""
    dots = np.einsum("nd,d->n", vectors, query, dtype=np.float64)
    norms = row_lengths(vectors) if lengths is None else lengths
    norms = norms * np.sqrt(np.einsum("d,d->", query, query, dtype=np.float64))
    exact = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
    return cast(Floats, np.clip(exact, -1, 1).astype(np.float32))


def row_lengths(vectors: Floats) -> npt.NDArray[np.float64]:
    """(n,) in float64, each row by itself."""
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)))


def merge(indices: Indices, scores: Floats, new_indices: Indices, new_scores: Floats) -> None:
    """Take new vectors into one query's (K,) indices and scores, in place; ties go to the lower index."""
    every = np.concatenate([indices[indices >= 0], new_indices])
    score = np.concatenate([scores[indices >= 0], new_scores])
    best = np.lexsort((every, -score))[: indices.size]
    indices[: best.size], scores[: best.size] = every[best], score[best]


def unit_rows(vectors: Floats, number: int = 0) -> Floats:
    """Rows of unit length to 1e-5, zero rows left zero; the same array when they are so already.

    `number` is that of the first row, for messages.
    """
    with np.errstate(all="ignore"):  # what overflows is seen to below
        squares = np.einsum("nd,nd->n", vectors, vectors)
        off = ~(np.abs(squares - 1) < _UNIT)
    if not off.any():
        return vectors
    rows = vectors[off].astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    if not np.isfinite(norms).all():
        bad = number + int(np.flatnonzero(off)[~np.isfinite(norms)][0])
        raise SpaceError("search", f"vector {bad} holds NaN or infinity", "embed it again, or leave it out")
    unit = vectors.copy()
    unit[off] = rows / np.where(norms > 0, norms, 1)[:, None]
    return unit
