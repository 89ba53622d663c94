"""Does a property say anything the others do not? Rao's score of adding it to a fitted model, against permuted values.

The model without the property is fitted once; how steeply the likelihood would rise on letting the property in, against
how steeply chance lets it, is one number (Rao 1948), which needs no second fit. Its distribution under the null is
had by giving each track another track's value of the property: edges that share tracks, hubs and mutual neighbours stay as
they are, as in Mantel's test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.linalg

from nearfield.study.organise.choice import Candidates, centred, expected_cases

Floats = npt.NDArray[np.float64]


class Score:
    """The score test of one more property beside `others`, (Q, R, F) features at fitted log shares (Q, R)."""

    def __init__(self, others: Sequence[Floats], shares: Floats, candidates: Candidates, ridge: float) -> None:
        self._shares, self._candidates, self._ridge = shares, candidates, ridge
        self._surplus = (candidates.cases - expected_cases(shares, candidates)).reshape(-1)
        self._factor = None
        if others:
            self._rows = centred(others, shares, candidates)
            self._factor = scipy.linalg.cho_factor(self._rows.T @ self._rows + ridge * np.eye(self._rows.shape[1]))

    def of(self, block: Floats) -> float:
        """Of (Q, R, F) features: chi-squared with F degrees of freedom if edges were independent; 0 says nothing."""
        rows = centred([block], self._shares, self._candidates)
        slope = self._surplus @ block.reshape(-1, block.shape[2])
        curvature = rows.T @ rows + self._ridge * np.eye(block.shape[2])
        if self._factor is not None:  # what the others would take over
            cross = self._rows.T @ rows
            curvature -= cross.T @ scipy.linalg.cho_solve(self._factor, cross)
        return float(slope @ scipy.linalg.solve(curvature, slope, assume_a="pos"))


def permutation_p(
    score: Score,
    features: Callable[[npt.NDArray[np.int64] | None], Floats],
    n_tracks: int,
    rounds: int,
    rng: np.random.Generator,
) -> float:
    """(1 + how many permuted scores are at least the true one) / (1 + rounds); never 0.

    `features` gives the (Q, R, F) of the property, as it is for None, or with track i holding the value of order[i].
    """
    seen = score.of(features(None))
    beyond = sum(score.of(features(rng.permutation(n_tracks))) >= seen * (1 - 1e-9) for _ in range(rounds))
    return (1 + beyond) / (1 + rounds)
