"""Same-track retrieval on held-out tracks: the trained model beside an untrained one and two hand-made embeddings.

    python studies/first/halves.py GAMES_STORE [--model MODEL.onnx] [--seed 0]

Each held-out track is cut into halves, of each 8 evenly spaced slices; every method sees the same slices. A half asks for
its other half among all other halves, then among those of the same package only; then once more each slice by itself asks
for the slice at its place in the other half, which leaves more room to differ. Intervals are bootstrapped over tracks;
the differences are paired by track. Writes the section "halves" of results/river.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import write_section

from nearfield import load_model
from nearfield.data.melstore import MelStore
from nearfield.data.split import split_tracks
from nearfield.model.embedder import Embedder, EmbedderConfig
from nearfield.study.halves import cut_halves, embed_halves, half_recalls, pooled_halves
from nearfield.study.handmade import mean_log_mel, mfcc_statistics, standardised
from nearfield.study.metrics import Vectors, bootstrap_mean
from nearfield.train.watch import slice_embedding
from nearfield.train.whiten import fit_whitening

GOAL = "at recall@1, among all and within the package, the trained model beats all three with intervals apart"
TRAINED = "trained"
Method = Callable[[np.ndarray], Vectors]
MUST_BEAT = ("untrained, same encoder", "MFCC mean and deviation", "mean log-mel", "mean log-mel, standardised")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--model", default=None)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    store = MelStore(options.store)
    sides = split_tracks(store.tracks)
    numbers = [n for n in sides.held_out if store.entries[n].frames >= 600]
    packages = [store.tracks[n].package for n in numbers]
    halves = cut_halves(store, numbers)
    methods = embeddings(store, sides.train, options.model, options.seed)
    spaces = {name: method(halves) for name, method in methods.items()}
    alone = {name: [method(halves[:, :, [n]]) for n in range(halves.shape[2])] for name, method in methods.items()}
    content = judged(spaces, alone, packages, options.seed)
    content |= {"seed": options.seed, "n_tracks": len(numbers), "goal": GOAL}
    write_section("halves", content)
    for row in content["rows"]:
        print(f"{row['method']:40s} {named(row)} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
    for row in content["paired"]:
        difference = (
            f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}] {'apart' if row['apart'] else ''}"
        )
        print(f"{row['method']} - {row['against']:40s} {named(row)} {difference}")
    print("goal met" if content["met"] else "goal missed")
    return 0


def named(row: Mapping[str, object]) -> str:
    return f"{row['candidates']:13s} {row['metric']:10s}"


def embeddings(store: MelStore, train: Sequence[int], model: str | None, seed: int) -> dict[str, Method]:
    """The methods by name, each (N, 2, S, M, T) halves -> (N, 2, D) vectors."""
    plain, whitened = fresh(seed), fresh(seed)
    fit_whitening(whitened, slice_embedding(whitened, whitened=False, bf16=False), [(store, train)])
    trained = load_model(model).embed_slices
    return {
        TRAINED: lambda h: embed_halves(h, trained),
        "untrained, same encoder": lambda h: embed_halves(h, slice_embedding(plain, bf16=False)),
        "MFCC mean and deviation": lambda h: standardised(pooled_halves(h, mfcc_statistics)),
        "mean log-mel": lambda h: pooled_halves(h, mean_log_mel),
        "mean log-mel, standardised": lambda h: standardised(pooled_halves(h, mean_log_mel)),
        "untrained, whitened on training tracks": lambda h: embed_halves(h, slice_embedding(whitened, bf16=False)),
    }


def fresh(seed: int) -> Embedder:
    torch.manual_seed(seed)
    return Embedder(EmbedderConfig()).eval()


def judged(
    spaces: Mapping[str, Vectors], alone: Mapping[str, list[Vectors]], packages: list[str], seed: int
) -> dict[str, object]:
    """Rows with intervals, paired differences, and whether the goal is met."""
    recalls: dict[tuple[str, str, str], np.ndarray] = {}
    for method, vectors in spaces.items():
        for candidates, groups in (("all", None), ("same package", packages)):
            for k in (1, 10):
                recalls[method, candidates, f"recall@{k}"] = half_recalls(vectors, k, groups)
            single = [half_recalls(v, 1, groups) for v in alone[method]]
            recalls[method, candidates, "recall@1 of single slices"] = np.mean(single, axis=0)
    names = ("method", "candidates", "metric")
    rows = [
        dict(zip(names, key, strict=True)) | bootstrap_mean(each, np.random.default_rng(seed)).as_dict()
        for key, each in recalls.items()
    ]
    paired = []
    for (method, candidates, metric), each in recalls.items():
        if method != TRAINED:
            gain = bootstrap_mean(recalls[TRAINED, candidates, metric] - each, np.random.default_rng(seed)).as_dict()
            gain["difference"] = gain.pop("value")
            paired.append({"method": TRAINED, "against": method, "candidates": candidates, "metric": metric} | gain)
    found = {(r["method"], r["candidates"], r["metric"]): r for r in rows}
    for row in paired:
        ours, theirs = (found[m, row["candidates"], row["metric"]] for m in (TRAINED, row["against"]))
        row["apart"] = ours["low"] > theirs["high"]
    met = all(r["apart"] for r in paired if r["metric"] == "recall@1" and r["against"] in MUST_BEAT)
    return {"rows": rows, "paired": paired, "met": met}


if __name__ == "__main__":
    raise SystemExit(main())
