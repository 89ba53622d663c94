"""The shape of a space: alignment and uniformity (Wang and Isola, arXiv 2005.10242), RankMe (arXiv 2210.02885)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearfield.study.metrics import Vectors, unit


def alignment(first: Vectors, second: Vectors) -> float:
    """Mean squared distance of the unit vectors of positive pairs, (N, D) twice: 0 when they coincide, 4 at most."""
    return float(np.square(unit(first) - unit(second)).sum(axis=1).mean())


def uniformity(vectors: Vectors) -> float:
    """Logarithm of the mean Gaussian potential exp(-2 d^2) over all pairs of (N, D) unit vectors.

    0 when all coincide, below when they spread over the sphere; at least two vectors are needed.
    """
    points = unit(vectors).astype(np.float64)
    if len(points) < 2:
        raise ValueError("uniformity takes at least two vectors")
    squared = np.clip(2 - 2 * points @ points.T, 0, None)
    return float(np.log(np.exp(-2 * squared[~np.eye(len(points), dtype=bool)]).mean()))


def rank_me(vectors: npt.ArrayLike) -> float:
    """Effective rank of (N, D) vectors: the exponential of the entropy of their normalised singular values, 1 to min(N, D).

    Deviation: the vectors are centred first, so that an offset shared by all does not count as a direction.
    """
    array = np.asarray(vectors, np.float64)
    values = np.linalg.svd(array - array.mean(axis=0), compute_uv=False)
    share = values / max(values.sum(), 1e-300)
    share = share[share > 1e-12]
    return float(np.exp(-(share * np.log(share)).sum()))
