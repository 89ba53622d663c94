"""Populations of made-up artists to draw catalogues from: vectors, and targets that they say nothing or something of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfield.study.tasks.targets import Kind, Targets, classes, flagged, numbers

DIMENSIONS = 8
CLASSES = ("a", "b", "c")
OWN = 0.7  # deviation of what an artist's tracks share, in vectors and in targets; that of a track is 1


@dataclass(frozen=True, eq=False)
class Drawn:
    """Tracks with vectors (N, D) and what an embedding that knows less of them gives (N, D), their targets and artists (N,)."""

    vectors: np.ndarray
    poorer: np.ndarray
    targets: Targets
    artists: np.ndarray


def draw(rng: np.random.Generator, kind: Kind, signal: float, tracks: int, artists: int) -> Drawn:
    """As many tracks by as many artists, unevenly; `signal` is the slope of the targets on the vectors, 0 for noise.

    Three targets: numbers as they are; as tags those above a bound; as classes the largest. `poorer` is the vectors with as
    much noise again, so that it says less where there is a signal and the same, nothing, where there is none.
    """
    of = np.concatenate([np.arange(artists), rng.integers(0, artists, tracks - artists)])
    vectors = OWN * rng.normal(size=(artists, DIMENSIONS))[of] + rng.normal(size=(tracks, DIMENSIONS))
    said = vectors @ _slopes()
    values = signal * said + OWN * rng.normal(size=(artists, 3))[of] + rng.normal(size=(tracks, 3))
    poorer = vectors + rng.normal(size=vectors.shape)
    return Drawn(vectors.astype(np.float32), poorer.astype(np.float32), _targets(kind, values), of)


def _slopes() -> np.ndarray:
    """(D, 3), the same for all draws: a population is one."""
    return np.random.default_rng(0).normal(size=(DIMENSIONS, 3)) / np.sqrt(DIMENSIONS)


def _targets(kind: Kind, values: np.ndarray) -> Targets:
    if kind == "classes":
        return classes([CLASSES[c] for c in values.argmax(axis=1)], CLASSES)
    return flagged(values > 0.6, CLASSES) if kind == "tags" else numbers(values, CLASSES)
