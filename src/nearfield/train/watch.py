"""What is measured while training: does the space hold pieces together, and does what a track keeps constant organise it?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch

from nearfield.augment.pitch_shift import pitch_shift
from nearfield.augment.time_stretch import TimeStretch, time_stretch
from nearfield.data.melstore import Frames, MelStore
from nearfield.model.embedder import Embedder, evaluating
from nearfield.sound.mel import MelConfig
from nearfield.study.halves import SliceEmbedding, cut_halves, embed_halves, judge_halves
from nearfield.study.metrics import Vectors, unit
from nearfield.study.neighbourhood import locality
from nearfield.study.properties import properties_of
from nearfield.study.shape import alignment, rank_me, uniformity

STRETCH = 1.25
SEMITONES = 2.0
NEIGHBOURS = 10
PROPERTIES = {
    "tempo": "tempo",
    "key_signature": "key",
    "genre": "style",
}  # of which the locality is watched, and as what


@dataclass(frozen=True)
class Watched:
    """Of the validation tracks of one corpus; what needs labels that they lack is None.

    `stretch_shift`: cosine distance that a stretch by 1.25 moves a slice, over that of slices of two tracks;
    `transpose_shift`: that of a pitch shift by 2 semitones.
    `alignment`: of the two halves of a track; `uniformity` and `rank_me` are over the tracks.
    `*_locality`: index of a track's neighbours, 0 chance, 1 perfect (study/neighbourhood), among 10; `style` is the genre label.
    """

    recall_at_1: float
    within_recall_at_1: float
    stretch_shift: float
    transpose_shift: float
    alignment: float
    uniformity: float
    rank_me: float
    tempo_locality: float | None = None
    key_locality: float | None = None
    style_locality: float | None = None

    def known(self) -> dict[str, float]:
        """What could be measured."""
        return {k: v for k, v in asdict(self).items() if v is not None and math.isfinite(v)}


class Watch:
    """Slices of the validation tracks, cut once and kept in RAM."""

    def __init__(self, store: MelStore, numbers: Sequence[int], slice_frames: int, seed: int) -> None:
        self.name = store.manifest.name
        self._slice_frames, self._mel = slice_frames, store.config
        usable = usable_tracks(store, numbers, slice_frames)
        tracks = [store.tracks[n] for n in usable]
        self._seed = seed
        self._packages = [t.package for t in tracks]
        self._halves = cut_halves(store, usable, slice_frames=slice_frames)
        self._sources = middles(store, usable, slice_frames)
        known = {p.name: p for p in properties_of(tracks, None, tuple(PROPERTIES))}
        self._properties = {f"{PROPERTIES[name]}_locality": prop for name, prop in known.items()}

    def look(self, embedder: Embedder) -> Watched:
        """Measure the model as it stands."""
        embed = slice_embedding(embedder)
        halves = embed_halves(self._halves, embed)
        whole = halves.mean(axis=1)
        result = judge_halves(halves, self._packages, self._rng())
        return Watched(
            result.recall_at_1.value,
            result.within_recall_at_1.value,
            float(stretch_shifts(self._sources, embed, self._slice_frames).mean()),
            float(transpose_shifts(self._sources, embed, self._slice_frames, self._mel).mean()),
            alignment(halves[:, 0], halves[:, 1]),
            uniformity(whole),
            rank_me(whole),
            **{name: _number(locality(whole, prop, NEIGHBOURS).value) for name, prop in self._properties.items()},
        )

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self._seed)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def usable_tracks(store: MelStore, numbers: Sequence[int], slice_frames: int) -> list[int]:
    """Those long enough for two halves, and for a slice to be stretched in the middle."""
    least = max(2 * slice_frames, TimeStretch(1.0, STRETCH).source_frames(slice_frames))
    return [n for n in numbers if store.entries[n].frames >= least]


def middles(store: MelStore, numbers: Sequence[int], slice_frames: int) -> npt.NDArray[np.float32]:
    """(N, M, S): the middle of each track, long enough for a slice that is stretched."""
    size = TimeStretch(1.0, STRETCH).source_frames(slice_frames)
    return np.stack([_middle(store.frames(n), size) for n in numbers]).astype(np.float32)


def _middle(frames: Frames, n: int) -> Frames:
    first = (len(frames) - n) // 2
    return frames[first : first + n].T.copy()  # a view would keep the whole track in memory


def stretch_shifts(
    sources: npt.NDArray[np.float32], embed: SliceEmbedding, slice_frames: int
) -> npt.NDArray[np.float64]:
    """(N,) cosine distances by which a stretch moves a slice, over the mean distance of slices of two tracks."""
    plain, faster = (_stretched(sources, ratio, slice_frames) for ratio in (1.0, STRETCH))
    return _shifts(embed(plain), embed(faster))


def transpose_shifts(
    sources: npt.NDArray[np.float32], embed: SliceEmbedding, slice_frames: int, mel: MelConfig
) -> npt.NDArray[np.float64]:
    """(N,) the same for a pitch shift of log-mels."""
    plain = _stretched(sources, 1.0, slice_frames)
    higher = pitch_shift(torch.from_numpy(plain), torch.full((len(plain),), SEMITONES), mel).numpy()
    return _shifts(embed(plain), embed(higher))


def _stretched(sources: npt.NDArray[np.float32], ratio: float, slice_frames: int) -> npt.NDArray[np.float32]:
    return np.asarray(time_stretch(torch.from_numpy(sources), torch.full((len(sources),), ratio), slice_frames).numpy())


def _shifts(before: Vectors, after: Vectors) -> npt.NDArray[np.float64]:
    """(N, D) twice -> (N,) cosine distances, over the mean distance of two rows of the former."""
    plain, changed = unit(before), unit(after)
    between = 1 - (plain @ plain.T)[~np.eye(len(plain), dtype=bool)].mean()
    return np.asarray((1 - (plain * changed).sum(axis=1, dtype=np.float64)) / max(float(between), 1e-9))


def slice_embedding(embedder: Embedder, whitened: bool = True, bf16: bool = True) -> SliceEmbedding:
    """The embedder (or its encoder alone) as a function of numpy slices (S, M, T) -> (S, D), without gradients or chance."""
    device = next(embedder.parameters()).device
    forward = embedder.forward if whitened else embedder.encode

    def embed(log_mels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with evaluating(embedder), torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            out = forward(torch.from_numpy(log_mels).to(device))
        return np.asarray(out.float().cpu().numpy())

    return embed
