"""What knowing nothing gives, exactly: the expectation of each figure when the order, or the answer, is drawn at random.

C candidates in random order, R of them relevant. Arrays of C and R broadcast; where R is 0 there is no figure (NaN).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import digamma
from scipy.stats import binom

from nearfield.study.tasks.intervals import Floats

_NEGLIGIBLE = 40  # beyond so many mean gaps a relevant one is still missing with probability e^-40


def precision_at(candidates: npt.ArrayLike, relevant: npt.ArrayLike, k: int) -> Floats:
    """Of hits among the first `k`, over `k`; where there are fewer candidates all of them are found."""
    c, r = _counts(candidates, relevant)
    return np.asarray(np.minimum(k, c) * _share(r, c) / k)


def r_precision(candidates: npt.ArrayLike, relevant: npt.ArrayLike) -> Floats:
    """The share of relevant candidates."""
    c, r = _counts(candidates, relevant)
    return _share(r, c)


def map_at_r(candidates: npt.ArrayLike, relevant: npt.ArrayLike) -> Floats:
    """E[1/R sum over i <= R of rel(i) P(i)]; place i holds a relevant one with p = R/C, another before it with (R-1)/(C-1)."""
    c, r = _counts(candidates, relevant)
    return _mean_precision(c, r, r)


def average_precision(candidates: npt.ArrayLike, relevant: npt.ArrayLike) -> Floats:
    """The same over all C places: the average precision of a random order."""
    c, r = _counts(candidates, relevant)
    return _mean_precision(c, r, c)


def reciprocal_rank(candidates: npt.ArrayLike, relevant: npt.ArrayLike) -> Floats:
    """Of the first relevant one: the sum of P(first = k) / k, to rounding."""
    c, r = _counts(candidates, relevant)
    pairs, at = np.unique(np.stack([c.ravel(), r.ravel()]), axis=1, return_inverse=True)
    each = np.array([_first(int(n), int(m)) for n, m in pairs.T])
    return np.asarray(each[at.ravel()].reshape(c.shape))


def dealt_f1(of_class: npt.ArrayLike, shares: npt.ArrayLike) -> float:
    """Macro-F1 of answers drawn independently with the given shares (L,), where (L,) tracks are of each class.

    Of a class of t tracks, p ~ Binomial(n, share) answers name it and t p / n of them are right, so F1 = 2 t p / n / (t + p).
    Classes of no track are left out.
    """
    t, q = np.asarray(of_class, np.float64), np.asarray(shares, np.float64)
    n = int(t.sum())
    named = np.arange(n + 1)
    each = [
        float((binom.pmf(named, n, share) * 2 * tracks * named / n / (tracks + named)).sum())
        for tracks, share in zip(t, q, strict=True)
        if tracks > 0
    ]
    return float(np.mean(each)) if each else float("nan")


def _mean_precision(c: Floats, r: Floats, places: Floats) -> Floats:
    """E[1/R sum over i <= places of rel(i) P(i)] = p/R sum of (1 + (i - 1) q) / i."""
    p = _share(r, c)
    q = np.divide(r - 1, c - 1, out=np.zeros_like(p), where=c > 1)
    harmonic = digamma(places + 1) + np.euler_gamma
    return np.asarray(np.divide(p * ((1 - q) * harmonic + q * places), r, out=np.full_like(p, np.nan), where=r > 0))


def _first(c: int, r: int) -> float:
    if r == 0:
        return float("nan")
    k = np.arange(1, min(c - r, _NEGLIGIBLE * c // r) + 1)
    none_before = np.concatenate([[1.0], np.cumprod((c - k - r + 1) / (c - k + 1))])  # the first k are not relevant
    place = np.arange(1, len(none_before) + 1)
    return float((none_before * r / (c - place + 1) / place).sum())


def _counts(candidates: npt.ArrayLike, relevant: npt.ArrayLike) -> tuple[Floats, Floats]:
    c, r = np.broadcast_arrays(np.asarray(candidates, np.float64), np.asarray(relevant, np.float64))
    return c, r


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(whole, np.nan, np.float64), where=part > 0)
