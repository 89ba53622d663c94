"""What is known about tracks, as distances: the properties that neighbours may or may not share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.data.track import Track
from nearfield.errors import NearfieldError
from nearfield.study.estimate import TrackEstimate

Indices = npt.NDArray[np.int64]
Apart = npt.NDArray[np.float64]
Between = Callable[[Indices, Indices], Apart]
Values = npt.NDArray[np.float64] | npt.NDArray[np.str_] | tuple[frozenset[str], ...]

TEMPO_AGREES = float(np.log2(1.04))  # within 4 %, as tempo estimation is judged (Gouyon et al., 2006)
MODE_STEP = 0.5  # from a key to its relative or its parallel, in fifths
TILT_AGREES_DB_PER_OCTAVE = 0.5
CENTROID_AGREES_OCTAVES = 0.25
LEVEL_AGREES_DB = 2.0

# What the estimators were measured to get right: property -> (measure, tracks, share). From results/estimators.json, with
# which a test compares them.
MEASURED: Mapping[str, tuple[tuple[str, str, float], ...]] = {
    "tempo": (
        ("tempo, Accuracy1", "StepMania", 0.8),
        ("tempo, Accuracy2", "StepMania", 0.98),
        ("tempo, Accuracy2", "held-out grooves", 1.0),
    ),
    "key": (
        ("key, exact", "held-out grooves", 0.65),
        ("key, MIREX weighted", "held-out grooves", 0.73),
    ),
}
LABELS = ("genre", "artist", "album", "package")
NAMES = ("tempo", "tempo_folded", "key", "key_signature", "tilt", "centroid", "level", "year", *LABELS, "tags")

_PITCH_CLASS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTAL = {"": 0, "#": 1, "b": -1}


class PropertyError(NearfieldError):
    """A property that cannot be made of these tracks."""


@dataclass(frozen=True, eq=False)
class Property:
    """Distances of N tracks in one respect.

    `known` (N,) marks the tracks it is known of. `between(a, b)` takes integer index arrays that broadcast and gives
    distances >= 0 in `unit`; only known tracks may be asked for. Two tracks agree when their distance is at most
    `agrees_within`. `values`: what is known, for reports - (N,) numbers (NaN: not known) or text ("": not known), or a set of
    tags a track. `source` says where it comes from, and how far it can be trusted.
    """

    name: str
    known: npt.NDArray[np.bool_]
    between: Between
    agrees_within: float
    source: str
    unit: str
    values: Values


def properties_of(
    tracks: Sequence[Track],
    estimates: Sequence[TrackEstimate | None] | None = None,
    names: Sequence[str] = NAMES,
) -> tuple[Property, ...]:
    """The properties in `names` that are known of at least one track, in that order.

    A property is taken from the manifest where that knows it of any track; else tempo and key, and always tilt, centroid
    and level, come from `estimates`, one a track (None: could not be estimated). The two are never mixed within a property.
    Raises PropertyError for an unknown name, or estimates that are not one a track.
    """
    unknown = [n for n in names if n not in NAMES]
    if unknown:
        raise PropertyError("properties", f"there is no {unknown[0]!r}", f"use some of: {', '.join(NAMES)}")
    if estimates is not None and len(estimates) != len(tracks):
        raise PropertyError("estimates", f"{len(estimates)} for {len(tracks)} tracks", "give one a track, in order")
    made = (_make(name, tracks, estimates) for name in names)
    return tuple(p for p in made if p.known.any())


def numeric(name: str, values: npt.ArrayLike, agrees_within: float, source: str, unit: str) -> Property:
    """Distance is the difference of (N,) numbers; NaN is not known. Raises PropertyError for infinite ones."""
    numbers = _numbers(name, values)

    def between(a: Indices, b: Indices) -> Apart:
        return np.asarray(np.abs(numbers[a] - numbers[b]))

    return Property(name, ~np.isnan(numbers), between, agrees_within, source, unit, numbers)


def tempo(tempo_bpm: npt.ArrayLike, source: str, fold: bool = False) -> Property:
    """Distance is |log2 of the ratio|, in octaves; with `fold` to the nearest octave, so that half and double agree.

    Folded, the distance is 0 to 0.5. Raises PropertyError for tempi that are not above 0.
    """
    bpm = _numbers("tempo", tempo_bpm)
    if (bpm <= 0).any():
        raise PropertyError("tempo", "is not above 0 BPM for some tracks", "leave out what is not known, as NaN")
    octaves = np.log2(bpm)

    def between(a: Indices, b: Indices) -> Apart:
        apart = np.abs(octaves[a] - octaves[b])
        return np.asarray(np.abs(apart - np.round(apart)) if fold else apart)

    name = "tempo_folded" if fold else "tempo"
    return Property(name, ~np.isnan(octaves), between, TEMPO_AGREES, source, "octaves", bpm)


def key(keys: Sequence[str], source: str) -> Property:
    """Distance of keys in fifths, with relative and parallel keys treated explicitly; only the same key agrees.

    Keys of one mode: the steps on the circle of fifths, 0 to 6. Keys of different modes: half a step for changing to the
    relative or the parallel key, whichever is nearer, and the steps left from there. So from C major: A minor and C minor
    0.5, G major 1, E minor and D minor 1.5, F# major 6. This ranks as the MIREX score does (same key, then what shares the
    scale or the tonic, then the rest), save that there a fifth counts more than a relative. It is no metric: a mode is
    changed at most once, so that A major is 3 from C major although both are 0.5 from A minor. Enharmonic names are one key.
    """
    tonic, minor = tonics_and_minors(keys)
    fifths = 7 * tonic % 12
    signature = (fifths - 3 * minor) % 12  # of the relative major

    def between(a: Indices, b: Indices) -> Apart:
        by_tonic, by_signature = _around(fifths[a], fifths[b]), _around(signature[a], signature[b])
        other_mode = MODE_STEP + np.minimum(by_tonic, by_signature)
        return np.asarray(np.where(minor[a] == minor[b], by_tonic, other_mode))

    return Property("key", tonic >= 0, between, 0.0, source, "fifths", np.array(keys, str))


def key_signature(keys: Sequence[str], source: str) -> Property:
    """Distance is steps on the circle of fifths between key signatures, 0 to 6: relative keys (C major, A minor) agree."""
    tonic, minor = tonics_and_minors(keys)
    signature = (7 * tonic - 3 * minor) % 12

    def between(a: Indices, b: Indices) -> Apart:
        return _around(signature[a], signature[b])

    return Property("key_signature", tonic >= 0, between, 0.0, source, "fifths", np.array(keys, str))


def label(name: str, labels: Sequence[str], source: str) -> Property:
    """Distance 0 for the same label, 1 for another; "" is not known."""
    text = np.array(labels, str)

    def between(a: Indices, b: Indices) -> Apart:
        return np.asarray(text[a] != text[b], np.float64)

    return Property(name, text != "", between, 0.0, source, "different", text)


def tags(sets: Sequence[frozenset[str]], source: str) -> Property:
    """Jaccard distance of sets of tags, 0 to 1; tracks that share any tag agree, no tag at all is not known."""
    place = {tag: n for n, tag in enumerate(sorted(set().union(*sets)))}
    holds = np.zeros((len(sets), max(1, len(place))), bool)
    for row, held in zip(holds, sets, strict=True):
        row[[place[tag] for tag in held]] = True
    sizes = holds.sum(axis=1)
    eights = np.packbits(holds, axis=1)  # eight tags a byte: a byte of all pairs at a time stays small
    ones = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)

    def between(a: Indices, b: Indices) -> Apart:
        shared = sum(ones[eight[a] & eight[b]] for eight in eights.T)
        return np.asarray(1 - shared / (sizes[a] + sizes[b] - shared), np.float64)

    share_one = float(np.nextafter(1.0, 0.0))
    return Property("tags", sizes > 0, between, share_one, source, "Jaccard distance", tuple(sets))


def _make(name: str, tracks: Sequence[Track], estimates: Sequence[TrackEstimate | None] | None) -> Property:
    if name in LABELS:
        return label(name, [getattr(t, name) for t in tracks], "manifest")
    if name == "tags":
        return tags([frozenset(t.tags) for t in tracks], "manifest")
    if name == "year":
        return numeric(name, [_nan(t.year) for t in tracks], 0.0, "manifest", "years")
    found = estimates if estimates is not None else [None] * len(tracks)
    if name in ("tempo", "tempo_folded"):
        said = any(t.tempo_bpm for t in tracks)
        bpm = [
            _nan(t.tempo_bpm if said else None if e is None else e.tempo_bpm)
            for t, e in zip(tracks, found, strict=True)
        ]
        return tempo(bpm, _source(said, "tempo"), fold=name == "tempo_folded")
    if name in ("key", "key_signature"):
        said = any(t.key for t in tracks)
        keys = [t.key if said else (e.key if e else "") for t, e in zip(tracks, found, strict=True)]
        return (key if name == "key" else key_signature)(keys, _source(said, "key"))
    within, unit, field = {
        "tilt": (TILT_AGREES_DB_PER_OCTAVE, "dB/octave", "tilt_db_per_octave"),
        "centroid": (CENTROID_AGREES_OCTAVES, "octaves", "centroid_octaves"),
        "level": (LEVEL_AGREES_DB, "dB", "level_db"),
    }[name]
    measured = [_nan(None if e is None else getattr(e, field)) for e in found]
    return numeric(name, measured, within, "measured from the sound", unit)


def _source(said: bool, kind: str) -> str:
    """Where tempo or key come from; of estimates, how often they were right on tracks of known tempo and key."""
    if said:
        return "manifest"
    figures = ", ".join(f"{measure} {share:.2f} on {tracks}" for measure, tracks, share in MEASURED[kind])
    return f"estimated from the sound (nearfield's own estimator; {figures})"


def _numbers(name: str, values: npt.ArrayLike) -> Apart:
    numbers = np.array(values, np.float64)
    if np.isinf(numbers).any():
        raise PropertyError(name, "is infinite for some tracks", "leave out what is not known, as NaN")
    return numbers


def _nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def tonics_and_minors(keys: Sequence[str]) -> tuple[Indices, Indices]:
    """(N,) tonics in semitones from C, -1 where the key is not known, and (N,) 1 for minor, else 0; keys as a Track has them."""
    tonics, minors = [], []
    for name in keys:
        note, mode = name.split(" ") if name else ("", "")
        tonics.append((_PITCH_CLASS[note[0]] + _ACCIDENTAL[note[1:]]) % 12 if name else -1)
        minors.append(int(mode == "minor"))
    return np.array(tonics, np.int64), np.array(minors, np.int64)


def _around(a: Indices, b: Indices) -> Apart:
    """Steps between places on a circle of twelve, 0 to 6."""
    apart = np.abs(a - b)
    return np.asarray(np.minimum(apart, 12 - apart), np.float64)
