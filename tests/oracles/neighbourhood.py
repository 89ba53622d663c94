"""Neighbour statistics read off their definitions, one track and one pair at a time."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

Matrix = np.ndarray


def slow_nearest(vectors: Matrix, allowed: list[list[int]], k: int) -> list[list[int]]:
    """Of each track the k allowed others of highest cosine, ties to the lower number."""
    points = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    return [
        sorted(them, key=lambda j: (-round(float(points[i] @ points[j]), 7), j))[:k] for i, them in enumerate(allowed)
    ]


def slow_parts(distances: Matrix, nearest: list[list[int]], allowed: list[list[int]], k: int) -> dict[str, Matrix]:
    """Seen, chance and best of each track that has more than k others; and the numbers of those tracks."""
    asked = [i for i, them in enumerate(allowed) if len(them) > k]
    return {
        "asked": np.array(asked, int),
        "seen": np.array([np.mean([distances[i, j] for j in nearest[i]]) for i in asked]),
        "chance": np.array([np.mean([distances[i, j] for j in allowed[i]]) for i in asked]),
        "best": np.array([np.mean(sorted(distances[i, j] for j in allowed[i])[:k]) for i in asked]),
    }


def slow_index(parts: dict[str, Matrix]) -> float:
    return float((parts["chance"].mean() - parts["seen"].mean()) / (parts["chance"].mean() - parts["best"].mean()))


def slow_variance(distances: Matrix, nearest: list[list[int]], allowed: list[list[int]], k: int) -> float:
    """Of the index, nobody left out by groups and all asked: tracks' squares less pairs' squares, loop by loop."""
    parts, n = slow_parts(distances, nearest, allowed, k), len(allowed)
    index, span = slow_index(parts), float(parts["chance"].mean() - parts["best"].mean())
    chance, best = parts["chance"], parts["best"]
    hope = [c - index * (c - b) for c, b in zip(chance, best, strict=True)]
    pull = [sum((distances[i, t] - chance[i]) / (n - 1) for i in range(n) if i != t) for t in range(n)]
    tracks = np.array([(1 - index) * chance[t] - parts["seen"][t] + index * best[t] for t in range(n)])
    for i in range(n):
        kth = sorted(distances[i, j] for j in allowed[i])[k - 1]
        for t in nearest[i]:
            tracks[t] += (hope[i] - distances[i, t]) / k
        for t in range(n):
            below = min(distances[i, t] - kth, 0) / k if t != i else 0
            tracks[t] += index * (below - (best[i] - kth) / n)
    tracks += [(1 - index) * p for p in pull]
    pairs: dict[frozenset[int], float] = defaultdict(float)
    edges: dict[frozenset[int], int] = defaultdict(int)
    for i in range(n):
        for t in nearest[i]:
            pairs[frozenset((i, t))] += (hope[i] + (1 - index) * pull[t] - distances[i, t]) / k
            edges[frozenset((i, t))] += 1
    share = k / (n - 1)
    every = [edges[frozenset((i, j))] for i in range(n) for j in range(i)]
    left = sum((e - 2 * share) ** 2 for e in every) / sum(e**2 for e in every)
    alone = left * sum(p**2 for p in pairs.values())
    answers = (1 - share) * sum(((1 - index) * pull[t] / k) ** 2 for i in range(n) for t in nearest[i])
    return max(float((tracks**2).sum()) - alone - answers, alone) / (n * span) ** 2
