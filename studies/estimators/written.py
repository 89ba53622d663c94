"""Do grooves sound in the key of their label? The sound beside the notes that were written.

    python studies/estimators/written.py GROOVES [--seed 0]

For every piece of a held-out style: the pitch classes of the chords and melody that were written for it, in the labelled
key, are compared with those of the sound in all twelve transpositions; it sounds where it was written when the one that
correlates best is no transposition at all. And how often the written notes themselves have the labelled key for their best
profile: what a label can be worth to an estimator that hears pitch classes alone. Writes the section "written" of
results/estimators.json.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import Section
from measure import RESULTS, estimate
from tune import classes_of, standard

from nearfield import pool
from nearfield.data.grooves_factors import Piece, read_pieces
from nearfield.data.grooves_score import compose
from nearfield.data.split import HELD_OUT
from nearfield.sound.key import KEYS, templates

BASS = 1.0  # what a chord's root weighs beside being one of its notes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grooves", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pieces = [p for p in read_pieces(options.grooves / "pieces.parquet") if p.split == HELD_OUT]
    section = Section("written", options.seed, {"pieces": len(pieces)}, ("nearfield", "numpy"))
    paths = [options.grooves / p.path for p in pieces]
    sound = dict(pool.run(classes_of, paths, pool.cores()))
    notes = standard(np.stack([written(p) for p in pieces]))
    heard = standard(np.stack([sound[path] for path in paths]))
    moved = np.stack([(np.roll(notes, shift, axis=1) * heard).sum(axis=1) for shift in range(12)], axis=1)
    place = moved.argmax(axis=1)
    found = {
        "the sound lies where it was written": place == 0,
        "profiles of the written notes: key, exact": key_of(notes) == label(pieces),
        "profiles of the sound: key, exact": key_of(heard) == label(pieces),
        "the sound's key is that of the written notes": key_of(heard) == key_of(notes),
    }
    for name, values in found.items():
        estimate(section, f"held-out grooves: {name}", values, options.seed)
    off = Counter(f"{pieces[n].style} {pieces[n].key}, {place[n]} semitones up" for n in np.flatnonzero(place))
    section.note(f"elsewhere than written: {', '.join(off) or 'none'}")
    section.write(RESULTS)
    return 0


def written(piece: Piece) -> np.ndarray:
    """(12,) how long each pitch class is written: chords, their roots once more for the bass, the melody if one plays."""
    classes = np.zeros(12)
    for bar in compose(piece):
        for chord in bar.chords:
            classes[list(chord.pitch_classes)] += 1 / len(bar.chords)
            classes[chord.root] += BASS / len(bar.chords)
        for note in bar.tune if piece.lead != "nobody" else ():
            classes[note.pitch % 12] += note.length
    return classes


def label(pieces: list[Piece]) -> np.ndarray:
    return np.array([KEYS.index(p.key) for p in pieces])


def key_of(classes: np.ndarray) -> np.ndarray:
    """(N,) number in KEYS of the profile that correlates best with (N, 12) standardised pitch classes."""
    return np.asarray((classes @ templates().T).argmax(axis=1))


if __name__ == "__main__":
    raise SystemExit(main())
