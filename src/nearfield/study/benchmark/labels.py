"""What a track is labelled with, and what it shares with others: read from its fields and its factors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from nearfield.data.track import Track
from nearfield.study.tasks.intervals import Floats, Indices
from nearfield.study.tasks.relevance import Relevance, by_label, by_tags
from nearfield.study.tasks.targets import Targets, classes, flagged, numbers

_FIELDS = frozenset(f.name for f in fields(Track)) - {"factors", "tags"}
_NOT_OF_SOUND = "stat:"  # a hash of size and time: equal for different files of equal length


def known(track: Track, name: str) -> str:
    """The text of a Track's field, else of a factor of that name; "" where it is not known."""
    value = getattr(track, name) if name in _FIELDS else track.factors.get(name)
    return "" if value is None else str(value)


def shared(tracks: Sequence[Track], names: Sequence[str]) -> tuple[str, ...]:
    """(N,) what groups each track: the first of the names that is known of it, whatever its case; "" groups it with none."""
    each = ({name: known(t, name).strip().casefold() for name in names} for t in tracks)
    return tuple(next((f"{name} {text}" for name, text in one.items() if text), "") for one in each)


def codes(texts: Sequence[str]) -> Indices:
    """(N,) numbers of texts, equal for equal ones; -1 for ""."""
    array = np.array(texts, str)
    return np.where(array == "", -1, np.unique(array, return_inverse=True)[1].reshape(len(array))).astype(np.int64)


def copies(tracks: Sequence[Track]) -> tuple[Indices, Indices]:
    """(N,) twice: tracks of one sound by its hash, and of one artist and title; -1 where that is not known."""
    hashes = ["" if t.content_hash.startswith(_NOT_OF_SOUND) else t.content_hash for t in tracks]
    named = [f"{t.artist}\n{t.title}".casefold() if t.artist and t.title else "" for t in tracks]
    return codes(hashes), codes(named)


@dataclass(frozen=True)
class Label:
    """What is asked for. `classes`: the one field or factor in `of`; `tags`: the track's tags; `numbers`: factors, a column
    each; `shares`: such numbers as tags, each held where it is `at_least` so much.
    """

    kind: Literal["classes", "tags", "numbers", "shares"]
    of: tuple[str, ...] = ()
    at_least: float = 0.0

    def held(self, tracks: Sequence[Track]) -> tuple[frozenset[str], ...]:
        """(N,) the labels of each track; of numbers there are none."""
        if self.kind == "classes":
            return tuple(frozenset({known(t, self.of[0])} - {""}) for t in tracks)
        if self.kind == "tags":
            return tuple(frozenset(t.tags) for t in tracks)
        if self.kind == "shares":
            rows = self.values(tracks) >= self.at_least
            return tuple(frozenset(n for n, has in zip(self.of, row, strict=True) if has) for row in rows)
        return tuple(frozenset() for _ in tracks)

    def values(self, tracks: Sequence[Track]) -> Floats:
        """(N, Y) numbers, NaN where one is not known, or no number."""
        table = [[_number(known(t, name)) for name in self.of] for t in tracks]
        return np.array(table, np.float64).reshape(len(tracks), len(self.of))

    def names(self, tracks: Sequence[Track], groups: Sequence[str], fewest: int) -> tuple[str, ...]:
        """The labels that tracks of at least so many groups (N,) hold; "" is a group of its own. Of numbers: all."""
        if self.kind == "numbers":
            return self.of
        holders: dict[str, set[str]] = defaultdict(set)
        for track, group, labels in zip(tracks, groups, self.held(tracks), strict=True):
            for label in labels:
                holders[label].add(group or f"\n{track.id}")
        return tuple(sorted(label for label, held_by in holders.items() if len(held_by) >= fewest))

    def relevance(self, tracks: Sequence[Track]) -> Relevance:
        """Who is wanted by whom: of classes the same, else whoever shares a label, by the Jaccard index."""
        held = self.held(tracks)
        return by_label(["".join(h) for h in held]) if self.kind == "classes" else by_tags(held)

    def targets(self, tracks: Sequence[Track], names: Sequence[str]) -> Targets:
        """What probes are to say, of these names. A track without a share that is high enough is known to hold none."""
        if self.kind == "numbers":
            return numbers(self.values(tracks), names)
        held = self.held(tracks)
        if self.kind == "classes":
            return classes(["".join(h & set(names)) for h in held], names)
        flags = np.array([[name in h for name in names] for h in held], bool).reshape(len(tracks), len(names))
        sure = flags.any(axis=1) if self.kind == "tags" else ~np.isnan(self.values(tracks)).any(axis=1)
        return replace(flagged(flags, names), known=np.asarray(sure))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")
