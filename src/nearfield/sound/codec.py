"""Sound through MP3 or Opus and back, at a constant bit rate, by PyAV (FFmpeg with LAME and libopus).

Coded at 48 kHz whatever the rate of the samples, as most music is; so the encoder spends its bits as it does on music,
and its lowpass lies where it does there. One channel is coded: a stereo file of twice the bit rate sounds about alike.
PyAV and not libsndfile, which cannot keep Opus to a constant rate, loses its place in MP3 below 64 kbit/s, and refuses
32 (libsndfile 1.2.2).
"""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nearfield.errors import AudioError, ManipulationError
from nearfield.sound.audio import resample

Samples = npt.NDArray[np.float32]
Codec = Literal["mp3", "opus"]

CODED_HZ = 48_000
MP3_KBIT_S = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # the rates of MPEG-1 Layer III
OPUS_KBIT_S = (6, 256)  # what libopus takes for one channel, lowest and highest


@dataclass(frozen=True)
class _Writer:
    encoder: str
    container: str
    sample_format: str
    options: tuple[tuple[str, str], ...]


_WRITERS = {
    "mp3": _Writer("libmp3lame", "mp3", "fltp", ()),
    "opus": _Writer("libopus", "ogg", "flt", (("vbr", "off"),)),
}


def encoded(samples: Samples, codec: Codec, kbit_s: float) -> bytes:
    """(n,) samples at 48 kHz, within -1..1, as an MP3 or Ogg Opus file of `kbit_s`, headers included within 10 %.

    Raises ManipulationError for a rate the codec does not have, and without PyAV.
    """
    _check_rate(codec, kbit_s)
    av, writer, buffer = codec_library(), _WRITERS[codec], io.BytesIO()
    with av.open(buffer, "w", format=writer.container) as container:
        stream = container.add_stream(writer.encoder, rate=CODED_HZ, options=dict(writer.options))
        stream.layout, stream.bit_rate = "mono", round(1000 * kbit_s)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None]), format=writer.sample_format, layout="mono"
        )
        frame.rate, frame.pts = CODED_HZ, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return buffer.getvalue()


def decoded(data: bytes) -> Samples:
    """(n,) samples of what `encoded` gave; the codec's delay is taken off, as its file says."""
    av = codec_library()
    with av.open(io.BytesIO(data)) as container:
        parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]  # one channel, packed or not
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)


def coded(samples: Samples, rate_hz: float, codec: Codec, kbit_s: float) -> Samples:
    """(n,) -> (n,): through the codec and back, in its place to the sample, or to 0.2 ms at 12 kbit/s and below."""
    if samples.size == 0:
        return samples.copy()
    peak = np.float32(max(1.0, float(np.abs(samples).max())))  # beyond full scale an encoder clips
    wide = resample(samples / peak, rate_hz, CODED_HZ)
    out = resample(decoded(encoded(np.clip(wide, -1, 1), codec, kbit_s)), CODED_HZ, rate_hz) * peak
    if abs(out.size - samples.size) > 0.05 * rate_hz:
        cause = f"{samples.size} samples at {rate_hz:g} Hz came back as {out.size}"
        raise AudioError(f"{codec} at {kbit_s:g} kbit/s", cause, "leave the codec out")
    return np.asarray(np.pad(out[: samples.size], (0, max(0, samples.size - out.size))), np.float32)


def codec_library() -> Any:
    """PyAV, imported when it is first needed; ManipulationError where it is not installed."""
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise ManipulationError(
            "codecs", f"PyAV cannot be imported ({error})", "pip install 'nearfield[audit]'"
        ) from error


def _check_rate(codec: Codec, kbit_s: float) -> None:
    if codec == "mp3" and kbit_s not in MP3_KBIT_S:
        known = ", ".join(map(str, MP3_KBIT_S))
        raise ManipulationError("mp3", f"has no bit rate of {kbit_s:g} kbit/s", f"take one of {known}")
    if codec == "opus" and not OPUS_KBIT_S[0] <= kbit_s <= OPUS_KBIT_S[1]:
        low, high = OPUS_KBIT_S
        raise ManipulationError("opus", f"has no bit rate of {kbit_s:g} kbit/s", f"take {low} to {high} for a channel")
