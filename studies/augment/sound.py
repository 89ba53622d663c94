"""The same changes made to sound: python-stretch for tempo and pitch, biquads for equalisation; and the music to change."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import python_stretch
import scipy.signal

from nearfield.data.band import STYLES, draw_factors, render
from nearfield.errors import AudioError
from nearfield.sound.audio import load, probe

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
PIECE_S = 14.0
SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff"}


def band_pieces(per_style: int, seed: int) -> Iterator[Samples]:
    """`per_style` pieces of every style of the band, all other factors drawn."""
    for n, style in enumerate(STYLES):
        for take in range(per_style):
            rng = np.random.default_rng([seed, n, take])
            yield render(draw_factors(rng, duration_s=PIECE_S, styles=(style,)), RATE_HZ)


@dataclass(frozen=True)
class Picked:
    """The middle of a file, and which file: its path relative to the folder."""

    path: str
    sound: Samples


def file_pieces(folder: Path, most: int, seed: int) -> list[Picked]:
    """The middles of `most` files (or fewer, where there are not so many), from as many packages as there can be.

    What cannot be read, is too short or nearly silent is passed over.
    """
    picked = []
    for path in spread_over_packages(folder, seed):
        if len(picked) == most:
            break
        with contextlib.suppress(AudioError):
            length_s = probe(path).duration_s
            sound = load(path, RATE_HZ, max(0.0, (length_s - PIECE_S) / 2), PIECE_S)
            if len(sound) >= 0.9 * PIECE_S * RATE_HZ and np.abs(sound).max() > 0.01:
                picked.append(Picked(path.relative_to(folder).as_posix(), sound))
    return picked


def spread_over_packages(folder: Path, seed: int) -> list[Path]:
    """All sound files, in rounds: one of each package (a subfolder of `folder`), then another of each; order by `seed`."""
    packages: dict[str, list[Path]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        packages.setdefault(path.relative_to(folder).parts[0], []).append(path)
    rng = np.random.default_rng(seed)
    shuffled = [[files[n] for n in rng.permutation(len(files))] for files in packages.values()]
    rounds = itertools.zip_longest(*(shuffled[n] for n in rng.permutation(len(shuffled))))
    return [path for taken in rounds for path in taken if path is not None]


def stretched(samples: Samples, tempo_ratio: float = 1.0, semitones: float = 0.0) -> Samples:
    """Faster by `tempo_ratio` or higher by `semitones`; the stretcher makes up for its latency itself."""
    stretch = python_stretch.Signalsmith.Stretch()
    stretch.preset(1, float(RATE_HZ))
    stretch.timeFactor = tempo_ratio
    stretch.setTransposeSemitones(semitones)
    return np.asarray(stretch.process(samples[None])[0], np.float32)


def biquad(
    kind: str, hz: float, gain_db: float, octaves: float = 1.0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(b, a) of a "low shelf", "peak" or "high shelf" by R. Bristow-Johnson's formulas; shelves of slope 1."""
    A, w = 10 ** (gain_db / 40), 2 * math.pi * hz / RATE_HZ
    cos = math.cos(w)
    if kind == "peak":
        alpha = math.sin(w) * math.sinh(math.log(2) / 2 * octaves * w / math.sin(w))
        b, a = [1 + alpha * A, -2 * cos, 1 - alpha * A], [1 + alpha / A, -2 * cos, 1 - alpha / A]
    else:
        side = 1.0 if kind == "low shelf" else -1.0
        root = 2 * math.sqrt(A) * math.sin(w) / math.sqrt(2)
        up, down = A + 1, A - 1
        b = [
            A * (up - side * down * cos + root),
            side * 2 * A * (down - side * up * cos),
            A * (up - side * down * cos - root),
        ]
        a = [up + side * down * cos + root, -side * 2 * (down + side * up * cos), up + side * down * cos - root]
    return np.array(b), np.array(a)


def filtered(samples: Samples, b: npt.NDArray[np.float64], a: npt.NDArray[np.float64]) -> Samples:
    return np.asarray(scipy.signal.lfilter(b, a, samples), np.float32)


def response_db(b: npt.NDArray[np.float64], a: npt.NDArray[np.float64], hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    _, response = scipy.signal.freqz(b, a, np.asarray(hz), fs=RATE_HZ)
    return np.asarray(20 * np.log10(np.abs(response)))
