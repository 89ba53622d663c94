"""A sound file opened for decoding: by soundfile, or by PyAV where that reads more."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import soundfile

from nearfield.errors import AudioError, readable
from nearfield.sound.pyav import has_av, open_av
from nearfield.sound.source import RATES_HZ, REMEDY, AudioInfo, Samples, Source

_BLOCK_S = 20.0
_BLOCK_VALUES = 1 << 23  # 32 MiB, for many channels at a high rate
_UNKNOWN_FRAMES = 1 << 62  # what libsndfile says of a FLAC that does not tell its length is more
# soundfile seeks after every read, and after a seek the first MP3 frames lack the bits that earlier frames held for them
# (5 frames measured): they are read along with each block and thrown away
_MP3_LEAD_FRAMES = 12 * 1152
_OPUS = "OGG/OPUS"
_OPUS_REMEDY = (
    "install the wider formats, which read more of Opus: pip install 'nearfield[formats]'; or convert it again"
)


def open_source(path: str | Path) -> Source:
    """Raises AudioError for what is no sound file, or cannot be read here."""
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
        return open_av(path, error)
    if source.info.codec == _OPUS and has_av():
        # libsndfile refuses an Opus page whose time lies before what it has decoded, as streams have that were cut
        # without being encoded anew; FFmpeg plays on, and is twice as fast at it
        source.close()
        return open_av(path)
    return source


def _open_soundfile(path: str | Path) -> Source:
    handle = soundfile.SoundFile(os.fsencode(path))
    if not RATES_HZ[0] <= handle.samplerate <= RATES_HZ[1] or handle.channels < 1 or handle.frames <= 0:
        cause = f"the header says {handle.frames} frames at {handle.samplerate} Hz in {handle.channels} channels"
        handle.close()
        raise AudioError(readable(path), cause, REMEDY)
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
            remedy = _OPUS_REMEDY if info.codec == _OPUS else REMEDY
            raise AudioError(readable(path), f"decoding failed ({error})", remedy) from error

    return Source(info, blocks, lambda: handle.close())


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
        raise AudioError(readable(path), f"decoding failed ({error})", REMEDY) from error
