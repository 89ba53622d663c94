"""Who asks and who answers about a property, and their standings in a space: what both figures and comparisons start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nearfield.errors import SpaceError
from nearfield.search.all_pairs import nearest_of_all
from nearfield.study.metrics import Vectors
from nearfield.study.neighbourhood.dyadic import Floats, Indices
from nearfield.study.neighbourhood.standing import Apart, Graph, Reach, Standing, reach_of, standing_at


class Property(Protocol):
    """A property of N tracks: where it is `known` (N,), and how far two tracks are apart in it.

    `between(a, b)` takes two integer arrays that broadcast and returns distances >= 0, the same both ways, 0 from a track to
    itself; it is asked about known tracks only. Two tracks agree when their distance is at most `agrees_within`.
    """

    @property
    def name(self) -> str: ...
    @property
    def known(self) -> npt.NDArray[np.bool_]: ...
    @property
    def between(self) -> Callable[[Indices, Indices], Floats]: ...
    @property
    def agrees_within(self) -> float: ...


def usable(spaces: Sequence[Vectors], prop: Property) -> Indices:
    """Numbers of the tracks that ask and answer: the property known, and a direction in each space."""
    known = np.asarray(prop.known, bool).copy()
    for vectors in spaces:
        if vectors.ndim != 2 or known.shape != (len(vectors),):
            cause = f"{prop.name} is given for {known.size} tracks, the vectors have shape {vectors.shape}"
            raise SpaceError("neighbourhood", cause, "give vectors (N, D) and a property of the same N tracks")
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if bad.size:
            raise SpaceError(
                "neighbourhood", f"vector {bad[0]} holds NaN or infinity", "embed it again, or leave it out"
            )
        known &= vectors.any(axis=1)
    return np.flatnonzero(known)


def whole_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    if not sizes or min(sizes) < 1:
        raise SpaceError("neighbourhood", f"sizes {list(sizes)}", "ask for one neighbour or more")
    return tuple(sorted(set(sizes)))


def asked_rows(n: int, most: int, rng: np.random.Generator) -> Indices:
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def graph_of(vectors: Vectors, rows: Indices, groups: Indices, sizes: Sequence[int]) -> Graph:
    nearest = nearest_of_all(vectors, max(sizes), list(groups), rows).indices
    return Graph(rows, nearest, groups, clusters_of(groups, len(vectors)))


def clusters_of(groups: Indices, n: int) -> Indices:
    """(N,) numbers of the sets of tracks that the groups (G, N) link, directly or through others."""
    edges = [np.empty((2, 0), np.int64)]
    for group in groups:
        members = np.flatnonzero(group >= 0)
        order = members[np.argsort(group[members], kind="stable")]
        same = group[order[1:]] == group[order[:-1]]
        edges.append(np.stack([order[:-1][same], order[1:][same]]))
    one, other = np.concatenate(edges, axis=1)
    links = coo_array((np.ones(len(one)), (one, other)), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


@dataclass(frozen=True, eq=False)
class Scales:
    """The standings of one space at every K, in distance and in disagreement."""

    sizes: tuple[int, ...]
    apart: tuple[Apart, Apart]
    reach: tuple[Reach, Reach]
    distance: tuple[Standing, ...]
    disagree: tuple[Standing, ...]

    @classmethod
    def of(cls, graph: Graph, prop: Property, tracks: Indices, sizes: tuple[int, ...]) -> Scales:
        def distance(a: Indices, b: Indices) -> Floats:
            return np.asarray(prop.between(tracks[a], tracks[b]), np.float64)

        def disagree(a: Indices, b: Indices) -> Floats:
            return np.asarray(distance(a, b) > prop.agrees_within, np.float64)

        apart = (distance, disagree)
        reach = (reach_of(graph, distance, sizes), reach_of(graph, disagree, sizes))
        return cls(sizes, apart, reach, (), ()).in_space(graph)

    def in_space(self, graph: Graph) -> Scales:
        """The same with the neighbours of another space."""
        standings = []
        for apart, reach in zip(self.apart, self.reach, strict=True):
            seen = apart(graph.rows[:, None], graph.nearest)  # where there are fewer than K, -1: not read
            standings.append(tuple(standing_at(graph, reach, seen, s) for s in range(len(self.sizes))))
        return replace(self, distance=standings[0], disagree=standings[1])
