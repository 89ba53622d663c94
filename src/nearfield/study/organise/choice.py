"""Which of the other tracks become a query's neighbours: a softmax over candidates, fitted by L-BFGS.

A track j becomes a neighbour of query i with a probability proportional to exp(features of (i, j) times coefficients), one
vector of coefficients for all queries: conditional logistic regression (McFadden 1974), in which whatever belongs to a
query alone, such as how crowded its surroundings are, cancels. All K neighbours are cases; of the rest a sample, the
controls, stands for all, each with a weight of how many it stands for (sampling of alternatives, McFadden 1978). So a
query's sum over candidates is without bias whatever the number of controls, and exact when none is left out.
Deviation: K neighbours are drawn together, not one after another; they count as K independent draws (a composite
likelihood), which leaves the estimate as it is and takes the intervals elsewhere (`organise.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.optimize

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_STEPS = 200
_TOLERANCE = 1e-7  # of the gradient, in nats an edge


@dataclass(frozen=True, eq=False)
class Candidates:
    """Q queries with R candidates each: the K columns of neighbours, then controls.

    queries (Q,) and tracks (Q, R) are rows of the catalogue; cases (Q, R) says which are neighbours; weights (Q, R) of how
    many tracks each stands for, 0 where there is none. A row of weights sums to how many others the query may have.
    """

    queries: Indices
    tracks: Indices
    cases: npt.NDArray[np.bool_]
    weights: Floats

    def of(self, rows: npt.NDArray[np.bool_]) -> Candidates:
        """Those of some queries (Q,)."""
        return Candidates(self.queries[rows], self.tracks[rows], self.cases[rows], self.weights[rows])

    def among(self, tracks: npt.NDArray[np.bool_]) -> Candidates:
        """The same queries, with only some tracks (N,) as candidates."""
        here = tracks[self.tracks]
        return Candidates(self.queries, self.tracks, self.cases & here, self.weights * here)

    @property
    def even(self) -> Floats:
        """(Q, R) logarithm of chance: every candidate is as likely as any other."""
        total = self.weights.sum(axis=1, keepdims=True)
        return np.broadcast_to(-np.log(np.where(total > 0, total, 1)), self.weights.shape)


def sample_candidates(
    neighbours: Indices, queries: Indices, groups: Indices, n_controls: int, rng: np.random.Generator
) -> Candidates:
    """Candidates of queries (Q,) with neighbours (Q, K), -1 where there are fewer, and at most `n_controls` controls each.

    Controls are drawn without replacement from the tracks that are neither the query nor its neighbours nor in one group
    with it: groups (G, N) are numbers, -1 for none. A query without neighbours or controls says nothing and is left out.
    """
    K = neighbours.shape[1]
    tracks = np.zeros((len(queries), K + n_controls), np.int64)
    weights = np.zeros(tracks.shape)
    for row, (query, listed) in enumerate(zip(queries, neighbours, strict=True)):
        near = listed[listed >= 0]
        free = ~barred(groups, query)
        free[query] = False
        free[near] = False
        rest = np.flatnonzero(free)
        drawn = rest if len(rest) <= n_controls else rng.choice(rest, n_controls, replace=False)
        tracks[row, : len(near)], weights[row, : len(near)] = near, 1
        if len(drawn):
            columns = slice(K, K + len(drawn))
            tracks[row, columns], weights[row, columns] = drawn, len(rest) / len(drawn)
    cases = weights > 0
    cases[:, K:] = False
    told = cases.any(axis=1) & (weights[:, K:] > 0).any(axis=1)
    return Candidates(queries[told], tracks[told], cases[told], weights[told])


def barred(groups: Indices, query: int) -> npt.NDArray[np.bool_]:
    """(N,) which tracks are in one group with a query; groups (G, N), -1 for none."""
    own = groups[:, query, None]
    return np.asarray(((groups == own) & (own >= 0)).any(axis=0))


def log_shares(blocks: Sequence[Floats], coefficients: Sequence[Floats], candidates: Candidates) -> Floats:
    """(Q, R) logarithm of the probability that a neighbour of the query is this very candidate, by the model."""
    scores = np.zeros(candidates.weights.shape)
    for block, coefficient in zip(blocks, coefficients, strict=True):
        scores += block @ coefficient
    return np.asarray(scores - log_sums(scores, candidates.weights)[:, None])


def log_sums(scores: Floats, weights: Floats) -> Floats:
    """(Q, R) scores and weights -> (Q,) logarithm of the weighted sum of exponentials; 0 for a row without weight."""
    top = np.where(weights > 0, scores, -np.inf).max(axis=1)
    top = np.where(np.isfinite(top), top, 0)
    total = (weights * np.exp(np.minimum(scores - top[:, None], 0))).sum(axis=1)
    return np.asarray(top + np.log(np.where(total > 0, total, 1)))


def loss_and_gradient(
    blocks: Sequence[Floats], coefficients: Sequence[Floats], candidates: Candidates, ridge: float
) -> tuple[float, list[Floats]]:
    """Negative log-likelihood in nats an edge, with ridge / 2 times the squared coefficients, and its gradient by block.

    blocks: (Q, R, F) features, one array a property; coefficients: (F,) each.
    """
    edges = max(int(candidates.cases.sum()), 1)
    shares = log_shares(blocks, coefficients, candidates)
    loss = -float(shares[candidates.cases].sum())
    expected = expected_cases(shares, candidates)
    surplus = (expected - candidates.cases).reshape(-1)
    gradient = [surplus @ b.reshape(-1, b.shape[-1]) + ridge * c for b, c in zip(blocks, coefficients, strict=True)]
    loss += ridge / 2 * sum(float(c @ c) for c in coefficients)
    return loss / edges, [g / edges for g in gradient]


def expected_cases(shares: Floats, candidates: Candidates) -> Floats:
    """(Q, R) how many of the query's neighbours the model has at each candidate and those it stands for."""
    there = np.where(candidates.weights > 0, shares, 0)  # without weight a share has no bound
    return np.asarray(np.exp(there) * candidates.weights * candidates.cases.sum(axis=1)[:, None])


