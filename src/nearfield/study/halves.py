"""Same-track retrieval: does the second half of a piece find its first half?

Each track's halves are embedded apart, from the same evenly spaced slices for every method. It needs no labels and no
ears: it asks whether a space holds together what a listener hears as one piece.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.data.melstore import Frames, MelStore
from nearfield.study.metrics import Estimate, Vectors, bootstrap_mean, half_ranks, unit

# (S, M, T) log-mel slices of one or several halves -> (S, D) vectors
SliceEmbedding = Callable[[npt.NDArray[np.float32]], Vectors]


@dataclass(frozen=True)
class HalvesResult:
    """Recall over tracks (the mean of a track's two questions); `within` counts only candidates of the same package."""

    recall_at_1: Estimate
    recall_at_10: Estimate
    within_recall_at_1: Estimate
    within_recall_at_10: Estimate


def cut_halves(
    store: MelStore, numbers: Sequence[int], slices: int = 8, slice_frames: int = 300
) -> npt.NDArray[np.float16]:
    """(N, 2, slices, M, T): evenly spaced slices of each half of each track, by frames alone."""
    return np.stack([_cut(store.frames(n), slices, slice_frames) for n in numbers])


def _cut(frames: Frames, slices: int, slice_frames: int) -> npt.NDArray[np.float16]:
    middle = len(frames) // 2
    halves = []
    for half in (frames[:middle], frames[middle:]):
        starts = np.linspace(0, len(half) - slice_frames, slices).round().astype(int)
        halves.append(np.stack([half[s : s + slice_frames].T for s in starts]))
    return np.stack(halves)


def pooled_halves(halves: npt.NDArray[np.float16], embed: SliceEmbedding, batch: int = 128) -> Vectors:
    """(N, 2, S, M, T) -> (N, 2, D): the plain mean over a half's slices, for features whose length carries meaning."""
    N, two, S = halves.shape[:3]
    flat = halves.reshape(N * two * S, *halves.shape[3:])
    parts = [embed(flat[i : i + batch].astype(np.float32)) for i in range(0, len(flat), batch)]
    return np.asarray(np.concatenate(parts).reshape(N, two, S, -1).mean(axis=2))


def embed_halves(halves: npt.NDArray[np.float16], embed: SliceEmbedding, batch: int = 128) -> Vectors:
    """(N, 2, S, M, T) -> (N, 2, D): the mean of a half's unit slice vectors, as a SPACE pools them."""
    return pooled_halves(halves, lambda log_mels: unit(embed(log_mels)), batch)


def half_recalls(vectors: Vectors, k: int, groups: Sequence[str] | None = None) -> npt.NDArray[np.float64]:
    """(N, 2, D) half vectors -> for each track the share of its two questions answered within rank k.

    With `groups` only halves of the same group are candidates, and tracks alone in their group are left out.
    """
    ranks = half_ranks(vectors[:, 0], vectors[:, 1], groups)
    if groups is not None:
        counts = Counter(groups)
        ranks = ranks[[counts[g] > 1 for g in groups]]
    return np.asarray((ranks <= k).mean(axis=1))


def judge_halves(vectors: Vectors, packages: Sequence[str], rng: np.random.Generator) -> HalvesResult:
    """Recall from (N, 2, D) half vectors."""
    return HalvesResult(
        bootstrap_mean(half_recalls(vectors, 1), rng),
        bootstrap_mean(half_recalls(vectors, 10), rng),
        bootstrap_mean(half_recalls(vectors, 1, packages), rng),
        bootstrap_mean(half_recalls(vectors, 10, packages), rng),
    )
