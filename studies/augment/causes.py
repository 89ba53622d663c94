"""Why stretching and shifting agree less with the real change on some music: the error against what the music is like.

    python studies/augment/causes.py FOLDER      middles of files, and pieces of the band -> results/augment.json

Unsteadiness is the mean absolute change of the log-mel from frame to frame, which is large where there is noise: a stretcher
makes noise anew, and no interpolation can foresee what comes out. Bands above what a shift down can fill have nothing in the
sound, while on the mel axis the highest band is repeated there; the error is given in and below them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import scipy.stats
import torch
from agreement import (
    LIBRARIES,
    RESULTS,
    SEED,
    Figure,
    Route,
    Section,
    music,
    phases,
    real_slice,
    shift_slice,
    source_slice,
    spread,
    stretch_slice,
)

from nearfield.augment.equalise import band_centres_hz
from sound import Samples, stretched

TEMPO_RATIO, SEMITONES = 1.4, -5.0
EMPTY = band_centres_hz() > 8000 * 2 ** (SEMITONES / 12)


def of(name: str, pieces: Sequence[Samples]) -> list[Figure]:
    """All figures of one kind of music."""
    tempo = Route(
        "", partial(stretch_slice, tempo_ratio=TEMPO_RATIO), partial(stretched, tempo_ratio=TEMPO_RATIO), TEMPO_RATIO
    )
    pitch = Route("", partial(shift_slice, semitones=SEMITONES), partial(stretched, semitones=SEMITONES))
    sources = [source_slice(p)[0].numpy() for p in pieces]
    unsteady = [float(np.abs(np.diff(s, axis=1)).mean()) for s in sources]
    top = [float(s[-1].mean()) for s in sources]
    faster, lower = ([errors(route, p) for p in pieces] for route in (tempo, pitch))
    stretching = [float(e.mean()) for e in faster]
    above = [float(e[EMPTY].mean()) for e in lower]
    below = [float(e[~EMPTY].mean()) for e in lower]
    n = len(pieces)
    return [
        spread(f"{name}: unsteadiness", "log10 a frame", unsteady),
        spread(f"{name}: level of the highest band", "log10", top),
        Figure(
            f"{name}: rank correlation of unsteadiness and error of tempo_ratio 1.4",
            rank(unsteady, stretching),
            "",
            n=n,
        ),
        spread(
            f"{name}: error of tempo_ratio 1.4 over unsteadiness",
            "",
            [e / u for e, u in zip(stretching, unsteady, strict=True)],
        ),
        spread(f"{name}: error of -5 semitones on the mel axis, bands it cannot fill", "log10", above),
        spread(f"{name}: error of -5 semitones on the mel axis, other bands", "log10", below),
        Figure(
            f"{name}: rank correlation of the highest band and error in bands it cannot fill", rank(top, above), "", n=n
        ),
    ]


def errors(route: Route, samples: Samples) -> np.ndarray:
    """(M, T) absolute errors, without looking for a lag."""
    real = real_slice(route, samples, phases(route.real(samples)), 0)
    return np.abs(route.ours(samples) - real)


def rank(a: Sequence[float], b: Sequence[float]) -> float:
    return float(scipy.stats.spearmanr(a, b).statistic)


def main() -> int:
    torch.set_num_threads(1)
    title, settings, sounds, sources = music(Path(sys.argv[1]))
    section = Section(f"Augmentation: causes{title}", SEED, settings, (*LIBRARIES, "python-stretch", "torch"))
    section.sources = sources
    section.add(*of(title.removeprefix(", "), sounds))
    section.add(*of("band", music(None)[2]))
    section.note(f"{int(EMPTY.sum())} of the 96 bands lie above what a shift by {SEMITONES:g} semitones can fill.")
    section.note("The value is the median of the slices, the spread from the 5 % to the 95 % quantile.")
    section.write(RESULTS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
