"""Exact neighbours of all tracks: time beside the bare matrix products, and the peak memory of the whole process.

    python bench/all_pairs.py 20000 [--dimensions 512] [--k 100] [--rounds 3]

Each run is a process of its own. Bare: the same products in the same blocks, and nothing done with them. Turns are taken;
ratios are of neighbouring turns. Writes the section "all_pairs" of results/audit_speed.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
from common import REPO, Section, figure, watched

from nearfield.search import all_pairs

RESULTS = REPO / "results" / "audit_speed.json"
SEED, RATIO, MEMORY_MB = 0, 1.5, 2000


def main() -> None:
    asked = arguments()
    if asked.run:
        return run(asked.run, asked.tracks, asked.dimensions, asked.k)
    settings = {"tracks": asked.tracks, "dimensions": asked.dimensions, "K": asked.k}
    section = Section("all_pairs", SEED, settings, ("nearfield", "numpy", "scipy"))
    times: dict[str, list[float]] = {"bare": [], "neighbours": []}
    peaks = []
    for _ in range(asked.rounds):
        for name, seconds in times.items():
            words = [asked.tracks, "--dimensions", asked.dimensions, "--k", asked.k, "--run", name]
            done = watched([sys.executable, __file__, *map(str, words)])
            if done.code:
                sys.exit(f"{name} left with {done.code}")
            seconds.append(json.loads(done.stdout)["seconds"])
            if name == "neighbours":
                peaks.append(done.largest_rss_mb)
    ratios = [ours / bare for ours, bare in zip(times["neighbours"], times["bare"], strict=True)]
    section.add(
        figure("bare matrix products", "s", times["bare"]),
        figure("neighbours of all", "s", times["neighbours"]),
        figure("neighbours of all, over the bare products", "times", ratios, at_most=RATIO),
        figure("peak memory of the process", "MB", peaks, at_most=MEMORY_MB),
    )
    section.write(RESULTS)
    return None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Neighbours of all tracks: time and memory.")
    parser.add_argument("tracks", type=int, help="how many vectors")
    parser.add_argument("--dimensions", type=int, default=512, help="of each (512)")
    parser.add_argument("--k", type=int, default=100, help="neighbours of each (100)")
    parser.add_argument("--rounds", type=int, default=3, help="turns (3)")
    parser.add_argument("--run", choices=("bare", "neighbours"), help=argparse.SUPPRESS)
    return parser.parse_args()


def run(what: str, n: int, d: int, k: int) -> None:
    """One measurement in this process, its seconds printed."""
    vectors = np.random.default_rng(SEED).standard_normal((n, d), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    begun = time.perf_counter()
    if what == "neighbours":
        all_pairs.nearest_of_all(vectors, k)
    else:
        bare(vectors)
    print(json.dumps({"seconds": time.perf_counter() - begun}))


def bare(vectors: np.ndarray) -> None:
    for first in range(0, len(vectors), all_pairs.QUERY_BLOCK):
        for second in range(0, len(vectors), all_pairs.VECTOR_BLOCK):
            vectors[first : first + all_pairs.QUERY_BLOCK] @ vectors[second : second + all_pairs.VECTOR_BLOCK].T


if __name__ == "__main__":
    main()
