"""What organises a space: trainings side by side, on tracks they were not trained on.

    python studies/locality/judge.py GAMES_STORE GROOVES_STORE NAME=RUN[,RUN...] ... [--side held-out] [--section locality]

NAME=RUN,RUN names one variant by its runs with several seeds: a track's value is then the mean over them, and the range of
the runs' means is given too. The first variant is the one that all are compared with; the same encoder untrained stands
beside them. With --side held-out every space is judged three times: as the loss made it, the same with parts that weigh
alike (two tracks are on average as far apart in each), and with the maps that are exported; on validation tracks, by which
settings are chosen, the first two. Intervals are bootstrapped over tracks;
differences are paired by track. Writes a section of results/training.json.
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
from nearfield.train.watch import middles, slice_embedding, stretch_shifts, transpose_shifts, usable_tracks

RESULTS = REPO / "results" / "training.json"
LIBRARIES = ("nearfield", "numpy", "torch")
FRAMES = 300
BATCH = 128
STORES = ("games", "grooves")
MAPS = ("as trained", "parts alike", "exported")

Values = dict[str, np.ndarray]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in STORES:
        parser.add_argument(name, type=Path)
    parser.add_argument("variants", nargs="+", metavar="NAME=RUN[,RUN...]")
    parser.add_argument("--side", choices=["held-out", "validation"], default="held-out")
    parser.add_argument("--section", default="locality")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    runs = {name: folders.split(",") for name, _, folders in (v.partition("=") for v in options.variants)}
    loaded = {name: [load_checkpoint(Path(f) / "last.safetensors") for f in folders] for name, folders in runs.items()}
    first = next(iter(loaded.values()))[0]
    models = {"untrained": [fresh(first.embedder, options.seed)]}
    models |= {name: [run.embedder.eval() for run in found] for name, found in loaded.items()}
    settings = {"side": options.side, "commit of the runs": first.provenance["commit"]}
    settings |= {name: ", ".join(Path(f).name for f in folders) for name, folders in runs.items()}
    settings |= {f"{name}, seconds": found[0].provenance["seconds"] for name, found in loaded.items()}
    section = Section(options.section, options.seed, settings, LIBRARIES)
    for corpus in STORES:
        store = MelStore(getattr(options, corpus))
        split = split_tracks(store.tracks, first.provenance["train"]["validation_share"])
        side = split.held_out if options.side == "held-out" else split.validation
        numbers = usable_tracks(store, side, FRAMES)
        print(f"{corpus}: {len(numbers)} tracks, {options.side}")
        halves, sources = cut_halves(store, numbers), middles(store, numbers, FRAMES)
        for maps in MAPS if options.side == "held-out" else MAPS[:2]:
            found = {
                name: [judged(store, numbers, halves, sources, model, maps) for model in seeds]
                for name, seeds in models.items()
                if not (name == "untrained" and maps == "exported")
            }
            report(section, f"{corpus}, {maps}", found, next(iter(runs)), options.seed)
    section.write(RESULTS)
    return 0


def fresh(like: Embedder, seed: int) -> Embedder:
    torch.manual_seed(seed)
    return Embedder(like.config).eval()


def judged(
    store: MelStore, numbers: list[int], halves: np.ndarray, sources: np.ndarray, model: Embedder, maps: str
) -> Values:
    """One model with one of MAPS."""
    parts, embed = columns(model, maps), embedding(model, maps)
    if maps == "parts alike":
        embed = weighed(embed, embed_halves(halves, embed).mean(axis=1), parts)
    return measured(store, numbers, halves, sources, embed, parts)


def weighed(embed: SliceEmbedding, whole: np.ndarray, parts: dict[str, slice]) -> SliceEmbedding:
    """Each part scaled so that two tracks are on average as far apart in it as in the others; no label is looked at."""
    scale = np.ones(whole.shape[1], np.float32)
    for part in parts.values():
        cosines = unit(whole[:, part]) @ unit(whole[:, part]).T
        apart = 1 - cosines[~np.eye(len(whole), dtype=bool)].mean()
        scale[part] = 1 / np.sqrt(max(float(apart), 1e-9))
    return lambda log_mels: embed(log_mels) * scale


def embedding(model: Embedder, maps: str) -> SliceEmbedding:
    """Slices (S, M, T) -> (S, D): each part of unit length, mapped or as the encoder gives it."""
    if maps == "exported":
        return slice_embedding(model, bf16=False)
    encode = slice_embedding(model, whitened=False, bf16=False)
    ends = np.cumsum([part.given for part in model.config.encoder.parts])[:-1]
    return lambda log_mels: np.concatenate([unit(part) for part in np.split(encode(log_mels), ends, axis=1)], axis=1)


def columns(model: Embedder, maps: str) -> dict[str, slice]:
    """Of each part that is learned, in the order of the embedding; nothing where there is but one."""
    parts = model.config.encoder.learned_parts
    ends = np.cumsum([0, *(part.kept if maps == "exported" else part.given for part in parts)])
    found = {p.name: slice(int(a), int(b)) for p, a, b in zip(parts, ends[:-1], ends[1:], strict=True)}
    return found if len(found) > 1 else {}


def measured(
    store: MelStore,
    numbers: list[int],
    halves: np.ndarray,
    sources: np.ndarray,
    embed: SliceEmbedding,
    parts: dict[str, slice],
) -> Values:
    """Of each measure the value of each track; `parts` are the columns of each part of the embedding."""
    tracks = [store.tracks[n] for n in numbers]
    vectors = embed_halves(halves, embed)
    whole = vectors.mean(axis=1)
    values = {
        "same track, recall@1": half_recalls(vectors, 1),
        "same track, recall@1 within the package": half_recalls(vectors, 1, [t.package for t in tracks]),
        "a stretch by 1.25 moves": stretch_shifts(sources, lambda s: in_batches(s, embed), FRAMES),
        "2 semitones move": transpose_shifts(sources, lambda s: in_batches(s, embed), FRAMES, store.config),
    }
    if any(t.tempo_bpm for t in tracks):
        tempo = [t.tempo_bpm for t in tracks]
        for part, columns in parts.items():
            values[f"tempo locality of the {part} part"] = track_localities(whole[:, columns], tempo_distances(tempo))
            key = key_distances([t.key for t in tracks])
            values[f"key locality of the {part} part"] = track_localities(whole[:, columns], key)
        values["tempo locality"] = track_localities(whole, tempo_distances(tempo))
        values["tempo locality, octaves folded"] = track_localities(whole, tempo_distances(tempo, fold=True))
        values["key locality"] = track_localities(whole, key_distances([t.key for t in tracks]))
        values["style locality"] = track_localities(whole, label_distances([t.genre for t in tracks]))
        values["soundfont locality"] = track_localities(whole, label_distances([t.package for t in tracks]))
    return values


def in_batches(log_mels: np.ndarray, embed: SliceEmbedding) -> np.ndarray:
    return np.concatenate([embed(log_mels[i : i + BATCH]) for i in range(0, len(log_mels), BATCH)])


def report(section: Section, place: str, found: dict[str, list[Values]], base: str, seed: int) -> None:
    """A figure for each variant and measure, and for its difference from the first one."""
    for measure in found[base][0]:
        having = {name: seeds for name, seeds in found.items() if measure in seeds[0]}
        means = {name: np.mean([values[measure] for values in seeds], axis=0) for name, seeds in having.items()}
        for name, values in means.items():
            estimate(section, f"{place}: {measure}, {name}", values, seed)
            runs = [float(v[measure].mean()) for v in having[name]]
            if len(runs) > 1:
                mean, low, high = (round(v, 4) for v in (sum(runs) / len(runs), min(runs), max(runs)))
                section.add(Figure(f"{place}: {measure}, {name}, range of the seeds", mean, "", low, high, len(runs)))
        for name, values in means.items():
            if name not in ("untrained", base):
                estimate(section, f"{place}: {measure}, {name} - {base}", values - means[base], seed)


def estimate(section: Section, name: str, values: np.ndarray, seed: int) -> None:
    e = bootstrap_mean(values, np.random.default_rng(seed))
    section.add(Figure(name, round(e.value, 4), "", round(e.low, 4), round(e.high, 4), e.n))


if __name__ == "__main__":
    raise SystemExit(main())
