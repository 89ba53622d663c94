"""Tempo, key, tilt, centroid and level of a catalogue's files, estimated on all cores and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nearfield import pool
from nearfield.catalogue.embed import content_hash
from nearfield.catalogue.journal import Journal, records
from nearfield.data.manifest import Manifest
from nearfield.errors import AudioError, Failure, NearfieldError, readable
from nearfield.sound import audio
from nearfield.sound.key import MIN_CONFIDENCE as KEY_CONFIDENCE
from nearfield.sound.key import estimate_key
from nearfield.sound.mel import log_mel
from nearfield.sound.tempo import MIN_CONFIDENCE as TEMPO_CONFIDENCE
from nearfield.sound.tempo import estimate_tempo
from nearfield.sound.tilt import measure_spectrum

LONGEST_S = 60.0  # read from the middle of a file
_ESTIMATORS = 1  # raised when an estimator changes: what older ones found is then estimated anew


@dataclass(frozen=True)
class TrackEstimate:
    """What was found in a file. Tempo None and key "": none, or of too little confidence (which is kept)."""

    tempo_bpm: float | None
    tempo_confidence: float
    key: str
    key_confidence: float
    tilt_db_per_octave: float
    centroid_octaves: float
    level_db: float


@dataclass(frozen=True)
class EstimateProgress:
    """Files done of `total`, and how many of them failed; those known from before are not counted."""

    done: int
    total: int
    failed: int


@dataclass(frozen=True, eq=False)
class EstimateResult:
    """`estimates` in the manifest's order, None where a file failed; `known`: how many came from the cache."""

    estimates: tuple[TrackEstimate | None, ...]
    known: int
    failures: tuple[Failure, ...]
    seconds: float


def estimate_manifest(
    manifest: Manifest,
    cache: Path | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[EstimateProgress], None] | None = None,
) -> EstimateResult:
    """Estimate every track of a manifest from its middle minute; a file that cannot be read is a listed failure.

    `cache`: a file that keeps what is found as it comes, by path, size and time, and by content; a killed run goes on where it
    was, a changed file is estimated anew. `workers`: processes, one a core when None, 0 for none; in a script call from under
    `if __name__ == "__main__":`. Raises OSError when the cache cannot be written, PoolError as the pool does.
    """
    begun = time.monotonic()
    memory = _Memory.of(cache)
    tasks = [_task(os.path.abspath(manifest.locate(track))) for track in manifest]
    found = {t.path: kept for t in tasks if (kept := memory.by_file.get(t.place)) is not None}
    wanted = list({t.path: t for t in tasks if t.path not in found}.values())
    known = len(found)
    failures: list[Failure] = []
    with contextlib.ExitStack() as stack:
        journal = None if cache is None else stack.enter_context(Journal(cache))
        for done, (task, answer) in enumerate(_answers(wanted, memory.by_content, workers), 1):
            if isinstance(answer, Failure):
                failures.append(answer)
            else:
                found[task.path] = answer.estimate
                if journal is not None:
                    journal.append(_record(task, answer))
            if progress is not None:
                progress(EstimateProgress(done, len(wanted), len(failures)))
    estimates = tuple(found.get(t.path) for t in tasks)
    return EstimateResult(estimates, known, tuple(failures), time.monotonic() - begun)


def estimate_file(path: str | Path, longest_s: float = LONGEST_S) -> TrackEstimate:
    """Estimates of the middle of a file; raises AudioError for one that is broken, silent or shorter than a second."""
    duration_s = audio.probe(path).duration_s
    start_s = max(0.0, (duration_s - longest_s) / 2)
    samples = audio.load(path, start_s=start_s, duration_s=longest_s if start_s > 0 else None)
    if samples.size < audio.RATE_HZ:
        cause = f"too short ({samples.size / audio.RATE_HZ:.2f} s)"
        raise AudioError(readable(path), cause, "use files of at least 1 second")
    spectrum = measure_spectrum(samples)
    if spectrum is None:
        raise AudioError(readable(path), "silent in its middle", "remove it: there is nothing to estimate")
    tempo, key = estimate_tempo(log_mel(samples)), estimate_key(samples)
    return TrackEstimate(
        tempo_bpm=tempo.tempo_bpm if tempo.confidence >= TEMPO_CONFIDENCE else None,
        tempo_confidence=tempo.confidence,
        key=key.key if key.confidence >= KEY_CONFIDENCE else "",
        key_confidence=key.confidence,
        tilt_db_per_octave=spectrum.tilt_db_per_octave,
        centroid_octaves=spectrum.centroid_octaves,
        level_db=spectrum.level_db,
    )


@dataclass(frozen=True)
class _Task:
    path: str
    place: str  # path, size and time, hashed: while they stay, the file is not opened again
    size_bytes: int


@dataclass(frozen=True)
class _Answer:
    content: str
    estimate: TrackEstimate


@dataclass(frozen=True, eq=False)
class _Memory:
    """What earlier runs found."""

    by_file: dict[str, TrackEstimate]
    by_content: dict[str, TrackEstimate]

    @classmethod
    def of(cls, cache: Path | None) -> _Memory:
        memory = cls({}, {})
        for payload in records(cache) if cache is not None else ():
            row: dict[str, Any] = json.loads(payload)
            if row["estimators"] == _ESTIMATORS:
                estimate = TrackEstimate(**row["estimate"])
                memory.by_file[row["file"]] = memory.by_content[row["content"]] = estimate
        return memory


@dataclass(frozen=True)
class _Reader:
    """What a worker does with a task."""

    known: dict[str, TrackEstimate]

    def __call__(self, task: _Task) -> _Answer | Failure:
        name = readable(task.path)
        try:
            content = content_hash(task.path)
            return _Answer(content, self.known.get(content) or estimate_file(task.path))
        except NearfieldError as error:
            return Failure.of(name, error)
        except MemoryError:
            return Failure(name, "memory was short", "use fewer --workers")
        except OSError as error:
            return Failure(name, error.strerror or str(error), "check the file and its permissions")
        except Exception as error:  # one file must not stop a catalogue, whatever a decoder makes of it
            cause = " ".join(f"unexpected {type(error).__name__}: {error}".split())
            return Failure(name, cause, "convert it again from its source; please report this")


def _answers(
    wanted: list[_Task], known: dict[str, TrackEstimate], workers: int | None
) -> Iterator[tuple[_Task, _Answer | Failure]]:
    count = min(pool.cores() if workers is None else workers, len(wanted))
    answers = pool.run(_Reader(known), wanted, count, lambda task: pool.patience_s(task.size_bytes))
    with contextlib.closing(answers):
        for task, answer in answers:
            if isinstance(answer, pool.Lost):
                answer = Failure(readable(task.path), answer.cause, "convert it again from its source, or remove it")
            yield task, answer


def _task(path: str) -> _Task:
    try:
        state = os.stat(path)
        size, changed = state.st_size, state.st_mtime_ns
    except OSError:  # the worker says what is wrong with it
        size, changed = 0, 0
    place = hashlib.blake2b(os.fsencode(path) + f"|{size}|{changed}".encode(), digest_size=16).hexdigest()
    return _Task(path, place, size)


def _record(task: _Task, answer: _Answer) -> bytes:
    row = {"estimators": _ESTIMATORS, "file": task.place, "content": answer.content}
    return json.dumps(row | {"estimate": asdict(answer.estimate)}).encode()
