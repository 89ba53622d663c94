"""One probe fitted to frozen vectors: a linear layer, or one hidden layer, by scikit-learn, from one small grid for all.

Vectors are standardised by the tracks that are learned from. A fifth of their groups is set apart, the decay that does best
on it is chosen (ties: the stronger), and the probe is fitted anew to all of them with it. What is asked afterwards takes no
part. Linear: logistic regression for classes and tags, ridge regression for numbers. Hidden: a multilayer perceptron with
ReLU. Both by L-BFGS, with a decay each step of ten.

On 268 tracks by 93 artists (genre, nine emotions as numbers and as tags) and 320 rendered pieces (key, tempo), MFCC and the
shipped model, inner choices of the linear probe were at an edge in 7 of 60 folds, 5 of them the weakest decay for tempo as
classes; where one is, `Choice.at_edge` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError
from nearfield.study.metrics import Vectors
from nearfield.study.tasks import scores
from nearfield.study.tasks.intervals import Floats, cluster_codes
from nearfield.study.tasks.learners import Depth, ProbeSettings, Respond, fitted
from nearfield.study.tasks.splits import FOLDS, dealt
from nearfield.study.tasks.targets import Targets

_UNLIKELY = 1e-6  # no answer is held to be less likely than that, lest one decide
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
    """What of the grid did best on the part set apart, and how well there (`judged`).

    `at_edge`: it is the strongest or the weakest decay of several, so that one beyond might have done better.
    """

    decay: float
    validated: float
    at_edge: bool


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe; `scale` is that of the tracks it learned from, `state` seeded its first weights."""

    scale: _Scale
    respond: Respond
    choice: Choice
    depth: Depth
    settings: ProbeSettings
    state: int

    def scores(self, vectors: Vectors) -> Floats:
        """(n, D) -> (n, Y): the probability of each class or tag, or the numbers."""
        return self.respond(self.scale(vectors))

    def again(self, vectors: Vectors, targets: Targets) -> Probe:
        """The same setting fitted to other tracks, (M, D)."""
        scale = _Scale.of(vectors)
        respond = fitted(scale(vectors), targets, self.depth, self.choice.decay, self.settings, self.state)
        return replace(self, scale=scale, respond=respond)


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
    decays = sorted(settings.decays(depth), reverse=True)
    found = [judged(test, fitted(learned, lesson, depth, decay, settings, state)(asked)) for decay in decays]
    best = int(np.argmax(found))  # the first of equals
    edge = len(decays) > 1 and best in (0, len(decays) - 1)
    scale = _Scale.of(points)
    respond = fitted(scale(points), targets, depth, decays[best], settings, state)
    return Probe(scale, respond, Choice(decays[best], found[best], edge), depth, settings, state)


def set_apart(groups: npt.ArrayLike, targets: Targets) -> npt.NDArray[np.bool_]:
    """(N,) the fifth of the groups that chooses; half of them where there are but two."""
    codes = cluster_codes(groups)
    return np.asarray(dealt(codes, targets.strata(), min(FOLDS, len(np.unique(codes)))) == 0)


def judged(targets: Targets, answers: Floats) -> float:
    """What the grid is chosen by: the mean log-likelihood of classes and tags, or R2; -inf where it cannot be had.

    Not the accuracy or the area, which move in steps on so few tracks: their choice is more of a chance.
    """
    if targets.kind == "numbers":
        value = float(scores.r2(targets.values, answers)(np.ones((1, len(answers))))[0])
        return value if np.isfinite(value) else float("-inf")
    likely = np.clip(answers, _UNLIKELY, 1 - _UNLIKELY)
    said = targets.values * np.log(likely)
    if targets.kind == "tags":
        said += (1 - targets.values) * np.log1p(-likely)
    return float(said.sum(axis=1).mean()) if said.size else float("-inf")


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
