"""Rows of vectors, from a file or from anything else, and the catalogue's tracks that they belong to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nearfield.data.manifest import Manifest
from nearfield.errors import AuditError, readable
from nearfield.study.metrics import Vectors

FEWEST_TRACKS = 3
_NO_LENGTH = 1e-12  # `unit` takes what is shorter for zero
_TOO_LONG = 1e18  # the squares of what is longer overflow float32
_EXAMPLES = 3
_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class LeftOut:
    """A track, or a row of the embedding, that is not judged, and why."""

    id: str
    cause: str


@dataclass(frozen=True, eq=False)
class Rows:
    """(N, D) float32 vectors, and one or several ways to name them: each holds N names, such as ids or paths."""

    names: tuple[tuple[str, ...], ...]
    vectors: Vectors


@dataclass(frozen=True, eq=False)
class Matched:
    """The judged tracks' ids in the order of the catalogue, their (N, D) vectors, and what was left out."""

    ids: tuple[str, ...]
    vectors: Vectors
    left_out: tuple[LeftOut, ...]


def matched(rows: Rows, manifest: Manifest, subject: str, causes: Mapping[str, str] | None = None) -> Matched:
    """The rows that belong to tracks of the manifest, by the naming that finds most of them.

    A row's name may be a track's id, its path as the manifest writes it, or its absolute path. Left out and listed: rows of
    no track, tracks without a row (`causes` says why, by id, where that is known), and vectors that are not finite or zero.

    Raises AuditError when no name fits (with examples of both sides), when two rows have the same name or are of the same
    track, and when fewer than 3 tracks are left.
    """
    names, of_track = _best_naming(rows, manifest, subject)
    _check_once(names, subject, "its ids must be unique", "keep one vector for each track")
    tracks = [of_track.get(name) for name in names]
    found = [t for t in tracks if t is not None]
    _check_once(found, subject, "two of its rows are of the same track", "keep one vector for each track")
    row_of = {track: row for row, track in enumerate(tracks) if track is not None}
    left_out = [
        LeftOut(readable(n), "is not in the catalogue") for n, t in zip(names, tracks, strict=True) if t is None
    ]
    kept = []
    wrong = _wrong(rows.vectors)
    for track in manifest:
        if track.id not in row_of:
            left_out.append(LeftOut(readable(track.id), (causes or {}).get(track.id, "has no vector")))
        elif cause := wrong[row_of[track.id]]:
            left_out.append(LeftOut(readable(track.id), cause))
        else:
            kept.append(track.id)
    if len(kept) < FEWEST_TRACKS:
        why = f"; {left_out[-1].id}: {left_out[-1].cause}" if left_out else ""
        cause = f"{len(kept)} tracks can be judged, {len(left_out)} are left out{why}"
        raise AuditError(subject, cause, f"give at least {FEWEST_TRACKS} tracks")
    return Matched(tuple(kept), np.asarray(rows.vectors[[row_of[i] for i in kept]], np.float32), tuple(left_out))


def _best_naming(rows: Rows, manifest: Manifest, subject: str) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The rows' names that fit best, and the track's id of each name that fits."""
    ways: list[dict[str, str]] = [{t.id: t.id for t in manifest}, {t.path: t.id for t in manifest}]
    pairs = [(names, way) for names in rows.names for way in ways]
    for names in rows.names:
        if any(os.path.isabs(name) for name in names):
            real = {os.path.realpath(manifest.locate(t)): t.id for t in manifest}
            pairs.append((tuple(os.path.realpath(n) if os.path.isabs(n) else n for n in names), real))
    found = [len(way.keys() & set(names)) for names, way in pairs]
    best = int(np.argmax(found))
    if not found[best]:
        cause = f"none of its ids ({_some(rows.names[0])}) is in the catalogue ({_some([t.id for t in manifest])})"
        raise AuditError(subject, cause, "name the rows by the manifest's ids or by the files' paths")
    return pairs[best]


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _EXAMPLES else ""
    return (", ".join(repr(readable(n)) for n in names[:_EXAMPLES]) or "no rows") + more


def _check_once(names: Sequence[str], subject: str, cause: str, remedy: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise AuditError(subject, f"{cause}, {len(twice)} are not ({_some(twice)})", remedy)


def _wrong(vectors: Vectors) -> list[str]:
    """(N, D) -> what is wrong with each vector, in words; empty where nothing is."""
    starts = range(0, len(vectors), _BLOCK_ROWS)  # float64 of a whole large space would take much memory
    norms = [float(n) for s in starts for n in np.linalg.norm(vectors[s : s + _BLOCK_ROWS].astype(np.float64), axis=1)]
    return [
        "its vector has numbers that are not finite"
        if not norm < _TOO_LONG
        else "its vector is zero"
        if norm < _NO_LENGTH
        else ""
        for norm in norms
    ]
