"""What a decoder gives, whichever library it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

RATES_HZ = (1000, 1_000_000)
REMEDY = "convert the file again from its source, or remove it"


@dataclass(frozen=True)
class AudioInfo:
    """What the header says; `duration_s` may be slightly off for a damaged or variable-rate MP3."""

    duration_s: float
    rate_hz: int
    channels: int
    codec: str


@dataclass(frozen=True)
class Source:
    """A decoder: blocks of (frames, channels) float32 from a start second on, at the file's own rate."""

    info: AudioInfo
    blocks: Callable[[float, float | None], Iterator[Samples]]
    close: Callable[[], None]
