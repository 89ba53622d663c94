"""Manifest to log-mel store: decode, resample and transform each track once, on all cores."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nearfield import pool
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.melstore import Frames, StoreWriter
from nearfield.data.track import Track
from nearfield.errors import AudioError, Failure, NearfieldError, readable
from nearfield.sound import audio
from nearfield.sound.mel import DEFAULT, MelConfig, stream_log_mel
from nearfield.sound.spectra import Heard, stream_heard

SILENCE_STD = 1e-4  # -80 dBFS about the mean: below it there is nothing to learn from


@dataclass(frozen=True)
class Progress:
    """How far a run is: tracks done of `total`, how many of them failed, and seconds of audio read."""

    done: int
    total: int
    failed: int
    audio_s: float


@dataclass(frozen=True)
class PrepareResult:
    """What a run did; `failures` lists every track that was passed over."""

    prepared: int
    already_there: int
    failures: tuple[Failure, ...]
    audio_s: float
    seconds: float


def prepare(
    manifest: Manifest,
    store: Path,
    *,
    config: MelConfig = DEFAULT,
    workers: int | None = None,
    spectra: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> PrepareResult:
    """Write the log-mels of every track that the store does not hold yet; re-running continues.

    `spectra` keeps their spectra too, also of tracks that are there without; a store that has them goes on with them.
    Raises StoreError when the store itself cannot be written; a broken track is a listed failure instead.
    """
    begun = time.monotonic()
    failures: list[Failure] = []
    prepared, audio_s = 0, 0.0
    with StoreWriter(store, config, spectra=spectra) as writer:
        write_manifest(manifest, store / "manifest.parquet")
        wanted = [t for t in manifest if not writer.holds(t)]
        already = len(manifest) - len(wanted)
        for n, (track, outcome) in enumerate(_heard_of(manifest, wanted, _Reader(config, writer.spectra), workers), 1):
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                writer.append(track, outcome.log_mel, outcome.amplitude if writer.spectra else None)
                prepared += 1
                audio_s += len(outcome.log_mel) / config.frames_per_second
            if progress is not None:
                progress(Progress(n, len(wanted), len(failures), audio_s))
    return PrepareResult(prepared, already, tuple(failures), audio_s, time.monotonic() - begun)


def track_frames(path: str, config: MelConfig = DEFAULT) -> Frames:
    """(T, M) float16 log-mels of a whole file; raises AudioError for broken, silent or too short sound."""
    with _audible(path, config) as blocks:
        parts = [m.T.astype(np.float16) for m in stream_log_mel(blocks, config)]
    return np.concatenate(parts)


def track_heard(path: str, config: MelConfig = DEFAULT) -> Heard:
    """The same log-mels with their spectra."""
    with _audible(path, config) as blocks:
        parts = list(stream_heard(blocks, config))
    return Heard(np.concatenate([p.log_mel for p in parts]), np.concatenate([p.amplitude for p in parts]))


@contextlib.contextmanager
def _audible(path: str, config: MelConfig) -> Iterator[Iterator[audio.Samples]]:
    """Blocks of samples, judged once they have been taken."""
    level = _Level()
    yield level.watch(audio.stream(path, config.rate_hz))
    name = readable(path)
    if level.n < config.rate_hz:
        raise AudioError(name, f"too short ({level.n / config.rate_hz:.2f} s)", "use files of at least 1 second")
    if level.std < SILENCE_STD:
        raise AudioError(name, "silent from beginning to end", "remove it: there is nothing to learn from")


class _Level:
    """Sums as the samples stream by, so that silence is known without holding the file."""

    def __init__(self) -> None:
        self.n = 0
        self._first = 0.0  # sums about the first block's mean: about zero, a large offset would drown what is faint
        self._sum = 0.0
        self._squares = 0.0

    def watch(self, blocks: Iterator[audio.Samples]) -> Iterator[audio.Samples]:
        for block in blocks:
            exact = block.astype(np.float64)
            if self.n == 0:
                self._first = float(exact.mean())
            exact -= self._first
            self.n += block.size
            self._sum += float(exact.sum())
            self._squares += float(np.dot(exact, exact))
            yield block

    @property
    def std(self) -> float:
        return float(np.sqrt(max(0.0, self._squares / self.n - (self._sum / self.n) ** 2))) if self.n else 0.0


@dataclass(frozen=True)
class _Task:
    track: Track
    path: str


@dataclass(frozen=True)
class _Reader:
    """What a worker does with a task; without `spectra` the amplitudes have no bins."""

    config: MelConfig
    spectra: bool

    def __call__(self, task: _Task) -> Heard | Failure:
        try:
            if self.spectra:
                return track_heard(task.path, self.config)
            frames = track_frames(task.path, self.config)
            return Heard(frames, frames[:, :0])
        except NearfieldError as error:
            return Failure.of(readable(task.path), error)
        except MemoryError:
            return Failure(readable(task.path), "memory was short", "use fewer --workers")
        except Exception as error:  # one file must not stop a corpus, whatever a decoder makes of it
            cause = " ".join(f"unexpected {type(error).__name__}: {error}".split())
            return Failure(readable(task.path), cause, "convert it again from its source; please report this")


def _patience_s(task: _Task) -> float:
    try:
        return pool.patience_s(os.stat(task.path).st_size)
    except OSError:
        return pool.patience_s(0)


def _heard_of(
    manifest: Manifest, tracks: list[Track], read: _Reader, workers: int | None
) -> Iterator[tuple[Track, Heard | Failure]]:
    """Results as they come; one track is in each worker's hands, so that memory does not grow with the corpus."""
    tasks = [_Task(t, os.fspath(manifest.locate(t))) for t in tracks]
    count = pool.cores() if workers is None else workers
    with contextlib.closing(pool.run(read, tasks, count, _patience_s)) as answers:
        for task, answer in answers:
            if isinstance(answer, pool.Lost):
                answer = Failure(readable(task.path), answer.cause, "convert it again from its source, or remove it")
            yield task.track, answer
