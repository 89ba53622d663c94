"""What organises a space: trainings side by side, on tracks they were not trained on.

    python studies/locality/judge.py GAMES_STORE GROOVES_STORE NAME=RUN[,RUN...] ... [--side held-out] [--section locality]

NAME=RUN,RUN names one variant by its runs with several seeds: a track's value is then the mean over them, and the range of
the runs' means is given too. The first variant is the one that all are compared with; the same encoder untrained stands
beside them. With --side held-out every space is judged three times: as the loss made it, the same with parts that weigh
alike (two tracks are on average as far apart in each), and with the maps that are exported; on validation tracks, by which
settings are chosen, the first two. Intervals of localities are dyadic (study/neighbourhood), the others are bootstrapped over
tracks; of several seeds they are the mean of each one's. Differences are paired by track, and by seed. Writes a section of
results/training.json.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import REPO, Figure, Section
from measures import Local, Measure, PerTrack, over_seeds

from nearfield.data.melstore import MelStore
from nearfield.data.split import split_tracks
from nearfield.model.checkpoint import load_checkpoint
from nearfield.model.embedder import Embedder
from nearfield.study.halves import SliceEmbedding, cut_halves, embed_halves, half_recalls
from nearfield.study.metrics import Estimate, unit
from nearfield.study.properties import properties_of
from nearfield.train.watch import middles, slice_embedding, stretch_shifts, transpose_shifts, usable_tracks

RESULTS = REPO / "results" / "training.json"
LIBRARIES = ("nearfield", "numpy", "torch")
FRAMES = 300
BATCH = 128
STORES = ("games", "grooves")
MAPS = ("as trained", "parts alike", "exported")

# of grooves: the genre is the style, the package the soundfont
LABELS = {
    "tempo": "tempo",
    "tempo, octaves folded": "tempo_folded",
    "key": "key_signature",
    "style": "genre",
    "soundfont": "package",
}
Measures = dict[str, Measure]


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
) -> Measures:
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
) -> Measures:
    """Everything of one space; `parts` are the columns of each part of the embedding."""
    tracks = [store.tracks[n] for n in numbers]
    vectors = embed_halves(halves, embed)
    whole = vectors.mean(axis=1)
    found: Measures = {
        "same track, recall@1": PerTrack(half_recalls(vectors, 1)),
        "same track, recall@1 within the package": PerTrack(half_recalls(vectors, 1, [t.package for t in tracks])),
        "a stretch by 1.25 moves": PerTrack(stretch_shifts(sources, lambda s: in_batches(s, embed), FRAMES)),
        "2 semitones move": PerTrack(transpose_shifts(sources, lambda s: in_batches(s, embed), FRAMES, store.config)),
    }
    if any(t.tempo_bpm for t in tracks):
        for name, prop in zip(LABELS, properties_of(tracks, None, tuple(LABELS.values())), strict=True):
            found[f"{name} locality"] = Local(whole, prop)
            for part, columns in parts.items() if name in ("tempo", "key") else ():
                found[f"{name} locality of the {part} part"] = Local(whole[:, columns], prop)
    return found


def in_batches(log_mels: np.ndarray, embed: SliceEmbedding) -> np.ndarray:
    return np.concatenate([embed(log_mels[i : i + BATCH]) for i in range(0, len(log_mels), BATCH)])


def report(section: Section, place: str, found: dict[str, list[Measures]], base: str, seed: int) -> None:
    """A figure for each variant and measure, and for its difference from the first one."""
    for measure in found[base][0]:
        having = {name: [run[measure] for run in runs] for name, runs in found.items() if measure in runs[0]}
        for name, runs in having.items():
            each = [run.estimate(seed) for run in runs]
            add(section, f"{place}: {measure}, {name}", over_seeds(each))
            if len(each) > 1:
                values = [e.value for e in each]
                spread = Estimate(sum(values) / len(values), min(values), max(values), len(values))
                add(section, f"{place}: {measure}, {name}, range of the seeds", spread)
        for name, runs in having.items():
            if name not in ("untrained", base):
                pairs = zip(runs, itertools.cycle(having[base]), strict=False)
                changes = [run.minus(other, seed) for run, other in pairs]  # type: ignore[arg-type]
                add(section, f"{place}: {measure}, {name} - {base}", over_seeds(changes))


def add(section: Section, name: str, e: Estimate) -> None:
    section.add(Figure(name, round(e.value, 4), "", round(e.low, 4), round(e.high, 4), e.n))


if __name__ == "__main__":
    raise SystemExit(main())
