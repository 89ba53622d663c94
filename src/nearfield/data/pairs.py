"""Positive pairs: two slices of one track, near each other in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.data.melstore import Frames, MelStore
from nearfield.errors import StoreError, readable


@dataclass(frozen=True)
class PairConfig:
    """How pairs are drawn.

    `source_frames` is what is cut from the track; it is longer than a slice where an augmentation needs more
    (time-stretching by up to 1.4 turns 420 frames into 300). The centres of a pair lie `min_apart_frames` to
    `max_apart_frames` apart: by default 3-second slices do not overlap, for two that share their notes are told from the
    rest by those notes alone, and at most 5 s of music lie between them. A slice stretched by r reads 3 r seconds, so
    both limits then move by up to 3 (r - 1) s.
    """

    batch_pairs: int = 256
    source_frames: int = 300
    min_apart_frames: int = 300
    max_apart_frames: int = 800


@dataclass(frozen=True)
class PairBatch:
    """`frames` (2, B, T, M) float16: anchors, then positives; `tracks` (B,) are entry numbers of the store."""

    frames: Frames
    tracks: npt.NDArray[np.int64]


def draw_starts(n_frames: npt.NDArray[np.int64], config: PairConfig, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(B,) track lengths -> (2, B) first frames: the anchor uniform over the track, the positive over what is in reach.

    Reach is before and after the anchor; where neither side has room, the track's first and the farthest allowed slice are given.
    """
    last = n_frames - config.source_frames
    anchor = rng.integers(0, last + 1)
    before_low = np.maximum(0, anchor - config.max_apart_frames)
    before = np.maximum(0, anchor - config.min_apart_frames - before_low + 1)  # how many starts lie in reach
    after_low = anchor + config.min_apart_frames
    after = np.maximum(0, np.minimum(last, anchor + config.max_apart_frames) - after_low + 1)
    if config.min_apart_frames == 0:
        after = np.maximum(0, after - 1)  # the anchor itself is counted once
        after_low = after_low + 1
    pick = rng.integers(0, np.maximum(1, before + after))
    positive = np.where(pick < before, before_low + pick, after_low + pick - before)
    short = before + after == 0
    return np.stack([np.where(short, 0, anchor), np.where(short, np.minimum(last, config.max_apart_frames), positive)])


class PairStream:
    """Batch `step` of a run, the same whenever it is asked for: a resumed run goes on with what would have come.

    A track occurs at most once in a batch. The tracks are held in RAM when they fit `budget_bytes`; otherwise
    neighbouring tracks are read from disk group by group, in file order, and each group serves `passes_per_group` times
    its tracks before the next is read. Tracks shorter than `source_frames` are left out. Raises StoreError when there
    are not tracks enough to fill a batch.
    """

    def __init__(
        self,
        store: MelStore,
        numbers: Sequence[int],
        config: PairConfig,
        seed: int,
        budget_bytes: int = 8 << 30,
        passes_per_group: int = 8,
    ) -> None:
        self._store, self._config, self._seed = store, config, seed
        usable = [n for n in numbers if store.entries[n].frames >= config.source_frames]
        if not usable:
            raise StoreError(readable(store.path), "no track is left to train on", "prepare more, or longer, tracks")
        # by id inside a group: the order in which tracks were prepared must not decide what a seed means
        groups = [sorted(g, key=lambda n: store.entries[n].id) for g in store.groups(usable, budget_bytes)]
        if len(groups) > 1 and len(groups[-1]) < config.batch_pairs:
            groups[-2] += groups.pop()
        smallest = min(len(g) for g in groups)
        if smallest < config.batch_pairs:
            raise StoreError(
                readable(store.path),
                f"a batch takes {config.batch_pairs} different tracks, but only {smallest} are at hand",
                "choose a smaller batch_pairs, or a larger RAM budget",
            )
        self._groups = groups
        # one pass of a group gives the batches that its tracks fill; (group, pass, place) of every batch in a cycle
        passes = passes_per_group if len(groups) > 1 else 1
        self._cycle = [
            (g, p, b)
            for g, group in enumerate(groups)
            for p in range(passes)
            for b in range(len(group) // config.batch_pairs)
        ]
        self._resident = -1
        self._frames: list[Frames] = []

    def batch(self, step: int) -> PairBatch:
        """The pairs of one step."""
        cycle, place = divmod(step, len(self._cycle))
        number, turn, b = self._cycle[place]
        group = self._groups[number]
        if number != self._resident:
            self._frames, self._resident = [], number  # let the old group go before the new one is read
            self._frames = self._store.read(group)
        order = np.random.default_rng([self._seed, 1, cycle, number, turn]).permutation(len(group))
        chosen = order[b * self._config.batch_pairs : (b + 1) * self._config.batch_pairs]
        lengths = np.array([len(self._frames[i]) for i in chosen])
        starts = draw_starts(lengths, self._config, np.random.default_rng([self._seed, 2, step]))
        size = self._config.source_frames
        cut = np.empty((2, len(chosen), size, self._store.config.n_mels), np.float16)
        for v, view in enumerate(starts):
            for i, (track, start) in enumerate(zip(chosen, view, strict=True)):
                cut[v, i] = self._frames[track][start : start + size]
        return PairBatch(cut, np.array([group[i] for i in chosen]))
