"""What scikit-learn fits for the probes, as functions from standardised vectors to answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, cast

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

    `linear_decays`: of ridge regression, and 1 / C of logistic regression. `hidden_decays`: alpha of the perceptron, on the
    weights of both of its layers. `*_iterations`: of L-BFGS at most. `*_blocks`: of what is learned from, each left out once
    for the interval's sake (intervals.py).
    """

    linear_decays: tuple[float, ...] = (1e4, 1e3, 1e2, 10.0, 1.0, 0.1)
    linear_iterations: int = 100
    linear_blocks: int = 10
    hidden_decays: tuple[float, ...] = (1e3, 1e2, 10.0, 1.0, 0.1)
    hidden_iterations: int = 100
    hidden_blocks: int = 5
    hidden_units: int = 64

    def decays(self, depth: Depth) -> tuple[float, ...]:
        return self.linear_decays if depth == "linear" else self.hidden_decays

    def blocks(self, depth: Depth) -> int:
        return self.linear_blocks if depth == "linear" else self.hidden_blocks


def fitted(
    points: Vectors, targets: Targets, depth: Depth, decay: float, settings: ProbeSettings, state: int
) -> Respond:
    """What answers for standardised points, learned from (N, D) of them; `state` seeds the perceptron's first weights."""
    if targets.kind == "numbers":
        return _numbers(points, targets, depth, decay, settings, state)
    if depth == "hidden":
        return (_hidden_classes if targets.kind == "classes" else _hidden_tags)(points, targets, decay, settings, state)
    return (_linear_classes if targets.kind == "classes" else _linear_tags)(points, targets, decay, settings)


def _numbers(x: Vectors, targets: Targets, depth: Depth, decay: float, settings: ProbeSettings, state: int) -> Respond:
    """Learned as numbers of mean 0 and deviation 1."""
    centre, spread = targets.values.mean(axis=0), targets.values.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    y = (targets.values - centre) / spread
    if depth == "linear":
        return _unscaled(sklearn().Ridge(alpha=decay).fit(x, y).predict, centre, spread)
    model = _perceptron(sklearn().MLPRegressor, decay, settings, state)
    return _unscaled(_short(model.fit, x, y if y.shape[1] > 1 else y.ravel()).predict, centre, spread)


def _unscaled(respond: Respond, centre: Floats, spread: Floats) -> Respond:
    return lambda x: respond(x).reshape(len(x), -1) * spread + centre


def _linear_classes(x: Vectors, targets: Targets, decay: float, settings: ProbeSettings) -> Respond:
    return _logistic(x, targets.codes, len(targets.names), decay, settings)


def _linear_tags(x: Vectors, targets: Targets, decay: float, settings: ProbeSettings) -> Respond:
    each = [_logistic(x, flags.astype(np.int64), 2, decay, settings) for flags in targets.values.T]
    return lambda asked: np.stack([respond(asked)[:, 1] for respond in each], axis=1)


def _logistic(x: Vectors, codes: Indices, classes: int, decay: float, settings: ProbeSettings) -> Respond:
    there = np.unique(codes)
    if len(there) == 1:
        return lambda asked: np.tile(np.eye(classes)[there[0]], (len(asked), 1))
    model = sklearn().LogisticRegression(C=1 / decay, max_iter=settings.linear_iterations)
    return _of_classes(_short(model.fit, x, codes), classes)


def _hidden_classes(x: Vectors, targets: Targets, decay: float, settings: ProbeSettings, state: int) -> Respond:
    return _perceptron_of(x, targets.codes, len(targets.names), decay, settings, state)


def _hidden_tags(x: Vectors, targets: Targets, decay: float, settings: ProbeSettings, state: int) -> Respond:
    """All tags share the hidden layer; a single one learns beside its opposite, as two classes."""
    flags = targets.values.astype(np.int64)
    if flags.shape[1] == 1:
        two = _perceptron_of(x, flags[:, 0], 2, decay, settings, state)
        return lambda asked: two(asked)[:, 1:]
    model = _perceptron(sklearn().MLPClassifier, decay, settings, state)
    return cast(Respond, _short(model.fit, x, flags).predict_proba)


def _perceptron_of(
    x: Vectors, codes: Indices, classes: int, decay: float, settings: ProbeSettings, state: int
) -> Respond:
    there = np.unique(codes)
    if len(there) == 1:
        return lambda asked: np.tile(np.eye(classes)[there[0]], (len(asked), 1))
    model = _perceptron(sklearn().MLPClassifier, decay, settings, state)
    return _of_classes(_short(model.fit, x, codes), classes)


def _perceptron(make: Any, decay: float, settings: ProbeSettings, state: int) -> Any:
    return make(
        hidden_layer_sizes=(settings.hidden_units,),
        solver="lbfgs",  # all tracks at once: hundreds of them, so that steps of batches gain nothing
        alpha=decay,
        max_iter=settings.hidden_iterations,
        random_state=state,
    )


def _of_classes(model: Any, classes: int) -> Respond:
    """Probabilities (n, classes); classes that were not there to learn from have none."""

    def respond(asked: Vectors) -> Floats:
        out = np.zeros((len(asked), classes))
        out[:, model.classes_] = model.predict_proba(asked)
        return out

    return respond


def _short(fit: Callable[..., Any], x: Vectors, y: Floats | Indices) -> Any:
    """The fitted model, be it short of its optimum: then it is a candidate like the others, and judged as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn().ConvergenceWarning)
        return fit(x, y)


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
