"""One probe fitted to frozen vectors: a linear layer, or one hidden layer, by scikit-learn, from one small grid for all.

Vectors are standardised by the tracks that are learned from. A fifth of their groups is set apart, the setting that does
best on it is chosen (ties: the stronger decay, the fewer steps), and the probe is fitted anew to all of them with it. What
is asked afterwards takes no part. Linear: logistic regression for classes and tags, ridge regression for numbers. Hidden: a
multilayer perceptron with ReLU and Adam, for which the steps are part of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError
from nearfield.study.metrics import Vectors
from nearfield.study.tasks import scores
from nearfield.study.tasks.intervals import Floats, cluster_codes
from nearfield.study.tasks.learners import Depth, ProbeSettings, Respond, courses
from nearfield.study.tasks.splits import FOLDS, dealt
from nearfield.study.tasks.targets import Targets

_FLAT = 1e-6  # of a dimension's deviation, against its mean: below that it says nothing


@dataclass(frozen=True, eq=False)
class _Scale:
    """Mean and deviation of each dimension (D,)."""

    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, points: Vectors) -> _Scale:
        wide = points.astype(np.float64)
        centre, spread = wide.mean(axis=0), wide.std(axis=0)
        return cls(centre, np.where(spread > _FLAT * np.abs(centre), spread, 1.0))

    def __call__(self, vectors: Vectors) -> Vectors:
        return np.asarray((vectors - self.centre) / self.spread, np.float32)


@dataclass(frozen=True)
class Choice:
    """What of the grid did best on the part set apart, and how well there."""

    decay: float
    steps: int
    validated: float


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe; `scale` is that of the tracks it learned from."""

    scale: _Scale
    respond: Respond
    choice: Choice

    def scores(self, vectors: Vectors) -> Floats:
        """(n, D) -> (n, Y): the probability of each class or tag, or the numbers."""
        return self.respond(self.scale(vectors))


def fit_probe(
    vectors: Vectors,
    targets: Targets,
    groups: npt.ArrayLike,
    depth: Depth,
    settings: ProbeSettings,
    rng: np.random.Generator,
) -> Probe:
    """Fit to N tracks with vectors (N, D), all of known target. `groups` (N,): -1 alone; the part set apart has whole ones.

    Raises BenchError when scikit-learn is missing, for shapes that do not fit, NaN or infinity, fewer than two groups.
    """
    points = _checked(vectors, targets)
    state = int(rng.integers(2**31))
    apart = set_apart(groups, targets)
    scale = _Scale.of(points[~apart])
    learned, asked = scale(points[~apart]), scale(points[apart])
    lesson, test = targets.of(np.flatnonzero(~apart)), targets.of(np.flatnonzero(apart))
    found = [
        Choice(decay, steps, judged(test, respond(asked)))
        for decay in (settings.linear_decays if depth == "linear" else settings.hidden_decays)
        for steps, respond in courses(learned, lesson, depth, decay, settings, state)
    ]
    best = max(found, key=lambda c: c.validated)  # the first of equals
    scale, final = _Scale.of(points), replace(settings, steps=(best.steps,))
    *_, (_, respond) = courses(scale(points), targets, depth, best.decay, final, state)
    return Probe(scale, respond, best)


def set_apart(groups: npt.ArrayLike, targets: Targets) -> npt.NDArray[np.bool_]:
    """(N,) the fifth of the groups that chooses; half of them where there are but two."""
    codes = cluster_codes(groups)
    return np.asarray(dealt(codes, targets.strata(), min(FOLDS, len(np.unique(codes)))) == 0)


def judged(targets: Targets, answers: Floats) -> float:
    """What the grid is chosen by: accuracy, R2, or the area under the ROC curve; -inf where it cannot be had."""
    if targets.kind == "classes":
        figure = scores.accuracy(targets.codes, answers.argmax(axis=1))
    else:
        figure = (scores.r2 if targets.kind == "numbers" else scores.roc_auc)(targets.values, answers)
    value = float(figure(np.ones((1, len(answers))))[0])
    return value if np.isfinite(value) else float("-inf")


def _checked(vectors: Vectors, targets: Targets) -> Vectors:
    points = np.asarray(vectors, np.float32)
    if points.ndim != 2 or len(points) != len(targets.values) or not targets.known.all():
        cause = f"vectors of shape {points.shape} for {int(targets.known.sum())} known targets"
        raise BenchError("probe", cause, "give one row a track of known target, (N, D)")
    if not np.isfinite(points).all():
        raise BenchError("probe", "vectors hold NaN or infinity", "embed them again, or leave them out")
    if targets.kind == "classes" and len(targets.names) < 2:
        raise BenchError("probe", f"{len(targets.names)} classes", "give two or more")
    return points
