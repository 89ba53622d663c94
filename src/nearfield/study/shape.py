"""The shape of a space: alignment, uniformity, effective rank, hubs, duplicates.

Alignment and uniformity: Wang and Isola, arXiv 2005.10242. RankMe: arXiv 2210.02885. Hubness by the skewness of the
k-occurrence (Radovanovic, Nanopoulos and Ivanovic, JMLR 2010), its Robin Hood index and the share of anti-hubs (Feldbauer,
Leodolter, Plant and Flexer, ICBK 2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import skew

from nearfield.errors import SpaceError
from nearfield.study.metrics import Vectors, unit

Indices = npt.NDArray[np.int64]

DUPLICATE = 0.9999  # cosine at which two tracks count as one recording, where nothing else is said
_BLOCK = 1024  # 1024 x 1024 products are 4 MiB
_CELLS = 1 << 22  # 32 MiB of float64
_PAIRS = 8192  # pairs scored again at a time


def alignment(first: Vectors, second: Vectors) -> float:
    """Mean squared distance of the unit vectors of positive pairs, (N, D) twice: 0 when they coincide, 4 at most."""
    return float(np.square(unit(first) - unit(second)).sum(axis=1).mean())


def uniformity(vectors: Vectors) -> float:
    """Logarithm of the mean Gaussian potential exp(-2 d^2) over all pairs of (N, D) unit vectors.

    0 when all coincide, below when they spread over the sphere; at least two vectors are needed.
    """
    points = unit(vectors).astype(np.float64)
    n = len(points)
    if n < 2:
        raise ValueError("uniformity takes at least two vectors")
    total = 0.0
    rows = max(1, _CELLS // n)
    for first in range(0, n, rows):
        squared = np.clip(2 - 2 * points[first : first + rows] @ points.T, 0, None)
        own = np.arange(len(squared))
        squared[own, first + own] = np.inf  # a point is no pair with itself
        total += float(np.exp(-2 * squared).sum())
    return math.log(total / (n * (n - 1)))


def rank_me(vectors: npt.ArrayLike) -> float:
    """Effective rank of (N, D) vectors: the exponential of the entropy of their normalised singular values, 1 to min(N, D).

    Deviation: the vectors are centred first, so that an offset shared by all does not count as a direction.
    """
    array = np.asarray(vectors, np.float64)
    values = np.linalg.svd(array - array.mean(axis=0), compute_uv=False)
    share = values / max(values.sum(), 1e-300)
    share = share[share > 1e-12]
    return float(np.exp(-(share * np.log(share)).sum()))


@dataclass(frozen=True)
class Hub:
    """A track (row of the vectors) and how many have it among their K nearest."""

    row: int
    occurrences: int


@dataclass(frozen=True)
class Hubness:
    """How unevenly N tracks occur among the K nearest of those asked.

    `skewness`: of the occurrences, 0 when even, None when all occur equally often. `robin_hood`: the share of all occurrences
    that would have to be dealt out again to be even, 0 to 1. `anti_hubs`: share of tracks that are nobody's neighbour.
    `largest`: the tracks that occur most, most first, ties by row.
    """

    k: int
    tracks: int
    skewness: float | None
    robin_hood: float
    anti_hubs: float
    largest: tuple[Hub, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Duplicates:
    """Pairs of tracks with a cosine of at least `threshold`, and the groups they link, most members first.

    `groups`: rows of the vectors. `pairs`: how many there are, `tracks`: how many tracks are in a group.
    """

    threshold: float
    pairs: int
    tracks: int
    groups: tuple[tuple[int, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def group_numbers(self, n: int) -> Indices:
        """(N,) the group of each track, -1 for none: what `exclude_groups` of the search takes."""
        numbers = np.full(n, -1, np.int64)
        for number, rows in enumerate(self.groups):
            numbers[list(rows)] = number
        return numbers


def occurrences(nearest: Indices, n: int) -> Indices:
    """(N,) how often each track is among the nearest (Q, K); -1 is nobody."""
    return np.bincount(nearest[nearest >= 0], minlength=n).astype(np.int64)


def hubness(nearest: Indices, n: int, largest: int = 10) -> Hubness:
    """Of a graph (Q, K) of rows among N tracks. Raises SpaceError where there is no edge."""
    counts = occurrences(nearest, n)
    total = int(counts.sum())
    if total == 0:
        raise SpaceError("hubness", "no track has a neighbour", "give two tracks or more that may be neighbours")
    even = total / n
    order = np.argsort(-counts, kind="stable")[:largest]
    return Hubness(
        int(nearest.shape[1]),
        n,
        float(skew(counts)) if counts.min() < counts.max() else None,
        float(np.abs(counts - even).sum() / (2 * total)),
        float((counts == 0).mean()),
        tuple(Hub(int(row), int(counts[row])) for row in order if counts[row]),
    )


def duplicates(vectors: Vectors, threshold: float = DUPLICATE) -> Duplicates:
    """Pairs among (N, D) vectors whose cosine is at least `threshold`: proposed by BLAS in blocks, decided in float64.

    Zero vectors have no direction and are nobody's duplicate. Groups are connected components: two members may be further
    apart than the threshold. Raises SpaceError for NaN or infinity, and for a threshold not above 0 or above 1.
    """
    if not 0 < threshold <= 1:
        raise SpaceError("duplicates", f"a threshold of {threshold}", "give a cosine above 0, at most 1")
    if not np.isfinite(vectors).all():
        raise SpaceError("duplicates", "a vector holds NaN or infinity", "embed it again, or leave it out")
    n, pairs, links = len(vectors), 0, [np.empty((2, 0), np.int64)]
    for found in _near_pairs(unit(vectors), threshold):
        pairs += found.shape[1]
        component = _components(found, n)
        rows = np.unique(found)
        links.append(np.stack([rows, _first_of_each(component[rows], rows)]))  # as connected, and far fewer
    joined = np.concatenate(links, axis=1)
    members = np.unique(joined)
    component = _components(joined, n)[members]
    order = np.argsort(component, kind="stable")
    ends = np.flatnonzero(np.diff(component[order])) + 1
    groups = [tuple(map(int, group)) for group in np.split(members[order], ends) if len(group)]
    groups.sort(key=lambda rows: (-len(rows), rows))
    return Duplicates(float(threshold), pairs, len(members), tuple(groups))


def _components(pairs: Indices, n: int) -> Indices:
    """(N,) number of the connected component of each row, for links (2, P)."""
    links = coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def _first_of_each(component: Indices, rows: Indices) -> Indices:
    """Of each row the first row of its component; rows are in order."""
    _, first, which = np.unique(component, return_index=True, return_inverse=True)
    return np.asarray(rows[first[which]])


def _near_pairs(points: Vectors, threshold: float) -> Iterator[Indices]:
    """(2, P) pairs of rows, the lower first, of each block of products that has any."""
    for first in range(0, len(points), _BLOCK):
        for second in range(first, len(points), _BLOCK):
            rough = points[first : first + _BLOCK] @ points[second : second + _BLOCK].T
            one, other = np.divmod(np.flatnonzero(rough >= threshold - 1e-5), rough.shape[1])
            pairs = np.stack([one + first, other + second])
            pairs = pairs[:, pairs[0] < pairs[1]]
            if pairs.size:
                parts = np.split(pairs, range(_PAIRS, pairs.shape[1], _PAIRS), axis=1)
                near = np.concatenate([_cosines(points[a], points[b]) >= threshold - 1e-9 for a, b in parts])
                yield pairs[:, near]


def _cosines(first: Vectors, second: Vectors) -> npt.NDArray[np.float64]:
    """(P,) cosines in float64 of pairs of unit or zero vectors (P, D)."""
    dots = np.einsum("pd,pd->p", first, second, dtype=np.float64)
    norms = [np.sqrt(np.einsum("pd,pd->p", v, v, dtype=np.float64)) for v in (first, second)]
    return np.asarray(dots / np.maximum(norms[0] * norms[1], 1e-12))
