"""A measure of a space with an interval, and its difference from the same measure of another space of the same tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearfield.study.metrics import Estimate, bootstrap_mean
from nearfield.study.neighbourhood import Property, compare, locality

K = 10


@dataclass(frozen=True, eq=False)
class PerTrack:
    """A value a track (N,); intervals are bootstrapped over the tracks."""

    values: np.ndarray

    def estimate(self, seed: int) -> Estimate:
        return bootstrap_mean(self.values, np.random.default_rng(seed))

    def minus(self, other: PerTrack, seed: int) -> Estimate:
        return bootstrap_mean(self.values - other.values, np.random.default_rng(seed))


@dataclass(frozen=True, eq=False)
class Local:
    """How local a property is in a space (N, D); intervals know that neighbours share tracks."""

    vectors: np.ndarray
    prop: Property

    def estimate(self, seed: int) -> Estimate:
        return locality(self.vectors, self.prop, K)

    def minus(self, other: Local, seed: int) -> Estimate:
        found = compare(self.vectors, other.vectors, self.prop, np.random.default_rng(seed), (K,))
        (difference,) = [d.difference for d in found if d.measure == "distance"]
        assert difference is not None
        return difference


Measure = PerTrack | Local


def over_seeds(found: Sequence[Estimate]) -> Estimate:
    """The mean of the estimates of several seeds, and of their intervals: these are over tracks, not over seeds."""
    value, low, high = (float(np.mean([getattr(e, name) for e in found])) for name in ("value", "low", "high"))
    return Estimate(value, low, high, found[0].n)
