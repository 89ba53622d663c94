"""Styles of the grooves corpus that do not sound in the tempo of their label.

    python studies/estimators/styles.py GROOVES_STORE

Tempo of every piece from its stored log-mels. At 85 to 170 BPM the estimator's preference for 120 BPM keeps the labelled
octave unless the arrangement itself moves at another level: a style that leaves it in most pieces feels like half or double
time. Writes the section "styles" of results/estimators.json.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import Figure, Section
from measure import ACCURACY_2, RESULTS, right

from nearfield.data.melstore import MelStore
from nearfield.sound.tempo import estimate_tempo
from nearfield.study.metrics import bootstrap_mean

BETWEEN_BPM = (85.0, 170.0)
LEAST_PIECES = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    store = MelStore(parser.parse_args().store)
    section = Section("styles", 0, {"pieces": len(store.tracks)}, ("nearfield", "numpy"))
    ratios = np.array([ratio(store, n) for n in range(len(store.tracks))])
    hits = right(ratios.tolist(), ACCURACY_2)
    e = bootstrap_mean(hits, np.random.default_rng(0))
    name = "all grooves: tempo, Accuracy2"
    section.add(Figure(name, round(e.value, 4), "", round(e.low, 4), round(e.high, 4), e.n))
    wrong = [n for n in range(len(hits)) if not hits[n]]
    listed = Counter(f"{store.tracks[n].genre} (x {ratios[n]:.2f})" for n in wrong)
    section.note(f"wrong beyond octaves and thirds: {', '.join(f'{what} {n}' for what, n in listed.items()) or 'none'}")
    levels = defaultdict(list)
    for track, times in zip(store.tracks, ratios, strict=True):
        if BETWEEN_BPM[0] <= (track.tempo_bpm or 0) <= BETWEEN_BPM[1]:
            levels[track.genre].append(round(float(times), 1))
    seen = {style: times for style, times in levels.items() if len(times) >= LEAST_PIECES}
    moved = {style: sum(t != 1.0 for t in times) for style, times in seen.items()}
    most = [s for s, n in moved.items() if n > len(seen[s]) / 2]
    section.add(Figure("styles with 3 pieces or more at 85 to 170 BPM", len(seen), ""))
    section.add(Figure("of these, heard at another level in most pieces", len(most), "styles"))
    for factor in (0.5, 2.0, 0.3, 3.0):
        named = [
            f"{s} {seen[s].count(factor)} of {len(seen[s])}" for s in most if seen[s].count(factor) > len(seen[s]) / 2
        ]
        if named:
            section.note(f"heard at {factor:g} times the label in most pieces: {', '.join(sorted(named))}")
    section.write(RESULTS)
    return 0


def ratio(store: MelStore, number: int) -> float:
    found = estimate_tempo(np.asarray(store.frames(number), np.float32).T)
    return (found.tempo_bpm or float("inf")) / (store.tracks[number].tempo_bpm or float("nan"))


if __name__ == "__main__":
    raise SystemExit(main())
