"""A model file (ONNX) and what it makes of sound: log-mel slices in, unit vectors out.

The front end's settings, the slice length and the provenance travel in the file's metadata, so that a model
cannot be used with the wrong log-mels.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from nearfield.catalogue.slices import (
    DEFAULT_SLICES,
    Cutter,
    Excerpt,
    Samples,
    ShortFileError,
    Slices,
    pooled,
)
from nearfield.errors import AudioError, ModelError, readable
from nearfield.sound import audio
from nearfield.sound.mel import MelConfig

FORMAT = 1
SHIPPED = "nearfield"
_BATCH = 16
_METADATA_KEYS = ("name", "mel", "slice_frames", "dimensions")
_MOST_CHANNELS = 64
_EXPORT_AGAIN = "write it again with 'nearfield export', or name another model"

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FileEmbedding:
    """One file as a unit vector of shape (D,), with the slices that made it and the length of its sound."""

    vector: Vector
    n_slices: int
    duration_s: float


@dataclass(frozen=True, eq=False)
class Encoder:
    """A loaded model. `digest` names its exact bytes; `path` is where it was read from."""

    name: str
    mel: MelConfig
    slice_frames: int
    dimensions: int
    digest: str
    path: str
    metadata: Mapping[str, Any]
    data: bytes = field(repr=False)
    _session: Any = field(repr=False)

    def embed_slices(self, log_mels: npt.NDArray[np.float32]) -> Vector:
        """(B, M, T) raw log-mels -> (B, D) embeddings as the model gives them, not normalised."""
        shape = (self.mel.n_mels, self.slice_frames)
        if log_mels.ndim != 3 or log_mels.shape[1:] != shape:
            raise ModelError(
                f"model {self.name!r}", f"takes (B, {shape[0]}, {shape[1]}), got {log_mels.shape}", "reshape"
            )
        return cast(
            Vector,
            self._session.run(["embedding"], {"log_mel": np.ascontiguousarray(log_mels, np.float32)})[0],
        )

    def embed(self, samples: npt.ArrayLike, rate_hz: float, slices: Slices = DEFAULT_SLICES) -> Vector:
        """(D,) unit vector of a waveform: mono (n,) or (n, channels), at `rate_hz`, at least 1 s long.

        Floating-point samples are nominally in -1..1; integers are scaled by their type's range.

        Raises AudioError for NaN, infinite, silent or too short sound, or an impossible shape or rate.
        """
        mono = audio.resample(_checked(samples, rate_hz), rate_hz, self.mel.rate_hz)
        cutter = Cutter(self.mel, self.slice_frames, slices)
        return self._embed("samples", cutter, cutter.of_samples("samples", mono))[0]

    def embed_file(self, path: str | Path, slices: Slices = DEFAULT_SLICES) -> FileEmbedding:
        """A sound file by seeking to its slices, or streamed whole for "all"; in bounded memory."""
        cutter = Cutter(self.mel, self.slice_frames, slices)
        subject, rate_hz = readable(path), self.mel.rate_hz
        if slices == "all":
            blocks = _Counted(audio.stream(path, rate_hz))
            vector, n = self._embed(subject, cutter, cutter.of_blocks(subject, blocks))
            return FileEmbedding(vector, n, blocks.total / rate_hz)
        n_samples = int(audio.probe(path).duration_s * rate_hz)
        try:
            vector, n = self._embed(subject, cutter, cutter.of_file(path, n_samples))
        except ShortFileError:  # the header is wrong: count what is there
            n_samples = sum(len(b) for b in audio.stream(path, rate_hz))
            vector, n = self._embed(subject, cutter, cutter.of_file(path, n_samples))
        return FileEmbedding(vector, n, n_samples / rate_hz)

    def _embed(self, subject: str, cutter: Cutter, excerpts: Iterable[Excerpt]) -> tuple[Vector, int]:
        found = []
        log_mels = (cutter.log_mel(e) for e in excerpts if cutter.audible(e))
        while batch := list(islice(log_mels, _BATCH)):
            found.append(self.embed_slices(np.stack(batch)))
        if not found:
            raise AudioError(subject, "silent (below -80 dB in every slice)", "leave it out, or record it again")
        try:
            return pooled(found), sum(map(len, found))
        except ValueError as error:
            raise AudioError(subject, f"model {self.name!r} cannot embed it: {error}", "leave it out") from error


class _Counted:
    """Blocks passed through, their samples counted."""

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._blocks = blocks
        self.total = 0

    def __iter__(self) -> Iterator[Samples]:
        for block in self._blocks:
            self.total += len(block)
            yield block


def load_model(path_or_name: str | Path | None = None, threads: int = 0) -> Encoder:
    """The shipped model, one of the shipped ones by name, or a model file.

    `threads`: ONNX Runtime's threads within one operation; 0 takes all cores. Raises ModelError naming the
    file, the cause and the remedy.
    """
    path = _locate(path_or_name)
    subject = readable(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        remedy = "name a model file, or leave --model out for the shipped one"
        raise ModelError(subject, error.strerror or str(error), remedy) from error
    return encoder_of(data, os.path.abspath(path), threads)


def find_model(digest: str, path: str) -> Encoder:
    """The model with this digest, at its path or shipped; ModelError when it is neither."""
    for place in (path, None):
        with contextlib.suppress(ModelError):
            encoder = load_model(place)
            if encoder.digest == digest:
                return encoder
    raise ModelError(readable(path), f"the model {digest} is not there any more", "name it with --model")


def encoder_of(data: bytes, path: str, threads: int = 0) -> Encoder:
    """An encoder from the bytes of a model file; `path` stands in its messages."""
    subject = readable(path)
    session = _session(data, subject, threads)
    metadata = _metadata(session, subject)
    try:
        mel = MelConfig(**metadata["mel"])
    except TypeError as error:
        raise ModelError(
            subject, f"its front-end settings are not known here ({error})", "upgrade nearfield"
        ) from error
    encoder = Encoder(
        name=str(metadata["name"]),
        mel=mel,
        slice_frames=int(metadata["slice_frames"]),
        dimensions=int(metadata["dimensions"]),
        digest=hashlib.sha256(data).hexdigest()[:16],
        path=path,
        metadata=metadata,
        data=data,
        _session=session,
    )
    _check_shapes(encoder, subject)
    return encoder


def _locate(path_or_name: str | Path | None) -> Path:
    if path_or_name is not None and os.path.exists(path_or_name):
        return Path(path_or_name)
    name = SHIPPED if path_or_name is None else os.fspath(path_or_name)
    shipped = Path(str(importlib.resources.files("nearfield"))) / "weights" / f"{name}.onnx"
    bare = os.sep not in name and not name.endswith(".onnx")
    return shipped if bare and (path_or_name is None or shipped.exists()) else Path(name)


def _session(data: bytes, subject: str, threads: int) -> Any:
    import onnxruntime as ort  # a fifth of a second: only when a model is loaded

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class of their own
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelError(subject, f"not an ONNX model that can be run ({reason})", _EXPORT_AGAIN) from error


def _metadata(session: Any, subject: str) -> dict[str, Any]:
    text = session.get_modelmeta().custom_metadata_map.get("nearfield")
    if text is None:
        raise ModelError(subject, "an ONNX model without nearfield's metadata", _EXPORT_AGAIN)
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise ModelError(subject, f"its metadata is not JSON ({error})", _EXPORT_AGAIN) from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        found = metadata.get("format") if isinstance(metadata, dict) else None
        raise ModelError(subject, f"model format is {found}, this version reads {FORMAT}", "use the matching nearfield")
    missing = [k for k in _METADATA_KEYS if k not in metadata]
    if missing:
        raise ModelError(subject, f"its metadata lacks {', '.join(missing)}", _EXPORT_AGAIN)
    return metadata


def _check_shapes(encoder: Encoder, subject: str) -> None:
    """One run on silence: two slices in, two finite vectors of the announced size out."""
    log_mels = np.zeros((2, encoder.mel.n_mels, encoder.slice_frames), np.float32)
    try:
        out = encoder.embed_slices(log_mels)
    except Exception as error:  # as above
        reason = str(error).strip().splitlines()[0][:200]
        raise ModelError(subject, f"does not take log-mels of {log_mels.shape} ({reason})", _EXPORT_AGAIN) from error
    if out.shape != (2, encoder.dimensions) or out.dtype != np.float32:
        cause = f"gives {out.dtype} of shape {out.shape} for two slices, announced are (2, {encoder.dimensions})"
        raise ModelError(subject, cause, _EXPORT_AGAIN)
    if not np.isfinite(out).all():
        raise ModelError(subject, "gives numbers that are not finite for silence", _EXPORT_AGAIN)


def _checked(samples: npt.ArrayLike, rate_hz: float) -> Samples:
    array = np.asarray(samples)
    if array.dtype.kind in "iu":  # as sound files hold them: full scale is the largest number
        half = 1 << (8 * array.dtype.itemsize - 1)
        array = (array.astype(np.float64) - (half if array.dtype.kind == "u" else 0)) / half
    array = array.astype(np.float32)
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= _MOST_CHANNELS):
        cause = f"shape {array.shape} is neither (n,) nor (n, channels)"
        raise AudioError("samples", cause, "give mono samples, or one column a channel (transpose?)")
    if not 1000 <= rate_hz <= 1_000_000:
        raise AudioError("samples", f"a rate of {rate_hz} Hz", "give the samples' own rate in Hz")
    if bad := audio.count_unsound(array):
        cause = f"{bad} of them are NaN or infinite, or above {audio.LOUDEST:g} times full scale"
        raise AudioError("samples", cause, "repair or leave them out")
    return array
