"""Positive pairs: two slices of one track, near each other in time; of one corpus, or of several mixed.

Where codec, mastering or soundfont give a track away, nothing else is learned. A share of each batch may therefore come
from one package (a game, a soundfont): those pairs have to be told from each other by what they play. Where tempo gives
them away, another share may be of nearly one tempo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nearfield.data.melstore import Frames, MelStore
from nearfield.data.shards import Rows
from nearfield.errors import StoreError, readable


@dataclass(frozen=True)
class PairConfig:
    """How pairs are drawn.

    `source_frames` is what is cut from the track; it is longer than a slice where an augmentation needs more
    (time-stretching by up to 1.4 turns 420 frames into 300). The centres of a pair lie `min_apart_frames` to
    `max_apart_frames` apart: by default 3-second slices do not overlap, for two that share their notes are told from the
    rest by those notes alone, and at most 5 s of music lie between them. A slice stretched by r reads 3 r seconds, so
    both limits then move by up to 3 (r - 1) s.

    `same_package_share` of each batch (as far as there are tracks) comes from one package, drawn anew for every batch by
    its number of tracks: hard negatives. `same_tempo_share` likewise are the tracks nearest in tempo (half and double
    counting as equal) to one whose tempo is known; they come after those of one package.

    `spectra` cuts from the stores' spectra instead of their log-mels.
    """

    batch_pairs: int = 256
    source_frames: int = 300
    min_apart_frames: int = 300
    max_apart_frames: int = 800
    same_package_share: float = 0.0
    same_tempo_share: float = 0.0
    spectra: bool = False

    def __post_init__(self) -> None:
        for name in ("same_package_share", "same_tempo_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, got {getattr(self, name)}")
        if self.same_package_share + self.same_tempo_share > 1:
            raise ValueError("same_package_share and same_tempo_share together must not be above 1")


@dataclass(frozen=True)
class PairBatch:
    """`frames` (2, B, T, M) float16 (K bins in place of M where spectra are cut): anchors, then positives; `tracks` (B,)
    are entry numbers of the store.
    """

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
    its tracks before the next is read. `mapped` leaves them to the system's page cache, which the processes of one
    machine share. Tracks shorter than `source_frames` are left out. Raises StoreError when there
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
        mapped: bool = False,
    ) -> None:
        self._store, self._config, self._seed = store, config, seed
        self._rows = _rows(store, config)
        self._take = self._rows.mapped if mapped else self._rows.read
        usable = [n for n in numbers if store.entries[n].frames >= config.source_frames]
        if not usable:
            raise StoreError(readable(store.path), "no track is left to train on", "prepare more, or longer, tracks")
        # by id inside a group: the order in which tracks were prepared must not decide what a seed means
        groups = [sorted(g, key=lambda n: store.entries[n].id) for g in self._rows.groups(usable, budget_bytes)]
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
            self._frames = self._take(group)
        order = np.random.default_rng([self._seed, 1, cycle, number, turn]).permutation(len(group))
        chosen = order[b * self._config.batch_pairs : (b + 1) * self._config.batch_pairs]
        hard = [self._of_one_package(group, step), self._of_one_tempo(group, step)]
        chosen = _placed_first(chosen, np.concatenate(hard))
        lengths = np.array([len(self._frames[i]) for i in chosen])
        starts = draw_starts(lengths, self._config, np.random.default_rng([self._seed, 2, step]))
        size = self._config.source_frames
        cut = np.empty((2, len(chosen), size, self._rows.width), np.float16)
        for v, view in enumerate(starts):
            for i, (track, start) in enumerate(zip(chosen, view, strict=True)):
                cut[v, i] = self._frames[track][start : start + size]
        return PairBatch(cut, np.array([group[i] for i in chosen]))

    def _of_one_package(self, group: Sequence[int], step: int) -> npt.NDArray[np.int64]:
        """Places in the group."""
        n = round(self._config.same_package_share * self._config.batch_pairs)
        packages = np.array([self._store.tracks[i].package for i in group]) if n else np.array([])
        named = np.flatnonzero(packages != "")
        if not len(named):
            return named
        rng = np.random.default_rng([self._seed, 10, step])
        members = np.flatnonzero(packages == packages[rng.choice(named)])
        return rng.permutation(members)[:n]

    def _of_one_tempo(self, group: Sequence[int], step: int) -> npt.NDArray[np.int64]:
        """Places in the group."""
        n = round(self._config.same_tempo_share * self._config.batch_pairs)
        octave = np.log2([self._store.tracks[i].tempo_bpm or np.nan for i in group]) if n else np.array([])
        known = np.flatnonzero(~np.isnan(octave))
        if not len(known):
            return known
        rng = np.random.default_rng([self._seed, 13, step])
        apart = np.abs(octave[known] - octave[rng.choice(known)])
        return known[np.argsort(np.abs(apart - np.round(apart)), kind="stable")[:n]]


def _placed_first(chosen: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """As many as `chosen`, without repeats: what is wanted, then of the chosen in their order."""
    _, first = np.unique(wanted, return_index=True)
    once = wanted[np.sort(first)]
    others = chosen[~np.isin(chosen, once)]
    return np.concatenate([once, others[: len(chosen) - len(once)]])


class MixedPairs:
    """Several streams as one: each batch has pairs of every corpus, in the shares of `weights` (by corpus name).

    Corpora without a weight count 1; `PairBatch.tracks` go on counting from one store to the next, in the order given.
    With a single corpus the batches are those of its PairStream.
    """

    def __init__(
        self,
        sources: Sequence[tuple[MelStore, Sequence[int]]],
        config: PairConfig,
        seed: int,
        budget_bytes: int = 8 << 30,
        weights: Mapping[str, float] | None = None,
        mapped: bool = False,
    ) -> None:
        self.spectra = config.spectra
        names = [store.manifest.name for store, _ in sources]
        counts = shares(config.batch_pairs, names, weights or {})
        total = sum(store.nbytes for store, _ in sources)
        self._streams = []
        self._offsets = np.cumsum([0, *(len(store) for store, _ in sources)])
        for place, ((store, numbers), count) in enumerate(zip(sources, counts, strict=True)):
            own_seed = seed if place == 0 else int(np.random.SeedSequence([seed, 11, place]).generate_state(1)[0])
            own = replace(config, batch_pairs=count)
            budget = int(budget_bytes * store.nbytes / total)
            self._streams.append(PairStream(store, numbers, own, own_seed, budget, mapped=mapped) if count else None)

    def batch(self, step: int) -> PairBatch:
        """The pairs of one step, corpus after corpus."""
        parts = [
            (stream.batch(step), offset)
            for stream, offset in zip(self._streams, self._offsets[:-1], strict=True)
            if stream is not None
        ]
        return PairBatch(
            np.concatenate([part.frames for part, _ in parts], axis=1),
            np.concatenate([part.tracks + offset for part, offset in parts]),
        )


def _rows(store: MelStore, config: PairConfig) -> Rows:
    """What is cut from; raises StoreError where there are no spectra that were asked for."""
    return store.spectra() if config.spectra else store.log_mels


def shares(pairs: int, names: Sequence[str], weights: Mapping[str, float]) -> list[int]:
    """How many of a batch's pairs each corpus gives: by weight, largest remainders first; sums to `pairs`.

    Raises ValueError for a weight of a corpus that is not there, or weights that are negative or all 0.
    """
    if unknown := sorted(set(weights) - set(names)):
        raise ValueError(f"a weight is given for {unknown[0]!r}; the corpora are {', '.join(names)}")
    asked = np.array([weights.get(name, 1.0) for name in names], float)
    if (asked < 0).any() or not 0 < asked.sum() < np.inf:
        raise ValueError(f"weights must not be negative, and one of them above 0, got {dict(weights)}")
    exact = pairs * asked / asked.sum()
    counts = np.floor(exact).astype(int)
    for n in np.argsort(counts - exact, kind="stable")[: pairs - counts.sum()]:
        counts[n] += 1
    return [int(n) for n in counts]
