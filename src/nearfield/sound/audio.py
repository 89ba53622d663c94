"""Any sound file to mono float32 at a rate: whole, in blocks, or only the seconds asked for.

soundfile reads wav, flac, ogg, opus, mp3, aiff, caf and more, and seeks; what it cannot read (m4a, aac, wma) goes to
PyAV where the `[formats]` extra is installed. Channels are averaged. Every failure is an AudioError that names the
file, the cause and the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import soxr

from nearfield.errors import AudioError, readable
from nearfield.sound.decode import open_source
from nearfield.sound.source import REMEDY, AudioInfo, Samples, Source

__all__ = [
    "LOUDEST",
    "RATE_HZ",
    "AudioInfo",
    "Samples",
    "count_unsound",
    "load",
    "load_channels",
    "load_excerpts",
    "probe",
    "resample",
    "stream",
]

RATE_HZ = 16_000
LOUDEST = 1e10  # times full scale: above samples kept as 32-bit numbers, below what overflows a log-mel
_MARGIN_S = 0.06  # read on both sides of an excerpt, so that the resampling filter has settled where it begins


def probe(path: str | Path) -> AudioInfo:
    """Duration, rate, channels and codec from the header alone."""
    source = open_source(path)
    source.close()
    return source.info


def load(path: str | Path, rate_hz: int = RATE_HZ, start_s: float = 0.0, duration_s: float | None = None) -> Samples:
    """Mono samples of shape (n,), float32, at `rate_hz`; whole, or the excerpt from `start_s` by seeking."""
    if start_s == 0.0 and duration_s is None:
        parts = list(stream(path, rate_hz))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return load_excerpts(path, [(start_s, duration_s)], rate_hz)[0]


def load_excerpts(
    path: str | Path, spans_s: Sequence[tuple[float, float | None]], rate_hz: int = RATE_HZ
) -> list[Samples]:
    """One mono excerpt per (start_s, duration_s), by seeking; the file is opened once. A span past the end is cut."""
    source = open_source(path)
    try:
        return [_excerpt(path, source, rate_hz, start, length) for start, length in spans_s]
    finally:
        source.close()


def load_channels(
    path: str | Path, rate_hz: int = RATE_HZ, start_s: float = 0.0, duration_s: float | None = None
) -> Samples:
    """(n, channels) samples at `rate_hz`, the channels kept apart; else as `load_excerpts`."""
    source = open_source(path)
    try:
        return _excerpt(path, source, rate_hz, start_s, duration_s, _sound)
    finally:
        source.close()


def stream(path: str | Path, rate_hz: int = RATE_HZ) -> Iterator[Samples]:
    """The whole file as consecutive mono blocks at `rate_hz`; memory stays bounded however long the file is."""
    source = open_source(path)
    try:
        native = source.info.rate_hz
        resampler = (
            None if native == rate_hz else soxr.ResampleStream(native, rate_hz, 1, dtype="float32", quality="HQ")
        )
        for block in source.blocks(0.0, None):
            mono = _mono(path, block)
            out = mono if resampler is None else resampler.resample_chunk(mono)
            if out.size:
                yield out
        if resampler is not None:
            out = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            if out.size:
                yield out
    finally:
        source.close()


def resample(samples: npt.ArrayLike, rate_hz: float, to_hz: float = RATE_HZ) -> Samples:
    """Mono or (n, channels) samples at `rate_hz` -> mono float32 at `to_hz`."""
    array = np.asarray(samples, np.float32)
    mono = array if array.ndim == 1 else array.mean(axis=1, dtype=np.float32)
    if rate_hz == to_hz:
        return mono
    return cast(Samples, soxr.resample(np.ascontiguousarray(mono), rate_hz, to_hz, quality="HQ"))


def count_unsound(samples: Samples) -> int:
    """How many of them, whatever their shape, are NaN, infinite or beyond all measure."""
    if samples.size == 0 or max(samples.max(), -samples.min()) <= LOUDEST:  # NaN goes through both
        return 0
    return int((~(np.abs(samples) <= LOUDEST)).sum())


def _excerpt(
    path: str | Path,
    source: Source,
    rate_hz: int,
    start_s: float,
    duration_s: float | None,
    mix: Callable[[str | Path, Samples], Samples] | None = None,
) -> Samples:
    """`mix`: what becomes of a block's channels; their mean where it is None."""
    mix = _mono if mix is None else mix
    native = source.info.rate_hz
    # reading begins where a sample of the file and one of the output coincide: no part of a sample is lost to rounding
    grid_out = rate_hz // math.gcd(native, rate_hz)
    wanted = round(start_s * rate_hz)
    begin = max(0, wanted - math.ceil(_MARGIN_S * rate_hz)) // grid_out * grid_out
    lead = wanted - begin
    length_s = None if duration_s is None else duration_s + lead / rate_hz + _MARGIN_S
    parts = [mix(path, b) for b in source.blocks(begin / rate_hz, length_s)]
    raw = np.concatenate(parts) if parts else mix(path, np.zeros((0, source.info.channels), np.float32))
    out = raw if native == rate_hz else cast(Samples, soxr.resample(raw, native, rate_hz, quality="HQ"))
    return out[lead:] if duration_s is None else out[lead : lead + round(duration_s * rate_hz)]


def _sound(path: str | Path, block: Samples) -> Samples:
    """The block as it is, when its samples are sound."""
    if bad := count_unsound(block):
        cause = f"{bad} samples are NaN or infinite, or above {LOUDEST:g} times full scale"
        raise AudioError(readable(path), cause, REMEDY)
    return block


def _mono(path: str | Path, block: Samples) -> Samples:
    block = _sound(path, block)
    mono = block[:, 0] if block.shape[1] == 1 else block @ np.full(block.shape[1], 1 / block.shape[1], np.float32)
    return np.ascontiguousarray(mono)
