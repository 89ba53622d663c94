"""Changed versions compared with their unchanged ones and with the whole catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.search.exact import top_k
from nearfield.sound.manipulate import Manipulation
from nearfield.study.metrics import Estimate, Vectors, bootstrap_mean, unit
from nearfield.study.sensitivity.vectors import VersionVectors
from nearfield.study.sensitivity.versions import Sound

UNCHANGED = "unchanged"
_EQUAL = np.float32(1e-6)  # cosines this near are equal up to rounding
_ROUNDS = 2000


@dataclass(frozen=True)
class AmountResult:
    """What one change by one amount does, over the tracks it could be made on; medians and means with 95 % intervals.

    `distance`: cosine distance from the unchanged excerpt to the changed one, `distance_to_track` from the track's vector in
    the catalogue, both as a fraction of the mean distance of two tracks of the catalogue: 1 is as far as any other
    piece. `recall_at_1`, `median_rank`: where the track stands among the whole catalogue when the changed excerpt asks.
    `kept`: share of the unchanged excerpt's K nearest, the track itself left out, that are also those of the changed one.
    """

    kind: str
    amount: float
    unit: str
    distance: Estimate
    distance_to_track: Estimate
    recall_at_1: Estimate
    median_rank: Estimate
    kept: Estimate

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None for an infinite amount (no codec, no noise), and for figures over no tracks."""
        estimates = {k: v.as_dict() for k, v in self.__dict__.items() if isinstance(v, Estimate)}
        found = {k: {n: _plain(x) for n, x in v.items()} for k, v in estimates.items()}
        return {"kind": self.kind, "amount": _plain(self.amount), "unit": self.unit, **found}


@dataclass(frozen=True, eq=False)
class Comparison:
    """A catalogue of (N, D) unit vectors, against which versions are compared."""

    catalogue: Vectors
    random_distance: float
    k: int
    rng: np.random.Generator

    def all(
        self, sounds: Sequence[Sound], vectors: VersionVectors, manipulations: Sequence[Manipulation]
    ) -> tuple[AmountResult, tuple[AmountResult, ...]]:
        """The baseline, and one result a manipulation in their order."""
        asked = [s for s in sounds if s.id in vectors.of]
        rows = np.array([s.row for s in asked])
        unchanged = unit([vectors.of[s.id][None] for s in asked])
        nearest = self._nearest(unchanged, rows)
        baseline = self._result(UNCHANGED, 0.0, "", rows, unchanged, unchanged, nearest)
        results = []
        for m in manipulations:
            has = np.array([m in vectors.of[s.id] for s in asked])
            changed = unit([vectors.of[s.id][m] for s in asked if m in vectors.of[s.id]]).reshape(
                -1, self.catalogue.shape[1]
            )
            results.append(self._result(m.kind, m.amount, m.unit, rows[has], unchanged[has], changed, nearest[has]))
        return baseline, tuple(results)

    def _result(
        self,
        kind: str,
        amount: float,
        unit_name: str,
        rows: npt.NDArray[np.int64],
        unchanged: Vectors,
        changed: Vectors,
        nearest: npt.NDArray[np.int64],
    ) -> AmountResult:
        """Of S tracks: their rows, vectors (S, D) before and after, and the nearest (S, K) before."""
        ranks = self._ranks(changed, rows)
        after = self._nearest(changed, rows)
        kept = (nearest[:, :, None] == after[:, None, :]).any(axis=2).mean(axis=1)
        return AmountResult(
            kind,
            amount,
            unit_name,
            bootstrap_mean(_distances(unchanged, changed) / self.random_distance, self.rng),
            bootstrap_mean(_distances(self.catalogue[rows], changed) / self.random_distance, self.rng),
            bootstrap_mean(ranks == 1, self.rng),
            bootstrap_median(ranks, self.rng),
            bootstrap_mean(kept, self.rng),
        )

    def _ranks(self, queries: Vectors, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(S,) ranks of each query's own row among all, 1 = nearest; equal similarities count against it."""
        if not len(rows):
            return np.zeros(0, np.int64)
        scores = queries @ self.catalogue.T
        own = scores[np.arange(len(rows)), rows]
        return np.asarray((scores >= own[:, None] - _EQUAL).sum(axis=1))  # its own row is among them

    def _nearest(self, queries: Vectors, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(S, K) nearest rows of each query, its own left out."""
        if not len(rows):
            return np.zeros((0, self.k), np.int64)
        return top_k(queries, self.catalogue, self.k, exclude=[[int(row)] for row in rows]).indices


def mean_distance(vectors: Vectors) -> float:
    """Mean cosine distance of all pairs of (N, D) vectors, from their sum: no pair is looked at."""
    array = unit(vectors).astype(np.float64)
    n = len(array)
    total = array.sum(axis=0)
    return float(1 - (total @ total - np.square(array).sum()) / (n * (n - 1)))


def bootstrap_median(values: npt.ArrayLike, rng: np.random.Generator, rounds: int = _ROUNDS) -> Estimate:
    """Percentile interval of the median of (n,) values, resampled `rounds` times. No values: NaN throughout."""
    array = np.asarray(values, np.float64)
    if array.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    medians = np.median(array[rng.integers(0, array.size, (rounds, array.size))], axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return Estimate(float(np.median(array)), float(low), float(high), int(array.size))


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _distances(first: Vectors, second: Vectors) -> npt.NDArray[np.float64]:
    """(S,) cosine distances of unit vectors, row by row, from their difference: exactly 0 for the same vector."""
    return np.asarray(np.square(first.astype(np.float64) - second.astype(np.float64)).sum(axis=1) / 2)
