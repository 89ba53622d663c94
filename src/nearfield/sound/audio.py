"""Any sound file to mono float32 at a rate: whole, in blocks, or only the seconds asked for.

soundfile reads wav, flac, ogg, opus, mp3, aiff, caf and more, and seeks; what it cannot read (m4a, aac, wma) goes to
PyAV where the `[formats]` extra is installed. Channels are averaged. Every failure is an AudioError that names the
file, the cause and the remedy.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from nearfield.errors import AudioError, readable

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
LOUDEST = 1e10  # times full scale: above samples kept as 32-bit numbers, below what overflows a log-mel
_RATES_HZ = (1000, 1_000_000)
_BLOCK_S = 20.0
_BLOCK_VALUES = 1 << 23  # 32 MiB, for many channels at a high rate
_UNKNOWN_FRAMES = 1 << 62  # what libsndfile says of a FLAC that does not tell its length is more
_MARGIN_S = 0.06  # read on both sides of an excerpt, so that the resampling filter has settled where it begins
# soundfile seeks after every read, and after a seek the first MP3 frames lack the bits that earlier frames held for them
# (5 frames measured): they are read along with each block and thrown away
_MP3_LEAD_FRAMES = 12 * 1152
_REMEDY = "convert the file again from its source, or remove it"
_OPUS = "OGG/OPUS"
_OPUS_REMEDY = (
    "install the wider formats, which read more of Opus: pip install 'nearfield[formats]'; or convert it again"
)


@dataclass(frozen=True)
class AudioInfo:
    """What the header says; `duration_s` may be slightly off for a damaged or variable-rate MP3."""

    duration_s: float
    rate_hz: int
    channels: int
    codec: str


@dataclass(frozen=True)
class _Source:
    """A decoder: blocks of (frames, channels) float32 from a start second on, at the file's own rate."""

    info: AudioInfo
    blocks: Callable[[float, float | None], Iterator[Samples]]
    close: Callable[[], None]


def probe(path: str | Path) -> AudioInfo:
    """Duration, rate, channels and codec from the header alone."""
    source = _open(path)
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
    source = _open(path)
    try:
        return [_excerpt(path, source, rate_hz, start, length) for start, length in spans_s]
    finally:
        source.close()


def load_channels(
    path: str | Path, rate_hz: int = RATE_HZ, start_s: float = 0.0, duration_s: float | None = None
) -> Samples:
    """(n, channels) samples at `rate_hz`, the channels kept apart; else as `load_excerpts`."""
    source = _open(path)
    try:
        return _excerpt(path, source, rate_hz, start_s, duration_s, _sound)
    finally:
        source.close()


def stream(path: str | Path, rate_hz: int = RATE_HZ) -> Iterator[Samples]:
    """The whole file as consecutive mono blocks at `rate_hz`; memory stays bounded however long the file is."""
    source = _open(path)
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
    source: _Source,
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
        raise AudioError(readable(path), cause, _REMEDY)
    return block


def _mono(path: str | Path, block: Samples) -> Samples:
    block = _sound(path, block)
    mono = block[:, 0] if block.shape[1] == 1 else block @ np.full(block.shape[1], 1 / block.shape[1], np.float32)
    return np.ascontiguousarray(mono)


def _open(path: str | Path) -> _Source:
    name = readable(path)
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise AudioError(name, error.strerror or str(error), "check the path and its permissions") from error
    if os.path.isdir(path):
        raise AudioError(name, "is a folder", "name a sound file, or index the folder")
    if size == 0:
        raise AudioError(name, "the file is empty (0 bytes)", "copy it again from its source, or remove it")
    try:
        source = _open_soundfile(path)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        return _open_av(path, error)
    if source.info.codec == _OPUS and _has_av():
        # libsndfile refuses an Opus page whose time lies before what it has decoded, as streams have that were cut
        # without being encoded anew; FFmpeg plays on, and is twice as fast at it
        source.close()
        return _open_av(path)
    return source


