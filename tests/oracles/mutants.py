"""Sound files as damage leaves them: real ones in every format that is read, spoilt by a seeded generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from nearfield.data.band import draw_factors, render

Sound = npt.NDArray[np.float32]
Generator = np.random.Generator

RATE_HZ = 16_000
HEADER_BYTES = 128  # where most formats say what they hold


@dataclass(frozen=True)
class Kind:
    """How one healthy file is written."""

    suffix: str
    rate_hz: int
    channels: int
    seconds: float
    format: str
    subtype: str | None = None


KINDS = (
    Kind("wav", 8_000, 1, 3.4, "WAV", "PCM_16"),
    Kind("wav", 44_100, 2, 2.0, "WAV", "FLOAT"),
    Kind("wav", 32_000, 6, 2.0, "WAVEX", "PCM_24"),
    Kind("flac", 16_000, 1, 4.0, "FLAC", "PCM_16"),
    Kind("flac", 96_000, 2, 2.0, "FLAC", "PCM_24"),
    Kind("ogg", 44_100, 2, 3.2, "OGG", "VORBIS"),
    Kind("opus", 48_000, 1, 3.6, "OGG", "OPUS"),
    Kind("mp3", 44_100, 2, 3.5, "MP3"),
    Kind("mp3", 22_050, 1, 4.0, "MP3"),
    Kind("aiff", 22_050, 2, 3.0, "AIFF", "PCM_16"),
    Kind("caf", 32_000, 1, 3.1, "CAF", "ALAC_16"),
)
AV_KINDS = (Kind("m4a", 44_100, 2, 3.3, "aac"), Kind("wma", 44_100, 1, 3.0, "wmav2"))


def music(seconds: float, seed: int = 0) -> Sound:
    """(n,) of the band at 16 kHz, from the middle of a piece."""
    piece = render(draw_factors(np.random.default_rng(seed), duration_s=seconds + 4), RATE_HZ)
    return piece[2 * RATE_HZ :][: round(seconds * RATE_HZ)]


def write(path: Path, kind: Kind, mono: Sound) -> None:
    """One healthy file of a kind, from mono sound at 16 kHz; every channel a little different."""
    wanted = soxr.resample(mono[: round(kind.seconds * RATE_HZ)], RATE_HZ, kind.rate_hz).astype(np.float32)
    sound = np.stack([np.roll(wanted, 7 * c) * (1 - 0.1 * c) for c in range(kind.channels)], axis=1)
    if kind in AV_KINDS:
        _write_av(path, kind, sound)
    else:
        soundfile.write(path, sound, kind.rate_hz, format=kind.format, subtype=kind.subtype)


def _write_av(path: Path, kind: Kind, sound: Sound) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(kind.format, rate=kind.rate_hz)
        stream.layout, stream.bit_rate = ("mono", "stereo")[kind.channels - 1], 96_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), format="fltp", layout=stream.layout)
        frame.rate, frame.pts = kind.rate_hz, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def _cut(data: bytes, other: bytes, g: Generator) -> bytes:
    return data[: g.integers(0, len(data))]


def _cut_near_the_start(data: bytes, other: bytes, g: Generator) -> bytes:
    return data[: g.integers(1, min(2000, len(data)))]


def _behead(data: bytes, other: bytes, g: Generator) -> bytes:
    return data[g.integers(1, len(data)) :]


def _flip_bits(data: bytes, other: bytes, g: Generator) -> bytes:
    array = np.frombuffer(data, np.uint8).copy()
    at = g.integers(0, array.size, int(2 ** g.integers(0, 11)))
    array[at] ^= (1 << g.integers(0, 8, at.size)).astype(np.uint8)
    return array.tobytes()


def _flip_header_bits(data: bytes, other: bytes, g: Generator) -> bytes:
    array = np.frombuffer(data, np.uint8).copy()
    at = g.integers(0, min(HEADER_BYTES, array.size), g.integers(1, 6))
    array[at] ^= (1 << g.integers(0, 8, at.size)).astype(np.uint8)
    return array.tobytes()


def _set_header_field(data: bytes, other: bytes, g: Generator) -> bytes:
    """A number of 2 or 4 bytes becomes one that nobody expects."""
    width = int(g.choice([2, 4]))
    value = [0, 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1, int(g.integers(0, 2 ** (8 * width)))][g.integers(0, 5)]
    at = int(g.integers(0, min(HEADER_BYTES, len(data)) - width))
    order = ("little", "big")[g.integers(0, 2)]
    return data[:at] + value.to_bytes(width, order) + data[at + width :]  # type: ignore[arg-type]


def _zero_run(data: bytes, other: bytes, g: Generator) -> bytes:
    first, last = _span(data, g)
    return data[:first] + bytes(last - first) + data[last:]


def _insert_garbage(data: bytes, other: bytes, g: Generator) -> bytes:
    at = int(g.integers(0, len(data)))
    return data[:at] + g.bytes(int(g.integers(1, 5000))) + data[at:]


def _overwrite_with_garbage(data: bytes, other: bytes, g: Generator) -> bytes:
    first, last = _span(data, g)
    return data[:first] + g.bytes(last - first) + data[last:]


def _swap_blocks(data: bytes, other: bytes, g: Generator) -> bytes:
    a, b, c, d = sorted(int(i) for i in g.integers(0, len(data), 4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _repeat_block(data: bytes, other: bytes, g: Generator) -> bytes:
    first, last = _span(data, g)
    return data[:last] + data[first:last] * int(g.integers(1, 4)) + data[last:]


def _lose_block(data: bytes, other: bytes, g: Generator) -> bytes:
    first, last = _span(data, g)
    return data[:first] + data[last:]


def _join(data: bytes, other: bytes, g: Generator) -> bytes:
    """Two files in one, of the same format or not, the first of them whole or not."""
    return data[: len(data) if g.integers(0, 2) else int(g.integers(1, len(data)))] + other


def _rename(data: bytes, other: bytes, g: Generator) -> bytes:
    """Another format's bytes under this one's name."""
    return other


def _span(data: bytes, g: Generator) -> tuple[int, int]:
    first, last = sorted(int(i) for i in g.integers(0, len(data) + 1, 2))
    return first, last


MUTATIONS: tuple[Callable[[bytes, bytes, Generator], bytes], ...] = (
    _cut,
    _cut_near_the_start,
    _behead,
    _flip_bits,
    _flip_header_bits,
    _set_header_field,
    _zero_run,
    _insert_garbage,
    _overwrite_with_garbage,
    _swap_blocks,
    _repeat_block,
    _lose_block,
    _join,
    _rename,
)


def mutants(healthy: list[Path], rounds: int, generator: Generator) -> Iterator[tuple[str, bytes]]:
    """(name, bytes): every mutation of every file, `rounds` times; names end like the file's."""
    contents = [p.read_bytes() for p in healthy]
    for n in range(rounds):
        for path, data in zip(healthy, contents, strict=True):
            for mutate in MUTATIONS:
                other = contents[generator.integers(0, len(contents))]
                yield f"{path.stem}-{mutate.__name__.strip('_')}-{n}{path.suffix}", mutate(data, other, generator)
