"""Where the slices of a track lie, and the waveform around each.

A slice is `slice_frames` frames of log-mel (300 frames, 3 s). It starts on the frame grid of the whole track,
and its excerpt carries two frames more on both sides, so that its log-mel is that of the same frames of the
whole track's log-mel; only the resampler's own edges differ, below 1e-3. Excerpts at the very start or end
reflect as the whole does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from nearfield.errors import AudioError, readable
from nearfield.sound import audio
from nearfield.sound.mel import LogMel, MelConfig, log_mel

Samples = npt.NDArray[np.float32]
Slices = int | Literal["all"]

DEFAULT_SLICES = 8
SILENCE_STD = 1e-4  # -80 dB of full scale, after removing DC
_ALL_HOP_FRAMES = 200  # MULE takes a slice every 2 s, the first centred there too
_SHORTEST_S = 1.0


class ShortFileError(AudioError):
    """The header announces more sound than there is; count the samples, then cut again."""


@dataclass(frozen=True)
class Excerpt:
    """Mono samples around one slice; the slice begins `lead_frames` after their first sample."""

    samples: Samples
    lead_frames: int


def slice_starts(n_frames: int, slice_frames: int, slices: Slices) -> tuple[int, ...]:
    """First frames of the slices of a track of `n_frames`; empty when not one fits.

    A number: that many centres at (i + 0.5) / number of the track, moved inward until the slice is whole;
    fewer where neighbours would begin less than half a slice apart. "all": a centre every 200 frames from frame
    200 on, moved inward likewise, as MULE does it.
    """
    last = n_frames - slice_frames
    if last < 0:
        return ()
    half = slice_frames // 2
    if slices == "all":
        centres: Iterable[float] = range(_ALL_HOP_FRAMES, max(n_frames, _ALL_HOP_FRAMES + 1), _ALL_HOP_FRAMES)
    else:
        count = min(slices, 1 + last // half)
        centres = ((i + 0.5) * n_frames / count for i in range(count))
    return tuple(dict.fromkeys(min(max(0, math.floor(c) - half), last) for c in centres))


@dataclass(frozen=True)
class Cutter:
    """Cuts files and waveforms into excerpts, one a slice, in the order of time."""

    mel: MelConfig
    slice_frames: int
    slices: Slices = DEFAULT_SLICES

    @property
    def _margin_frames(self) -> int:
        return math.ceil(self.mel.window / 2 / self.mel.hop)

    def log_mel(self, excerpt: Excerpt) -> LogMel:
        """(M, T) log-mel of the slice in an excerpt."""
        first = excerpt.lead_frames
        return log_mel(excerpt.samples, self.mel)[:, first : first + self.slice_frames]

    def audible(self, excerpt: Excerpt) -> bool:
        """Whether the slice itself is above -80 dB of full scale, DC removed."""
        first = excerpt.lead_frames * self.mel.hop
        samples = excerpt.samples[first : first + self.slice_frames * self.mel.hop]
        return float(np.std(samples, dtype=np.float64)) >= SILENCE_STD

    def of_samples(self, subject: str, samples: Samples) -> Iterator[Excerpt]:
        """Excerpts of a whole mono waveform at the model's rate; AudioError when it is shorter than 1 s."""
        starts = slice_starts(1 + samples.size // self.mel.hop, self.slice_frames, self.slices)
        if not starts:
            yield self._tiled(subject, samples)
        for start in starts:
            first, lead, stop = self._span(start, samples.size)
            yield Excerpt(samples[first:stop], lead)

    def of_file(self, path: str | Path, n_samples: int) -> Iterator[Excerpt]:
        """The same by seeking in a file of `n_samples` at the model's rate; ShortFileError where sound is
        missing.
        """
        rate_hz = self.mel.rate_hz
        starts = slice_starts(1 + n_samples // self.mel.hop, self.slice_frames, self.slices)
        if not starts:
            yield self._tiled(readable(path), audio.load(path, rate_hz))
            return
        spans = [self._span(start, n_samples) for start in starts]
        seconds = [(first / rate_hz, (stop - first) / rate_hz) for first, _, stop in spans]
        for samples, (_, lead, _) in zip(audio.load_excerpts(path, seconds, rate_hz), spans, strict=True):
            if samples.size < (lead + self.slice_frames - 1) * self.mel.hop:
                raise ShortFileError(
                    readable(path),
                    f"ends before the {n_samples / rate_hz:.1f} s its header announces",
                    "copy it again from its source",
                )
            yield Excerpt(samples, lead)

    def of_blocks(self, subject: str, blocks: Iterable[Samples]) -> Iterator[Excerpt]:
        """Excerpts for "all" from a stream of blocks; holds one block and two slices at a time."""
        held, begin, total = np.zeros(0, np.float32), 0, 0  # held[0] is sample `begin` of the track
        done = 0
        for block in blocks:
            held = np.concatenate([held, block])
            total += len(block)
            while True:
                first, lead, stop = self._span(self._all_start(done), total + self.mel.rate_hz)
                if stop > total:
                    break
                yield Excerpt(held[first - begin : stop - begin], lead)
                done += 1
            # the last slice may be moved back, but not before the one given last
            keep = max(0, self._all_start(done - 1) - self._margin_frames) * self.mel.hop
            held, begin = held[keep - begin :], keep
        starts = slice_starts(1 + total // self.mel.hop, self.slice_frames, "all")
        if not starts:
            yield self._tiled(subject, held)
        for start in starts[done:]:
            first, lead, stop = self._span(start, total)
            yield Excerpt(held[first - begin : stop - begin], lead)

    def _all_start(self, n: int) -> int:
        """First frame of the n-th slice of "all", where the end is far."""
        return max(0, (n + 1) * _ALL_HOP_FRAMES - self.slice_frames // 2)

    def _span(self, start: int, n_samples: int) -> tuple[int, int, int]:
        """(first sample, lead frames, sample after the last) of the excerpt of the slice at frame `start`."""
        margin, hop = self._margin_frames, self.mel.hop
        first = max(0, start - margin)
        stop = min(n_samples, (start + self.slice_frames + margin) * hop)
        return first * hop, start - first, stop

    def _tiled(self, subject: str, samples: Samples) -> Excerpt:
        """A track shorter than one slice, repeated until it fills one."""
        seconds = samples.size / self.mel.rate_hz
        if seconds < _SHORTEST_S:
            cause = f"too short ({seconds:.2f} s)"
            raise AudioError(subject, cause, f"give at least {_SHORTEST_S:g} s of sound")
        wanted = (self.slice_frames + self._margin_frames) * self.mel.hop
        return Excerpt(np.tile(samples, math.ceil(wanted / samples.size))[:wanted], 0)


def pooled(embeddings: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """(D,) unit vector: the mean of L2-normalised slice embeddings, batches of (B, D), normalised again.

    Raises ValueError when a slice embedding is not finite, or when they cancel out.
    """
    every = np.concatenate(embeddings).astype(np.float64)
    norms = np.linalg.norm(every, axis=1, keepdims=True)
    mean = (every / np.where(norms > 0, norms, 1)).mean(axis=0)
    norm = np.linalg.norm(mean)
    if not np.isfinite(norm) or norm < 1e-6:
        raise ValueError("the embeddings of its slices are not finite, or cancel out")
    unit: npt.NDArray[np.float32] = (mean / norm).astype(np.float32)
    return unit
