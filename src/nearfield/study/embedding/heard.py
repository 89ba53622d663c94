"""A catalogue's files heard one by one: slices in, a vector for each file out, kept as they come.

Every embedding hears the same parts of a track, those that a SPACE is made of (catalogue/slices.py), so that what differs
between two of them is not what they were given.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearfield import pool
from nearfield.catalogue.journal import Journal, records
from nearfield.catalogue.slices import Cutter, Excerpt, ShortFileError
from nearfield.data.manifest import Manifest
from nearfield.errors import AudioError, Failure, NearfieldError, readable
from nearfield.sound import audio

Vector = npt.NDArray[np.float32]
Tell = Callable[[int, int, int], None]  # done, total, failed
_State = tuple[str, int, int]  # path, size and time: while they stay, a file is not heard again


@dataclass(frozen=True)
class Heard:
    """Vectors by track id, and the causes of those that could not be heard."""

    vectors: dict[str, Vector]
    causes: dict[str, str]


@dataclass(frozen=True)
class FileWork:
    """What a worker does with a file: `of_file` as it is, or what went wrong."""

    of_file: Callable[[str], Vector]

    def __call__(self, state: _State) -> Vector | Failure:
        path = state[0]
        try:
            return self.of_file(path)
        except NearfieldError as error:
            return Failure.of(readable(path), error)
        except Exception as error:  # one file must not stop a catalogue, whatever a decoder or a module makes of it
            cause = " ".join(f"unexpected {type(error).__name__}: {error}".split())
            return Failure(readable(path), cause, "leave it out")


def hear_all(
    manifest: Manifest,
    of_file: Callable[[str], Vector],
    kept: Path | None,
    workers: int,
    tell: Tell | None = None,
    begin: Callable[[], None] | None = None,
) -> Heard:
    """A vector (D,) for each track's file. With `workers` processes `of_file` is pickled; 0 is all in this one.

    `kept` is a file of what was heard before: interrupted, the same call goes on from there. Failures are tried again.
    `begin` is called first where there is anything to hear; what it raises ends the call.
    """
    heard = Heard({}, {})
    known = dict(_read(kept)) if kept is not None else {}
    todo: dict[_State, list[str]] = {}
    for track in manifest:
        path = os.path.abspath(manifest.locate(track))
        try:
            stat = os.stat(path)
        except OSError as error:
            heard.causes[track.id] = error.strerror or str(error)
            continue
        state = (path, stat.st_size, stat.st_mtime_ns)
        if state in known:
            heard.vectors[track.id] = known[state]
        else:
            todo.setdefault(state, []).append(track.id)
    if todo and begin is not None:
        begin()
    with contextlib.ExitStack() as opened:
        journal = _open(kept, opened) if kept is not None and todo else None
        crew = min(workers, len(todo))
        answers = pool.run(FileWork(of_file), todo, crew, lambda s: pool.patience_s(s[1]))
        opened.enter_context(contextlib.closing(answers))
        for done, (state, answer) in enumerate(answers, 1):
            for id in todo[state]:
                if isinstance(answer, Failure | pool.Lost):
                    heard.causes[id] = answer.cause
                else:
                    heard.vectors[id] = answer
            if journal is not None and isinstance(answer, np.ndarray):
                journal.append(_record(state, answer))
            if tell is not None:
                tell(done, len(todo), len(heard.causes))
    return heard


def excerpts_of_file(path: str, cutter: Cutter) -> list[Excerpt]:
    """The audible slices of a file, by seeking; AudioError when there is none."""
    try:
        found = list(cutter.of_file(path, int(audio.probe(path).duration_s * cutter.mel.rate_hz)))
    except ShortFileError:  # the header is wrong: count what is there
        found = list(cutter.of_file(path, sum(len(b) for b in audio.stream(path, cutter.mel.rate_hz))))
    return _audible(readable(path), found, cutter)


def excerpts_of_samples(samples: npt.ArrayLike, rate_hz: float, cutter: Cutter) -> list[Excerpt]:
    """The audible slices of a waveform, mono (n,) or (n, channels); AudioError when there is none, or it is not sound."""
    mono = audio.resample(sound_samples(samples), rate_hz, cutter.mel.rate_hz)
    return _audible("samples", list(cutter.of_samples("samples", mono)), cutter)


def sound_samples(samples: npt.ArrayLike) -> Vector:
    """The same numbers as float32; AudioError when they are not sound."""
    array = np.asarray(samples, np.float32)
    if bad := audio.count_unsound(array):
        raise AudioError("samples", f"{bad} of them are NaN or infinite, or absurdly large", "repair or leave them out")
    return array


def _audible(subject: str, excerpts: list[Excerpt], cutter: Cutter) -> list[Excerpt]:
    loud = [e for e in excerpts if cutter.audible(e)]
    if not loud:
        raise AudioError(subject, "silent (below -80 dB in every slice)", "leave it out, or record it again")
    return loud


def _open(kept: Path, opened: contextlib.ExitStack) -> Journal:
    kept.parent.mkdir(parents=True, exist_ok=True)
    return opened.enter_context(Journal(kept))


def _record(state: _State, vector: Vector) -> bytes:
    return json.dumps(state).encode() + b"\n" + vector.astype("<f4").tobytes()


def _read(kept: Path) -> Iterator[tuple[_State, Vector]]:
    for payload in records(kept):
        line, _, raw = payload.partition(b"\n")
        path, size, mtime_ns = json.loads(line)
        yield (path, size, mtime_ns), np.frombuffer(raw, "<f4")
