"""Labelling by probes on frozen vectors: every track is answered for by a probe that saw no track of its fold.

Answers of all folds are pooled, each with the fold it comes from. Figures: classes - accuracy, macro-F1; numbers - R2; tags -
ROC-AUC and mAP, macro, compared within folds (scores.py). What knowing nothing gives: for accuracy the most frequent class
of what was learned from, for F1 classes drawn with their shares there (always naming one class would give less), for R2 0,
the mean, for ROC-AUC 1/2, for mAP a random order.

Intervals are for the whole procedure, other tracks to learn from included: intervals.py says how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError
from nearfield.study.metrics import Vectors
from nearfield.study.tasks import chance, scores
from nearfield.study.tasks.fitting import Choice, fit_probe
from nearfield.study.tasks.intervals import Floats, Indices, Retaught, Statistic, cluster_codes
from nearfield.study.tasks.learners import Depth, ProbeSettings
from nearfield.study.tasks.row import Measure
from nearfield.study.tasks.scores import mean_of
from nearfield.study.tasks.splits import Folds, blocks_of, blocks_within
from nearfield.study.tasks.targets import Kind, Targets

METRICS: Mapping[Kind, tuple[str, ...]] = {
    "classes": ("accuracy", "macro-F1"),
    "numbers": ("R2",),
    "tags": ("ROC-AUC", "mAP"),
}


@dataclass(frozen=True, eq=False)
class Answers:
    """What probes said of n tracks that they had not seen.

    `rows` (n,): which of the tracks given; `targets` and `said` (n, Y): what is true, and the probes' scores; `fold` (n,).
    `shares` (F, Y): means of the targets that the probe of each fold learned from. `choices` (F,): what was chosen of the grid.
    `without` (G, n, Y): the scores of probes that had not learned from block g; `block` (n,): the block of each track, -1 none.
    """

    rows: Indices
    targets: Targets
    said: Floats
    fold: Indices
    shares: Floats
    choices: tuple[Choice, ...]
    without: Floats
    block: Indices

    @property
    def at_edge(self) -> int:
        """How many probes took the strongest or the weakest decay of the grid."""
        return sum(choice.at_edge for choice in self.choices)

    def measures(self) -> tuple[Measure, ...]:
        """The figures of this kind of target; without tracks they are NaN."""
        n = len(self.rows)
        if n == 0:
            return tuple(Measure(name, mean_of([]), float("nan"), 0) for name in METRICS[self.targets.kind])
        others = [self._statistics(said) for said in self.without]
        each = zip(METRICS[self.targets.kind], self._statistics(self.said), self._chances(), strict=True)
        return tuple(
            Measure(name, statistic, chance, n, Retaught(tuple(other[m] for other in others), self.block))
            for m, (name, statistic, chance) in enumerate(each)
        )

    def _statistics(self, said: Floats) -> tuple[Statistic, ...]:
        """A figure of METRICS each, of scores (n, Y)."""
        t = self.targets
        if t.kind == "classes":
            named = said.argmax(axis=1)
            return scores.accuracy(t.codes, named), scores.macro_f1(t.codes, named, len(t.names))
        if t.kind == "numbers":
            return (scores.r2(t.values, said),)
        return scores.roc_auc(t.values, said, self.fold), scores.average_precision(t.values, said, self.fold)

    def _chances(self) -> tuple[float, ...]:
        t = self.targets
        if t.kind == "classes":
            likely, drawn = self.shares.argmax(axis=1), self.shares[self.fold].mean(axis=0)
            counts = np.bincount(t.codes, minlength=len(t.names))
            return float((likely[self.fold] == t.codes).mean()), chance.dealt_f1(counts, drawn)
        return (0.0,) if t.kind == "numbers" else (0.5, self._random_order())

    def _random_order(self) -> float:
        """Average precision of a random order in each fold: the mean over the folds of a tag, then over the tags."""
        parts = [self.targets.values[self.fold == f] for f in np.unique(self.fold)]
        each = np.stack([chance.average_precision(len(part), part.sum(axis=0)) for part in parts])
        known = ~np.isnan(each)
        tags = np.where(known, each, 0).sum(axis=0)[known.any(axis=0)] / known.sum(axis=0)[known.any(axis=0)]
        return float(tags.mean()) if tags.size else float("nan")


def cross_validate(
    vectors: Vectors,
    targets: Targets,
    folds: Folds,
    groups: npt.ArrayLike,
    depth: Depth,
    seed: int,
    settings: ProbeSettings | None = None,
) -> Answers:
    """Probes of (N, D) vectors, one a fold, each fitted to the other folds' tracks of known target.

    `groups` (N,): as the folds were made of, -1 alone; the probes' own settings are chosen on whole ones. Folds without a
    known target are passed over. Raises BenchError for shapes that do not fit, groups in two folds, and as fit_probe does.
    """
    codes = cluster_codes(groups)
    _check_folds(vectors, targets, folds, codes)
    if not targets.known.any():
        return _pooled([], targets)
    grid, fold = settings or ProbeSettings(), np.where(targets.known, folds.fold, -1)
    blocks = blocks_within(fold, codes, targets.strata(), grid.blocks(depth))
    asking = _Asking(np.asarray(vectors), targets, codes, blocks, depth, seed, grid)
    found = []
    for f in range(folds.count):
        learn = np.flatnonzero(targets.known & (folds.fold != f))
        asked = np.flatnonzero(targets.known & (folds.fold == f))
        if asked.size:
            found.append(_answered(asking, learn, asked))
    return _pooled(found, targets)


def held_out(
    vectors: Vectors,
    targets: Targets,
    learn: npt.ArrayLike,
    asked: npt.ArrayLike,
    groups: npt.ArrayLike,
    depth: Depth,
    seed: int,
    settings: ProbeSettings | None = None,
) -> Answers:
    """One probe fitted to the rows `learn` of (N, D) vectors and asked about the rows `asked`; errors as above.

    Rows of unknown target are passed over. Raises BenchError when a group is on both sides.
    """
    codes = cluster_codes(groups)
    rows = [np.asarray(side, np.int64)[targets.known[np.asarray(side, np.int64)]] for side in (learn, asked)]
    if np.intersect1d(codes[rows[0]], codes[rows[1]]).size:
        raise BenchError("probe", "a group both to learn from and to ask", "split by whole groups")
    if not rows[1].size:
        return _pooled([], targets)
    grid, blocks = settings or ProbeSettings(), np.full(len(codes), -1)
    blocks[rows[0]] = blocks_of(codes[rows[0]], targets.of(rows[0]).strata(), grid.blocks(depth))
    asking = _Asking(np.asarray(vectors), targets, codes, blocks, depth, seed, grid)
    return _pooled([_answered(asking, rows[0], rows[1])], targets)


@dataclass(frozen=True, eq=False)
class _Asking:
    """What is the same for the probes of all folds; `blocks` (N,): of tracks that are left out together, -1 never."""

    vectors: Vectors
    targets: Targets
    groups: Indices
    blocks: Indices
    depth: Depth
    seed: int
    settings: ProbeSettings


def _answered(a: _Asking, learn: Indices, asked: Indices) -> Answers:
    lesson, rng = a.targets.of(learn), np.random.default_rng(a.seed)
    probe = fit_probe(a.vectors[learn], lesson, a.groups[learn], a.depth, a.settings, rng)
    said, held = probe.scores(a.vectors[asked]), a.blocks[learn]
    without = np.tile(said, (int(a.blocks.max()) + 1, 1, 1))
    for g in np.unique(held[held >= 0]):
        rest = np.flatnonzero(held != g)
        if rest.size:
            without[g] = probe.again(a.vectors[learn[rest]], lesson.of(rest)).scores(a.vectors[asked])
    return Answers(
        asked,
        a.targets.of(asked),
        said,
        np.zeros(len(asked), np.int64),
        lesson.values.mean(axis=0, keepdims=True),
        (probe.choice,),
        without,
        a.blocks[asked],
    )


def _pooled(parts: list[Answers], targets: Targets) -> Answers:
    none = np.empty(0, np.int64)
    if not parts:
        said = np.empty((0, len(targets.names)))
        return Answers(none, targets.of(none), said, none, np.empty((0, 0)), (), said[None, :0], none)
    rows = np.concatenate([p.rows for p in parts])
    return Answers(
        rows,
        targets.of(rows),
        np.concatenate([p.said for p in parts]),
        np.concatenate([np.full(len(p.rows), f) for f, p in enumerate(parts)]),
        np.concatenate([p.shares for p in parts]),
        tuple(choice for p in parts for choice in p.choices),
        np.concatenate([p.without for p in parts], axis=1),
        np.concatenate([p.block for p in parts]),
    )


def _check_folds(vectors: Vectors, targets: Targets, folds: Folds, groups: Indices) -> None:
    sizes = {len(vectors), len(targets.values), len(folds.fold), len(groups)}
    if len(sizes) > 1:
        raise BenchError(
            "probe", f"vectors, targets, folds and groups of {sorted(sizes)} tracks", "give the same tracks"
        )
    pairs = np.unique(np.stack([groups, folds.fold]), axis=1)
    if len(np.unique(pairs[0])) < pairs.shape[1]:
        raise BenchError("probe", "a group in two folds", "make the folds of these groups")
