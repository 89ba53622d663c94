"""Locality of a property given as an (N, N) matrix of distances: what training watches on some hundred tracks.

The index is that of study/neighbourhood/measure.py, (chance - seen) / (chance - best): 0 is chance, 1 is perfect, below 0 the
neighbours differ more than chance has it. Larger catalogues and other figures are measured there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nearfield.search.all_pairs import nearest_of_all
from nearfield.study.metrics import Estimate, Vectors
from nearfield.study.neighbourhood.standing import Graph, Standing, reach_of, standing_at

Distances = npt.NDArray[np.float64]
NEIGHBOURS = 10

_PITCH_CLASS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def locality(vectors: Vectors, distances: Distances, k: int = NEIGHBOURS) -> Estimate:
    """Index of (N, D) vectors, one a track, for (N, N) distances in a property, with its interval.

    NaN throughout with fewer than k + 2 known tracks, or for a property that is the same for all.
    """
    standing = _standing(vectors, distances, k)
    if standing is None:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    return standing.index().estimate(most=1)


def track_localities(vectors: Vectors, distances: Distances, k: int = NEIGHBOURS) -> npt.NDArray[np.float64]:
    """(N,) of which the index is the mean: each track's (chance - seen) over the mean of all tracks' (chance - best).

    NaN distances are not known: tracks of which the property is not known are neither asked about nor neighbours, nor in the
    answer. It is empty with fewer than k + 2 known tracks, or for a property that is the same for all.
    """
    standing = _standing(vectors, distances, k)
    return np.empty(0) if standing is None else standing.track_indices()


def _standing(vectors: Vectors, distances: Distances, k: int) -> Standing | None:
    known = ~np.isnan(np.diagonal(distances))
    distances, n = distances[np.ix_(known, known)], int(known.sum())
    if n < k + 2:
        return None
    everyone = np.arange(n)
    nearest = nearest_of_all(np.asarray(vectors, np.float32)[known], k).indices
    graph = Graph(everyone, nearest, np.empty((0, n), np.int64), everyone)
    reach = reach_of(graph, lambda a, b: distances[a, b], (k,))
    standing = standing_at(graph, reach, distances[everyone[:, None], nearest], 0)
    return standing if standing.span else None


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
