"""The published sets by name, and how each is read. A set that is a table over files needs none of this: see labels.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nearfield.data.sets import (
    ballroom,
    emomusic,
    emotify,
    fma,
    giantsteps,
    gtzan,
    jamendo,
    magnatagatune,
    nsynth,
    tempo_lists,
)
from nearfield.data.sets.gather import SetResult
from nearfield.errors import CorpusError


@dataclass(frozen=True)
class PublishedSet:
    """How a set's folder is read, and which parts of it there are, the usual one first."""

    read: Callable[[Path, str], SetResult]
    parts: tuple[str, ...]


SETS: Mapping[str, PublishedSet] = {
    "acm-mirum": PublishedSet(tempo_lists.read_acm_mirum, tempo_lists.PARTS),
    "ballroom": PublishedSet(ballroom.read, ballroom.PARTS),
    "emomusic": PublishedSet(emomusic.read, emomusic.PARTS),
    "emotify": PublishedSet(emotify.read, emotify.PARTS),
    "fma": PublishedSet(fma.read, fma.PARTS),
    "giantsteps-key": PublishedSet(giantsteps.read_key, giantsteps.KEY_PARTS),
    "giantsteps-tempo": PublishedSet(giantsteps.read_tempo, giantsteps.TEMPO_PARTS),
    "gtzan": PublishedSet(gtzan.read, gtzan.PARTS),
    "hainsworth": PublishedSet(tempo_lists.read_hainsworth, tempo_lists.PARTS),
    "magnatagatune": PublishedSet(magnatagatune.read, magnatagatune.PARTS),
    "mtg-jamendo": PublishedSet(jamendo.read, jamendo.PARTS),
    "nsynth": PublishedSet(nsynth.read, nsynth.PARTS),
}


def read_set(name: str, folder: Path, part: str | None = None) -> SetResult:
    """The manifest of a published set that lies in `folder`, in its original layout; the folder is only read.

    Labels without audio, audio that is empty, and broken rows are failures in the result. Raises CorpusError for an
    unknown set or part, for a layout that is not the expected one (it says what was looked for and where), and when no
    track is left.
    """
    known = SETS.get(name)
    if known is None:
        raise CorpusError(f"set {name!r}", "is not known", f"name one of {', '.join(SETS)}")
    chosen = known.parts[0] if part is None else part
    if chosen not in known.parts:
        raise CorpusError(f"set {name}", f"has no part {chosen!r}", f"name one of {', '.join(known.parts)}")
    return known.read(folder, chosen)
