"""The uncertainty of a mean over edges of a graph whose nodes are the sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def mean_covariance(edges: npt.NDArray[np.int64], values: Floats, n: int) -> Floats:
    """(C, C) covariance of the mean of values (E, C) over edges (E, 2) between n nodes.

    Edges with a node in common depend on each other. It is what leaving out one node after another gives to first order
    (the jackknife of Snijders and Borgatti 1999): the sum over nodes of the squared sums of their edges' deviations.
    An edge's own variance counts at both its ends, which is too much for edges that share nothing, and makes up for
    what the mean owes to the tracks that are no neighbours and to the fit (measured in docs/decisions/0010).
    """
    off = values - values.mean(axis=0)
    nodes = np.zeros((n, values.shape[1]))
    np.add.at(nodes, edges[:, 0], off)
    np.add.at(nodes, edges[:, 1], off)
    return np.asarray(nodes.T @ nodes / len(values) ** 2)
