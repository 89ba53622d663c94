"""Do the intervals of the locality index hold what they say? Random and half-planted spaces, drawn again and again.

    python studies/audit/coverage.py [--rounds 500] [--seed 0] [--dimensions 4 16 64] [--tracks 150 400]

Of every case: how often the 95 % interval covers the truth (0 for random vectors; for planted ones the mean over all
rounds), for the interval used, for the same without its pair correction, and for a bootstrap over the tracks that ask. Also
the difference of two spaces, and the two-sided permutation p: how often it is at most 0.05.
Writes the section "coverage" of results/audit_coverage.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import REPO, Section, figure

from nearfield.search.all_pairs import nearest_of_all
from nearfield.study.neighbourhood.standing import Graph, Standing, reach_of, standing_at

RESULTS = REPO / "results" / "audit_coverage.json"
SIZES = (1, 10, 50)
METHODS = ("used", "no pair correction", "bootstrap over askers")
NORMAL = norm.ppf(0.975)


@dataclass(frozen=True)
class Draw:
    """One population drawn: per K the index, half the width of each method's interval, and the same of a difference."""

    value: np.ndarray
    reach: np.ndarray
    difference: np.ndarray
    difference_reach: np.ndarray


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--tracks", type=int, nargs="+", default=[150, 400])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    section = Section("coverage", options.seed, {"rounds": options.rounds}, ("nearfield", "numpy", "scipy"))
    for n in options.tracks:
        for case in options.cases:
            for d in options.dimensions:
                seeds = [np.random.default_rng([options.seed, i, n, d]) for i in range(options.rounds)]
                judge(section, f"{case}, D = {d}, N = {n}", [draw(CASES[case], rng, n, d) for rng in seeds], case)
        section.write(options.out)
    return 0


def tempo(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=n)


def label(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 8, n) / 4 - 1.0


def distances(name: Callable[..., np.ndarray], values: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    if name is label:
        return lambda a, b: (values[a] != values[b]).astype(float)
    return lambda a, b: np.abs(values[a] - values[b])


def planted(rng: np.random.Generator, values: np.ndarray, d: int, share: float) -> np.ndarray:
    """Random directions, of which `share` of the square is a direction that the value turns; each track by itself."""
    vectors = rng.normal(size=(len(values), d)) / np.sqrt(d)
    angle = np.pi * norm.cdf(values)
    told = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([np.sqrt(1 - share) * vectors, np.sqrt(share) * told], axis=1).astype(np.float32)


CASES: dict[str, tuple[Callable[..., np.ndarray], float]] = {
    "random, tempo": (tempo, 0.0),
    "random, label": (label, 0.0),
    "half planted, tempo": (tempo, 0.5),
    "half planted, label": (label, 0.5),
}


def draw(case: tuple[Callable[..., np.ndarray], float], rng: np.random.Generator, n: int, d: int) -> Draw:
    make, share = case
    values = make(rng, n)
    apart = distances(make, values)
    none = np.empty((0, n), np.int64)
    graphs = []
    for _ in range(2):
        nearest = nearest_of_all(planted(rng, values, d, share), max(SIZES)).indices
        graphs.append(Graph(np.arange(n), nearest, none, np.arange(n)))
    reach = reach_of(graphs[0], apart, SIZES)
    seen = [apart(np.arange(n)[:, None], g.nearest) for g in graphs]
    rows = [[standing_at(g, reach, s, i) for i in range(len(SIZES))] for g, s in zip(graphs, seen, strict=True)]
    one, other = ([s.index() for s in row] for row in rows)
    gaps = [a.minus(b) for a, b in zip(one, other, strict=True)]
    return Draw(
        np.array([i.value for i in one]),
        np.array([reaches(s) for s in rows[0]]),
        np.array([g.value for g in gaps]),
        np.array([half_width(g.estimate()) for g in gaps]),
    )


def half_width(estimate) -> float:
    return (estimate.high - estimate.low) / 2


def reaches(standing: Standing) -> tuple[float, ...]:
    influence = standing.index()
    value = influence.value
    askers = ((standing.chance - standing.seen) - value * (standing.chance - standing.best)) / standing.span
    return (
        half_width(influence.estimate()),
        NORMAL * float(np.sqrt((influence.tracks**2).sum())),
        NORMAL * float(np.sqrt((askers**2).sum())) / len(askers),
    )


def judge(section: Section, name: str, draws: Sequence[Draw], case: str) -> None:
    values, reach = np.array([d.value for d in draws]), np.array([d.reach for d in draws])
    truth = values.mean(axis=0) if "planted" in case else np.zeros(len(SIZES))
    gaps, gap_reach = np.array([d.difference for d in draws]), np.array([d.difference_reach for d in draws])
    for s, k in enumerate(SIZES):
        place = f"{name}, K = {k}"
        section.add(figure(f"{place}: index, mean", "", [round(float(values[:, s].mean()), 4)]))
        section.add(figure(f"{place}: index, deviation", "", [round(float(values[:, s].std()), 4)]))
        for m, method in enumerate(METHODS):
            covered = np.abs(values[:, s] - truth[s]) <= reach[:, s, m]
            section.add(figure(f"{place}: coverage, {method}", "", [float(covered.mean())]))
        covered = np.abs(gaps[:, s]) <= gap_reach[:, s]
        section.add(figure(f"{place}: coverage, difference of two spaces", "", [float(covered.mean())]))


if __name__ == "__main__":
    raise SystemExit(main())
