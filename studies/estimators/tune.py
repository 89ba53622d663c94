"""The profiles of sound/key.py: fitted on grooves of the training split, beside published ones.

    python studies/estimators/tune.py GROOVES [--pieces 400] [--band 100] [--seed 0]

Prints the mean pitch classes around the tonic (standardised) of pieces drawn from the training split, and how often
each set of profiles is right: on grooves, fitted on the styles of the other half, and on the band (seed + 101), fitted
on all those grooves. Neither held-out grooves nor StepMania are touched.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nearfield import pool
from nearfield.data.band import Factors, draw_factors, render
from nearfield.data.manifest import read_manifest
from nearfield.sound import audio
from nearfield.sound.key import KEYS, chroma

PUBLISHED = {
    "Krumhansl and Kessler": (
        (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
        (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
    ),
    "Temperley": (
        (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400),
        (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330),
    ),
    "Albrecht and Shanahan": (
        (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
        (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
    ),
}


@dataclass(frozen=True)
class Heard:
    """(N, 12) pitch classes, (N,) numbers in KEYS, (N,) styles."""

    classes: np.ndarray
    keys: np.ndarray
    styles: np.ndarray

    def of(self, chosen: np.ndarray) -> Heard:
        return Heard(self.classes[chosen], self.keys[chosen], self.styles[chosen])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grooves", type=Path)
    parser.add_argument("--pieces", type=int, default=400)
    parser.add_argument("--band", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    manifest = read_manifest(options.grooves / "manifest.parquet")
    train = [t for t in manifest if t.split == "train"]
    drawn = [train[i] for i in rng.permutation(len(train))[: options.pieces]]
    grooves = heard([(manifest.locate(t), t.key, t.genre) for t in drawn])
    other = np.random.default_rng(options.seed + 101)
    factors = [draw_factors(other, 26.0) for _ in range(options.band)]
    band = heard([(f, f.key, f.style) for f in factors])

    fitted = fit(grooves)
    print(np.array2string(fitted, precision=3, separator=", "))
    for name, profiles in PUBLISHED.items():
        shown = standard(np.array(profiles))
        print(f"{name}: grooves {right(grooves, shown).mean():.3f}, band {right(band, shown).mean():.3f}")
    styles = np.unique(grooves.styles)
    half = np.isin(grooves.styles, styles[rng.random(styles.size) < 0.5])
    hits = np.concatenate([right(grooves.of(side), fit(grooves.of(~side))) for side in (half, ~half)])
    print(f"fitted: grooves {hits.mean():.3f} (styles left out), band {right(band, fitted).mean():.3f}")
    return 0


def heard(sources: list[tuple[Path | Factors, str, str]]) -> Heard:
    found = dict(pool.run(classes_of, [source for source, _, _ in sources], pool.cores()))
    return Heard(
        np.stack([found[source] for source, _, _ in sources]),
        np.array([KEYS.index(key) for _, key, _ in sources]),
        np.array([style for _, _, style in sources]),
    )


def classes_of(source: Path | Factors) -> np.ndarray:
    rate = audio.RATE_HZ
    found = chroma(render(source, rate) if isinstance(source, Factors) else audio.load(source, rate))
    assert found is not None
    return found[0]


def fit(pieces: Heard) -> np.ndarray:
    """(2, 12) mean of the pitch classes, of length 1, from each piece's tonic, major and minor."""
    turned = np.stack(
        [np.roll(c / np.linalg.norm(c), -(k % 12)) for c, k in zip(pieces.classes, pieces.keys, strict=True)]
    )
    return standard(np.stack([turned[pieces.keys // 12 == mode].mean(axis=0) for mode in (0, 1)]))


def right(pieces: Heard, profiles: np.ndarray) -> np.ndarray:
    """(N,) whether the profile that correlates best is that of the key."""
    all_keys = np.stack([np.roll(profile, tonic) for profile in profiles for tonic in range(12)])
    return np.asarray((standard(pieces.classes) @ all_keys.T).argmax(axis=1) == pieces.keys)


def standard(classes: np.ndarray) -> np.ndarray:
    centred = classes - classes.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=-1, keepdims=True))


if __name__ == "__main__":
    raise SystemExit(main())
