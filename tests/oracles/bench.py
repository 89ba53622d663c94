"""Figures of benchmarks read off their definitions, one query and one place at a time."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np

Matrix = np.ndarray


def slow_order(vectors: Matrix, query: int, allowed: list[int]) -> list[int]:
    """The allowed others by falling cosine, ties to the lower number; a zero vector is at cosine 0 from all."""

    def cosine(j: int) -> float:
        a, b = vectors[query].astype(float), vectors[j].astype(float)
        length = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
        return round(float(a @ b) / length, 9) if length > 0 else 0.0

    return sorted(allowed, key=lambda j: (-cosine(j), j))


def slow_retrieval(gains: list[float], sizes: tuple[int, ...]) -> dict[str, float]:
    """Of the gains of a query's candidates in ranked order, one of them above 0."""
    relevant = sum(g > 0 for g in gains)
    hits = [place for place, gain in enumerate(gains, 1) if gain > 0]

    def dcg(order: list[float], k: int) -> float:
        return sum(gain / math.log2(1 + place) for place, gain in enumerate(order[:k], 1))

    def ndcg(k: int) -> float:
        return dcg(gains, k) / dcg(sorted(gains, reverse=True), k)

    found = {f"precision@{k}": sum(place <= k for place in hits) / k for k in sizes}
    found |= {f"nDCG@{k}": ndcg(k) for k in sizes}
    found["R-precision"] = sum(place <= relevant for place in hits) / relevant
    found["mAP@R"] = sum(n / place for n, place in enumerate(hits, 1) if place <= relevant) / relevant
    found["MRR"] = 1 / hits[0]
    found["nDCG"] = ndcg(len(gains))
    return found


def every_order(gains: list[float], sizes: tuple[int, ...]) -> dict[str, float]:
    """The mean of the same over all orders."""
    found = [slow_retrieval(list(order), sizes) for order in permutations(gains)]
    return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


def slow_chance(candidates: int, relevant: int) -> dict[str, float]:
    """Expectations over all orders by counting: which place is relevant first, which two places are."""
    orders = math.comb(candidates, relevant)
    first = [math.comb(candidates - k, relevant - 1) / orders for k in range(1, candidates - relevant + 2)]
    one = relevant / candidates
    two = one * (relevant - 1) / max(1, candidates - 1)
    precise = [sum(one if j == i else two for j in range(1, i + 1)) / i for i in range(1, candidates + 1)]
    return {
        "reciprocal_rank": sum(p / k for k, p in enumerate(first, 1)),
        "map_at_r": sum(precise[:relevant]) / relevant,
        "average_precision": sum(precise) / relevant,
        "r_precision": one,
    }


def slow_macro_f1(true: list[int], said: list[int]) -> float:
    each = []
    for c in sorted(set(true) | set(said)):
        right = sum(t == s == c for t, s in zip(true, said, strict=True))
        each.append(2 * right / (true.count(c) + said.count(c)))
    return float(np.mean(each))


def slow_right_tempo(true: float, said: float, levels: tuple[float, ...]) -> bool:
    return any(abs(said - level * true) / (level * true) <= 0.04 for level in levels)
