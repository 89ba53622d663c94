"""Do the intervals of probes hold what they say? Catalogues drawn again and again, of which probes know nothing or something.

    python studies/tasks/coverage.py [--rounds 300] [--seed 1] [--cases NAME ...]

What is to be covered is the expected score of the whole procedure: its mean over all rounds on fresh tracks by fresh artists,
in sets as large, and by as many artists, as the figure is of (tags: as a fold is). Of every case and metric: how often the
95 % interval of one embedding covers it, and that of the difference to a poorer one, beside the bootstrap of the tracks
asked alone; and the variance of the figure against the mean one that the bootstrap says. Writes a section a case of
results/probe_coverage.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import sklearn
from populations import Drawn, draw

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import REPO, Section, figure

from nearfield.study.tasks.fitting import fit_probe
from nearfield.study.tasks.learners import Depth, ProbeSettings
from nearfield.study.tasks.probes import Answers, cross_validate, held_out
from nearfield.study.tasks.row import Measure, Row, difference_rows, rows_of
from nearfield.study.tasks.splits import make_folds
from nearfield.study.tasks.targets import Kind

RESULTS = REPO / "results" / "probe_coverage.json"
BOOTSTRAP = 400
FRESH = 480


@dataclass(frozen=True)
class Case:
    """`held`: one third of the artists is asked and the others taught; else five folds."""

    kind: Kind
    signal: float
    tracks: int
    artists: int
    held: bool = False
    depth: Depth = "linear"


CASES = {
    f"{kind}, {name}, {way}, {tracks} tracks, {depth}": Case(kind, signal, tracks, artists, way == "held out", depth)
    for depth in ("linear", "hidden")
    for kind in ("numbers", "classes", "tags")
    for name, signal in (("noise", 0.0), ("signal", 0.8))
    for way in ("folds", "held out")
    for tracks, artists in ((240, 60), (100, 25))
}


@dataclass(frozen=True)
class Round:
    """Of one metric of one drawn catalogue: intervals with and without what taught, and the score on fresh tracks."""

    row: Row
    asked_only: Row
    fresh: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES), metavar="NAME")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)  # for speed; the answers are the same
    for name in options.cases:
        settings = {"rounds": options.rounds, "bootstrap rounds": BOOTSTRAP}
        section = Section(name, options.seed, settings, ("nearfield", "numpy", "scipy", "scikit-learn"))
        place = list(CASES).index(name)
        rounds = [r for i in range(options.rounds) for r in drawn(CASES[name], [options.seed, place, i])]
        judge(section, rounds)
        section.write(options.out)
    return 0


def drawn(case: Case, seed: list[int]) -> Iterator[Round]:
    rng = np.random.default_rng(seed)
    known = draw(rng, case.kind, case.signal, case.tracks, case.artists)
    share = 3 if case.held else 5 if case.kind == "tags" else 1  # of the catalogue is what one figure is of
    sizes = case.tracks // share, case.artists // share
    fresh = [draw(rng, case.kind, case.signal, *sizes) for _ in range(max(1, FRESH // sizes[0]))]
    learn = np.flatnonzero(known.artists < case.artists * 2 // 3)
    asked = np.flatnonzero(known.artists >= case.artists * 2 // 3)
    ids, artists = [str(i) for i in range(case.tracks)], [str(a) for a in known.artists]
    labels = [str(c) for c in known.targets.codes] if case.kind == "classes" else None
    folds = make_folds(ids, artists, labels)
    answers, truths = [], []
    for poorer in (False, True):
        vectors = known.poorer if poorer else known.vectors
        if case.held:
            answers.append(held_out(vectors, known.targets, learn, asked, known.artists, case.depth, 0))
        else:
            answers.append(cross_validate(vectors, known.targets, folds, known.artists, case.depth, 0))
        taught = learn if case.held else np.flatnonzero(folds.fold != 0)
        truths.append(fresh_scores(case, known, fresh, taught, poorer, answers[-1]))
    clusters = known.artists[answers[0].rows]
    one, other = answers[0].measures(), answers[1].measures()
    alone = ([replace(m, retaught=None) for m in every] for every in (one, other))
    yield from paired(rows_of("one", one, clusters, 0, BOOTSTRAP), one, clusters, truths[0])
    gaps = difference_rows("difference", one, other, clusters, 0, BOOTSTRAP)
    plain = difference_rows("difference", *alone, clusters, 0, BOOTSTRAP)
    yield from (Round(a, b, x - y) for a, b, x, y in zip(gaps, plain, *truths, strict=True))


def paired(
    rows: tuple[Row, ...], measures: tuple[Measure, ...], clusters: np.ndarray, truth: list[float]
) -> Iterator[Round]:
    plain = rows_of("one", [replace(m, retaught=None) for m in measures], clusters, 0, BOOTSTRAP)
    yield from (Round(*parts) for parts in zip(rows, plain, truth, strict=True))


def fresh_scores(
    case: Case, known: Drawn, fresh: list[Drawn], learn: np.ndarray, poorer: bool, like: Answers
) -> list[float]:
    """What a probe taught alike scores on fresh sets of tracks, the mean over the sets."""
    lesson, rng = known.targets.of(learn), np.random.default_rng(0)
    taught = (known.poorer if poorer else known.vectors)[learn]
    probe = fit_probe(taught, lesson, known.artists[learn], case.depth, ProbeSettings(), rng)
    found = []
    for one in fresh:
        n = len(one.artists)
        said, none = probe.scores(one.poorer if poorer else one.vectors), np.zeros(n, np.int64)
        whole = replace(
            like,
            rows=np.arange(n),
            targets=one.targets,
            said=said,
            fold=none,
            shares=like.shares[:1],
            without=said[None, :, :][:0],
            block=none,
        )
        found.append([float(m.statistic(np.ones((1, n)))[0]) for m in whole.measures()])
    return [float(x) for x in np.nanmean(found, axis=0)]


def judge(section: Section, rounds: list[Round]) -> None:
    for what, metric in dict.fromkeys((r.row.task, r.row.metric) for r in rounds):
        these = [r for r in rounds if (r.row.task, r.row.metric) == (what, metric)]
        truth = float(np.mean([r.fresh for r in these]))
        values = np.array([r.row.value for r in these])
        said = np.mean([((r.asked_only.high - r.asked_only.low) / 3.92) ** 2 for r in these])
        name = metric if what == "one" else f"{metric}, difference"
        section.add(figure(f"{name}: expected on fresh tracks", "", [round(truth, 4)]))
        section.add(figure(f"{name}: mean of the figure", "", [round(float(values.mean()), 4)]))
        section.add(figure(f"{name}: variance against the bootstrap's", "", [round(float(values.var() / said), 2)]))
        for label, rows in (("used", [r.row for r in these]), ("bootstrap alone", [r.asked_only for r in these])):
            covered = np.mean([r.low <= truth <= r.high for r in rows])
            section.add(figure(f"{name}: coverage, {label}", "", [round(float(covered), 4)]))


if __name__ == "__main__":
    raise SystemExit(main())
