"""What an audit measures, and what it is made on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearfield.data.manifest import Manifest
from nearfield.data.track import Track
from nearfield.errors import AuditError, Failure
from nearfield.sound.manipulate import Manipulation
from nearfield.study.neighbourhood.measure import SIZES
from nearfield.study.organise import Settings as OrganiseSettings
from nearfield.study.properties import NAMES, Property
from nearfield.study.shape import DUPLICATE

ORGANISING = ("tempo", "key", "tilt", "centroid", "level", "genre", "artist", "package", "tags")
LEAVE_OUT = ("artist", "album", "package", "duplicates")

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AuditConfig:
    """What is measured.

    `sizes`: numbers of neighbours, K; what organises the space, hubs and changed sound are asked about `main_k`. Tracks that
    share what `leave_out` names are not each other's neighbours. `properties`: those known are measured. `changed_tracks` are
    drawn to be changed (0: none), by the amounts of `changes` (None: the standard ones). `estimate`: tempo, key and spectrum
    are estimated from the files where the manifest does not know them.
    """

    sizes: tuple[int, ...] = SIZES
    main_k: int = 10
    leave_out: tuple[str, ...] = ()
    properties: tuple[str, ...] = NAMES
    permutations: int = 999
    duplicate_cosine: float = DUPLICATE
    changed_tracks: int = 60
    changes: tuple[Manipulation, ...] | None = None
    estimate: bool = True
    organise: OrganiseSettings = field(default_factory=OrganiseSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.sizes or min(*self.sizes, self.main_k) < 1:
            raise AuditError("sizes", f"{list(self.sizes)} and {self.main_k} neighbours", "ask for one or more")
        for name in ("seed", "changed_tracks", "permutations"):
            if getattr(self, name) < 0:
                raise AuditError(name, f"is {getattr(self, name)}", "give 0 or more")
        if unknown := sorted(set(self.leave_out) - set(LEAVE_OUT)):
            raise AuditError("leave_out", f"{unknown[0]!r} is not known", f"use some of: {', '.join(LEAVE_OUT)}")


@dataclass(frozen=True)
class Subject:
    """What is audited: the tracks that all embeddings have, what is known about them, where versions are kept."""

    manifest: Manifest
    properties: tuple[Property, ...]
    failures: tuple[Failure, ...]
    cache: Path
    workers: int | None

    @property
    def tracks(self) -> tuple[Track, ...]:
        return self.manifest.tracks

    def group(self, name: str) -> Indices:
        """(N,) numbers of what tracks have in common, -1 where it is not known."""
        labels = [getattr(track, name) for track in self.tracks]
        numbers = {label: n for n, label in enumerate(dict.fromkeys(filter(None, labels)))}
        return np.array([numbers.get(label, -1) for label in labels], np.int64)
