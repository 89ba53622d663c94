"""Which track is meant: by its path, its id, the end of its path, or a part of its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches

from nearfield.data.track import Track
from nearfield.errors import SpaceError, readable

_MOST_NAMED = 5


def find(tracks: Sequence[Track], query: str) -> int | None:
    """Index of the track a person means; None for an existing file that is not among the tracks.

    In this order: the path (absolute, or relative to the working directory, links followed), the id, the end
    of a path, a part of a path or of 'artist - title' in any case. Raises SpaceError when several fit, or
    none does.
    """
    by_path = {t.path: i for i, t in enumerate(tracks)}
    for path in (query, os.path.abspath(query), os.path.realpath(query)):
        if path in by_path:
            return by_path[path]
    if os.path.isfile(query):
        return None
    wanted = query.casefold()
    tests = (
        lambda t: t.id == query,
        lambda t: t.path.endswith(os.sep + query),
        lambda t: t.name.casefold() == wanted or t.title.casefold() == wanted,
        lambda t: wanted in t.path.casefold() or wanted in t.name.casefold(),
    )
    for test in tests:
        if fits := [i for i, t in enumerate(tracks) if query and test(t)]:
            return _only(tracks, fits, query)
    raise SpaceError(
        readable(query) or "''", "no such file, and no track of this space is called so", _guess(tracks, wanted)
    )


def _only(tracks: Sequence[Track], fits: list[int], query: str) -> int:
    if len(fits) == 1:
        return fits[0]
    named = [readable(tracks[i].path) for i in fits[:_MOST_NAMED]]
    more = f" and {len(fits) - len(named)} more" if len(fits) > len(named) else ""
    raise SpaceError(readable(query), f"fits {len(fits)} tracks: {', '.join(named)}{more}", "say more of the path")


def _guess(tracks: Sequence[Track], wanted: str) -> str:
    close = get_close_matches(wanted, list({t.name.casefold(): 0 for t in tracks})[:20_000], n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"give a file, or a part of a track's path or name{hint}"
