"""Intervals of figures over a neighbour graph, whose edges share tracks: a track asks, and is the answer to others.

A figure is linearised: what each track adds to it, asking and answering, and what each pair of tracks adds beyond that.
The variance is that of dyadic regression (Fafchamps and Gubert 2007; Aronow, Samii and Assenova, Political Analysis 2015):
the squares of what touches a track, less the squares of what is then counted twice. Deviations: chance and best move with
the tracks as well and are linearised too, and a part of what is taken off is left where K is not small beside N. It holds
where hubs exist, which a bootstrap over the tracks that ask does not see (docs/decisions/0009-locality-intervals.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.special import stdtr, stdtrit

from nearfield.study.metrics import Estimate

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Influence:
    """A figure with what tracks and pairs of tracks add to its error.

    `tracks` (N,): of each track, as asker and as candidate; they sum to 0. `pairs` (N, N), upper triangle: the part of it
    that belongs to two tracks together and so stands in both. `answers` (N, N), asker by answerer: what belongs to the
    answerer but stands in its askers too. `clusters` (N,): tracks that count as one. `n`: how many tracks are asked.
    `pairs_left`, `answers_left`: the share of those squares that the tracks' squares do hold; below 1 where the neighbours
    are a good part of all, since a track's chance, which is taken off, holds them too.
    """

    value: float
    tracks: Floats
    pairs: csr_array
    answers: csr_array
    clusters: Indices
    n: int
    pairs_left: float = 1.0
    answers_left: float = 1.0

    def minus(self, other: Influence) -> Influence:
        """The difference of two figures over the same tracks, asked about the same property in two spaces.

        Chance is the same in both and drops out, so pairs and answers count in full.
        """
        pairs, answers = csr_array(self.pairs - other.pairs), csr_array(self.answers - other.answers)
        return Influence(self.value - other.value, self.tracks - other.tracks, pairs, answers, self.clusters, self.n)

    def error(self) -> tuple[float, float]:
        """Standard error, and the degrees of freedom of the t distribution that goes with it.

        Degrees of freedom: Satterthwaite's for a sum of N squares, 2 S^2 / (F - S^2 / N) with S the sum of the squares and F
        that of the fourth powers: about N where they are normal, few where some hubs carry all.
        """
        squares = np.bincount(self.clusters, self.tracks) ** 2
        whole = float(squares.sum())
        if whole <= 0:
            return 0.0, float("inf")
        pairs = self.pairs_left * _squares(self.pairs, self.clusters, ordered=False)
        answers = self.answers_left * _squares(self.answers, self.clusters, ordered=True)
        variance = max(whole - pairs - answers, pairs)  # what pairs have alone is left in any case
        spread = float((squares**2).sum()) - whole**2 / np.unique(self.clusters).size
        return float(np.sqrt(variance)), max(2 * whole**2 / spread, 1.0) if spread > 0 else float("inf")

    def estimate(self, least: float = -np.inf, most: float = np.inf) -> Estimate:
        """Value and 95 % interval, kept within what the figure can be."""
        error, freedom = self.error()
        reach = float(stdtrit(freedom, 0.975)) * error if error else 0.0
        return Estimate(self.value, max(self.value - reach, least), min(self.value + reach, most), self.n)

    def p_value(self) -> float:
        """Two-sided p of the value being 0, from the same error."""
        error, freedom = self.error()
        if error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stdtr(freedom, -abs(self.value) / error))


def pair_matrix(first: Indices, second: Indices, values: Floats, n: int, ordered: bool = False) -> csr_array:
    """(N, N) sums of values by pair of tracks, unordered ones in the upper triangle."""
    if not ordered:
        first, second = np.minimum(first, second), np.maximum(first, second)
    return csr_array(coo_array((values, (first, second)), shape=(n, n)))


def _squares(pairs: csr_array, clusters: Indices, ordered: bool) -> float:
    """Sum of the squares of what pairs of clusters have; within a cluster nothing is counted twice."""
    entries = pairs.tocoo()
    one, other = clusters[entries.row], clusters[entries.col]
    apart = one != other
    sums = pair_matrix(one[apart], other[apart], entries.data[apart], int(clusters.max()) + 1, ordered)
    return float((sums.data**2).sum())
