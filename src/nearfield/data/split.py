"""Who is trained on, who is held out: by the manifest where it says so, else by a fixed hash of artist or package."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from nearfield.data.track import Track

HELD_OUT = "held-out"
VALIDATION = "validation"


@dataclass(frozen=True)
class Split:
    """Positions in the given sequence. `validation` chooses between models; `held_out` is asked once, at the end."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    held_out: tuple[int, ...]


def split_tracks(tracks: Sequence[Track], validation_share: float = 0.1, held_out_share: float = 0.15) -> Split:
    """Whole artists (or, where unnamed, whole packages, else albums, else folders) go to one side;
    in a flat folder each track falls by itself.

    A manifest that names held-out or validation tracks in its `split` column keeps them; what it does not name is drawn
    from the others by a hash of the group's name: the same tracks fall the same way on any machine.
    """
    named, validated = (any(t.split == side for t in tracks) for side in (HELD_OUT, VALIDATION))
    sides: tuple[list[int], list[int], list[int]] = ([], [], [])
    for n, track in enumerate(tracks):
        place = _place(track)
        if track.split == HELD_OUT or (not named and place >= 1 - held_out_share):
            sides[2].append(n)
        else:
            chosen = track.split == VALIDATION or (not validated and place < validation_share)
            sides[1 if chosen else 0].append(n)
    return Split(*(tuple(s) for s in sides))


def _place(track: Track) -> float:
    """A fixed number in 0..1 for the track's group."""
    group = track.artist or track.package or track.album or track.path.rpartition("/")[0] or track.id
    digest = hashlib.sha256(group.casefold().encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
