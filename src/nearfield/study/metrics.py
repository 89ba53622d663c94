"""Figures with intervals: what retrieval is judged by."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % bootstrap interval over `n` units."""

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float]:
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_mean(values: npt.ArrayLike, rng: np.random.Generator, rounds: int = 2000) -> Estimate:
    """Percentile interval of the mean of (n,) values, resampled `rounds` times. No values: NaN throughout."""
    array = np.asarray(values, np.float64)
    if array.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    means = array[rng.integers(0, array.size, (rounds, array.size))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(array.mean()), float(low), float(high), int(array.size))


def unit(vectors: npt.ArrayLike) -> Vectors:
    """Rows scaled to length 1; zero rows stay zero."""
    array = np.asarray(vectors, np.float32)
    norm = np.linalg.norm(array, axis=-1, keepdims=True)
    return np.asarray(array / np.maximum(norm, np.float32(1e-12)))


def half_ranks(first: Vectors, second: Vectors, groups: npt.ArrayLike | None = None) -> npt.NDArray[np.int64]:
    """Where each half's other half stands among all other halves: (N, D) twice -> (N, 2) ranks, 1 = nearest.

    Every half asks by cosine; the candidates are the 2N - 1 other halves, or with `groups` (N,) only those of the same
    group. Equal similarities count against the right answer.
    """
    halves = unit(np.concatenate([first, second]))
    n = len(first)
    similarity = halves @ halves.T
    right = np.arange(2 * n)
    partner = (right + n) % (2 * n)
    wanted = similarity[right, partner]
    allowed = np.ones((2 * n, 2 * n), bool)
    if groups is not None:
        both = np.tile(np.asarray(groups), 2)
        allowed = both[:, None] == both[None, :]
    allowed[right, right] = False
    allowed[right, partner] = False
    ahead = ((similarity >= wanted[:, None]) & allowed).sum(axis=1)
    return np.asarray((ahead + 1).reshape(2, n).T)
