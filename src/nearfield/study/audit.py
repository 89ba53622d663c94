"""The audit: what makes neighbours neighbours, in one embedding of a catalogue or in several side by side.

Every measure is a module of its own; here they are asked in turn and their answers laid out as docs/formats.md, Audit
report, says. Several embeddings are judged on the tracks that all of them have, so that their figures may be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.data.manifest import Manifest
from nearfield.data.track import Track
from nearfield.errors import AuditError, Failure, ManipulationError, NearfieldError
from nearfield.search.all_pairs import nearest_of_all
from nearfield.sound.manipulate import KINDS, Manipulation, standard
from nearfield.study.embedding import Embedding, LeftOut
from nearfield.study.estimate import EstimateProgress, TrackEstimate, estimate_manifest
from nearfield.study.metrics import Estimate, Vectors
from nearfield.study.neighbourhood import SIZES, Neighbourhood, Neighbours, compare, neighbourhood
from nearfield.study.organise import Organisation, organise
from nearfield.study.organise import Settings as OrganiseSettings
from nearfield.study.properties import NAMES, Property, properties_of
from nearfield.study.report.data import FORMAT
from nearfield.study.sensitivity import Progress, Sensitivity, draw_sounds, measure_sensitivity
from nearfield.study.shape import DUPLICATE, Duplicates, duplicates, hubness, occurrences, rank_me, uniformity

ORGANISING = ("tempo", "key", "tilt", "centroid", "level", "genre", "artist", "package", "tags")
LEAVE_OUT = ("artist", "album", "package", "duplicates")

Indices = npt.NDArray[np.int64]
Tell = Callable[[str, int, int, int], None]


@dataclass(frozen=True)
class AuditConfig:
    """What is measured.

    `sizes`: numbers of neighbours, K; what organises the space, hubs and changed sound are asked about `main_k`. Tracks that
    share what `leave_out` names are not each other's neighbours. `properties`: those known are measured. `changed_tracks` are
    drawn to be changed (0: none), by the amounts of `changes` (None: the standard ones). `estimate`: tempo, key and spectrum
    are estimated from the files where the manifest does not know them.
    """

    sizes: tuple[int, ...] = SIZES
    main_k: int = 10
    leave_out: tuple[str, ...] = ()
    properties: tuple[str, ...] = NAMES
    permutations: int = 999
    duplicate_cosine: float = DUPLICATE
    changed_tracks: int = 80
    changes: tuple[Manipulation, ...] | None = None
    estimate: bool = True
    organise: OrganiseSettings = field(default_factory=OrganiseSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.sizes or min(*self.sizes, self.main_k) < 1:
            raise AuditError("sizes", f"{list(self.sizes)} and {self.main_k} neighbours", "ask for one or more")
        if unknown := sorted(set(self.leave_out) - set(LEAVE_OUT)):
            raise AuditError("leave_out", f"{unknown[0]!r} is not known", f"use some of: {', '.join(LEAVE_OUT)}")


@dataclass(frozen=True)
class Subject:
    """What is audited: the tracks that all embeddings have, what is known about them, where versions are kept."""

    manifest: Manifest
    properties: tuple[Property, ...]
    failures: tuple[Failure, ...]
    cache: Path
    workers: int | None

    @property
    def tracks(self) -> tuple[Track, ...]:
        return self.manifest.tracks

    def group(self, name: str) -> Indices:
        """(N,) numbers of what tracks have in common, -1 where it is not known."""
        labels = [getattr(track, name) for track in self.tracks]
        numbers = {label: n for n, label in enumerate(dict.fromkeys(filter(None, labels)))}
        return np.array([numbers.get(label, -1) for label in labels], np.int64)


def audit(
    embeddings: Sequence[Embedding],
    manifest: Manifest,
    cache: Path,
    config: AuditConfig | None = None,
    *,
    workers: int | None = None,
    tell: Tell | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], ...]:
    """One report a space, as plain data; those after the first are also compared with the first.

    `cache` keeps changed versions and estimates: an audit that was ended goes on there. `tell(stage, done, total, failed)` hears
    of what takes long. Raises AuditError where the embeddings have fewer than three tracks in common, and what
    the measures raise.
    """
    config = config or AuditConfig()
    shared, rows = _shared(embeddings, manifest)
    subject = _subject(shared, cache, config, workers, tell)
    spaces = [e.vectors[r] for e, r in zip(embeddings, rows, strict=True)]
    reports = []
    for number, (embedding, vectors) in enumerate(zip(embeddings, spaces, strict=True)):
        begun = time.monotonic()
        report = _audit_one(embedding, vectors, subject, config, tell)
        report["catalogue"]["tracks"] = len(manifest)
        report["catalogue"]["digest"] = manifest.digest()
        report["catalogue"]["left_out"] = [asdict(x) for x in _left_out(embedding, embeddings, shared)]
        if number:
            report["comparisons"] = _comparisons(embedding, vectors, embeddings[0], spaces[0], subject, config)
        seconds = round(time.monotonic() - begun, 1)
        report["provenance"] = {**(provenance or {}), "seconds": seconds}
        reports.append(report)
    return tuple(reports)


def _shared(embeddings: Sequence[Embedding], manifest: Manifest) -> tuple[Manifest, list[Indices]]:
    """The manifest of the tracks that all have, and of each embedding the rows of these."""
    if not embeddings:
        raise AuditError("audit", "no embedding is given", "name a SPACE, a file of vectors or a model")
    places = [{id_: row for row, id_ in enumerate(e.ids)} for e in embeddings]
    tracks = tuple(t for t in manifest if all(t.id in place for place in places))
    if len(tracks) < 3:
        cause = f"{len(tracks)} tracks are in all of {', '.join(e.name for e in embeddings)}"
        raise AuditError("audit", cause, "give embeddings of the same catalogue, of three tracks at least")
    rows = [np.array([place[t.id] for t in tracks], np.int64) for place in places]
    return replace(manifest, tracks=tracks), rows


def _left_out(embedding: Embedding, others: Sequence[Embedding], shared: Manifest) -> list[LeftOut]:
    """Of one embedding: its own, and the tracks that another one lacks."""
    judged = {t.id for t in shared}
    missing = [id_ for id_ in embedding.ids if id_ not in judged]
    found = list(embedding.left_out)
    for id_ in missing:
        lacking = [e.name for e in others if id_ not in set(e.ids)]
        found.append(LeftOut(id_, f"has no vector in {', '.join(lacking)}"))
    return found


def _subject(manifest: Manifest, cache: Path, config: AuditConfig, workers: int | None, tell: Tell | None) -> Subject:
    estimates: tuple[TrackEstimate | None, ...] | None = None
    failures: tuple[Failure, ...] = ()
    if config.estimate:

        def told(now: EstimateProgress) -> None:
            if tell is not None:
                tell("estimating tempo, key and spectrum", now.done, now.total, now.failed)

        kept = cache / "estimates.journal"
        kept.parent.mkdir(parents=True, exist_ok=True)
        result = estimate_manifest(manifest, kept, workers=workers, progress=told)
        estimates, failures = result.estimates, result.failures
    properties = properties_of(manifest.tracks, estimates, config.properties)
    return Subject(manifest, properties, failures, cache, workers)


def _audit_one(
    embedding: Embedding, vectors: Vectors, subject: Subject, config: AuditConfig, tell: Tell | None
) -> dict[str, Any]:
    not_measured: dict[str, str] = {}
    repeats = duplicates(vectors, config.duplicate_cosine)
    groups = _groups(subject, config, repeats)
    sizes = tuple(sorted({*config.sizes, config.main_k}))
    neighbours = []
    for done, prop in enumerate(subject.properties):
        if tell is not None:
            tell(f"{embedding.name}: neighbours", done, len(subject.properties), 0)
        rng = np.random.default_rng([config.seed, 1])
        found = neighbourhood(vectors, prop, rng, sizes, groups or None, config.permutations)
        neighbours += _neighbour_rows(found, sizes)
    near = nearest_of_all(vectors, config.main_k, groups or None).indices
    sensitivity = _sensitivity(embedding, vectors, subject, config, tell, not_measured)
    organisation = _organisation(near, subject, groups, config, not_measured)
    return {
        "format": FORMAT,
        "embedding": {
            "name": embedding.name,
            "kind": embedding.kind,
            "path": embedding.path,
            "dimensions": embedding.dimensions,
            "digest": embedding.digest,
        },
        "catalogue": {"name": subject.manifest.name, "judged": len(subject.tracks)},
        "settings": _settings(config, subject, sensitivity),
        "sources": [_source(p) for p in subject.properties],
        "neighbours": neighbours,
        "organises": None if organisation is None else _organises(organisation),
        "shape": _shape(vectors, near, subject.tracks, repeats, sensitivity),
        "sensitivity": None if sensitivity is None else _changes(sensitivity),
        "comparisons": None,
        "not_measured": not_measured,
    }


def _groups(subject: Subject, config: AuditConfig, repeats: Duplicates) -> list[Indices]:
    """Who is not whose neighbour, by what is to be left out."""
    n = len(subject.tracks)
    return [repeats.group_numbers(n) if name == "duplicates" else subject.group(name) for name in config.leave_out]


def _organisation(
    near: Indices, subject: Subject, groups: list[Indices], config: AuditConfig, not_measured: dict[str, str]
) -> Organisation | None:
    """None, and why, where there is nothing to tell apart."""
    given = [p for p in subject.properties if p.name in ORGANISING]
    rng = np.random.default_rng([config.seed, 2])
    try:
        return organise(near, given, rng, None, np.array(groups) if groups else None, config.organise)
    except NearfieldError as error:
        not_measured["organises"] = error.cause
        return None


def _sensitivity(
    embedding: Embedding,
    vectors: Vectors,
    subject: Subject,
    config: AuditConfig,
    tell: Tell | None,
    not_measured: dict[str, str],
) -> Sensitivity | None:
    """None, and why, where sound cannot be changed and embedded again."""
    if not config.changed_tracks:
        not_measured["sensitivity"] = "not asked for"
        return None
    if embedding.embed is None:
        not_measured["sensitivity"] = "only vectors are given: changed sound cannot be embedded"
        return None

    def told(now: Progress) -> None:
        if tell is not None:
            what = "changing sound" if now.stage == "change" else f"{embedding.name}: embedding changed sound"
            tell(what, now.done, now.total, now.failed)

    sounds = draw_sounds(
        subject.manifest, [t.id for t in subject.tracks], config.changed_tracks, np.random.default_rng([config.seed, 3])
    )
    try:
        return measure_sensitivity(
            sounds,
            vectors,
            embedding.embed,
            subject.cache / "versions",
            np.random.default_rng([config.seed, 4]),
            manipulations=standard() if config.changes is None else config.changes,
            k=config.main_k,
            digest=embedding.digest,
            workers=subject.workers,
            progress=told,
        )
    except ManipulationError:
        raise
    except NearfieldError as error:
        not_measured["sensitivity"] = f"{error.subject}: {error.cause}"
        return None


def _comparisons(
    embedding: Embedding, vectors: Vectors, first: Embedding, base: Vectors, subject: Subject, config: AuditConfig
) -> list[dict[str, Any]]:
    """This space's localities minus those of the first one, by the same queries."""
    sizes = tuple(sorted({*config.sizes, config.main_k}))
    groups = [subject.group(name) for name in config.leave_out if name != "duplicates"]
    rows = []
    for prop in subject.properties:
        rng = np.random.default_rng([config.seed, 1])
        for found in compare(vectors, base, prop, rng, sizes, groups or None):
            if found.measure == "distance" and found.difference is not None:
                rows.append(
                    {
                        "other": first.name,
                        "property": prop.name,
                        "k": found.k,
                        "difference": _figure(found.difference),
                        "p": found.p,
                    }
                )
    return rows


