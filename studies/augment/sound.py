"""The music to change: pieces of the band, and the middles of files."""

from __future__ import annotations

from collections.abc import Iterator
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


def file_pieces(folder: Path, most: int, seed: int) -> Iterator[Samples]:
    """The middles of up to `most` files, drawn at random; what cannot be read or is too short is passed over."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    found = 0
    for n in np.random.default_rng(seed).permutation(len(files)):
        if found == most:
            return
        try:
            length_s = probe(files[n]).duration_s
            sound = load(files[n], RATE_HZ, max(0.0, (length_s - PIECE_S) / 2), PIECE_S)
        except AudioError:
            continue
        if len(sound) >= 0.9 * PIECE_S * RATE_HZ and np.abs(sound).max() > 0.01:
            found += 1
            yield sound
