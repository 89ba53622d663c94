"""Seeds in, a playlist out: chosen tracks, and the m3u8 file that lists them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote_from_bytes

import numpy as np
import numpy.typing as npt

from nearfield.data.track import Track
from nearfield.errors import SpaceError, breaks_a_line, readable
from nearfield.search.exact import cosines
from nearfield.search.neighbours import Neighbour, Rules, ranked, select

Floats = npt.NDArray[np.float32]
Blend = Literal["mean", "all"]

DEFAULT_RULES = Rules(max_per_artist=2, leave_out_duplicates=True)


@dataclass(frozen=True)
class Playlist:
    """Seeds that stand in the space (none when the list leaves them out), then the tracks chosen for them."""

    seeds: tuple[Track, ...]
    chosen: tuple[Neighbour, ...]

    @property
    def tracks(self) -> tuple[Track, ...]:
        return (*self.seeds, *(n.track for n in self.chosen))


def make_playlist(
    seeds: Floats,
    vectors: Floats,
    tracks: Sequence[Track],
    n: int,
    *,
    own: Sequence[int] = (),
    rules: Rules = DEFAULT_RULES,
    blend: Blend = "mean",
    seeds_first: bool = True,
) -> Playlist:
    """`n` tracks for the seed vectors (S, D), the seeds among them counted when `seeds_first`.

    `own`: the rows of the seeds that stand in the space; they are never chosen again. `blend`: "mean" ranks
    by the cosine with the seeds' mean, "all" by the cosine with the seed a track is farthest from, so that it
    suits every seed. Raises SpaceError when there is no seed, or opposite seeds leave no mean.
    """
    if len(seeds) == 0:
        raise SpaceError("playlist", "no seed was given", "name at least one track")
    rows = list(dict.fromkeys(own))[: max(0, n)] if seeds_first else []
    scores = _scores(seeds, vectors, blend)
    found = select(ranked(scores), vectors, tracks, n - len(rows), rules, own, listed=rows)
    chosen = (Neighbour(rank, float(scores[i]), tracks[i], tracks[i].path) for rank, i in enumerate(found, 1))
    return Playlist(tuple(tracks[i] for i in rows), tuple(chosen))


def write_m3u8(tracks: Sequence[Track], path: Path, *, absolute: bool = False) -> None:
    """Extended M3U in UTF-8, written atomically; paths relative to the playlist's own folder unless
    `absolute`.

    A name that cannot stand in a line of UTF-8 is written as a percent-encoded file:// address.
    """
    path = path.absolute()
    lines = ["#EXTM3U"]
    for track in tracks:
        seconds = -1 if track.duration_s is None else round(track.duration_s)
        lines += [
            f"#EXTINF:{seconds},{readable(track.name)}",
            entry(track.path, None if absolute else path.parent),
        ]
    part = Path(f"{path}.part")
    try:
        part.write_bytes("".join(line + "\n" for line in lines).encode())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        cause = f"cannot be written ({error.strerror or error})"
        remedy = "make its folder first" if isinstance(error, FileNotFoundError) else "free space"
        raise SpaceError(readable(path), cause, f"{remedy}, or choose another place with -o") from error


def entry(track_path: str, folder: Path | None) -> str:
    """One playlist line for an absolute path; relative to `folder` when given."""
    text = track_path
    if folder is not None:
        with contextlib.suppress(ValueError):  # another drive: no relative path leads there
            text = os.path.relpath(track_path, folder)
    try:
        text.encode()
        plain = not any(map(breaks_a_line, text)) and text == text.strip() and not text.startswith("#")
    except UnicodeEncodeError:
        plain = False
    return text if plain else uri(track_path)


def uri(path: str) -> str:
    """A file:// address of an absolute path, percent-encoded: it leads there whatever its bytes are."""
    return "file://" + quote_from_bytes(os.fsencode(path))


def _scores(seeds: Floats, vectors: Floats, blend: Blend) -> Floats:
    norms = np.linalg.norm(seeds.astype(np.float64), axis=1, keepdims=True)
    units = seeds / np.where(norms > 0, norms, 1)
    if blend == "all":
        farthest: Floats = np.min([cosines(u, vectors) for u in units], axis=0)
        return farthest
    mean = units.mean(axis=0)
    if np.linalg.norm(mean) < 1e-6:
        raise SpaceError("playlist", "the seeds are opposites: their mean is nothing", "use --blend all")
    return cosines(mean, vectors)
