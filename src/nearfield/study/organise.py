"""What organises a space: how much of who is near whom each property explains, alone and given the others.

For each query the K nearest are cases and a sample of the others controls; how far two tracks are apart in each property
says how likely one is a neighbour of the other (`choice.py`, `bends.py`). What a model explains is its gain: by how many
bits a neighbour is likelier under it than by chance, on tracks it was not fitted to. `alone` is the gain of one property,
`together` that of all, `given_others` what the gain of all loses without one. Chance is 0 bits; log2(others / K) are the
most there are, when a query's K neighbours could be no other tracks. A property that says nothing comes out a little
below 0, by the price of fitting it. Why this and not partial Mantel: docs/decisions/0011.

Intervals are over tracks: edges with a track in common are not independent, so the variance of a mean over edges is the
sum over all pairs of edges with a common track (Aronow, Samii and Assenova 2015, equation 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nearfield.errors import SpaceError
from nearfield.search.exact import top_k
from nearfield.study import choice
from nearfield.study.bends import Bends, bends_of
from nearfield.study.choice import Candidates, Floats, Indices, sample_candidates
from nearfield.study.dyads import mean_covariance
from nearfield.study.metrics import Estimate, Vectors
from nearfield.study.score import Score, permutation_p

NEIGHBOURS = 10
_Z = 1.959964  # 95 %, two-sided


class PropertyLike(Protocol):
    """What is asked of a property (`study/properties.py`)."""

    @property
    def name(self) -> str: ...
    @property
    def known(self) -> npt.NDArray[np.bool_]: ...
    @property
    def between(self) -> Callable[[Indices, Indices], Floats]: ...


@dataclass(frozen=True)
class Settings:
    """How it is measured. `rounds`: of the permutation test (0: none, p is NaN). `draws`: for the intervals of ranks."""

    most_queries: int = 1000
    controls: int = 90
    folds: int = 5
    ridge: float = 1.0
    rounds: int = 99
    draws: int = 2000


@dataclass(frozen=True)
class Organiser:
    """One property, in bits a neighbour. Rank 1 has the largest `given_others`; its interval is 95 % too.

    `p`: of `given_others` being nothing, by permuting the property's values over the tracks. `known`: of how many tracks.
    """

    name: str
    alone: Estimate
    given_others: Estimate
    rank: int
    rank_low: int
    rank_high: int
    p: float
    known: int


@dataclass(frozen=True)
class Organisation:
    """The ranking, best first, over `n` queries of `k` neighbours among `n_tracks`.

    `most_bits`: the gain of whoever knows the neighbours. `left_out`: properties known for no pair, or the same for all.
    """

    properties: tuple[Organiser, ...]
    together: Estimate
    most_bits: float
    left_out: tuple[str, ...]
    k: int
    n: int
    n_tracks: int
    settings: Settings

    @property
    def shared_bits(self) -> float:
        """Of `together`, what no property explains by itself: correlated ones explain it in each other's stead."""
        return self.together.value - sum(p.given_others.value for p in self.properties)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the shares of `together` that are each property's own, and `together`'s of the most bits."""
        rows = [
            asdict(p)
            | {"alone": p.alone.as_dict(), "given_others": p.given_others.as_dict()}
            | {"share": round(p.given_others.value / self.together.value, 4) if self.together.value > 0 else None}
            for p in self.properties
        ]
        return asdict(self) | {
            "properties": rows,
            "together": self.together.as_dict(),
            "shared_bits": round(self.shared_bits, 4),
            "explained": round(self.together.value / self.most_bits, 4),
        }


def organise_vectors(
    vectors: Vectors,
    properties: Sequence[PropertyLike],
    rng: np.random.Generator,
    k: int = NEIGHBOURS,
    exclude_groups: npt.ArrayLike | None = None,
    settings: Settings = Settings(),
) -> Organisation:
    """`organise` for (N, D) vectors, of which the `k` nearest by cosine are looked for; a sample of queries only.

    Raises SpaceError for fewer than k + 2 tracks, vectors that hold NaN, and what `organise` refuses.
    """
    N = len(vectors)
    if not 1 <= k <= N - 2:
        raise SpaceError("what organises the space", f"{N} tracks for {k} neighbours", "take fewer neighbours")
    groups = _groups(exclude_groups, N)
    queries = _some(np.arange(N), settings.most_queries, rng)
    same = (groups[:, queries, None] == groups[:, None, :]) & (groups[:, queries, None] >= 0)
    own = [np.union1d(np.flatnonzero(same[:, row].any(axis=0)), [query]) for row, query in enumerate(queries)]
    near = top_k(vectors[queries], vectors, k, exclude=own).indices
    return organise(near, properties, rng, queries, groups, settings)


def organise(
    neighbours: Indices,
    properties: Sequence[PropertyLike],
    rng: np.random.Generator,
    queries: Indices | None = None,
    exclude_groups: npt.ArrayLike | None = None,
    settings: Settings = Settings(),
) -> Organisation:
    """The ranking of properties of N tracks for the neighbours (Q, K) of all tracks, or of the `queries` (Q,) named.

    neighbours: rows of the catalogue, -1 where there are fewer. `exclude_groups`: (N,) or (G, N) numbers, -1 for none; the
    neighbours must have been found with the same, for tracks of the query's group are no controls either. More than
    `settings.most_queries` are sampled. Raises SpaceError when no property or no query says anything.
    """
    N = _n_tracks(properties)
    asked = np.arange(len(neighbours)) if queries is None else np.asarray(queries, np.int64)
    if len(asked) != len(neighbours) or (queries is None and len(neighbours) != N):
        cause = f"neighbours of {len(neighbours)} queries for {len(asked)} queries of {N} tracks"
        raise SpaceError("what organises the space", cause, "give one row of neighbours a query")
    rows = _some(np.arange(len(asked)), settings.most_queries, rng)
    groups = _groups(exclude_groups, N)
    candidates = sample_candidates(neighbours[rows], asked[rows], groups, settings.controls, rng)
    if len(candidates.queries) < settings.folds:
        cause = f"only {len(candidates.queries)} queries have both neighbours and others"
        raise SpaceError("what organises the space", cause, "take fewer neighbours, or more tracks")
    parts, left_out = _parts(properties, candidates)
    edges, gains = _gains(parts, candidates, N, settings, rng)
    p_values = [_p(number, parts, candidates, N, settings, rng) for number in range(len(parts))]
    return _ranking(parts, p_values, edges, gains, candidates, left_out, neighbours.shape[1], N, settings, rng)


@dataclass(frozen=True, eq=False)
class _Part:
    """A property with the features of its distances."""

    prop: PropertyLike
    bends: Bends
    block: Floats

    def features(self, candidates: Candidates, order: Indices | None) -> Floats:
        """(Q, R, F), with the value of order[i] as that of track i."""
        if order is None:
            return self.block
        return self.bends.features(_distances(self.prop, order[candidates.queries][:, None], order[candidates.tracks]))


def _parts(properties: Sequence[PropertyLike], candidates: Candidates) -> tuple[list[_Part], tuple[str, ...]]:
    """Properties with features, and the names of those that say nothing about any pair."""
    parts, left_out = [], []
    controls = (candidates.weights > 0) & ~candidates.cases
    for prop in properties:
        apart = _distances(prop, candidates.queries[:, None], candidates.tracks)
        bends = bends_of(apart[controls])
        if bends.constant:
            left_out.append(prop.name)
        else:
            parts.append(_Part(prop, bends, bends.features(apart)))
    if not parts:
        cause = f"none of {len(left_out)} properties is known and differs between tracks"
        raise SpaceError("what organises the space", cause, "name properties that the catalogue knows")
    return parts, tuple(left_out)


def _gains(
    parts: Sequence[_Part], candidates: Candidates, N: int, settings: Settings, rng: np.random.Generator
) -> tuple[Indices, Floats]:
    """(E, 2) tracks of each edge, and its gains in bits (E, 1 + 2P): together, alone, given the others.

    Tracks are dealt to folds; a fold's queries are judged by models that saw none of its tracks, not as candidates either:
    mutual neighbours would otherwise tell of each other.
    """
    P = len(parts)
    held_in = rng.permutation(N) % settings.folds
    edge_query, column = np.nonzero(candidates.cases)
    edges = np.stack([candidates.queries[edge_query], candidates.tracks[edge_query, column]], axis=1)
    models = [range(P), *([p] for p in range(P)), *([q for q in range(P) if q != p] for p in range(P))]
    gains = np.zeros((len(edges), len(models)))
    for fold in range(settings.folds):
        held = held_in[candidates.queries] == fold
        fitted = candidates.of(~held).among(held_in != fold)
        blocks = [part.block[~held] for part in parts]
        start = _fit(blocks, range(P), fitted, settings, [np.zeros(b.shape[2]) for b in blocks])
        for m, model in enumerate(models):
            coefficients = _fit(blocks, model, fitted, settings, start) if m else start
            gains[held[edge_query], m] = _bits(parts, model, coefficients, candidates, held)
    gains[:, 1 + P :] = gains[:, :1] - gains[:, 1 + P :]
    return edges, gains


def _fit(
    blocks: Sequence[Floats], model: Sequence[int], fitted: Candidates, settings: Settings, start: Sequence[Floats]
) -> list[Floats]:
    chosen = [blocks[p] for p in model]
    if not chosen:
        return []
    curvature = choice.information(chosen, fitted.even, fitted)
    return choice.fit(chosen, fitted, settings.ridge, [start[p] for p in model], curvature)


def _bits(
    parts: Sequence[_Part],
    model: Sequence[int],
    coefficients: Sequence[Floats],
    candidates: Candidates,
    held: npt.NDArray[np.bool_],
) -> Floats:
    """Gains over chance of the edges of the held queries, row by row."""
    judged = candidates.of(held)
    shares = choice.log_shares([parts[p].block[held] for p in model], coefficients, judged)
    return np.asarray((shares - judged.even)[judged.cases] / np.log(2))


def _p(
    number: int, parts: Sequence[_Part], candidates: Candidates, N: int, settings: Settings, rng: np.random.Generator
) -> float:
    if not settings.rounds:
        return float("nan")
    others = [p for p in range(len(parts)) if p != number]
    blocks = [p.block for p in parts]
    coefficients = _fit(blocks, others, candidates, settings, [np.zeros(b.shape[2]) for b in blocks])
    shares = choice.log_shares([blocks[p] for p in others], coefficients, candidates)
    score = Score([blocks[p] for p in others], shares, candidates, settings.ridge)
    return permutation_p(score, lambda order: parts[number].features(candidates, order), N, settings.rounds, rng)


def _ranking(
    parts: Sequence[_Part],
    p_values: Sequence[float],
    edges: Indices,
    gains: Floats,
    candidates: Candidates,
    left_out: tuple[str, ...],
    k: int,
    N: int,
    settings: Settings,
    rng: np.random.Generator,
) -> Organisation:
    P, n = len(parts), len(candidates.queries)
    covariance = mean_covariance(edges, gains, N)
    means, errors = gains.mean(axis=0), np.sqrt(np.diagonal(covariance))
    figures = [
        Estimate(float(m), float(m - _Z * e), float(m + _Z * e), n) for m, e in zip(means, errors, strict=True)
    ]
    draws = rng.multivariate_normal(means[1 + P :], covariance[1 + P :, 1 + P :], settings.draws, method="eigh")
    low, high = np.quantile(_ranks(draws), (0.025, 0.975), axis=0, method="inverted_cdf")
    ranks = _ranks(means[None, 1 + P :])[0]
    found = [
        Organiser(
            part.prop.name,
            figures[1 + p],
            figures[1 + P + p],
            int(ranks[p]),
            int(low[p]),
            int(high[p]),
            p_values[p],
            int(part.prop.known.sum()),
        )
        for p, part in enumerate(parts)
    ]
    most = np.log2(candidates.weights.sum(axis=1) / candidates.cases.sum(axis=1))
    best_first = tuple(sorted(found, key=lambda organiser: organiser.rank))
    return Organisation(best_first, figures[0], float(most.mean()), left_out, k, n, N, settings)


def _ranks(figures: Floats) -> Indices:
    """(..., P) -> (..., P): 1 for the largest."""
    return np.asarray(np.argsort(np.argsort(-figures, axis=-1, kind="stable"), axis=-1) + 1)


def _distances(prop: PropertyLike, one: Indices, other: Indices) -> Floats:
    """Distances of pairs of tracks, NaN where one is not known."""
    one, other = np.broadcast_arrays(one, other)
    known = prop.known[one] & prop.known[other]
    apart = np.full(one.shape, np.nan)
    apart[known] = prop.between(one[known], other[known])
    return apart


def _some(rows: Indices, most: int, rng: np.random.Generator) -> Indices:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _groups(exclude_groups: npt.ArrayLike | None, N: int) -> Indices:
    """(G, N) numbers."""
    if exclude_groups is None:
        return np.empty((0, N), np.int64)
    groups = np.atleast_2d(np.asarray(exclude_groups, np.int64))
    if groups.ndim != 2 or groups.shape[1] != N:
        raise SpaceError("what organises the space", f"groups of shape {groups.shape} for {N} tracks", "give one a track")
    return groups


def _n_tracks(properties: Sequence[PropertyLike]) -> int:
    lengths = {len(p.known) for p in properties}
    if len(lengths) != 1:
        cause = "no property is named" if not lengths else f"properties of {sorted(lengths)} tracks"
        raise SpaceError("what organises the space", cause, "name properties of one catalogue")
    return lengths.pop()
