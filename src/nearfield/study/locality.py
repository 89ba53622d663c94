"""Locality: how far the nearest neighbours agree on a property, against chance and against the best possible.

For K neighbours: (chance - seen) / (chance - best), where `seen` is the mean distance in the property from a track to its
K nearest, `chance` that to all others, and `best` that to the K others closest in the property. 0 is chance, 1 is
perfect, below 0 the neighbours differ more than chance has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nearfield.study.metrics import Estimate, Vectors, bootstrap_mean, unit

Distances = npt.NDArray[np.float64]
NEIGHBOURS = 10

_PITCH_CLASS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def locality(vectors: Vectors, distances: Distances, rng: np.random.Generator, k: int = NEIGHBOURS) -> Estimate:
    """Index of (N, D) vectors, one a track, for (N, N) distances in a property, with an interval over the tracks."""
    return bootstrap_mean(track_localities(vectors, distances, k), rng)


def track_localities(vectors: Vectors, distances: Distances, k: int = NEIGHBOURS) -> npt.NDArray[np.float64]:
    """(N,) of which the index is the mean: each track's (chance - seen) over the mean of all tracks' (chance - best).

    NaN distances are not known: tracks of which the property is not known are neither asked about nor neighbours, nor in the
    answer. It is empty with fewer than k + 2 known tracks, or for a property that is the same for all.
    """
    known = ~np.isnan(np.diagonal(distances))
    distances = distances[np.ix_(known, known)]
    n = len(distances)
    if n < k + 2:
        return np.empty(0)
    similarity = unit(vectors[known]) @ unit(vectors[known]).T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    seen = np.take_along_axis(distances, nearest, axis=1).mean(axis=1)
    others = distances[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    chance = others.mean(axis=1)
    best = np.sort(others, axis=1)[:, :k].mean(axis=1)
    reach = (chance - best).mean()
    return np.asarray((chance - seen) / reach) if reach > 1e-12 else np.empty(0)


def tempo_distances(tempo_bpm: Sequence[float | None], fold: bool = False) -> Distances:
    """(N, N) distances in octaves, |log2 of the ratio|; with `fold` half and double tempo count as equal."""
    octave = np.log2([np.nan if bpm is None else bpm for bpm in tempo_bpm])
    apart = np.abs(octave[:, None] - octave[None, :])
    return np.asarray(np.abs(apart - np.round(apart)) if fold else apart)


def key_distances(keys: Sequence[str]) -> Distances:
    """(N, N) steps on the circle of fifths, 0 to 6, between key signatures: relative keys (C major, A minor) are 0 apart.

    Keys read like "F# minor"; "" is not known.
    """
    fifths = np.array([_fifths(key) for key in keys], float)
    apart = np.abs(fifths[:, None] - fifths[None, :])
    return np.asarray(np.minimum(apart, 12 - apart))


def label_distances(labels: Sequence[str]) -> Distances:
    """(N, N) 0 where two labels are the same, 1 where not; "" is not known."""
    names = np.array(labels)
    apart = (names[:, None] != names[None, :]).astype(float)
    unknown = names == ""
    apart[unknown, :] = apart[:, unknown] = np.nan
    return np.asarray(apart)


def _fifths(key: str) -> float:
    if not key:
        return float("nan")
    tonic, mode = key.split(" ")
    semitones = _PITCH_CLASS[tonic[0]] + {"": 0, "#": 1, "b": -1}[tonic[1:]] + (3 if mode == "minor" else 0)
    return 7 * semitones % 12