def _open_soundfile(path: str | Path) -> _Source:
    handle = soundfile.SoundFile(os.fsencode(path))
    if not _RATES_HZ[0] <= handle.samplerate <= _RATES_HZ[1] or handle.channels < 1 or handle.frames <= 0:
        cause = f"the header says {handle.frames} frames at {handle.samplerate} Hz in {handle.channels} channels"
        handle.close()
        raise AudioError(readable(path), cause, _REMEDY)
    n_frames = handle.frames
    size = max(1, min(int(_BLOCK_S * handle.samplerate), _BLOCK_VALUES // handle.channels))
    if n_frames >= _UNKNOWN_FRAMES:
        handle.close()
        n_frames, handle = _counted(path, size), _Sequential(os.fsencode(path))
    rate_hz, codec = int(handle.samplerate), f"{handle.format}/{handle.subtype}"
    info = AudioInfo(n_frames / rate_hz, rate_hz, int(handle.channels), codec)

    lead = _MP3_LEAD_FRAMES if handle.format == "MP3" else 0

    def go_to(frame: int) -> None:
        """Seek; or read up to there, where the file refuses."""
        nonlocal handle
        if handle.tell() == frame:
            return
        try:
            handle.seek(frame)
        except soundfile.LibsndfileError:
            handle.close()
            handle = _Sequential(os.fsencode(path))
            while (before := frame - handle.tell()) > 0 and len(handle.read(min(size, before))):
                pass

    def blocks(start_s: float, duration_s: float | None) -> Iterator[Samples]:
        try:
            at = min(round(start_s * rate_hz), n_frames)
            left = math.inf if duration_s is None else math.ceil(duration_s * rate_hz)
            while left > 0:
                settle = min(at, lead)
                go_to(at - settle)
                block = handle.read(settle + int(min(size, left)), dtype="float32", always_2d=True)[settle:]
                if not len(block):
                    return
                at += len(block)
                left -= len(block)
                yield block
        except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:  # soundfile miscounts in broken files
            remedy = _OPUS_REMEDY if info.codec == _OPUS else _REMEDY
            raise AudioError(readable(path), f"decoding failed ({error})", remedy) from error

    return _Source(info, blocks, lambda: handle.close())


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """Read from front to end, without the seek that soundfile does after every read."""

    def seekable(self) -> bool:
        return False


def _counted(path: str | Path, size: int) -> int:
    """Frames that can be decoded, where the header does not say."""
    try:
        with _Sequential(os.fsencode(path)) as file:
            return sum(iter(lambda: len(file.read(size, dtype="float32")), 0))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioError(readable(path), f"decoding failed ({error})", _REMEDY) from error


def _has_av() -> bool:
    return importlib.util.find_spec("av") is not None


def _open_av(path: str | Path, first_error: Exception | None = None) -> _Source:
    """PyAV where it is installed, else the error of soundfile with what would help."""
    if not _has_av():
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
    if not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1] or channels < 1 or duration_s <= 0:
        container.close()
        raise AudioError(readable(path), f"the header says {duration_s:.3f} s at {rate_hz} Hz", _REMEDY)
    info = AudioInfo(duration_s, rate_hz, channels, str(track.codec_context.name))

    def blocks(start_s: float, duration_s: float | None) -> Iterator[Samples]:
        try:
            yield from _av_blocks(av, container, track, info, start_s, duration_s)
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error  # without FFmpeg's log
            raise AudioError(readable(path), f"decoding failed ({reason})", _REMEDY) from error

    return _Source(info, blocks, container.close)


def _opus_pre_skip_s(header: bytes | None) -> float:
    """What a decoder of Opus throws away at the start (RFC 7845, section 5.1), and the stream's duration counts."""
    if header is None or not header.startswith(b"OpusHead") or len(header) < 12:
        return 0.0
    return int.from_bytes(header[10:12], "little") / 48_000


def _av_blocks(
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
