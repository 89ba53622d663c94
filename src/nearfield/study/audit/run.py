"""The audit: what makes neighbours neighbours, in one embedding of a catalogue or in several side by side.

Every measure is a module of its own; here they are asked in turn and their answers laid out as docs/formats.md, Audit
report, says. Several embeddings are judged on the tracks that all of them have, so that their figures may be compared.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.data.manifest import Manifest
from nearfield.errors import AuditError, Failure, ManipulationError, NearfieldError, readable
from nearfield.origin import public
from nearfield.search.all_pairs import nearest_of_all
from nearfield.sound.manipulate import standard
from nearfield.study.audit import layout
from nearfield.study.audit.settings import ORGANISING, AuditConfig, Indices, Subject
from nearfield.study.embedding import Embedding, LeftOut
from nearfield.study.estimate import EstimateProgress, TrackEstimate, estimate_manifest
from nearfield.study.metrics import Vectors
from nearfield.study.neighbourhood.measure import compare, neighbourhood
from nearfield.study.organise import Organisation, organise
from nearfield.study.properties import properties_of
from nearfield.study.report.data import FORMAT
from nearfield.study.sensitivity import Progress, Sensitivity, Sound, draw_sounds, measure_sensitivity
from nearfield.study.shape import Duplicates, duplicates

Tell = Callable[[str, int, int, int], None]


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
    _check_beforehand(embeddings, config)
    shared, rows = _shared(embeddings, manifest)
    for name in config.leave_out:
        if name != "duplicates" and not any(getattr(track, name) for track in shared):
            raise AuditError("leave_out", f"no track's {name} is known", "label the catalogue, or do not ask for it")
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
        elif len(embeddings) > 1:
            report["not_measured"]["comparisons"] = "the others are compared with this one"
        seconds = round(time.monotonic() - begun, 1)
        report["provenance"] = {**(provenance or {}), "seconds": seconds}
        reports.append(report)
    return tuple(reports)


def _check_beforehand(embeddings: Sequence[Embedding], config: AuditConfig) -> None:
    """What would end the audit after many minutes, at once."""
    twice = [name for name, count in Counter(e.name for e in embeddings).items() if count > 1]
    if twice:
        raise AuditError("audit", f"two embeddings are called {twice[0]!r}", "name them apart: NAME=EMBEDDING")
    if config.changed_tracks and any(e.embed is not None for e in embeddings):
        for change in standard() if config.changes is None else config.changes:
            if change.traits.library is not None:
                change.traits.library()


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
        estimates, failures = result.estimates, _by_id(result.failures, manifest)
    properties = properties_of(manifest.tracks, estimates, config.properties)
    return Subject(manifest, properties, failures, cache, workers)


def _by_id(failures: Sequence[Failure], manifest: Manifest) -> tuple[Failure, ...]:
    """Failures of files under the ids of their tracks, as everything else in a report is."""
    tracks = [(readable(os.path.abspath(manifest.locate(track))), track.id) for track in manifest]
    causes = {failure.path: failure for failure in failures}
    return tuple(replace(causes[path], path=readable(id_)) for path, id_ in tracks if path in causes)


def _of_sounds(failures: Sequence[Failure], sounds: Sequence[Sound]) -> tuple[Failure, ...]:
    """The same for sounds that could not be changed; behind the id stands which change it was, if one."""
    ids = {readable(sound.path): readable(sound.id) for sound in sounds}
    named = []
    for failure in failures:
        path = next((p for p in ids if failure.path == p or failure.path.startswith(f"{p} (")), None)
        named.append(failure if path is None else replace(failure, path=ids[path] + failure.path[len(path) :]))
    return tuple(named)


def _audit_one(
    embedding: Embedding, vectors: Vectors, subject: Subject, config: AuditConfig, tell: Tell | None
) -> dict[str, Any]:
    not_measured: dict[str, str] = {}
    repeats = duplicates(vectors, config.duplicate_cosine)
    groups = _groups(subject, config, repeats)
    near = nearest_of_all(vectors, config.main_k, groups or None).indices
    if (near < 0).all():
        cause = f"no track has another that shares none of its {', '.join(config.leave_out)}"
        raise AuditError("leave_out", cause, "leave out less")
    sizes = tuple(sorted({*config.sizes, config.main_k}))
    neighbours = []
    for done, prop in enumerate(subject.properties):
        if tell is not None:
            tell(f"{embedding.name}: neighbours", done, len(subject.properties), 0)
        rng = np.random.default_rng([config.seed, 1])
        found = neighbourhood(vectors, prop, rng, sizes, groups or None, config.permutations)
        neighbours += layout.neighbour_rows(found, sizes)
    sensitivity = _sensitivity(embedding, vectors, subject, config, tell, not_measured)
    organisation = _organisation(near, subject, groups, config, not_measured)
    return {
        "format": FORMAT,
        "embedding": {
            "name": embedding.name,
            "kind": embedding.kind,
            "path": public(embedding.path),
            "dimensions": embedding.dimensions,
            "digest": embedding.digest,
        },
        "catalogue": {"name": subject.manifest.name, "judged": len(subject.tracks)},
        "settings": layout.settings(config, subject, sensitivity),
        "sources": [layout.source(p) for p in subject.properties],
        "neighbours": neighbours,
        "organises": None if organisation is None else layout.organises(organisation),
        "shape": layout.shape(vectors, near, subject.tracks, repeats, sensitivity),
        "sensitivity": None if sensitivity is None else layout.changes(sensitivity),
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
        found = measure_sensitivity(
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
        return replace(found, failures=_of_sounds(found.failures, sounds))
    except ManipulationError:
        raise
    except NearfieldError as error:
        not_measured["sensitivity"] = f"{error.subject}: {error.cause}"
        return None


def _comparisons(
    embedding: Embedding, vectors: Vectors, first: Embedding, base: Vectors, subject: Subject, config: AuditConfig
) -> list[dict[str, Any]]:
    """This space's localities minus those of the first one, by the same queries; duplicates are those of either."""
    sizes = tuple(sorted({*config.sizes, config.main_k}))
    groups = [subject.group(name) for name in config.leave_out if name != "duplicates"]
    if "duplicates" in config.leave_out:
        both = (duplicates(v, config.duplicate_cosine) for v in (vectors, base))
        groups += [found.group_numbers(len(vectors)) for found in both]
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
                        "difference": layout.figure(found.difference),
                        "p": found.p,
                    }
                )
    return rows
