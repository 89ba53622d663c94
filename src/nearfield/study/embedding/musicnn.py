"""musicnn (Pons and Serra, arXiv 1909.06654; ISC), heard by an interpreter that has it: musicnn_worker.py says how.

Of its layers the penultimate one is taken, 200 numbers a slice, of the model that learned tags on the Million Song Dataset: it
is small, summarises the whole slice, and is what classifiers are commonly trained on when musicnn is transferred, as in
Essentia's models (Alonso-Jiménez et al., ICASSP 2020). Slices are those that a SPACE is made of; of each the first 187 frames
of 16 ms, 2.99 s, are heard, cut from the log-mel of the track without an edge inside it. A track is their plain mean.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from nearfield.catalogue.slices import Excerpt
from nearfield.errors import AudioError, ModelError, readable
from nearfield.study.embedding.baselines import CUTTER
from nearfield.study.embedding.heard import Vector, excerpts_of_file, excerpts_of_samples

NAME = "musicnn"
DIMENSIONS = 200
NO_INTERPRETER = "no interpreter is named that has musicnn"
REMEDY = (
    "name an interpreter that has it, musicnn:PYTHON; docs/formats.md, An environment for musicnn, says how to make one"
)
WORKER = Path(__file__).with_name("musicnn_worker.py")
_PATCH_FRAMES, _HOP, _WINDOW = 187, 256, 512
_START_S, _ANSWER_S = 300.0, 600.0
_TAIL = 2000


def digest() -> str:
    """16 hex digits of the worker's text: what maps sound to vectors, but for the environment it runs in."""
    return hashlib.sha256(WORKER.read_bytes()).hexdigest()[:16]


class Musicnn:
    """The worker of an interpreter, started when it is first needed and again when it has died; "" is no interpreter."""

    def __init__(self, python: str) -> None:
        self.python = python
        self._worker: _Worker | None = None

    def begin(self) -> None:
        """Start the worker, where there is an interpreter. Raises ModelError when it cannot run musicnn."""
        if self.python and self._worker is None:
            self._worker = _Worker(self.python)

    def of_file(self, path: str) -> Vector:
        """(200,) of a sound file, not scaled. AudioError when it cannot be heard, ModelError when the worker fails."""
        return self._mean(readable(path), excerpts_of_file(path, CUTTER))

    def embed(self, samples: npt.ArrayLike, rate_hz: float) -> Vector:
        """(200,) of a waveform, mono (n,) or (n, channels)."""
        return self._mean("samples", excerpts_of_samples(samples, rate_hz, CUTTER))

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _mean(self, subject: str, excerpts: list[Excerpt]) -> Vector:
        if not self.python:
            raise ModelError(NAME, NO_INTERPRETER, REMEDY)
        self.begin()
        assert self._worker is not None
        patches = np.stack([patch(e) for e in excerpts])
        try:
            return np.asarray(self._worker.ask(subject, patches).mean(axis=0))
        except ModelError:
            self.close()  # what a worker says after a wrong answer belongs to nothing: the next track has a new one
            raise


def patch(excerpt: Excerpt) -> npt.NDArray[np.float32]:
    """(n,) the samples under the first 187 frames of a slice, half a window before the first too; zeros where a track ends."""
    first = excerpt.lead_frames * CUTTER.mel.hop - _WINDOW // 2
    length = (_PATCH_FRAMES - 1) * _HOP + _WINDOW
    found = np.zeros(length, np.float32)
    there = excerpt.samples[max(first, 0) : first + length]
    found[max(-first, 0) :][: len(there)] = there
    return found


class _Worker:
    """A process that answers a line with a line."""

    def __init__(self, python: str) -> None:
        self.subject = readable(python)
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - the process writes its errors there as long as it lives
        pipes: Mapping[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.said}
        try:
            self.process = subprocess.Popen(
                [python, "-I", str(WORKER)],  # else the worker's own folder, this one, comes before what is installed
                text=True,
                env=os.environ | {"TF_USE_LEGACY_KERAS": "1"},  # its layers are those of Keras 2
                **pipes,
            )
        except OSError as error:
            self.said.close()
            raise ModelError(self.subject, f"cannot be run ({error.strerror or error})", REMEDY) from error
        self.end = weakref.finalize(self, _end, self.process, self.said)
        answer = self._line("", _START_S)
        if answer.get("dimensions") != DIMENSIONS:
            cause = f"cannot run musicnn ({answer.get('died', 'it announces ' + str(answer))})"
            self.end()
            raise ModelError(self.subject, cause, REMEDY)

    def ask(self, subject: str, patches: npt.NDArray[np.float32]) -> Vector:
        """(S, n) -> (S, 200)."""
        samples = base64.b64encode(patches.astype("<f4").tobytes()).decode()
        answer = self._line(json.dumps({"shape": patches.shape, "samples": samples}) + "\n", _ANSWER_S)
        if "error" in answer:
            raise AudioError(subject, f"musicnn cannot embed it: {answer['error']}", "leave it out")
        if "died" in answer:
            raise ModelError(self.subject, f"ended while it heard {subject} ({answer['died']})", "leave it out")
        with contextlib.suppress(KeyError, ValueError, TypeError):  # whatever else it has said is no vector
            found = np.frombuffer(base64.b64decode(answer["vectors"]), "<f4").reshape(answer["shape"])
            if found.shape == (len(patches), DIMENSIONS) and np.isfinite(found).all():
                return found
        cause = f"gives {_shape(answer)}, not finite numbers of shape ({len(patches)}, {DIMENSIONS})"
        raise ModelError(self.subject, cause, "make its environment anew")

    def _line(self, question: str, limit_s: float) -> dict[str, Any]:
        """The answer to a line; {"died": last words} when there is none, or none in time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        timer = threading.Timer(limit_s, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(question)
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError:  # it is gone
            line = ""
        finally:
            timer.cancel()
        with contextlib.suppress(ValueError):
            if isinstance(answer := json.loads(line), dict):
                return answer
        return {"died": f"it says {line[:80]!r}" if line else self._last_words()}

    def _last_words(self) -> str:
        self.process.kill()
        self.process.wait()
        self.said.seek(max(0, self.said.seek(0, 2) - _TAIL))
        lines = self.said.read().decode("utf-8", "replace").strip().splitlines()
        return readable(lines[-1].strip()) if lines else f"exit code {self.process.returncode}"


def _shape(answer: Mapping[str, Any]) -> str:
    return f"shape {answer.get('shape')}" if "vectors" in answer else "no vectors"


def _end(process: subprocess.Popen[str], said: IO[bytes]) -> None:
    process.kill()  # it keeps nothing that could be lost
    for pipe in (process.stdin, process.stdout, said):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not yet written has no reader
                pipe.close()
    process.wait()
