"""Calibration of study/organise/ranking.py on simulated spaces: the table of docs/decisions/0010.

    python studies/organise/calibrate.py drives|nothing [--runs 30] [--tracks 150] [--k 6] [--rounds 19]

x and y are normal with correlation 0.8, a label has six values; the space is 1.5 x beside four dimensions of noise
("drives"), or noise alone ("nothing"). Run number s has the seed s.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nearfield.study.organise.ranking import Organisation, Settings, organise


@dataclass(frozen=True, eq=False)
class Known:
    name: str
    values: np.ndarray
    apart: Callable[[np.ndarray, np.ndarray], np.ndarray]

    @property
    def known(self) -> np.ndarray:
        return np.ones(len(self.values), bool)

    def between(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return self.apart(self.values[one], self.values[other]).astype(float)


def run(space: str, seed: int, n: int, k: int, rounds: int) -> Organisation:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = 0.8 * x + 0.6 * rng.normal(size=n)
    points = (
        np.column_stack([1.5 * x, rng.normal(size=(n, 4))]) if space == "drives" else rng.normal(size=(n, 20)) + 0.3
    )
    if space == "nothing":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(squares, np.inf)
    near = np.argsort(squares, axis=1, kind="stable")[:, :k]
    curves = [Known(name, v, lambda one, other: abs(one - other)) for name, v in (("x", x), ("y", y))]
    label = Known("label", rng.integers(0, 6, n), np.not_equal)
    return organise(near, [*curves, label], rng, settings=Settings(controls=60, rounds=rounds, draws=500))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space", choices=("drives", "nothing"))
    for name, default in (("runs", 30), ("tracks", 150), ("k", 6), ("rounds", 19)):
        parser.add_argument(f"--{name}", type=int, default=default)
    o = parser.parse_args()
    found = [{p.name: p for p in run(o.space, s, o.tracks, o.k, o.rounds).properties} for s in range(o.runs)]
    for name in ("x", "y", "label"):
        for figure in ("alone", "given_others"):
            figures = [getattr(f[name], figure) for f in found]
            value, low, high = np.array([(e.value, e.low, e.high) for e in figures]).T
            held = np.mean((low < value.mean()) & (value.mean() < high))
            error = np.mean(high - low) / 2 / 1.959964
            print(f"{name} {figure}: mean {value.mean():+.4f} deviation {value.std():.4f} error {error:.4f}", end=" ")
            print(f"held {held:.3f} above 0 {np.mean(low > 0):.3f}")
        small, first = sum(f[name].p <= 0.05 for f in found), sum(f[name].rank == 1 for f in found)
        print(f"{name}: p <= 0.05 in {small} of {o.runs}, rank 1 in {first}")


if __name__ == "__main__":
    main()
