"""What estimates tempo or key from the sound itself, to stand beside probes: librosa's tempo, and this package's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearfield import pool
from nearfield.data.manifest import Manifest
from nearfield.errors import BenchError
from nearfield.sound import audio
from nearfield.study.embedding.heard import Vector, hear_all
from nearfield.study.estimate import LONGEST_S, EstimateProgress, estimate_manifest

LIBROSA_RATE_HZ = 22_050
Tell = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Estimator:
    """What was found: `label` is tempo or key; `answers`: by catalogue and track, BPM or the name of a key."""

    name: str
    label: str
    answers: Mapping[str, Mapping[str, float | str]]


def own(manifests: Mapping[str, Manifest], cache: Path, workers: int | None, tell: Tell) -> tuple[Estimator, ...]:
    """The tempo and key that an audit estimates; of too little confidence is no answer."""

    def told(now: EstimateProgress) -> None:
        tell(now.done, now.total, now.failed)

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


def librosa_tempo(
    manifests: Mapping[str, Manifest], cache: Path, workers: int | None, tell: Tell
) -> tuple[Estimator, ...]:
    """librosa.feature.tempo of the same middle minute, with its defaults. Raises BenchError where librosa is missing."""
    import_librosa()
    count = pool.cores() if workers is None else workers
    bpm: dict[str, Mapping[str, float | str]] = {}
    for name, manifest in manifests.items():
        heard = hear_all(manifest, librosa_bpm, cache / name / "librosa-tempo.journal", count, tell)
        bpm[name] = {id_: float(v[0]) for id_, v in heard.vectors.items()}
    return (Estimator("librosa", "tempo", bpm),)


def librosa_bpm(path: str) -> Vector:
    """(1,) BPM of a file's middle minute."""
    librosa = import_librosa()
    start_s = max(0.0, (audio.probe(path).duration_s - LONGEST_S) / 2)
    samples = audio.load(path, LIBROSA_RATE_HZ, start_s=start_s, duration_s=LONGEST_S if start_s > 0 else None)
    return np.asarray(librosa.feature.tempo(y=samples, sr=LIBROSA_RATE_HZ), np.float32).ravel()[:1]


def import_librosa() -> Any:
    """The library, which only benchmarks need."""
    try:
        import librosa
    except ImportError as error:
        raise BenchError("tempo", "librosa is not installed", "pip install 'nearfield[bench]'") from error
    return librosa
