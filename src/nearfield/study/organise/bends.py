"""Features of a distance: what a property may say about who is near, without a formula given beforehand.

A property of few different distances (labels; steps on the circle of fifths) gets one coefficient for each; any other a
straight-lined curve with knots at fixed shares of all pairs, closest together where tracks are alike, for that is where
neighbours are. The largest distance is the reference, with coefficient 0. A pair of which the property is not known for
one or both has an indicator of its own, so that no track is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KNOTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)  # shares of the pairs
_LEVELS = 8  # so many different distances, and each is a level


@dataclass(frozen=True, eq=False)
class Bends:
    """Knots (F,), ascending: levels, each by itself, or the bends of a curve. The last is the reference."""

    knots: Floats
    levels: bool

    @property
    def width(self) -> int:
        """How many features a pair has: one a knot but the last, and whether the property is not known."""
        return len(self.knots)

    @property
    def constant(self) -> bool:
        return len(self.knots) < 2

    def features(self, distances: Floats) -> Floats:
        """(...) distances, NaN where not known -> (..., F)."""
        known = ~np.isnan(distances)
        at = np.where(known, distances, self.knots[-1] if len(self.knots) else 0.0)
        out = np.zeros((*distances.shape, self.width))
        if self.levels:
            place = np.abs(at[..., None] - self.knots).argmin(axis=-1)
            out[..., :-1] = place[..., None] == np.arange(self.width - 1)
        elif not self.constant:
            upper = np.clip(np.searchsorted(self.knots, at, side="right"), 1, len(self.knots) - 1)
            low, high = self.knots[upper - 1], self.knots[upper]
            share = np.clip((at - low) / (high - low), 0, 1)
            full = np.zeros((*distances.shape, len(self.knots)))
            np.put_along_axis(full, (upper - 1)[..., None], (1 - share)[..., None], axis=-1)
            np.put_along_axis(full, upper[..., None], share[..., None], axis=-1)
            out[..., :-1] = full[..., :-1]
        out[..., -1] = ~known
        return out


def bends_of(distances: Floats, weights: Floats) -> Bends:
    """Levels or knots from a sample of distances (n,), NaN where not known, and of how many pairs each stands for."""
    there = ~np.isnan(distances) & (weights > 0)
    order = np.argsort(distances[there], kind="stable")
    seen, below = distances[there][order], np.cumsum(weights[there][order])
    different = np.unique(seen)
    if len(different) <= _LEVELS:
        return Bends(different, levels=True)
    places = np.searchsorted(below, np.array(KNOTS) * below[-1] * (1 - 1e-12))
    return Bends(np.unique(seen[places]), levels=False)
