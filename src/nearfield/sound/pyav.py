"""PyAV, the extra `[formats]`: what soundfile cannot read, and more of Opus."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from nearfield.errors import AudioError, readable
from nearfield.sound.source import RATES_HZ, REMEDY, AudioInfo, Samples, Source


def has_av() -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec("av") is not None


def open_av(path: str | Path, first_error: Exception | None = None) -> Source:
    """PyAV where it is installed, else the error of soundfile with what would help."""
    if not has_av():
        suffix = Path(path).suffix.lower()
        remedy = (
            "install the wider formats: pip install 'nearfield[formats]'"
            if suffix in {".m4a", ".aac", ".wma", ".mp4", ".m4b", ".webm", ".mka"}
            else "check that it is a sound file (wav, flac, ogg, opus, mp3); for others pip install 'nearfield[formats]'"
        )
        raise AudioError(readable(path), "not a sound file that can be read", remedy) from first_error
    import av

    av.logging.set_level(av.logging.PANIC)
    try:
        container = av.open(os.fsencode(path).decode("utf-8", "surrogateescape"), metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError, UnicodeError) as error:
        raise AudioError(
            readable(path), "not a sound file that can be read", "convert it again from its source, or remove it"
        ) from error
    if not container.streams.audio:
        container.close()
        raise AudioError(readable(path), "holds no audio stream", "remove it, or extract its sound first")
    track = container.streams.audio[0]
    # a stream whose codec is not known has neither
    rate_hz, channels = int(getattr(track, "rate", 0) or 0), int(getattr(track, "channels", 0) or 0)
    if track.duration is not None and track.time_base is not None:
        duration_s = float(track.duration * track.time_base)
    else:
        duration_s = (container.duration or 0) / 1e6
    duration_s -= _opus_pre_skip_s(track.codec_context.extradata)
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1] or channels < 1 or duration_s <= 0:
        container.close()
        raise AudioError(readable(path), f"the header says {duration_s:.3f} s at {rate_hz} Hz", REMEDY)
    info = AudioInfo(duration_s, rate_hz, channels, str(track.codec_context.name))

    def blocks(start_s: float, duration_s: float | None) -> Iterator[Samples]:
        try:
            yield from _blocks(av, container, track, info, start_s, duration_s)
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error  # without FFmpeg's log
            raise AudioError(readable(path), f"decoding failed ({reason})", REMEDY) from error

    return Source(info, blocks, container.close)


def _opus_pre_skip_s(header: bytes | None) -> float:
    """What a decoder of Opus throws away at the start (RFC 7845, section 5.1), and the stream's duration counts."""
    if header is None or not header.startswith(b"OpusHead") or len(header) < 12:
        return 0.0
    return int.from_bytes(header[10:12], "little") / 48_000


def _blocks(
    av: Any, container: Any, track: Any, info: AudioInfo, start_s: float, duration_s: float | None
) -> Iterator[Samples]:
    wanted = round(start_s * info.rate_hz)
    left = math.inf if duration_s is None else math.ceil(duration_s * info.rate_hz)
    # half a second early: the first packets after a seek depend on the ones before them
    container.seek(max(0, int((start_s - 0.5) * 1e6)), any_frame=False, backward=True)
    convert = av.AudioResampler(format="fltp", rate=info.rate_hz)
    at: int | None = None
    for frame in _frames(container, track, convert):
        block = np.ascontiguousarray(frame.to_ndarray().T, dtype=np.float32)
        if at is None:
            at = 0 if frame.pts is None else round(float(frame.pts * frame.time_base) * info.rate_hz)
            if wanted < at < wanted + info.rate_hz:  # a stream that begins late keeps its timeline
                block = np.concatenate([np.zeros((at - wanted, block.shape[1]), np.float32), block])
                at = wanted
        skip = max(0, wanted - at)
        at += len(block)
        block = block[skip : skip + int(min(left, len(block)))]
        if len(block):
            left -= len(block)
            yield block
        if left <= 0:
            return


def _frames(container: Any, track: Any, convert: Any) -> Iterator[Any]:
    for frame in container.decode(track):
        yield from convert.resample(frame)
    yield from cast(Iterable[Any], convert.resample(None))
