"""What is measured while training: does the space hold pieces together, and does a change of tempo move it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from nearfield.augment.time_stretch import TimeStretch, time_stretch
from nearfield.data.melstore import Frames, MelStore
from nearfield.model.embedder import Embedder, evaluating
from nearfield.study.halves import SliceEmbedding, cut_halves, embed_halves, judge_halves
from nearfield.study.metrics import unit

STRETCH = 1.25


@dataclass(frozen=True)
class Watched:
    """`stretch_shift`: cosine distance that a stretch by 1.25 moves a slice, over that of slices of two tracks."""

    recall_at_1: float
    within_recall_at_1: float
    stretch_shift: float


class Watch:
    """Slices of the validation tracks, cut once and kept in RAM."""

    def __init__(self, store: MelStore, numbers: Sequence[int], slice_frames: int, seed: int) -> None:
        self._slice_frames = slice_frames
        source = TimeStretch(1.0, STRETCH).source_frames(slice_frames)
        usable = usable_tracks(store, numbers, slice_frames)
        self._seed = seed
        self._packages = [store.tracks[n].package for n in usable]
        self._halves = cut_halves(store, usable, slice_frames=slice_frames)
        self._sources = np.stack([_middle(store.frames(n), source) for n in usable]).astype(np.float32)

    def look(self, embedder: Embedder) -> Watched:
        """Measure the model as it stands."""
        result = judge_halves(
            embed_halves(self._halves, slice_embedding(embedder)), self._packages, np.random.default_rng(self._seed)
        )
        sources = torch.from_numpy(self._sources)
        plain, faster = (
            unit(
                slice_embedding(embedder)(
                    time_stretch(sources, torch.full((len(sources),), ratio), self._slice_frames).numpy()
                )
            )
            for ratio in (1.0, STRETCH)
        )
        between = 1 - (plain @ plain.T)[~np.eye(len(plain), dtype=bool)].mean()
        moved = (1 - (plain * faster).sum(axis=1)).mean()
        return Watched(
            result.recall_at_1.value, result.within_recall_at_1.value, float(moved / max(float(between), 1e-9))
        )


def usable_tracks(store: MelStore, numbers: Sequence[int], slice_frames: int) -> list[int]:
    """Those long enough for two halves, and for a slice to be stretched in the middle."""
    least = max(2 * slice_frames, TimeStretch(1.0, STRETCH).source_frames(slice_frames))
    return [n for n in numbers if store.entries[n].frames >= least]


def _middle(frames: Frames, n: int) -> Frames:
    first = (len(frames) - n) // 2
    return frames[first : first + n].T.copy()  # a view would keep the whole track in memory


def slice_embedding(embedder: Embedder, whitened: bool = True, bf16: bool = True) -> SliceEmbedding:
    """The embedder (or its encoder alone) as a function of numpy slices (S, M, T) -> (S, D), without gradients or chance."""
    device = next(embedder.parameters()).device
    forward = embedder.forward if whitened else embedder.encode

    def embed(log_mels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with evaluating(embedder), torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            out = forward(torch.from_numpy(log_mels).to(device))
        return np.asarray(out.float().cpu().numpy())

    return embed
