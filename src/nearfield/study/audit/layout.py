"""What the measures found, as the plain data of a report (docs/formats.md, Audit report)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nearfield.data.track import Track
from nearfield.sound.manipulate import KINDS
from nearfield.study.audit.settings import AuditConfig, Indices, Subject
from nearfield.study.metrics import Estimate, Vectors
from nearfield.study.neighbourhood.measure import Neighbourhood, Neighbours
from nearfield.study.organise import Organisation
from nearfield.study.properties import Property
from nearfield.study.sensitivity import Sensitivity
from nearfield.study.shape import Duplicates, hubness, occurrences, rank_me, uniformity

MOST_UNIFORM = 20_000  # tracks whose pairs make the uniformity


def neighbour_rows(found: Neighbourhood, sizes: Sequence[int]) -> list[dict[str, Any]]:
    if not found.sizes:
        return [{"property": found.property, "k": k, "reason": found.reason} for k in sizes]
    return [_neighbour_row(found.property, size) for size in found.sizes]


def _neighbour_row(name: str, size: Neighbours) -> dict[str, Any]:
    if size.distance is None:
        return {"property": name, "k": size.k, "reason": size.reason}
    distance = size.distance
    shares = {"seen": size.agree_seen, "chance": size.agree_chance, "best": size.agree_best}
    return {
        "property": name,
        "k": size.k,
        "seen": distance.seen.value,
        "chance": distance.chance.value,
        "best": distance.best.value,
        "locality": None if distance.index is None else figure(distance.index),
        "p": distance.p_both,
        "agree": {key: None if e is None else min(1.0, max(0.0, e.value / size.k)) for key, e in shares.items()},
        "reason": distance.reason or None,
    }


def organises(found: Organisation) -> dict[str, Any]:
    return {
        "k": found.k,
        "together": figure(found.together),
        "properties": [
            {
                "name": p.name,
                "alone": figure(p.alone),
                "given_others": figure(p.given_others),
                "rank": p.rank,
                "rank_low": p.rank_low,
                "rank_high": p.rank_high,
                "p": p.p,
            }
            for p in found.properties
        ],
    }


def shape(
    vectors: Vectors, near: Indices, tracks: Sequence[Track], repeats: Duplicates, sensitivity: Sensitivity | None
) -> dict[str, Any]:
    """`alignment` is that of a track with its own middle: the mean squared distance, which is twice the cosine distance."""
    hubs = hubness(near, len(tracks))
    to_own_middle = None if sensitivity is None else sensitivity.baseline.distance_to_track.value
    return {
        "alignment": None
        if sensitivity is None or to_own_middle is None
        else 2 * to_own_middle * sensitivity.random_distance,
        "uniformity": uniformity(_some(vectors)),
        "rank_me": rank_me(vectors),
        "hubness": {
            "k": hubs.k,
            "skewness": hubs.skewness,
            "robin_hood": hubs.robin_hood,
            "anti_hubs": hubs.anti_hubs,
            "hubs": [
                {"id": tracks[h.row].id, "name": tracks[h.row].name, "count": h.occurrences} for h in hubs.largest
            ],
            "counts": np.bincount(occurrences(near, len(tracks))).tolist(),
        },
        "duplicates": [
            {
                "ids": [tracks[row].id for row in rows],
                "names": [tracks[row].name for row in rows],
                "cosine": _least_cosine(vectors[list(rows)]),
            }
            for rows in repeats.groups
        ],
    }


def _some(vectors: Vectors) -> Vectors:
    """All, or of very many every so many: the number of pairs grows with the square."""
    return vectors[:: max(1, -(-len(vectors) // MOST_UNIFORM))]


def _least_cosine(vectors: Vectors) -> float:
    """Of the pairs of a group."""
    rows = vectors.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return float(min(1.0, (rows @ rows.T).min()))


def changes(found: Sensitivity) -> list[dict[str, Any]]:
    """By kind and amount, what changes nothing in its place; amounts without end (no codec, no noise) are left out."""
    kinds = [kind for kind in KINDS if any(a.kind == kind for a in found.amounts)]
    return [
        {
            "kind": a.kind,
            "amount": a.amount,
            "unit": a.unit or KINDS[kind].unit,
            "distance": figure(a.distance),
            "recall_at_1": figure(a.recall_at_1),
            "kept": figure(a.kept),
            "median_rank": a.median_rank.value,
            "k": found.k,
        }
        for kind in kinds
        for a in found.curve(kind)
        if np.isfinite(a.amount)
    ]


def settings(config: AuditConfig, subject: Subject, sensitivity: Sensitivity | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        "seed": config.seed,
        "sizes": list(config.sizes),
        "main_k": config.main_k,
        "leave_out": list(config.leave_out),
        "permutations": config.permutations,
        "duplicate_cosine": config.duplicate_cosine,
        "organise": asdict(config.organise),
        "not_estimated": [{"id": f.path, "cause": f.cause} for f in subject.failures],
    }
    if sensitivity is not None:
        said |= {
            "changed_tracks": sensitivity.n_tracks,
            "excerpt_s": sensitivity.excerpt_s,
            "random_distance": sensitivity.random_distance,
            "chance_kept": sensitivity.chance_kept,
            "not_changed": [{"id": f.path, "cause": f.cause} for f in sensitivity.failures],
        }
    return said


def source(prop: Property) -> dict[str, Any]:
    return {
        "property": prop.name,
        "source": prop.source,
        "known": int(prop.known.sum()),
        "unit": prop.unit,
        "agrees_within": prop.agrees_within,
    }


def figure(estimate: Estimate) -> dict[str, Any]:
    """NaN, which JSON has not, as null."""
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in asdict(estimate).items()}
