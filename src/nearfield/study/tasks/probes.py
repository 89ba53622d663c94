"""Labelling by probes on frozen vectors: every track is answered for by a probe that saw no track of its fold.

Answers of all folds are pooled, each with the fold it comes from. Figures: classes - accuracy, macro-F1; numbers - R2; tags -
ROC-AUC and mAP, macro, compared within folds (scores.py). What knowing nothing gives: for accuracy the most frequent class
of what was learned from, for F1 classes drawn with their shares there (always naming one class would give less), for R2 0,
the mean, for ROC-AUC 1/2, for mAP a random order.

Intervals are of the tracks asked, given the probes: how other tracks to learn from would have changed these is not in them,
so they are somewhat narrow. On noise (240 tracks by 60 artists, linear, seeds 0 to 59) 85 to 88 % of them held chance.
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
from nearfield.study.tasks.intervals import Floats, Indices, cluster_codes
from nearfield.study.tasks.learners import Depth, ProbeSettings
from nearfield.study.tasks.row import Measure
from nearfield.study.tasks.scores import mean_of
from nearfield.study.tasks.splits import Folds
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
    """

    rows: Indices
    targets: Targets
    said: Floats
    fold: Indices
    shares: Floats
    choices: tuple[Choice, ...]

    def measures(self) -> tuple[Measure, ...]:
        """The figures of this kind of target; without tracks they are NaN."""
        n, t = len(self.rows), self.targets
        if n == 0:
            return tuple(Measure(name, mean_of([]), float("nan"), 0) for name in METRICS[t.kind])
        if t.kind == "classes":
            said, likely = self.said.argmax(axis=1), self.shares.argmax(axis=1)
            drawn, majority = self.shares[self.fold].mean(axis=0), float((likely[self.fold] == t.codes).mean())
            counts = np.bincount(t.codes, minlength=len(t.names))
            f1 = scores.macro_f1(t.codes, said, len(t.names))
            return (
                Measure("accuracy", scores.accuracy(t.codes, said), majority, n),
                Measure("macro-F1", f1, chance.dealt_f1(counts, drawn), n),
            )
        if t.kind == "numbers":
            return (Measure("R2", scores.r2(t.values, self.said), 0.0, n),)
        return (
            Measure("ROC-AUC", scores.roc_auc(t.values, self.said, self.fold), 0.5, n),
            Measure("mAP", scores.average_precision(t.values, self.said, self.fold), self._random_order(), n),
        )

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
    found = []
    for f in range(folds.count):
        learn = np.flatnonzero(targets.known & (folds.fold != f))
        asked = np.flatnonzero(targets.known & (folds.fold == f))
        if asked.size:
            found.append(_answered(vectors, targets, learn, asked, codes, depth, seed, settings))
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
    found = [_answered(vectors, targets, rows[0], rows[1], codes, depth, seed, settings)] if rows[1].size else []
    return _pooled(found, targets)


def _answered(
    vectors: Vectors,
    targets: Targets,
    learn: Indices,
    asked: Indices,
    groups: Indices,
    depth: Depth,
    seed: int,
    settings: ProbeSettings | None,
) -> Answers:
    lesson = targets.of(learn)
    rng = np.random.default_rng(seed)
    probe = fit_probe(np.asarray(vectors)[learn], lesson, groups[learn], depth, settings or ProbeSettings(), rng)
    said = probe.scores(np.asarray(vectors)[asked])
    fold = np.zeros(len(asked), np.int64)
    return Answers(asked, targets.of(asked), said, fold, lesson.values.mean(axis=0, keepdims=True), (probe.choice,))


def _pooled(parts: list[Answers], targets: Targets) -> Answers:
    none = np.empty(0, np.int64)
    if not parts:
        return Answers(none, targets.of(none), np.empty((0, len(targets.names))), none, np.empty((0, 0)), ())
    rows = np.concatenate([p.rows for p in parts])
    return Answers(
        rows,
        targets.of(rows),
        np.concatenate([p.said for p in parts]),
        np.concatenate([np.full(len(p.rows), f) for f, p in enumerate(parts)]),
        np.concatenate([p.shares for p in parts]),
        tuple(choice for p in parts for choice in p.choices),
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
