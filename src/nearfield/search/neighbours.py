"""From ranked vectors to a list of tracks: at most so many an artist, one of each recording."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.data.track import Track
from nearfield.search.exact import cosines, top_k

Floats = npt.NDArray[np.float32]

# For the shipped model, by studies/first/recordings.py: tracks of games encoded anew by MP3 and Vorbis come back above 0.98,
# and no two different ones that are as long lie above 0.73.
DUPLICATE_SIMILARITY = 0.93
DUPLICATE_SECONDS = 2.0
_BRACKETS = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Neighbour:
    """One track near a query: `rank` from 1, cosine `similarity` in -1..1, and the file's absolute path."""

    rank: int
    similarity: float
    track: Track
    path: str


@dataclass(frozen=True)
class Rules:
    """What a list leaves out. A track whose artist is not known counts for no artist."""

    max_per_artist: int | None = None
    leave_out_duplicates: bool = False
    duplicate_similarity: float = DUPLICATE_SIMILARITY

    @property
    def any(self) -> bool:
        return self.max_per_artist is not None or self.leave_out_duplicates


def nearest(
    query: Floats, vectors: Floats, tracks: Sequence[Track], k: int, rules: Rules, own: Sequence[int] = ()
) -> tuple[Neighbour, ...]:
    """The `k` tracks nearest a query (D,) among vectors (N, D), rows of `own` left out, under the rules.

    With duplicates left out, the recordings of `own` are not repeated either.
    """
    if not rules.any:
        found = top_k(query, vectors, k, exclude=[own])
        chosen = [int(i) for i in found.indices[0] if i >= 0]
        scores = {i: float(s) for i, s in zip(chosen, found.scores[0], strict=False)}
    else:
        every = cosines(query, vectors)
        chosen = select(ranked(every), vectors, tracks, k, rules, own)
        scores = {i: float(every[i]) for i in chosen}
    return tuple(Neighbour(n, scores[i], tracks[i], tracks[i].path) for n, i in enumerate(chosen, 1))


def ranked(scores: Floats) -> npt.NDArray[np.int64]:
    """Indices by falling score, ties by index."""
    return np.argsort(-scores, kind="stable")


def select(
    order: Iterable[int],
    vectors: Floats,
    tracks: Sequence[Track],
    n: int,
    rules: Rules,
    own: Sequence[int] = (),
    listed: Sequence[int] = (),
) -> list[int]:
    """The first `n` of `order` that the rules allow beside each other.

    `own`: rows never chosen, nor their recordings repeated. `listed`: those of them that stand in the same
    list, so that their artists count.
    """
    chosen: list[int] = []
    artists = Counter(folded(tracks[i].artist) for i in listed)
    if n <= 0:
        return chosen
    for index in map(int, order):
        artist = folded(tracks[index].artist)
        if index in own or (rules.max_per_artist is not None and artist and artists[artist] >= rules.max_per_artist):
            continue
        if rules.leave_out_duplicates and repeats(index, [*own, *chosen], vectors, tracks, rules.duplicate_similarity):
            continue
        chosen.append(index)
        artists[artist] += 1
        if len(chosen) == n:
            break
    return chosen


def repeats(index: int, others: Sequence[int], vectors: Floats, tracks: Sequence[Track], similarity: float) -> bool:
    """Whether a track is the same recording as one of `others`.

    Durations within 2 s of each other (an unknown one agrees with any), and either the same artist and title (case,
    accents, brackets and punctuation aside) or a cosine of at least `similarity`.
    """
    if not others:
        return False
    name = _recording(tracks[index])
    alike = vectors[list(others)] @ vectors[index] >= similarity
    return any(
        _same_length(tracks[index], tracks[o]) and (a or (name is not None and _recording(tracks[o]) == name))
        for a, o in zip(alike, others, strict=True)
    )


def folded(text: str) -> str:
    """Case, accents and punctuation removed: 'Motörhead!' and 'motorhead' are one; symbols alone stay as they
    are.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return _NOT_WORD.sub(" ", plain).strip() or plain.strip()


def _recording(track: Track) -> tuple[str, str] | None:
    if not track.artist or not track.title:
        return None
    return folded(track.artist), folded(_BRACKETS.sub(" ", track.title)) or folded(track.title)


def _same_length(one: Track, other: Track) -> bool:
    if one.duration_s is None or other.duration_s is None:
        return True
    return abs(one.duration_s - other.duration_s) <= DUPLICATE_SECONDS
