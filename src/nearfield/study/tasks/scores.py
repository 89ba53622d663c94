"""Figures of answers against labels that take weights, so that they can be drawn again: see intervals.py.

With weights 1 they are those of scikit-learn (accuracy_score, f1_score, r2_score, roc_auc_score, average_precision_score,
the last four macro averages). Deviations: a class, output or tag of which nothing can be said (no track of it was drawn and
none named; constant; no positive or no negative) is left out of the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError
from nearfield.study.tasks.intervals import Floats, Indices, Statistic

_CONSTANT = 1e-12  # of the squares about the mean, against those of the whole
_Ranked = Callable[[Floats, Floats], Floats]


def mean_of(values: npt.ArrayLike) -> Statistic:
    """The weighted mean of (N,) values."""
    each = np.asarray(values, np.float64)

    def mean(weights: Floats) -> Floats:
        return _ratio(weights @ each, weights.sum(axis=1))

    return mean


def accuracy(true: npt.ArrayLike, said: npt.ArrayLike) -> Statistic:
    """The share of (N,) answers that are right."""
    a, b = np.asarray(true), np.asarray(said)
    _check(a, b)
    return mean_of(a == b)


def macro_f1(true: Indices, said: Indices, classes: int) -> Statistic:
    """The mean over classes of 2 right / (true + named), (N,) codes below `classes`."""
    a, b = np.asarray(true), np.asarray(said)
    _check(a, b)
    if a.size and not (min(a.min(), b.min()) >= 0 and max(a.max(), b.max()) < classes):
        raise BenchError("classes", f"codes that are not 0 to {classes - 1}", "number the classes from 0")
    every = np.arange(classes)
    of_class, named = a[:, None] == every, b[:, None] == every
    right, both = (of_class & named).astype(np.float64), of_class.astype(np.float64) + named

    def f1(weights: Floats) -> Floats:
        return _mean_known(_ratio(2 * (weights @ right), weights @ both))

    return f1


def r2(true: npt.ArrayLike, said: npt.ArrayLike) -> Statistic:
    """The mean over outputs of 1 - squares left / squares about the mean, of (N, Y) numbers."""
    a, b = np.asarray(true, np.float64), np.asarray(said, np.float64)
    _check(a, b)
    centred = a - a.mean(axis=0) if a.size else a
    squares, left = np.square(centred), np.square(a - b)
    whole = squares.mean(axis=0) if a.size else squares.sum(axis=0)

    def explained(weights: Floats) -> Floats:
        total = weights.sum(axis=1, keepdims=True)
        about = weights @ squares - np.square(weights @ centred) / total
        about[about <= _CONSTANT * total * whole] = 0
        return _mean_known(1 - _ratio(weights @ left, about))

    return explained


def roc_auc(true: npt.ArrayLike, scores: npt.ArrayLike, folds: npt.ArrayLike | None = None) -> Statistic:
    """The mean over tags of the area under the ROC curve, of (N, T) flags and scores.

    `folds` (N,): scores are compared within a fold only and a tag's areas averaged over the folds, since those of different
    probes are not of one scale (Forman and Scholz, SIGKDD Explorations 2010).
    """
    return _over_tags(_area, true, scores, folds)


def average_precision(true: npt.ArrayLike, scores: npt.ArrayLike, folds: npt.ArrayLike | None = None) -> Statistic:
    """The mean over tags of average precision, the sum of precision times rise in recall; folds as above."""
    return _over_tags(_precision, true, scores, folds)


def _area(positive: Floats, negative: Floats) -> Floats:
    """From weights (R, S) at each of S distinct scores, falling; equal scores count half."""
    above = positive.cumsum(axis=1) - positive / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio((negative * above).sum(axis=1), pairs)


def _precision(positive: Floats, negative: Floats) -> Floats:
    found = positive.cumsum(axis=1)
    precise = np.nan_to_num(_ratio(found, found + negative.cumsum(axis=1)))
    return _ratio((positive * precise).sum(axis=1), positive.sum(axis=1))


def _over_tags(figure: _Ranked, true: npt.ArrayLike, scores: npt.ArrayLike, folds: npt.ArrayLike | None) -> Statistic:
    flags, marks = np.asarray(true, bool), np.asarray(scores, np.float64)
    _check(flags, marks)
    if flags.ndim != 2:
        raise BenchError("tags", f"flags of shape {flags.shape}", "give one a track and tag, (N, T)")
    if not np.isfinite(marks).all():
        raise BenchError("scores", "NaN or infinity among them", "leave out what has no score")
    fold = np.zeros(len(flags), np.int64) if folds is None else np.asarray(folds)
    parts = [np.flatnonzero(fold == f) for f in np.unique(fold)]
    sorted_tags = [[_falling(rows, flags[rows, t], marks[rows, t]) for rows in parts] for t in range(flags.shape[1])]

    def mean(weights: Floats) -> Floats:
        if not flags.size:
            return np.full(len(weights), np.nan)
        tags = [
            _mean_known(np.stack([figure(*_weighed(weights, *one)) for one in one_tag], axis=1))
            for one_tag in sorted_tags
        ]
        return _mean_known(np.stack(tags, axis=1))

    return mean


def _falling(rows: Indices, flags: npt.NDArray[np.bool_], scores: Floats) -> tuple[Indices, Floats, Indices]:
    """Rows by falling score, their flags, and where each distinct score begins."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    return rows[order], flags[order].astype(np.float64), starts


def _weighed(weights: Floats, rows: Indices, flags: Floats, starts: Indices) -> tuple[Floats, Floats]:
    """Weights of positives and negatives (R, S) at each distinct score."""
    held = weights[:, rows]
    whole = np.add.reduceat(held, starts, axis=1)
    positive = np.add.reduceat(held * flags, starts, axis=1)
    return positive, whole - positive


def _ratio(part: Floats, whole: Floats) -> Floats:
    """NaN where the whole is nothing."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0))


def _mean_known(table: Floats) -> Floats:
    """(R, L) -> (R,) means of what is not NaN."""
    known = ~np.isnan(table)
    return _ratio(np.where(known, table, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _check(true: npt.NDArray[Any], said: npt.NDArray[Any]) -> None:
    if true.shape != said.shape:
        cause = f"of shape {said.shape} for labels of shape {true.shape}"
        raise BenchError("answers", cause, "give one an item, in order")
