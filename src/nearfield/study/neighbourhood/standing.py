"""What the nearest of each track have of a property, beside what all others have and what the best possible K would have.

These are the arrays that study/neighbourhood/measure.py makes its figures of. Memory is bounded: of N x N distances one block of
rows is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.search.all_pairs import same_group
from nearfield.study.neighbourhood.dyadic import Floats, Indices, Influence, pair_matrix

Apart = Callable[[Indices, Indices], Floats]

_BLOCK_VALUES = 2_000_000  # distances held at a time: 16 MB
_NOTHING = 1e-12  # a reach from chance to best below this is rounding


@dataclass(frozen=True, eq=False)
class Graph:
    """Who is asked (Q,) among N tracks, their nearest (Q, K), -1 where fewer, and which tracks count as one (N,).

    `groups` (G, N): tracks of one group are never each other's candidates.
    """

    rows: Indices
    nearest: Indices
    groups: Indices
    clusters: Indices

    @property
    def n(self) -> int:
        return len(self.clusters)


@dataclass(frozen=True, eq=False)
class Reach:
    """Between chance and the best: what does not depend on the space. Q tracks asked, S sizes K of a neighbourhood.

    `allowed` (Q,): candidates of each; `chance` (Q,): mean distance to them; `best` (Q, S): to the K closest in the property.
    `chance_pull`, `best_pull` (S, N): how the sums of those over the tracks asked would change with more weight on a
    candidate. `asked` (S, Q): those with more than K candidates; for the others every ranking is the same.
    """

    sizes: tuple[int, ...]
    allowed: Indices
    chance: Floats
    best: Floats
    chance_pull: Floats
    best_pull: Floats

    @property
    def asked(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.allowed[None, :] > np.array(self.sizes)[:, None])


def reach_of(graph: Graph, apart: Apart, sizes: Sequence[int]) -> Reach:
    """Go through the distances of all tracks asked to all candidates, block by block."""
    n_asked, n = len(graph.rows), graph.n
    allowed, chance = np.zeros(n_asked, np.int64), np.zeros(n_asked)
    best = np.zeros((n_asked, len(sizes)))
    chance_pull, best_pull = np.zeros((len(sizes), n)), np.zeros((len(sizes), n))
    step = max(1, _BLOCK_VALUES // max(n, 1))
    everyone = np.arange(n)
    for first in range(0, n_asked, step):
        part = slice(first, first + step)
        rows = graph.rows[part, None]
        banned = same_group(graph.groups, rows, everyone) | (rows == everyone)
        distances = np.where(banned, np.inf, apart(rows, everyone))
        allowed[part] = n - banned.sum(axis=1)
        count = np.maximum(allowed[part], 1)
        chance[part] = np.where(banned, 0, distances).sum(axis=1) / count
        pull = np.where(banned, 0, distances - chance[part, None]) / count[:, None]
        asked = allowed[None, part] > np.array(sizes)[:, None]
        chance_pull += asked.astype(float) @ pull
        best[part] = _best(distances, sizes, asked, best_pull)
    return Reach(tuple(sizes), allowed, chance, best, chance_pull, best_pull)


def _best(distances: Floats, sizes: Sequence[int], asked: npt.NDArray[np.bool_], best_pull: Floats) -> Floats:
    """(R, S) means of the K least of a block of rows (R, N); `best_pull` is added to.

    The mean of the K least moves with the weight of a candidate by what that is below the K-th least, as the expected
    shortfall does.
    """
    n = distances.shape[1]
    most = min(max(sizes), n)
    column = np.argpartition(distances, most - 1, axis=1)[:, :most]
    values = np.take_along_axis(distances, column, axis=1)
    order = np.argsort(values, axis=1)
    column, values = np.take_along_axis(column, order, axis=1), np.take_along_axis(values, order, axis=1)
    best = np.zeros((len(distances), len(sizes)))
    for s, k in enumerate(sizes):
        rows = np.flatnonzero(asked[s])
        if not rows.size:
            continue
        least, kth = values[rows, :k], values[rows, k - 1]
        best[rows, s] = least.mean(axis=1)
        below = (least - kth[:, None]) / k
        best_pull[s] += np.bincount(column[rows, :k].ravel(), below.ravel(), n)
        best_pull[s] -= (best[rows, s] - kth).sum() / n  # they sum to 0
    return best


@dataclass(frozen=True, eq=False)
class Standing:
    """One space, one way to tell two tracks apart, one K: of the Q tracks asked what they have seen, and could have.

    `seen`, `chance`, `best` (Q,); `apart` (Q, K): distances to the nearest; `rows` (Q,), `nearest` (Q, K): who they are.
    """

    graph: Graph
    rows: Indices
    nearest: Indices
    apart: Floats
    allowed: float
    chance: Floats
    best: Floats
    chance_pull: Floats
    best_pull: Floats

    @property
    def seen(self) -> Floats:
        return np.asarray(self.apart.mean(axis=1))

    @property
    def span(self) -> float:
        """From chance to the best possible; 0 where no ranking could do better than another."""
        span = float((self.chance - self.best).mean()) if len(self.rows) else 0.0
        return span if span > _NOTHING else 0.0

    def track_indices(self) -> Floats:
        """(Q,) of which the index is the mean: each track's (chance - seen) over the mean of all tracks' span."""
        return np.asarray((self.chance - self.seen) / self.span)

    def index(self) -> Influence:
        """(chance - seen) / (chance - best), linearised; the span must not be 0."""
        value = float(self.track_indices().mean())
        return self._influence(value, (1 - value) / self.span, -1 / self.span, value / self.span)

    def figure(self, chance: float = 0, seen: float = 0, best: float = 0) -> Influence:
        """A weighted sum of the three means."""
        value = float((chance * self.chance + seen * self.seen + best * self.best).mean())
        return self._influence(value, chance, seen, best)

    def _influence(self, value: float, chance: float, seen: float, best: float) -> Influence:
        """What tracks and pairs add to the mean over the tracks asked of a weighted sum of the three.

        A track that asks adds its own sum. One that answers adds, each time, how far it is from what its asker could
        expect of a neighbour; and, as a candidate of all, its pull on chance and on the best. Of an edge that part belongs
        to the pair alone which neither its asker nor its answerer has with everybody.
        """
        index = float(self.track_indices().mean()) if self.span else 0.0
        n_asked, k = self.apart.shape
        beyond = self.apart - (self.chance - index * (self.chance - self.best))[:, None]
        asking = chance * self.chance + seen * self.seen + best * self.best
        tracks: Floats = np.bincount(self.rows, asking - asking.mean(), self.graph.n).astype(np.float64)
        tracks += seen / k * np.bincount(self.nearest.ravel(), beyond.ravel(), self.graph.n)
        tracks += chance * self.chance_pull + best * self.best_pull
        usual = (1 - index) * self.chance_pull * self.allowed / n_asked
        weight, ends = seen / k / n_asked, (np.repeat(self.rows, k), self.nearest.ravel())
        pairs = pair_matrix(*ends, weight * (beyond - usual[self.nearest]).ravel(), self.graph.n)
        answers = pair_matrix(*ends, weight * usual[ends[1]], self.graph.n, ordered=True)
        left = (self._pairs_left(), max(1 - k / self.allowed, 0.0))
        return Influence(value, tracks / n_asked, pairs, answers, self.graph.clusters, n_asked, *left)

    def _pairs_left(self) -> float:
        """Sum over pairs of (edges - expected edges)^2, over that of edges^2; expected: K spread evenly over the candidates."""
        n_asked, k = self.apart.shape
        share, n = k / self.allowed, self.graph.n
        edges = pair_matrix(np.repeat(self.rows, k), self.nearest.ravel(), np.ones(n_asked * k), n).data
        is_asked = np.zeros(n, bool)
        is_asked[self.rows] = True
        mixed = share * (n_asked * k + int(is_asked[self.nearest].sum()))
        expected = share**2 * (2 * n_asked * (n_asked - 1) + n_asked * (n - n_asked))
        squares = float((edges**2).sum())
        return float(np.clip((squares - 2 * mixed + expected) / squares, 0, 1))


def standing_at(graph: Graph, reach: Reach, apart: Floats, s: int) -> Standing:
    """The standing for the K of number `s`; `apart` (Q, K): distances of the tracks asked to their nearest."""
    asked, k = reach.asked[s], reach.sizes[s]
    return Standing(
        graph,
        graph.rows[asked],
        graph.nearest[asked, :k],
        apart[asked, :k],
        float(reach.allowed[asked].mean()) if asked.any() else 0.0,
        reach.chance[asked],
        reach.best[asked, s],
        reach.chance_pull[s],
        reach.best_pull[s],
    )
