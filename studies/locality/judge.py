"""What organises a space: the training without pair augmentation beside the one with time-stretching, on held-out tracks.

    python studies/locality/judge.py GAMES_STORE GROOVES_STORE PLAIN_RUN STRETCH_RUN [--seed 0]

Every space is judged twice: as the loss made it, and with the maps that are exported. Intervals are bootstrapped over
tracks; differences are paired by track. Writes the section "locality" of results/training.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import REPO, Figure, Section

from nearfield.data.melstore import MelStore
from nearfield.data.split import split_tracks
from nearfield.model.checkpoint import load_checkpoint
from nearfield.model.embedder import Embedder
from nearfield.study.halves import SliceEmbedding, cut_halves, embed_halves, half_recalls
from nearfield.study.locality import key_distances, label_distances, tempo_distances, track_localities
from nearfield.study.metrics import bootstrap_mean, unit
from nearfield.train.watch import middles, slice_embedding, stretch_shifts, usable_tracks

RESULTS = REPO / "results" / "training.json"
LIBRARIES = ("nearfield", "numpy", "torch")
FRAMES = 300
BATCH = 128

Values = dict[str, np.ndarray]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("games", "grooves", "plain", "stretch"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    runs = {name: load_checkpoint(getattr(options, name) / "last.safetensors") for name in ("plain", "stretch")}
    models = {"untrained": fresh(runs["plain"].embedder, options.seed)}
    models |= {name: run.embedder.eval() for name, run in runs.items()}
    first = runs["plain"].provenance
    settings = {"plain": str(options.plain), "stretch": str(options.stretch), "commit of the runs": first["commit"]}
    settings |= {f"{name}, seconds": run.provenance["seconds"] for name, run in runs.items()}
    section = Section("locality", options.seed, settings, LIBRARIES)
    for corpus in ("games", "grooves"):
        store = MelStore(getattr(options, corpus))
        numbers = usable_tracks(store, split_tracks(store.tracks).held_out, FRAMES)
        print(f"{corpus}: {len(numbers)} held-out tracks")
        halves, sources = cut_halves(store, numbers), middles(store, numbers, FRAMES)
        for maps in ("as trained", "exported"):
            found = {
                name: measured(store, numbers, halves, sources, embedding(model, maps))
                for name, model in models.items()
                if not (name == "untrained" and maps == "exported")
            }
            report(section, f"{corpus}, {maps}", found, options.seed)
    section.write(RESULTS)
    return 0


def fresh(like: Embedder, seed: int) -> Embedder:
    torch.manual_seed(seed)
    return Embedder(like.config).eval()


def embedding(model: Embedder, maps: str) -> SliceEmbedding:
    """Slices (S, M, T) -> (S, D): each part of unit length, mapped or as the encoder gives it."""
    if maps == "exported":
        return slice_embedding(model, bf16=False)
    encode = slice_embedding(model, whitened=False, bf16=False)
    ends = np.cumsum([part.given for part in model.config.encoder.parts])[:-1]
    return lambda log_mels: np.concatenate([unit(part) for part in np.split(encode(log_mels), ends, axis=1)], axis=1)


def measured(
    store: MelStore, numbers: list[int], halves: np.ndarray, sources: np.ndarray, embed: SliceEmbedding
) -> Values:
    """Of each measure the value of each track."""
    tracks = [store.tracks[n] for n in numbers]
    vectors = embed_halves(halves, embed)
    whole = vectors.mean(axis=1)
    values = {
        "same track, recall@1": half_recalls(vectors, 1),
        "same track, recall@1 within the package": half_recalls(vectors, 1, [t.package for t in tracks]),
        "a stretch by 1.25 moves": stretch_shifts(sources, lambda s: in_batches(s, embed), FRAMES),
    }
    if any(t.tempo_bpm for t in tracks):
        tempo = [t.tempo_bpm for t in tracks]
        values["tempo locality"] = track_localities(whole, tempo_distances(tempo))
        values["tempo locality, octaves folded"] = track_localities(whole, tempo_distances(tempo, fold=True))
        values["key locality"] = track_localities(whole, key_distances([t.key for t in tracks]))
        values["style locality"] = track_localities(whole, label_distances([t.genre for t in tracks]))
        values["soundfont locality"] = track_localities(whole, label_distances([t.package for t in tracks]))
    return values


def in_batches(log_mels: np.ndarray, embed: SliceEmbedding) -> np.ndarray:
    return np.concatenate([embed(log_mels[i : i + BATCH]) for i in range(0, len(log_mels), BATCH)])


def report(section: Section, place: str, found: dict[str, Values], seed: int) -> None:
    """A figure for each model and measure, and for the difference that stretching makes."""
    for measure in found["plain"]:
        for name, values in found.items():
            estimate(section, f"{place}: {measure}, {name}", values[measure], seed)
        change = found["stretch"][measure] - found["plain"][measure]
        estimate(section, f"{place}: {measure}, stretch - plain", change, seed)


def estimate(section: Section, name: str, values: np.ndarray, seed: int) -> None:
    e = bootstrap_mean(values, np.random.default_rng(seed))
    section.add(Figure(name, round(e.value, 4), "", round(e.low, 4), round(e.high, 4), e.n))


if __name__ == "__main__":
    raise SystemExit(main())
