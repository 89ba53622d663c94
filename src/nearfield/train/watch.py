"""What is measured while training: does the space hold pieces together, and does a change of tempo move it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from nearfield.augment.time_stretch import time_stretch
from nearfield.data.melstore import MelStore
from nearfield.model.embedder import Embedder
from nearfield.study.halves import SliceEmbedding, cut_halves, embed_halves, judge_halves
from nearfield.study.metrics import unit

SLICE = 300
SOURCE = 450  # room for a stretch by 1.5


@dataclass(frozen=True)
class Watched:
    """`stretch_shift`: cosine distance that a stretch by 1.25 moves a slice, over that of slices of two tracks."""

    recall_at_1: float
    within_recall_at_1: float
    stretch_shift: float


class Watch:
    """Slices of the validation tracks, cut once and kept in RAM."""

    def __init__(self, store: MelStore, numbers: Sequence[int], seed: int) -> None:
        long_enough = [n for n in numbers if store.entries[n].frames >= 2 * SOURCE]
        self.tracks = len(long_enough)
        self._seed = seed
        self._packages = [store.tracks[n].package for n in long_enough]
        self._halves = cut_halves(store, long_enough)
        middles = [store.frames(n) for n in long_enough]
        self._sources = np.stack([f[(len(f) - SOURCE) // 2 :][:SOURCE].T for f in middles]).astype(np.float32)

    def look(self, embedder: Embedder) -> Watched:
        """Measure the model as it stands."""
        result = judge_halves(
            embed_halves(self._halves, slice_embedding(embedder)), self._packages, np.random.default_rng(self._seed)
        )
        sources = torch.from_numpy(self._sources)
        plain, faster = (
            unit(slice_embedding(embedder)(time_stretch(sources, torch.full((len(sources),), ratio), SLICE).numpy()))
            for ratio in (1.0, 1.25)
        )
        between = 1 - (plain @ plain.T)[~np.eye(len(plain), dtype=bool)].mean()
        moved = (1 - (plain * faster).sum(axis=1)).mean()
        return Watched(
            result.recall_at_1.value, result.within_recall_at_1.value, float(moved / max(float(between), 1e-9))
        )


def slice_embedding(embedder: Embedder, whitened: bool = True, bf16: bool = True) -> SliceEmbedding:
    """The embedder (or its encoder alone) as a function of numpy slices (S, M, T) -> (S, D), without gradients."""
    device = next(embedder.parameters()).device
    forward = embedder.forward if whitened else embedder.encode

    def embed(log_mels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            out = forward(torch.from_numpy(log_mels).to(device))
        return np.asarray(out.float().cpu().numpy())

    return embed