def _neighbour_rows(found: Neighbourhood, sizes: Sequence[int]) -> list[dict[str, Any]]:
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
        "locality": None if distance.index is None else _figure(distance.index),
        "p": distance.p_both,
        "agree": {key: None if e is None else min(1.0, max(0.0, e.value / size.k)) for key, e in shares.items()},
        "reason": distance.reason or None,
    }


def _organises(found: Organisation) -> dict[str, Any]:
    return {
        "k": found.k,
        "together": _figure(found.together),
        "properties": [
            {
                "name": p.name,
                "alone": _figure(p.alone),
                "given_others": _figure(p.given_others),
                "rank": p.rank,
                "rank_low": p.rank_low,
                "rank_high": p.rank_high,
                "p": p.p,
            }
            for p in found.properties
        ],
    }


def _shape(
    vectors: Vectors, near: Indices, tracks: Sequence[Track], repeats: Duplicates, sensitivity: Sensitivity | None
) -> dict[str, Any]:
    """`alignment` is that of a track with its own middle: the mean squared distance, which is twice the cosine distance."""
    hubs = hubness(near, len(tracks))
    to_own_middle = None if sensitivity is None else sensitivity.baseline.distance_to_track.value
    return {
        "alignment": None
        if sensitivity is None or to_own_middle is None
        else 2 * to_own_middle * sensitivity.random_distance,
        "uniformity": uniformity(vectors),
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


def _least_cosine(vectors: Vectors) -> float:
    """Of the pairs of a group."""
    rows = vectors.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return float(min(1.0, (rows @ rows.T).min()))


def _changes(found: Sensitivity) -> list[dict[str, Any]]:
    """By kind and amount, what changes nothing in its place; amounts without end (no codec, no noise) are left out."""
    kinds = [kind for kind in KINDS if any(a.kind == kind for a in found.amounts)]
    return [
        {
            "kind": a.kind,
            "amount": a.amount,
            "unit": a.unit or KINDS[kind].unit,
            "distance": _figure(a.distance),
            "recall_at_1": _figure(a.recall_at_1),
            "kept": _figure(a.kept),
            "median_rank": a.median_rank.value,
            "k": found.k,
        }
        for kind in kinds
        for a in found.curve(kind)
        if np.isfinite(a.amount)
    ]


def _settings(config: AuditConfig, subject: Subject, sensitivity: Sensitivity | None) -> dict[str, Any]:
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


def _source(prop: Property) -> dict[str, Any]:
    return {
        "property": prop.name,
        "source": prop.source,
        "known": int(prop.known.sum()),
        "unit": prop.unit,
        "agrees_within": prop.agrees_within,
    }


def _figure(estimate: Estimate) -> dict[str, Any]:
    """NaN, which JSON has not, as null."""
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in asdict(estimate).items()}
