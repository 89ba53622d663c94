"""What organises a space: how much of who is near whom each property explains, alone and given the others.

For each query the K nearest are cases and a sample of the others controls; how far two tracks are apart in each property
says how likely one is a neighbour of the other (`choice.py`, `bends.py`). What a model explains is its gain: by how many
bits a neighbour is likelier under it than by chance, on tracks it was not fitted to. `alone` is the gain of one property,
`together` that of all, `given_others` what the gain of all loses without one. Chance is 0 bits; log2(others / K) are the
most there are, when a query's K neighbours could be no other tracks. A property that says nothing comes out a little
below 0, by the price of fitting it. Why this and not partial Mantel: docs/decisions/0010.

Intervals are over tracks, not edges: two edges with a track in common are not independent (`jackknife.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.errors import SpaceError
from nearfield.search.exact import top_k
from nearfield.study.metrics import Estimate, Vectors
from nearfield.study.organise import choice
from nearfield.study.organise.choice import Candidates, Floats, Indices, sample_candidates
from nearfield.study.organise.gains import Part, PropertyLike, Settings, cross_fitted, p_of, parts_of
from nearfield.study.organise.jackknife import mean_covariance

NEIGHBOURS = 10
DEFAULT = Settings()
_SUBJECT = "what organises the space"
_Z = 1.959964  # 95 %, two-sided


@dataclass(frozen=True)
class Organiser:
    """One property, in bits a neighbour. Rank 1 has the largest `given_others`; its interval is 95 % too.

    `p`: of the property's independence of the space, beside the others, by permuting its values over the tracks. It is too
    small too often for one that only goes with what drives the space (docs/decisions/0010): there the interval of
    `given_others` decides. `known`: of how many tracks.
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
            | {"alone": p.alone.as_dict(), "given_others": p.given_others.as_dict(), "p": None if p.p != p.p else p.p}
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
    settings: Settings = DEFAULT,
) -> Organisation:
    """`organise` for (N, D) vectors, of which the `k` nearest by cosine are looked for; a sample of queries only.

    Raises SpaceError for fewer than k + 2 tracks, vectors that hold NaN, and what `organise` refuses.
    """
    N = len(vectors)
    if not 1 <= k <= N - 2:
        raise SpaceError(_SUBJECT, f"{N} tracks for {k} neighbours", "take fewer neighbours")
    if _n_tracks(properties) != N:
        raise SpaceError(_SUBJECT, f"vectors of {N} tracks, properties of {_n_tracks(properties)}", "match them by id")
    groups = _groups(exclude_groups, N)
    queries = _some(np.arange(N), settings.most_queries, rng)
    own = [[int(query), *np.flatnonzero(choice.barred(groups, query))] for query in queries]
    near = top_k(vectors[queries], vectors, k, exclude=own).indices
    return organise(near, properties, rng, queries, groups, settings)


def organise(
    neighbours: Indices,
    properties: Sequence[PropertyLike],
    rng: np.random.Generator,
    queries: Indices | None = None,
    exclude_groups: npt.ArrayLike | None = None,
    settings: Settings = DEFAULT,
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
        raise SpaceError(_SUBJECT, cause, "give one row of neighbours a query")
    rows = _some(np.arange(len(asked)), settings.most_queries, rng)
    groups = _groups(exclude_groups, N)
    candidates = sample_candidates(neighbours[rows], asked[rows], groups, settings.controls, rng)
    if len(candidates.queries) < settings.folds:
        cause = f"only {len(candidates.queries)} queries have both neighbours and others"
        raise SpaceError(_SUBJECT, cause, "take fewer neighbours, or more tracks")
    parts, left_out = parts_of(properties, candidates)
    edges, gains = cross_fitted(parts, candidates, N, settings, rng)
    p_values = [p_of(number, parts, candidates, N, settings, rng) for number in range(len(parts))]
    means, covariance = gains.mean(axis=0), mean_covariance(edges, gains, N)
    own = slice(1 + len(parts), None)
    draws = rng.multivariate_normal(means[own], covariance[own, own], settings.draws, method="eigh")
    n = len(candidates.queries)
    ranked = _organisers(parts, p_values, means, covariance, n, draws)
    together = _estimate(means, covariance, 0, n)
    return Organisation(ranked, together, _most_bits(candidates), left_out, neighbours.shape[1], n, N, settings)


def _most_bits(candidates: Candidates) -> float:
    """The gain of whoever knows the neighbours: log2(others / K), the mean over edges."""
    k = candidates.cases.sum(axis=1)
    return float(np.average(np.log2(candidates.weights.sum(axis=1) / k), weights=k))


def _organisers(
    parts: Sequence[Part], p_values: Sequence[float], means: Floats, covariance: Floats, n: int, draws: Floats
) -> tuple[Organiser, ...]:
    """Best first; means (1 + 2P,) of the gains, draws (rounds, P) of those given the others."""
    P = len(parts)
    ranks = _ranks(means[None, 1 + P :])[0]
    low, high = np.quantile(_ranks(draws), (0.025, 0.975), axis=0, method="inverted_cdf")
    found = [
        Organiser(
            part.prop.name,
            _estimate(means, covariance, 1 + p, n),
            _estimate(means, covariance, 1 + P + p, n),
            int(ranks[p]),
            int(low[p]),
            int(high[p]),
            p_values[p],
            int(part.prop.known.sum()),
        )
        for p, part in enumerate(parts)
    ]
    return tuple(sorted(found, key=lambda organiser: organiser.rank))


def _estimate(means: Floats, covariance: Floats, column: int, n: int) -> Estimate:
    mean, reach = float(means[column]), _Z * float(np.sqrt(covariance[column, column]))
    return Estimate(mean, mean - reach, mean + reach, n)


def _ranks(figures: Floats) -> Indices:
    """(..., P) -> (..., P): 1 for the largest."""
    return np.asarray(np.argsort(np.argsort(-figures, axis=-1, kind="stable"), axis=-1) + 1)


def _some(rows: Indices, most: int, rng: np.random.Generator) -> Indices:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _groups(exclude_groups: npt.ArrayLike | None, N: int) -> Indices:
    """(G, N) numbers."""
    if exclude_groups is None:
        return np.empty((0, N), np.int64)
    groups = np.atleast_2d(np.asarray(exclude_groups, np.int64))
    if groups.ndim != 2 or groups.shape[1] != N:
        raise SpaceError(_SUBJECT, f"groups of shape {groups.shape} for {N} tracks", "give one a track")
    return groups


def _n_tracks(properties: Sequence[PropertyLike]) -> int:
    lengths = {len(p.known) for p in properties}
    if len(lengths) != 1:
        cause = "no property is named" if not lengths else f"properties of {sorted(lengths)} tracks"
        raise SpaceError(_SUBJECT, cause, "name properties of one catalogue")
    return lengths.pop()
