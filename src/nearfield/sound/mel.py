"""Waveform to log-mel: the front end of the published MULE network (arXiv 2210.03799), in numpy.

Deviations from a textbook implementation change no number: the 400-sample window stands at the start of the
2048-point transform instead of its middle (a shift turns only phases, and only power is kept), so that a frame
needs 400 samples and not 2048; and the filterbank is multiplied band by band, since each filter spans few bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
LogMel = npt.NDArray[np.float32]
Made = TypeVar("Made")

_FRAMES_PER_BLOCK = 64  # a block of transforms (64 x 1025 complex) stays inside the second-level cache
_FILTERS_PER_BAND = 8


@dataclass(frozen=True)
class MelConfig:
    """The front end's settings; they travel with every store, checkpoint and model."""

    rate_hz: int = 16_000
    n_fft: int = 2048
    window: int = 400
    hop: int = 160
    n_mels: int = 96
    low_hz: float = 0.0
    high_hz: float = 8000.0
    scale: float = 10_000.0

    def as_dict(self) -> dict[str, float]:
        return asdict(self)

    @property
    def frames_per_second(self) -> float:
        return self.rate_hz / self.hop


DEFAULT = MelConfig()


def log_mel(samples_16k: npt.ArrayLike, config: MelConfig = DEFAULT) -> LogMel:
    """Log-mel power of a mono waveform.

    Parameters
    ----------
    samples_16k : (n,) mono samples at `config.rate_hz`, nominally in -1..1.

    Returns
    -------
    (n_mels, 1 + n // hop) float32, `log10(1 + 10000 * mel)`; frame t is centred on sample t * hop, with reflect padding.

    Raises ValueError for an empty or non-mono array.
    """
    samples = np.asarray(samples_16k, dtype=np.float32)
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError(f"log_mel takes mono samples of shape (n,), n > 0; got shape {samples.shape}")
    half = config.window // 2
    padded = np.pad(samples, half, mode="reflect")
    n_frames = 1 + samples.size // config.hop
    return np.ascontiguousarray(frames_to_log_mel(padded, n_frames, config).T)


def stream_log_mel(blocks: Iterable[Samples], config: MelConfig = DEFAULT) -> Iterator[LogMel]:
    """The same as `log_mel` of the joined blocks, yielded as (n_mels, t) pieces; memory is bounded by the block size."""
    for frames in stream_frames(blocks, lambda padded, n: frames_to_log_mel(padded, n, config), config):
        yield np.ascontiguousarray(frames.T)


def stream_frames(
    blocks: Iterable[Samples], transform: Callable[[Samples, int], Made], config: MelConfig = DEFAULT
) -> Iterator[Made]:
    """What `transform` makes of padded samples and the number of frames in them, piece by piece."""
    half, hop = config.window // 2, config.hop
    held = np.zeros(0, np.float32)  # samples still needed, beginning `half` before the next frame's centre
    total = done = 0
    started = False
    for block in blocks:
        held = np.concatenate([held, np.asarray(block, np.float32)])
        total += len(block)
        if not started:
            if held.size <= half:
                continue
            held = np.concatenate([held[1 : half + 1][::-1], held])
            started = True
        ready = (held.size - config.window) // hop + 1 if held.size >= config.window else 0
        # the last frames need the reflected end: they wait until the end is known
        if ready > 0:
            yield transform(held, ready)
            held = held[ready * hop :]
            done += ready
    if total == 0:
        return
    if not started:
        yield transform(np.pad(held, half, mode="reflect"), 1 + held.size // hop)
        return
    remaining = 1 + total // hop - done
    if remaining > 0:
        yield transform(_reflected_end(held, half), remaining)


def _reflected_end(held: Samples, half: int) -> Samples:
    return np.concatenate([held, held[-half - 1 : -1][::-1]])


def frames_to_log_mel(padded: Samples, n_frames: int, config: MelConfig, amplitude: LogMel | None = None) -> LogMel:
    """(n_frames, n_mels) from samples of which frame t takes [t * hop, t * hop + window).

    `amplitude` (n_frames, K), where given, is filled with the spectrum at K even steps from 0 Hz to half the rate.
    """
    import scipy.fft  # a fifth of a second: only where sound is heard

    frames = np.lib.stride_tricks.sliding_window_view(padded, config.window)[:: config.hop][:n_frames]
    window = _window(config.window)
    bands = _banded_filters(config)
    out = np.empty((n_frames, config.n_mels), np.float32)
    buffer = np.zeros((_FRAMES_PER_BLOCK, config.n_fft), np.float32)
    for start in range(0, n_frames, _FRAMES_PER_BLOCK):
        part = frames[start : start + _FRAMES_PER_BLOCK]
        n = len(part)
        np.multiply(part, window, out=buffer[:n, : config.window])
        spectrum = scipy.fft.rfft(buffer[:n], axis=1)
        parts = spectrum.view(np.float32)
        np.multiply(parts, parts, out=parts)
        power = parts[:, 0::2] + parts[:, 1::2]
        for filters, bins, weights in bands:
            np.matmul(power[:, bins], weights, out=out[start : start + n, filters])
        if amplitude is not None:
            every = (config.n_fft // 2) // (amplitude.shape[1] - 1)
            np.sqrt(power[:, ::every], out=amplitude[start : start + n])
    out *= np.float32(config.scale)
    np.log1p(out, out=out)
    out *= np.float32(1 / math.log(10))
    return out


@lru_cache(maxsize=8)
def _window(length: int) -> Samples:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)  # periodic Hann


@lru_cache(maxsize=8)
def mel_filters(config: MelConfig = DEFAULT) -> npt.NDArray[np.float32]:
    """(n_mels, 1 + n_fft // 2) triangular filters, evenly spaced on the HTK mel scale, each of unit L2 norm."""
    hz = np.linspace(0, config.rate_hz / 2, 1 + config.n_fft // 2)
    edges = mel_to_hz(np.linspace(hz_to_mel(config.low_hz), hz_to_mel(config.high_hz), config.n_mels + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0, np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre)))
    norm = np.linalg.norm(triangles, axis=1, keepdims=True)
    filters = (triangles / np.where(norm > 0, norm, 1)).astype(np.float32)
    filters.flags.writeable = False
    return filters


@lru_cache(maxsize=8)
def _banded_filters(config: MelConfig) -> tuple[tuple[slice, slice, npt.NDArray[np.float32]], ...]:
    """The filterbank cut into groups of neighbouring filters with the few bins each group needs."""
    filters = mel_filters(config)
    bands = []
    for first in range(0, config.n_mels, _FILTERS_PER_BAND):
        rows = slice(first, min(first + _FILTERS_PER_BAND, config.n_mels))
        used = np.flatnonzero(filters[rows].any(axis=0))
        bins = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
        bands.append((rows, bins, np.ascontiguousarray(filters[rows, bins].T)))
    return tuple(bands)


def hz_to_mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """HTK mel: 2595 log10(1 + f / 700)."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz, np.float64) / 700.0))


def mel_to_hz(mel: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The inverse of `hz_to_mel`."""
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0))
