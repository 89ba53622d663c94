"""The uncertainty of a mean over edges of a graph whose nodes are the sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def mean_covariance(edges: npt.NDArray[np.int64], values: Floats, n: int) -> Floats:
    """(C, C) covariance of the mean of values (E, C) over edges (E, 2) between n nodes.

    Two edges are dependent when they have a node in common: the sum over all such pairs of the products of their
    deviations (Aronow, Samii and Assenova 2015, equation 3), had from sums over nodes less what they count twice: edges
    with both nodes in common. As that may leave a direction with a negative variance, those are set to 0.
    """
    off = values - values.mean(axis=0)
    nodes = np.zeros((n, values.shape[1]))
    np.add.at(nodes, edges[:, 0], off)
    np.add.at(nodes, edges[:, 1], off)
    _, pair = np.unique(edges.min(axis=1) * n + edges.max(axis=1), return_inverse=True)
    pairs = np.zeros((pair.max() + 1, values.shape[1]))
    np.add.at(pairs, pair, off)
    covariance = (nodes.T @ nodes - pairs.T @ pairs) / len(values) ** 2
    spread, directions = np.linalg.eigh(covariance)
    return np.asarray((directions * np.maximum(spread, 0)) @ directions.T)
