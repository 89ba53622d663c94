"""The music to change: pieces of the band, and the middles of files."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

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
