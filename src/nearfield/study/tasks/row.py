"""A row of a benchmark's table, and what rows are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError
from nearfield.study.metrics import Estimate
from nearfield.study.tasks.intervals import ROUNDS, Retaught, Statistic, both_retaught, cluster_bootstrap, minus


@dataclass(frozen=True)
class Row:
    """One figure: `value` with its 95 % interval over `n` tracks, drawn with `seed`; `chance` is what knowing nothing gives.

    NaN where there is no such figure: no track could be asked, or one cluster alone has no interval.
    """

    task: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    seed: int
    chance: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON: NaN is None."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Measure:
    """A figure before its interval is known: of `n` tracks with weights, and what chance makes of it.

    `retaught`: the same of probes taught a little less, where the answers come of what was learned; it widens the interval.
    """

    metric: str
    statistic: Statistic
    chance: float
    n: int
    retaught: Retaught | None = None


def rows_of(
    task: str, measures: Sequence[Measure], clusters: npt.ArrayLike, seed: int, rounds: int = ROUNDS
) -> tuple[Row, ...]:
    """A row a measure. `clusters` (n,): which tracks are drawn together, as cluster_bootstrap takes them."""
    return tuple(_row(task, m, clusters, seed, rounds) for m in measures)


def difference_rows(
    task: str,
    first: Sequence[Measure],
    second: Sequence[Measure],
    clusters: npt.ArrayLike,
    seed: int,
    rounds: int = ROUNDS,
) -> tuple[Row, ...]:
    """First less second, of two embeddings asked about the same tracks in the same order; chance is 0.

    Raises BenchError when they are not measures of the same name and number of tracks, learned from the same.
    """
    if [(m.metric, m.n) for m in first] != [(m.metric, m.n) for m in second]:
        raise BenchError(task, "the two embeddings were not asked the same", "measure both on the same tracks")
    pairs = zip(first, second, strict=True)
    both = [
        Measure(a.metric, minus(a.statistic, b.statistic), 0.0, a.n, both_retaught(a.retaught, b.retaught))
        for a, b in pairs
    ]
    return rows_of(task, both, clusters, seed, rounds)


def _row(task: str, measure: Measure, clusters: npt.ArrayLike, seed: int, rounds: int) -> Row:
    if np.shape(clusters) != (measure.n,):
        cause = f"groups of shape {np.shape(clusters)} for {measure.n} tracks"
        raise BenchError(task, cause, "give one number for each track that was asked")
    found: Estimate = cluster_bootstrap(
        measure.statistic, clusters, np.random.default_rng(seed), rounds, measure.retaught
    )
    return Row(task, measure.metric, found.value, found.low, found.high, found.n, seed, measure.chance)
