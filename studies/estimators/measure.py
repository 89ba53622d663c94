"""How often the estimators of tempo and key are right: on the band, on grooves of held-out styles, on StepMania songs.

    python studies/estimators/measure.py GROOVES STEPMANIA [--band 150] [--seed 1000] [--librosa]

GROOVES is the folder of the grooves corpus, STEPMANIA a folder with labels.csv (file, bpm) and its sound files. Every
track counts, whatever the confidence. Intervals are bootstrapped over tracks. On grooves this is also the check that a
piece sounds in the tempo and key of its label. Writes the section "estimators" of results/estimators.json; with
`--librosa` instead the section "librosa": librosa.feature.tempo beside ours on the same files, paired.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mir_eval.key
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import REPO, Figure, Section

from nearfield import pool
from nearfield.data.band import Factors, draw_factors, render
from nearfield.data.grooves_styles import groove_styles
from nearfield.data.manifest import read_manifest
from nearfield.data.split import HELD_OUT
from nearfield.sound import audio
from nearfield.sound.key import TONICS, estimate_key
from nearfield.sound.mel import log_mel
from nearfield.sound.tempo import estimate_tempo
from nearfield.study.estimate import estimate_file
from nearfield.study.metrics import bootstrap_mean

RESULTS = REPO / "results" / "estimators.json"
WITHIN = float(np.log2(1.04))
OCTAVES = (1.0, 2.0, 1 / 2)
ACCURACY_2 = (*OCTAVES, 3.0, 1 / 3)
AND_3_TO_2 = (*ACCURACY_2, 3 / 2, 2 / 3, 4 / 3, 3 / 4)
BAND_S = 26.0
LIBROSA_HZ = 22_050
LIBROSA_GROOVES = 40  # the first ones: it is slow


@dataclass(frozen=True)
class Known:
    """A sound and what is known of it; `kind` is its style."""

    source: Path | Factors
    tempo_bpm: float
    key: str = ""
    kind: str = ""

    def samples(self, rate_hz: int) -> np.ndarray:
        return render(self.source, rate_hz) if isinstance(self.source, Factors) else audio.load(self.source, rate_hz)


@dataclass(frozen=True)
class Found:
    known: Known
    tempo_bpm: float
    key: str
    confidences: tuple[float, float]  # of tempo and key


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grooves", type=Path)
    parser.add_argument("stepmania", type=Path)
    parser.add_argument("--band", type=int, default=150, help="pieces of the band")
    parser.add_argument("--seed", type=int, default=1000, help="of the band and the intervals; 101 chose the settings")
    parser.add_argument("--librosa", action="store_true")
    options = parser.parse_args()
    sets = {
        "band": [] if options.librosa else list(band(options.band, options.seed)),
        "held-out grooves": grooves(options.grooves),
        "StepMania": stepmania(options.stepmania),
    }
    settings = {"band": options.band, "tempo agrees": "within 4 %", "longest": "the middle 60 s"}
    (beside_librosa if options.librosa else ours)(sets, settings, options.seed)
    return 0


def band(pieces: int, seed: int) -> Iterator[Known]:
    rng = np.random.default_rng(seed)
    for _ in range(pieces):
        factors = draw_factors(rng, BAND_S)
        yield Known(factors, factors.tempo_bpm, factors.key, factors.style)


def grooves(folder: Path) -> list[Known]:
    manifest = read_manifest(folder / "manifest.parquet")
    held_out = [t for t in manifest if t.split == HELD_OUT]
    return [_file(manifest.locate(t), t.tempo_bpm or 0, t.key, t.genre) for t in held_out]


def stepmania(folder: Path) -> list[Known]:
    with open(folder / "labels.csv", encoding="utf-8", newline="") as file:
        return [_file(folder / row["file"], float(row["bpm"])) for row in csv.DictReader(file)]


def _file(path: Path, tempo_bpm: float, key: str = "", kind: str = "") -> Known:
    return Known(path, tempo_bpm, key, kind)


def ours(sets: dict[str, list[Known]], settings: dict[str, str | float], seed: int) -> None:
    section = Section("estimators", seed, settings, ("nearfield", "numpy", "scipy", "mir_eval"))
    for name, tracks in sets.items():
        found = all_found(tracks)
        tempo_figures(section, name, [ratio(f) for f in found], seed)
        least = np.quantile([f.confidences for f in found], (0, 0.05, 0.5), axis=0).round(2).T.tolist()
        section.note(f"{name}: least, 5 % and median confidence: tempo {least[0]}, key {least[1]}")
        if name != "StepMania":
            key_figures(section, name, found, seed)
            notes(section, name, found)
    speed(section, [k.source for k in sets["held-out grooves"][:30]])
    section.note(
        "mir_eval.key.weighted_score: 1 the same key, 0.5 an estimate a fifth above in the same mode (a fifth below "
        "counts 0), 0.3 the relative, 0.2 the parallel key, 0 otherwise."
    )
    section.write(RESULTS)


def _found(known: Known) -> Found:
    samples = known.samples(audio.RATE_HZ)
    tempo, key = estimate_tempo(log_mel(samples)), estimate_key(samples)
    return Found(known, tempo.tempo_bpm or float("nan"), key.key, (tempo.confidence, key.confidence))


def all_found(tracks: list[Known]) -> list[Found]:
    answers = dict(pool.run(_found, tracks, pool.cores()))
    return [answers[known] for known in tracks]


def ratio(found: Found) -> float:
    """Estimate over label; infinite where there is no estimate."""
    return found.tempo_bpm / found.known.tempo_bpm if found.tempo_bpm > 0 else float("inf")


def right(ratios: Sequence[float], factors: Sequence[float]) -> np.ndarray:
    """(n,) whether each ratio is within 4 % of one of the factors."""
    apart = np.abs(np.log2(np.asarray(ratios)[:, None]) - np.log2(factors))
    return np.asarray(apart.min(axis=1) <= WITHIN)


def tempo_figures(section: Section, name: str, ratios: list[float], seed: int) -> None:
    estimate(section, f"{name}: tempo, Accuracy1", right(ratios, (1.0,)), seed)
    estimate(section, f"{name}: tempo, octaves folded", right(ratios, OCTAVES), seed)
    estimate(section, f"{name}: tempo, Accuracy2", right(ratios, ACCURACY_2), seed)
    estimate(section, f"{name}: tempo, 3:2 and 4:3 folded too", right(ratios, AND_3_TO_2), seed)


def key_figures(section: Section, name: str, found: list[Found], seed: int) -> None:
    same = np.array([f.key == f.known.key for f in found])
    score = np.array([mir_eval.key.weighted_score(f.known.key, f.key) if f.key else 0.0 for f in found])
    estimate(section, f"{name}: key, exact", same, seed)
    estimate(section, f"{name}: key, MIREX weighted", score, seed)
    both = same & right([ratio(f) for f in found], ACCURACY_2)
    estimate(section, f"{name}: key exact and tempo Accuracy2", both, seed)


def notes(section: Section, name: str, found: list[Found]) -> None:
    """What goes wrong, and where: tempo by factor and style, key by interval."""
    wrong = [f for f, ok in zip(found, right([ratio(f) for f in found], ACCURACY_2), strict=True) if not ok]
    listed = ", ".join(f"{f.known.kind} {f.known.tempo_bpm:.0f} heard as {f.tempo_bpm:.0f}" for f in wrong)
    section.note(f"{name}: tempo wrong beyond octaves and thirds: {listed or 'none'}")
    moved = Counter(interval(f) for f in found if f.key != f.known.key)
    section.note(f"{name}: keys heard otherwise: {', '.join(f'{what} {n}' for what, n in moved.most_common(8))}")
    if name == "band":
        return
    octave = defaultdict(list)
    for f in found:
        if 85 <= f.known.tempo_bpm <= 170:  # where the preference for 120 BPM alone would leave the octave
            octave[f.known.kind].append(bool(right([ratio(f)], (1.0,))[0]))
    off = [f"{kind} {hits.count(False)} of {len(hits)}" for kind, hits in octave.items() if hits.count(False) > 1]
    section.note(f"{name}: styles heard at another level than labelled, at 85 to 170 BPM: {', '.join(off) or 'none'}")
    family = defaultdict(list)
    for f in found:
        family[groove_styles()[f.known.kind].harmony].append(f.key == f.known.key)
    shares = (f"{kind} {np.mean(hits):.2f} of {len(hits)}" for kind, hits in sorted(family.items()))
    section.note(f"{name}: key exact by harmony: {', '.join(shares)}")


def interval(found: Found) -> str:
    (tonic, mode), (heard, heard_mode) = found.known.key.split(), (found.key or "C none").split()
    semitones = (TONICS.index(heard) - TONICS.index(tonic)) % 12
    return f"{mode} as {heard_mode} {semitones} semitones up"


def speed(section: Section, paths: list[Path]) -> None:
    begun = time.process_time()
    for path in paths:
        estimate_file(path)
    spent = time.process_time() - begun
    section.add(Figure("files of 26 s, read and estimated", round(len(paths) / spent, 2), "files/s per core", n=1))


def beside_librosa(sets: dict[str, list[Known]], settings: dict[str, str | float], seed: int) -> None:
    section = Section("librosa", seed, settings, ("nearfield", "numpy", "librosa"))
    for name, most in (("StepMania", None), ("held-out grooves", LIBROSA_GROOVES)):
        found = all_found(sets[name][:most])
        answers = dict(pool.run(_by_librosa, sets[name][:most], pool.cores()))
        theirs = [answers[known] / known.tempo_bpm for known in sets[name][:most]]
        for measure, factors in (("Accuracy1", (1.0,)), ("octaves folded", OCTAVES), ("Accuracy2", ACCURACY_2)):
            one, other = right([ratio(f) for f in found], factors), right(theirs, factors)
            estimate(section, f"{name}: tempo, {measure}, librosa.feature.tempo", other, seed)
            estimate(section, f"{name}: tempo, {measure}, ours - librosa", one.astype(float) - other, seed)
        section.write(RESULTS)


def _by_librosa(known: Known) -> float:
    import librosa

    return float(librosa.feature.tempo(y=known.samples(LIBROSA_HZ), sr=LIBROSA_HZ)[0])


def estimate(section: Section, name: str, values: np.ndarray, seed: int) -> None:
    e = bootstrap_mean(values, np.random.default_rng(seed))
    section.add(Figure(name, round(e.value, 4), "", round(e.low, 4), round(e.high, 4), e.n))


if __name__ == "__main__":
    raise SystemExit(main())
