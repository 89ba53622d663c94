"""The last linear map: what varies inside a track counts less, what tells tracks apart counts more.

Within-class covariance normalisation (Hatch, Kajarekar and Stolcke, Interspeech 2006), the classes being the training
tracks: directions in which slices of one track scatter are shrunk to unit variance. A contrastive encoder of few hours
leaves its output stretched along a few directions, which then decide every cosine; this undoes it in closed form, from
training tracks alone, and is folded into the exported model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nearfield.data.melstore import MelStore
from nearfield.model.embedder import Embedder
from nearfield.study.halves import SliceEmbedding, cut_halves

SHRINKAGE = 0.03  # of the mean variance, added to each direction; chosen on validation tracks
SLICES = 4  # of each half of each track


def fit_whitening(embedder: Embedder, embed: SliceEmbedding, store: MelStore, numbers: Sequence[int]) -> None:
    """Set the embedder's `centre` and `whitener` from the entries `numbers`; `embed` must give the encoder's output."""
    frames = embedder.config.encoder.slice_frames
    usable = [n for n in numbers if store.entries[n].frames >= 2 * frames]
    scatter = np.zeros((embedder.config.encoder.dimensions,) * 2)
    total = np.zeros(len(scatter))
    count = 0
    for n in usable:  # one track at a time: a corpus need not fit in memory
        slices = cut_halves(store, [n], SLICES, frames).reshape(2 * SLICES, -1, frames)
        vectors = embed(slices.astype(np.float32)).astype(np.float64)
        inside = vectors - vectors.mean(axis=0)
        scatter += inside.T @ inside
        total += vectors.sum(axis=0)
        count += len(vectors)
    if count == 0:
        return
    variance, directions = np.linalg.eigh(scatter / count)
    scale = 1 / np.sqrt(np.maximum(variance, 0) + SHRINKAGE * variance.mean())
    embedder.centre.copy_(torch.from_numpy(total / count))
    embedder.whitener.copy_(torch.from_numpy(directions * scale))
