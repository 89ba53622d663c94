"""Intervals where units come in clusters: all tracks of an artist are drawn together.

The cluster bootstrap (Field and Welsh, JRSS B 2007; Davison and Hinkley 1997, section 3.8): as many clusters as there are
are drawn with replacement, each with all its tracks, and the percentiles of the figure over the rounds are its interval.
A drawn cluster is a weight of its tracks, so that any figure that takes weights has an interval, and two embeddings
asked with the same seed are drawn alike. What is drawn are the tracks that ask; who may answer stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError
from nearfield.study.metrics import Estimate

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Statistic = Callable[[Floats], Floats]  # (R, N) weights of R rounds -> (R,) figures, NaN where there is none

ROUNDS = 1_000
_CELLS = 2_000_000  # weights held at a time: 16 MB


def cluster_bootstrap(
    statistic: Statistic, clusters: npt.ArrayLike, rng: np.random.Generator, rounds: int = ROUNDS
) -> Estimate:
    """The figure with all weights 1, and its 95 % percentile interval over `rounds` draws of the clusters.

    `clusters` (N,): whole numbers, those of one cluster equal; -1 is a cluster by itself. n counts tracks. Without tracks
    all is NaN; of fewer than two clusters the interval is, since nothing says how another would be. Rounds without a
    figure (no positive was drawn) are left out. Raises BenchError for clusters that are not (N,) whole numbers.
    """
    codes = cluster_codes(clusters)
    n, count = len(codes), int(codes.max(initial=-1)) + 1
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(statistic(np.ones((1, n)))[0])
    if count < 2 or np.isnan(value):
        return Estimate(value, float("nan"), float("nan"), n)
    block = max(1, _CELLS // n)
    found = [statistic(_drawn(count, min(block, rounds - r), rng)[:, codes]) for r in range(0, rounds, block)]
    every = np.concatenate(found)
    low, high = np.quantile(every[~np.isnan(every)], (0.025, 0.975))
    return Estimate(value, float(low), float(high), n)


def cluster_codes(clusters: npt.ArrayLike) -> Indices:
    """(N,) numbers 0, 1, .. of the clusters, each -1 a new one. Raises BenchError for what is not (N,) whole numbers."""
    given = np.asarray(clusters)
    if given.size == 0:
        return np.empty(0, np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        cause = f"an array of shape {given.shape} and type {given.dtype}"
        raise BenchError("groups", cause, "give one whole number a track, -1 for none")
    alone = np.flatnonzero(given == -1)
    numbers = given.astype(np.int64)
    numbers[alone] = int(numbers.max()) + 1 + np.arange(len(alone))
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def minus(first: Statistic, second: Statistic) -> Statistic:
    """The paired difference: both figures of the same draw."""

    def difference(weights: Floats) -> Floats:
        return np.asarray(first(weights) - second(weights))

    return difference


def _drawn(count: int, rounds: int, rng: np.random.Generator) -> Floats:
    """(rounds, count) how often each cluster was drawn."""
    drawn = rng.integers(0, count, (rounds, count)) + count * np.arange(rounds)[:, None]
    return np.bincount(drawn.ravel(), minlength=rounds * count).reshape(rounds, count).astype(np.float64)
