"""Tempo and key from frozen vectors, learned from some tracks and asked of others.

Tempo. Accuracy1: within 4 % of the labelled tempo; Accuracy2: or of its double, triple, half or third (Gouyon et al., IEEE
TASLP 2006). By a probe, of two kinds: classes of equal width in log2 BPM, answered by the mean of the likeliest and the
classes beside it, weighed by their probabilities (after Schreiber and Mueller, ISMIR 2018, who take the likeliest BPM); or
numbers, log2 BPM and its place on the circle of an octave, the circle saying where within the octave and the number which.
What does better on a part of the tracks to learn from, by whole groups, is fitted to all of them. By neighbours: the median
of log2 BPM of the K nearest by cosine.

Key. A probe of 24 classes. The MIREX score is mir_eval's (key.weighted_score): 1 the same key; 0.5 an answer a fifth ABOVE
the true key in its mode, a fifth below counts nothing (MIREX itself has counted both at times); 0.3 the relative, 0.2 the
parallel key. What knowing nothing gives is in all of this the one answer that does best on the tracks learned from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.data.track import KEY_PATTERN
from nearfield.errors import BenchError
from nearfield.search.exact import top_k
from nearfield.sound.key import KEYS
from nearfield.study.metrics import Vectors
from nearfield.study.properties import tonics_and_minors
from nearfield.study.tasks.fitting import Choice, Probe, fit_probe, set_apart
from nearfield.study.tasks.intervals import Floats, Indices, Retaught, cluster_codes
from nearfield.study.tasks.learners import Depth, ProbeSettings
from nearfield.study.tasks.row import Measure
from nearfield.study.tasks.scores import mean_of
from nearfield.study.tasks.splits import blocks_of
from nearfield.study.tasks.targets import Targets, classes, numbers
from nearfield.study.tasks.tempo_ways import BIN_OCTAVES, WAYS, TempoLesson

WITHIN = 0.04
LEVELS = (1.0, 2.0, 3.0, 1 / 2, 1 / 3)
NEIGHBOURS = 5


@dataclass(frozen=True, eq=False)
class TempoAnswers:
    """`bpm` (n,), and the kind of probe that did better on a part of what was learned from: "bins" or "circle".

    `without` (G, n): the answers of probes that had not learned from each of G blocks of that; `choice`: of the grid.
    """

    bpm: Floats
    kind: str
    without: Floats
    choice: Choice


@dataclass(frozen=True)
class KeyAnswers:
    """`keys` (n,), as KEYS spells them; `without` and `choice` as of tempi."""

    keys: tuple[str, ...]
    without: tuple[tuple[str, ...], ...]
    choice: Choice


def tempo_by_probe(
    learn: Vectors,
    learn_bpm: npt.ArrayLike,
    groups: npt.ArrayLike,
    asked: Vectors,
    depth: Depth,
    rng: np.random.Generator,
    settings: ProbeSettings | None = None,
) -> TempoAnswers:
    """Learn from (N, D) vectors of known tempo and answer for (n, D) others; `groups` (N,): whole ones are set apart.

    Raises BenchError for tempi not above 0, all of one tempo, shapes that do not fit, and as fit_probe does.
    """
    octaves = np.log2(_tempi(learn_bpm))
    if len(octaves) != len(learn) or octaves.size == 0 or np.ptp(octaves) < BIN_OCTAVES:
        raise BenchError(
            "tempo", f"{len(learn)} vectors, {len(octaves)} tempi, or all alike", "learn from several tempi"
        )
    lesson = TempoLesson(np.asarray(learn), octaves, cluster_codes(groups), depth, settings or ProbeSettings())
    strata = np.zeros(len(octaves), np.int64)
    apart = set_apart(lesson.groups, numbers(octaves[:, None], ("octaves",)))
    rest, judge = lesson.of(np.flatnonzero(~apart)), lesson.of(np.flatnonzero(apart))
    tried = {}
    for kind, way in WAYS.items():
        wanted, read = way(rest)
        said = read(rest.probe(wanted, rng).scores(judge.vectors))
        tried[kind] = float(right_tempo(2**judge.octaves, 2**said, (1.0,)).mean())
    best = max(tried, key=lambda kind: tried[kind])
    wanted, read = WAYS[best](lesson)
    probe = lesson.probe(wanted, rng)
    blocks = blocks_of(lesson.groups, strata, lesson.grid.blocks(depth))
    less = [read(other.scores(asked)) for other in _without(probe, lesson.vectors, wanted, blocks)]
    without = np.array(less, np.float64).reshape(len(less), len(asked))
    return TempoAnswers(2 ** read(probe.scores(asked)), best, 2**without, probe.choice)


def tempo_by_neighbours(learn: Vectors, learn_bpm: npt.ArrayLike, asked: Vectors, k: int = NEIGHBOURS) -> Floats:
    """(n,) BPM: the median in log2 of the `k` of (N, D) nearest to each of (n, D) by cosine, of fewer where N is less.

    Raises BenchError for tempi not above 0 or not one a vector, and k below 1; SpaceError as the search does.
    """
    octaves = np.log2(_tempi(learn_bpm))
    if len(octaves) != len(learn) or octaves.size == 0 or k < 1:
        raise BenchError(
            "tempo", f"{k} neighbours of {len(learn)} vectors with {len(octaves)} tempi", "give one or more"
        )
    nearest = top_k(asked, np.asarray(learn, np.float32), k).indices
    return np.asarray(2 ** np.median(octaves[nearest], axis=1))


def tempo_measures(
    true_bpm: npt.ArrayLike, said_bpm: npt.ArrayLike, learn_bpm: npt.ArrayLike, without: Sequence[npt.ArrayLike] = ()
) -> tuple[Measure, ...]:
    """Accuracy1 and Accuracy2 of (n,) answers; NaN is no answer, and wrong. Raises BenchError for labels not above 0.

    `without` (G, n): answers of a probe taught less (TempoAnswers), for the interval.
    """
    true, learned = _tempi(true_bpm), _tempi(learn_bpm)
    return tuple(
        _measure(
            name,
            right_tempo(true, said_bpm, levels),
            _constant_tempo(true, learned, levels),
            [right_tempo(true, less, levels) for less in without],
        )
        for name, levels in (("Accuracy1", (1.0,)), ("Accuracy2", LEVELS))
    )


def right_tempo(true_bpm: npt.ArrayLike, said_bpm: npt.ArrayLike, levels: Sequence[float]) -> npt.NDArray[np.bool_]:
    """(n,) whether an answer is within 4 % of a level (1: the tempo, 2: its double) of the label; NaN never is."""
    true, said = np.asarray(true_bpm, np.float64), np.asarray(said_bpm, np.float64)
    if true.shape != said.shape:
        raise BenchError("tempo", f"{said.shape} answers for {true.shape} labels", "give one a label")
    wanted = np.multiply.outer(true, np.array(levels))
    return np.asarray((np.abs(said[..., None] - wanted) <= WITHIN * wanted * (1 + 1e-9)).any(axis=-1))


def key_by_probe(
    learn: Vectors,
    learn_keys: Sequence[str],
    groups: npt.ArrayLike,
    asked: Vectors,
    depth: Depth,
    rng: np.random.Generator,
    settings: ProbeSettings | None = None,
) -> KeyAnswers:
    """Keys of (n, D) vectors, learned from (N, D) of known key; errors as fit_probe, and for bad keys."""
    wanted, grid = classes([KEYS[code] for code in key_codes(learn_keys)], KEYS), settings or ProbeSettings()
    probe = fit_probe(learn, wanted, groups, depth, grid, rng)
    blocks = blocks_of(cluster_codes(groups), wanted.strata(), grid.blocks(depth))
    less = [_named_keys(other, asked) for other in _without(probe, np.asarray(learn), wanted, blocks)]
    return KeyAnswers(_named_keys(probe, asked), tuple(less), probe.choice)


def key_measures(
    true: Sequence[str], said: Sequence[str], learned: Sequence[str], without: Sequence[Sequence[str]] = ()
) -> tuple[Measure, ...]:
    """The MIREX score and the exact share of (n,) answers; "" is no answer, and wrong. Raises BenchError for bad keys.

    `without` (G, n): answers of a probe taught less (KeyAnswers), for the interval.
    """
    labels, guesses = key_codes(true), np.repeat(np.arange(24), len(true)).reshape(24, -1)
    answers, lessons = key_codes(said, none=True), key_codes(learned)
    others = [key_codes(keys, none=True) for keys in without]
    found = []
    for name, score in (("MIREX weighted", mirex_scores), ("exact", _same_key)):
        every = [score(lessons, np.full(len(lessons), guess)).mean() if len(lessons) else 0.0 for guess in range(24)]
        less = [score(labels, other) for other in others]
        found.append(_measure(name, score(labels, answers), score(labels, guesses[int(np.argmax(every))]), less))
    return tuple(found)


def mirex_scores(true: Indices, said: Indices) -> Floats:
    """(n,) scores of key codes (key_codes), -1 being no answer; see the top for the rule on fifths."""
    up, minor, answered = (said - true) % 12, true >= 12, said >= 0
    same_mode = minor == (said >= 12)
    relative = np.where(minor, 3, 9)
    score = np.select(
        [same_mode & (up == 0), same_mode & (up == 7), ~same_mode & (up == relative), ~same_mode & (up == 0)],
        [1.0, 0.5, 0.3, 0.2],
        0.0,
    )
    return np.where(answered, score, 0.0)


def key_codes(keys: Sequence[str], none: bool = False) -> Indices:
    """(n,) places in KEYS of names like "F# minor" or "Gb minor"; with `none`, "" is -1. Raises BenchError for others."""
    for key in keys:
        if not (KEY_PATTERN.match(key) or (none and key == "")):
            raise BenchError("key", f"{key!r} is not one", "write it like 'F# minor'")
    tonics, minors = tonics_and_minors(keys)
    return np.where(tonics >= 0, tonics + 12 * minors, -1)


def _without(probe: Probe, vectors: Vectors, targets: Targets, blocks: Indices) -> Iterator[Probe]:
    """The probe fitted again without each block of (N, D) vectors; none where there is but one."""
    for g in range(int(blocks.max()) + 1 if blocks.any() else 0):
        rest = np.flatnonzero(blocks != g)
        yield probe.again(vectors[rest], targets.of(rest))


def _named_keys(probe: Probe, vectors: Vectors) -> tuple[str, ...]:
    return tuple(KEYS[code] for code in probe.scores(vectors).argmax(axis=1))


def _constant_tempo(true: Floats, learned: Floats, levels: Sequence[float]) -> npt.NDArray[np.bool_]:
    """(n,) where the tempo is right that is right most often among those learned from."""
    if not learned.size:
        return np.zeros(len(true), bool)
    tempi = np.unique(learned)
    often = [right_tempo(learned, np.full(len(learned), bpm), levels).mean() for bpm in tempi]
    return right_tempo(true, np.full(len(true), tempi[int(np.argmax(often))]), levels)


def _same_key(true: Indices, said: Indices) -> Floats:
    return np.asarray(true == said, np.float64)


def _measure(name: str, right: npt.ArrayLike, constant: npt.ArrayLike, without: Sequence[npt.ArrayLike]) -> Measure:
    values, known = np.asarray(right, np.float64), np.asarray(constant, np.float64)
    expected = float(known.mean()) if known.size else float("nan")
    retaught = Retaught(tuple(mean_of(less) for less in without), np.full(len(values), -1))
    return Measure(name, mean_of(values), expected, len(values), retaught)


def _tempi(bpm: npt.ArrayLike) -> Floats:
    tempi = np.asarray(bpm, np.float64)
    if tempi.ndim != 1 or not (np.isfinite(tempi).all() and (tempi > 0).all()):
        raise BenchError("tempo", "labels that are not above 0 BPM", "leave out the tracks whose tempo is not known")
    return tempi
