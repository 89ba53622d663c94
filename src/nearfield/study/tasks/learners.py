"""What scikit-learn fits for the probes, as functions from standardised vectors to answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from nearfield.errors import BenchError
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.intervals import Floats, Indices
from nearfield.study.tasks.targets import Targets

Depth = Literal["linear", "hidden"]
Respond = Callable[[Vectors], Floats]


@dataclass(frozen=True)
class ProbeSettings:
    """The grid: the same for every embedding. Decays from strong to weak, on the sum of losses over the tracks.

    `linear_decays`: of ridge regression, and 1 / C of logistic regression. `hidden_decays`: alpha of the perceptron. `steps`:
    of Adam, of a `batch` each, in whole epochs: so a small set is gone through more often than a large one.
    """

    linear_decays: tuple[float, ...] = (1_000.0, 100.0, 10.0, 1.0, 0.1)
    linear_iterations: int = 200
    hidden_decays: tuple[float, ...] = (10.0, 0.1)
    hidden_units: int = 128
    steps: tuple[int, ...] = (100, 300, 1_000)
    batch: int = 64
    learning_rate: float = 3e-3


def courses(
    points: Vectors, targets: Targets, depth: Depth, decay: float, settings: ProbeSettings, state: int
) -> Iterator[tuple[int, Respond]]:
    """Fitted to standardised points: once (0 steps), or as it stands after each number of steps."""
    if targets.kind == "numbers":
        centre, spread = targets.values.mean(axis=0), targets.values.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        for steps, respond in _numbers(points, (targets.values - centre) / spread, depth, decay, settings, state):
            yield steps, _unscaled(respond, centre, spread)
    elif depth == "linear":
        yield 0, (_linear_classes if targets.kind == "classes" else _linear_tags)(points, targets, decay, settings)
    else:
        yield from _hidden_classes(points, targets, decay, settings, state)


def _numbers(
    x: Vectors, y: Floats, depth: Depth, decay: float, settings: ProbeSettings, state: int
) -> Iterator[tuple[int, Respond]]:
    learners = sklearn()
    if depth == "linear":
        yield 0, learners.Ridge(alpha=decay).fit(x, y).predict
        return
    model = learners.MLPRegressor(**_perceptron(decay, settings, len(x), state))
    target = y if y.shape[1] > 1 else y.ravel()
    for steps, epochs in _stops(settings, len(x)):
        for _ in range(epochs):
            model.partial_fit(x, target)
        yield steps, model.predict


def _unscaled(respond: Respond, centre: Floats, spread: Floats) -> Respond:
    return lambda x: respond(x).reshape(len(x), -1) * spread + centre


def _linear_classes(x: Vectors, targets: Targets, decay: float, settings: ProbeSettings) -> Respond:
    return _logistic(x, targets.codes, len(targets.names), decay, settings)


def _linear_tags(x: Vectors, targets: Targets, decay: float, settings: ProbeSettings) -> Respond:
    each = [_logistic(x, flags.astype(np.int64), 2, decay, settings) for flags in targets.values.T]
    return lambda asked: np.stack([respond(asked)[:, 1] for respond in each], axis=1)


def _logistic(x: Vectors, codes: Indices, classes: int, decay: float, settings: ProbeSettings) -> Respond:
    """Probabilities (n, classes); classes that were not there to learn from have none."""
    there = np.unique(codes)
    if len(there) == 1:
        return lambda asked: np.tile(np.eye(classes)[there[0]], (len(asked), 1))
    model = sklearn().LogisticRegression(C=1 / decay, max_iter=settings.linear_iterations)
    with warnings.catch_warnings():  # short of its optimum it is a candidate like the others, and judged as they are
        warnings.simplefilter("ignore", sklearn().ConvergenceWarning)
        model.fit(x, codes)

    def respond(asked: Vectors) -> Floats:
        out = np.zeros((len(asked), classes))
        out[:, model.classes_] = model.predict_proba(asked)
        return out

    return respond


def _hidden_classes(
    x: Vectors, targets: Targets, decay: float, settings: ProbeSettings, state: int
) -> Iterator[tuple[int, Respond]]:
    """Classes and tags; a single tag learns beside its opposite, as two classes."""
    model = sklearn().MLPClassifier(**_perceptron(decay, settings, len(x), state))
    width = targets.values.shape[1]
    single = targets.kind == "tags" and width == 1
    if targets.kind == "tags":
        y = targets.values[:, 0].astype(np.int64) if single else targets.values.astype(np.int64)
    else:
        y = targets.codes
    every = np.arange(2 if single else width)
    for steps, epochs in _stops(settings, len(x)):
        for _ in range(epochs):
            model.partial_fit(x, y, classes=every)
        yield steps, (lambda asked: model.predict_proba(asked)[:, 1:]) if single else model.predict_proba


def _stops(settings: ProbeSettings, n: int) -> Iterator[tuple[int, int]]:
    """Each number of steps, and how many epochs there are from the one before to it."""
    an_epoch, gone = -(-n // settings.batch), 0
    for steps in sorted(settings.steps):
        reached = max(1, round(steps / an_epoch))
        yield steps, reached - gone
        gone = reached


def _perceptron(decay: float, settings: ProbeSettings, n: int, state: int) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": (settings.hidden_units,),
        "alpha": decay,
        "batch_size": min(settings.batch, n),
        "learning_rate_init": settings.learning_rate,
        "random_state": state,
    }


def sklearn() -> SimpleNamespace:
    """What is used of scikit-learn, which only probes need. Raises BenchError where it is missing."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.neural_network import MLPClassifier, MLPRegressor
    except ImportError as error:
        raise BenchError("probes", "scikit-learn is not installed", "pip install 'nearfield[bench]'") from error
    return SimpleNamespace(
        ConvergenceWarning=ConvergenceWarning,
        LogisticRegression=LogisticRegression,
        Ridge=Ridge,
        MLPClassifier=MLPClassifier,
        MLPRegressor=MLPRegressor,
    )