def information(blocks: Sequence[Floats], shares: Floats, candidates: Candidates) -> Floats:
    """(F, F) covariance of all features under the model's shares (Q, R), summed over edges: the Fisher information."""
    rows = centred(blocks, shares, candidates)
    return np.asarray(rows.T @ rows)


def centred(blocks: Sequence[Floats], shares: Floats, candidates: Candidates) -> Floats:
    """(Q x R, F) features less their query's expectation, times the root of each candidate's expected neighbours."""
    features = np.concatenate(list(blocks), axis=2)
    expected = expected_cases(shares, candidates)
    features -= expected[:, None, :] @ features / np.maximum(candidates.cases.sum(axis=1), 1)[:, None, None]
    features *= np.sqrt(expected)[:, :, None]
    return features.reshape(-1, features.shape[2])


def fit(
    blocks: Sequence[Floats], candidates: Candidates, ridge: float, start: Sequence[Floats], curvature: Floats
) -> list[Floats]:
    """Coefficients (F,) a block that make the neighbours likeliest.

    `curvature`: (F, F) information somewhere, which makes all directions alike for L-BFGS; it changes the time alone.
    """
    edges = max(int(candidates.cases.sum()), 1)
    ends = np.cumsum([b.shape[2] for b in blocks])[:-1]
    factor = scipy.linalg.cholesky((curvature + ridge * np.eye(len(curvature))) / edges, lower=True)

    def parts(point: Floats) -> list[Floats]:
        return np.split(scipy.linalg.solve_triangular(factor, point, lower=True, trans="T"), ends)

    def objective(point: Floats) -> tuple[float, Floats]:
        loss, gradient = loss_and_gradient(blocks, parts(point), candidates, ridge)
        return loss, scipy.linalg.solve_triangular(factor, np.concatenate(gradient), lower=True)

    found = scipy.optimize.minimize(
        objective,
        factor.T @ np.concatenate(list(start)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS, "ftol": 1e-12, "gtol": _TOLERANCE},
    )
    return parts(found.x)
