"""The last linear map: what varies inside a track counts less, what tells tracks apart counts more.

Within-class covariance normalisation (Hatch, Kajarekar and Stolcke, Interspeech 2006), the classes being the training
tracks: directions in which slices of one track scatter are shrunk to unit variance. A contrastive encoder of few hours
leaves its output stretched along a few directions, which then decide every cosine; this undoes it in closed form, from
training tracks alone, part by part, and is folded into the exported model. A part that keeps fewer dimensions than it is
given keeps those in which the whitened means of tracks differ most (linear discriminant analysis).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from nearfield.data.melstore import MelStore
from nearfield.model.embedder import Embedder
from nearfield.study.halves import SliceEmbedding, cut_halves

SHRINKAGE = 0.03  # of the mean variance, added to each direction; chosen on validation tracks
SLICES = 4  # of each half of each track


def fit_whitening(embedder: Embedder, embed: SliceEmbedding, sources: Sequence[tuple[MelStore, Sequence[int]]]) -> None:
    """Set the embedder's `centre` and `whitener` from entries of stores; `embed` must give the encoder's output.

    An embedder that is not `mapped` has neither and stays as it is.
    """
    if not embedder.config.mapped:
        return
    frames = embedder.config.encoder.slice_frames
    usable = [(store, n) for store, numbers in sources for n in numbers if store.entries[n].frames >= 2 * frames]
    if not usable:
        return
    size = len(embedder.centre)
    scatter = np.zeros((size, size))
    means = np.empty((len(usable), size))
    for row, (store, n) in enumerate(usable):  # one track at a time: a corpus need not fit in memory
        slices = cut_halves(store, [n], SLICES, frames).reshape(2 * SLICES, -1, frames)
        vectors = embed(slices.astype(np.float32)).astype(np.float64)
        means[row] = vectors.mean(axis=0)
        inside = vectors - means[row]
        scatter += inside.T @ inside / (len(usable) * len(vectors))
    centre = means.mean(axis=0)
    maps, first = [], 0
    for part in embedder.config.encoder.parts:
        own = slice(first, first + part.given)
        maps.append(torch.from_numpy(whitening(scatter[own, own], means[:, own] - centre[own], part.kept)))
        first += part.given
    embedder.centre.copy_(torch.from_numpy(centre))
    embedder.whitener.copy_(torch.block_diag(*maps))  # type: ignore[no-untyped-call]


def whitening(within: npt.NDArray[np.float64], means: npt.NDArray[np.float64], kept: int) -> npt.NDArray[np.float64]:
    """(D, kept): the inverse root of the covariance inside tracks (D, D), then the directions in which tracks' means,
    centred, (N, D) differ most.
    """
    variance, directions = np.linalg.eigh(within)
    root = directions / np.sqrt(np.maximum(variance, 0) + SHRINKAGE * variance.mean())
    if kept == len(within):
        return np.asarray(root)
    whitened = means @ root
    _, apart = np.linalg.eigh(whitened.T @ whitened)
    return np.asarray(root @ apart[:, -kept:])
