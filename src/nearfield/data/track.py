"""Track: the noun every room shares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nearfield.errors import readable

KEY_PATTERN = re.compile(r"^[A-G](?:#|b)? (?:major|minor)$")


@dataclass(frozen=True)
class Track:
    """One piece of music in a catalogue: where it lies and what is known about it.

    Empty strings and None mean "not known". `path` is relative to the manifest's root, or absolute; names that
    are not UTF-8 are held as Python holds them (surrogateescape). `factors` keeps whatever else is exactly known
    (instrument set, seed, soundfont), as text.
    """

    id: str
    path: str
    duration_s: float | None = None
    title: str = ""
    artist: str = ""
    album: str = ""
    genre: str = ""
    year: int | None = None
    package: str = ""
    licence: str = ""
    tempo_bpm: float | None = None
    key: str = ""
    tags: tuple[str, ...] = ()
    split: str = ""
    content_hash: str = ""
    factors: Mapping[str, str] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """What breaks the rules of a manifest, in words; empty when all is well."""
        found = []
        if not self.id:
            found.append("id is empty")
        if not self.path:
            found.append("path is empty")
        if self.duration_s is not None and not self.duration_s > 0:
            found.append(f"duration_s is {self.duration_s}, must be above 0")
        if self.tempo_bpm is not None and not 20 <= self.tempo_bpm <= 400:
            found.append(f"tempo_bpm is {self.tempo_bpm}, must be 20 to 400")
        if self.key and not KEY_PATTERN.match(self.key):
            found.append(f"key is {self.key!r}, must read like 'F# minor'")
        return found

    @property
    def name(self) -> str:
        """What to call it in a table: 'artist - title', else the file's name."""
        title = self.title or readable(Path(self.path).name)
        return f"{self.artist} - {title}" if self.artist else title
