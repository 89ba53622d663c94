"""What estimates tempo or key from the sound itself, to stand beside probes: librosa's tempo, and this package's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nearfield import pool
from nearfield.data.manifest import Manifest
from nearfield.errors import AuditError, Failure
from nearfield.sound import audio
from nearfield.study.benchmark.lessons import Asks
from nearfield.study.benchmark.task import Task
from nearfield.study.embedding.chroma_tempogram import library
from nearfield.study.embedding.heard import Vector, hear_all
from nearfield.study.estimate import LONGEST_S, EstimateProgress, estimate_manifest

LIBROSA_RATE_HZ = 22_050
Tell = Callable[[str, int, int, int], None]
Manifests = Mapping[str, Manifest]


@dataclass(frozen=True)
class Estimator:
    """What was found: `label` is tempo or key; `answers`: by catalogue and track, BPM or the name of a key."""

    name: str
    label: str
    answers: Mapping[str, Mapping[str, float | str]]


@dataclass(frozen=True)
class Estimates:
    """Those that could be had, and why others could not."""

    estimators: tuple[Estimator, ...]
    missing: tuple[Failure, ...]


def estimate(
    tasks: Sequence[Task], manifests: Manifests, cache: Path, workers: int | None, tell: Tell | None = None
) -> Estimates:
    """Of the tracks that the tasks ask for tempo or key; heard files are kept in `cache`/<catalogue>."""
    tempo, either = (_asked(tasks, manifests, labels) for labels in (("tempo",), ("tempo", "key")))
    found = own(either, cache, workers, tell)
    try:
        return Estimates((*found, librosa_tempo(tempo, cache, workers, tell)) if tempo else found, ())
    except AuditError as error:
        return Estimates(found, (Failure.of("librosa", error),))


def own(manifests: Manifests, cache: Path, workers: int | None, tell: Tell | None = None) -> tuple[Estimator, ...]:
    """The tempo and key that an audit estimates; of too little confidence is no answer."""

    def told(now: EstimateProgress) -> None:
        if tell is not None:
            tell("estimating tempo and key", now.done, now.total, now.failed)

    bpm: dict[str, dict[str, float | str]] = {}
    keys: dict[str, dict[str, float | str]] = {}
    for name, manifest in manifests.items():
        kept = cache / name / "estimates.journal"
        kept.parent.mkdir(parents=True, exist_ok=True)
        found = estimate_manifest(manifest, kept, workers=workers, progress=told).estimates
        pairs = [(t.id, e) for t, e in zip(manifest, found, strict=True) if e is not None]
        bpm[name] = {id_: e.tempo_bpm for id_, e in pairs if e.tempo_bpm is not None}
        keys[name] = {id_: e.key for id_, e in pairs if e.key}
    return Estimator("nearfield's estimator", "tempo", bpm), Estimator("nearfield's estimator", "key", keys)


def librosa_tempo(manifests: Manifests, cache: Path, workers: int | None, tell: Tell | None = None) -> Estimator:
    """librosa.feature.tempo of the same middle minute, with its defaults. Raises AuditError where librosa is missing."""
    library("tempo")
    count = pool.cores() if workers is None else workers

    def told(done: int, total: int, failed: int) -> None:
        if tell is not None:
            tell("estimating tempo with librosa", done, total, failed)

    bpm: dict[str, Mapping[str, float | str]] = {}
    for name, manifest in manifests.items():
        heard = hear_all(manifest, librosa_bpm, cache / name / "librosa-tempo.journal", count, told)
        bpm[name] = {id_: float(v[0]) for id_, v in heard.vectors.items()}
    return Estimator("librosa", "tempo", bpm)


def librosa_bpm(path: str) -> Vector:
    """(1,) BPM of a file's middle minute."""
    start_s = max(0.0, (audio.probe(path).duration_s - LONGEST_S) / 2)
    samples = audio.load(path, LIBROSA_RATE_HZ, start_s=start_s, duration_s=LONGEST_S if start_s > 0 else None)
    return np.asarray(library("tempo").feature.tempo(y=samples, sr=LIBROSA_RATE_HZ), np.float32).ravel()[:1]


def _asked(tasks: Sequence[Task], manifests: Manifests, labels: tuple[str, ...]) -> dict[str, Manifest]:
    """Of each catalogue the tracks that are asked for one of these labels."""
    ids: dict[str, set[str]] = {}
    for task in tasks:
        if isinstance(task, Asks) and task.label in labels:
            ids.setdefault(task.exam.test.name, set()).update(track.id for track in task.exam.asked)
    return {
        name: replace(manifests[name], tracks=tuple(t for t in manifests[name] if t.id in asked))
        for name, asked in ids.items()
    }
