"""The vectors that an embedding gives to changed versions; kept as they come, so that a run may be taken up again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nearfield.catalogue.journal import Journal, records
from nearfield.errors import AudioError, Failure, NearfieldError, SpaceError, readable
from nearfield.sound.manipulate import Manipulation
from nearfield.study.sensitivity.versions import RATE_HZ, Progress, Sound, VersionStore

Vector = npt.NDArray[np.float32]
# mono samples and their rate in Hz -> (D,) vector
Embed = Callable[[npt.NDArray[np.float32], float], npt.ArrayLike]
Change = Manipulation | None  # None: the unchanged excerpt

_END = b"\0"


@dataclass(frozen=True, eq=False)
class VersionVectors:
    """What was embedded: for every sound the vectors of its versions; a change that does not apply is not among them."""

    of: dict[str, dict[Change, Vector]]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class VersionEmbedder:
    """An embedding and the versions it is asked about.

    `dimensions` is that of the catalogue. `digest` names the embedding: with it vectors are kept beside the versions, and
    a later run does not embed them again; without it they are not kept.
    """

    store: VersionStore
    seed: int
    embed: Embed = field(repr=False)
    dimensions: int
    digest: str | None = None

    def run(
        self,
        sounds: Sequence[Sound],
        contents: dict[str, str],
        manipulations: Sequence[Manipulation],
        progress: Callable[[Progress], None] | None = None,
    ) -> VersionVectors:
        """Vectors of all versions of the sounds, of which `contents` has the hash by id.

        A version that cannot be embedded is a Failure, as is one whose vector is zero or not finite; where it is the
        unchanged excerpt, the sound is left out. Raises SpaceError for vectors of another length than the catalogue's.
        """
        found: dict[str, dict[Change, Vector]] = {}
        failures: list[Failure] = []
        changes: tuple[Change, ...] = (None, *manipulations)
        with self._kept() as (kept, append):
            for n, sound in enumerate(sounds, 1):
                vectors = self._of_sound(sound, contents[sound.id], changes, kept, append, failures)
                if None in vectors:
                    found[sound.id] = vectors
                if progress is not None:
                    progress(Progress("embed", n * len(changes), len(sounds) * len(changes), len(failures)))
        return VersionVectors(found, tuple(failures))

    def _of_sound(
        self,
        sound: Sound,
        content: str,
        changes: Sequence[Change],
        kept: dict[bytes, Vector],
        append: Callable[[bytes], None],
        failures: list[Failure],
    ) -> dict[Change, Vector]:
        vectors: dict[Change, Vector] = {}
        unchanged: npt.NDArray[np.float32] | None = None
        for change in changes:
            key = f"{content} {'unchanged' if change is None else f'{change.kind} {float(change.amount)!r}'}".encode()
            if key in kept:
                vectors[change] = kept[key]
                continue
            try:
                samples = self.store.read(content, change, self.seed, unchanged)
                if change is None:
                    unchanged = samples
                if samples is None:
                    continue
                vectors[change] = self._vector(samples)
            except (NearfieldError, MemoryError) as error:
                failures.append(_failure(sound, change, error))
                if change is None:
                    break
                continue
            append(key + _END + vectors[change].tobytes())
        return vectors

    def _vector(self, samples: npt.NDArray[np.float32]) -> Vector:
        try:
            vector = np.asarray(self.embed(samples, RATE_HZ), np.float32)
        except NearfieldError:
            raise
        except Exception as error:  # whatever a foreign embedding makes of one sound
            cause = " ".join(f"the embedding failed: {type(error).__name__}: {error}".split())
            raise AudioError("version", cause, "leave the track out") from error
        if vector.shape != (self.dimensions,):
            cause = f"gives vectors of shape {vector.shape}, the catalogue's are ({self.dimensions},)"
            raise _UnfitError("the embedding", cause, "give the embedding that made the catalogue")
        if not np.isfinite(vector).all() or not vector.any():
            raise AudioError(
                "version", "the embedding gives a vector that is zero or not finite", "leave the track out"
            )
        return vector

    @contextlib.contextmanager
    def _kept(self) -> Iterator[tuple[dict[bytes, Vector], Callable[[bytes], None]]]:
        """The vectors of earlier runs, and where to append new ones."""
        if self.digest is None:
            yield {}, lambda _: None
            return
        path = self.store.folder / f"vectors-{self.digest}-{self.seed}.journal"
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {}
        for record in records(path):
            key, _, data = record.partition(_END)
            if len(data) == 4 * self.dimensions:
                kept[key] = np.frombuffer(data, np.float32)
        with Journal(path) as journal:
            yield kept, journal.append


class _UnfitError(SpaceError):
    """Wrong for all versions, not for one."""


def _failure(sound: Sound, change: Change, error: NearfieldError | MemoryError) -> Failure:
    if isinstance(error, _UnfitError):
        raise error
    name = readable(sound.path) + ("" if change is None else f" ({change})")
    if isinstance(error, MemoryError):
        return Failure(name, "memory was short", "ask about fewer tracks")
    return Failure.of(name, error)
