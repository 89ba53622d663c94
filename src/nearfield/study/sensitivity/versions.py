"""Changed versions of the middle of a track, made once on all cores and kept on disk for every embedding that is asked.

The excerpt is the middle 30 s (all of a shorter track): long enough for eight slices of 3 s that cover most of it, so that
a change of tempo moves few of them onto other music. It is read once at 48 kHz; what is changed and what is not go from
there to 16 kHz by the same way. Changes that take long (tempo, pitch, codecs) are kept, and so is one channel alone, which
needs the file; filters, level and noise are made anew from the kept excerpt whenever they are asked for.

Kept are FLAC files of 16 bit below the version's own peak, which stands in their comment: the error is 101 dB below the
peak (measured), and no level is clipped. A version is written under another name and then renamed, so that a kill leaves
whole files only; an empty file says that the change does not apply (one channel of a track that has but one).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from nearfield import pool
from nearfield.catalogue.embed import content_hash
from nearfield.errors import AudioError, Failure, ManipulationError, NearfieldError, readable
from nearfield.sound import audio
from nearfield.sound.manipulate import VERSION, Manipulation, changed

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
_READ_HZ = 48_000
_SHORTEST_S = 1.0
_ALIKE = 1e-3  # -60 dB: channels that differ by less are one
_LIBRARIES = ("av", "python-stretch", "scipy", "soundfile", "soxr")
_REMEDY = "convert the file again from its source, or remove it"
_PATIENCE_S = 60.0  # a version, beside the reading: it takes about one second


@dataclass(frozen=True)
class Recipe:
    """What versions are made of: the length of the excerpt, and the seed of the noise."""

    excerpt_s: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not _SHORTEST_S <= self.excerpt_s <= 600:
            cause = f"{self.excerpt_s:g} s of each track"
            raise ManipulationError("excerpt", cause, f"take {_SHORTEST_S:g} to 600 s")

    @property
    def digest(self) -> str:
        """Changes with whatever changes the sound: these settings, our code, the libraries."""
        made_by = {name: _version(name) for name in _LIBRARIES}
        text = json.dumps({**asdict(self), "version": VERSION, "rate_hz": RATE_HZ, **made_by}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Sound:
    """A track to be changed: its row in the catalogue, its id, and its file."""

    row: int
    id: str
    path: str


@dataclass(frozen=True)
class Progress:
    """How far a stage is: "change" counts tracks, "embed" versions."""

    stage: str
    done: int
    total: int
    failed: int


@dataclass(frozen=True)
class Made:
    """`contents`: the content hash of each sound that can be read, by its id; and those that cannot."""

    contents: dict[str, str]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class VersionStore:
    """The versions of one recipe below a folder, by the content of the file they come from."""

    folder: Path

    @classmethod
    def at(cls, cache: Path, recipe: Recipe) -> VersionStore:
        return cls(cache / recipe.digest)

    def path(self, content: str, manipulation: Manipulation | None) -> Path:
        """Where a version is kept; the unchanged excerpt where `manipulation` is None."""
        name = "unchanged" if manipulation is None else f"{manipulation.kind} {float(manipulation.amount)!r}"
        return self.folder / content / f"{name.replace(' ', '_')}.flac"

    def write(self, content: str, manipulation: Manipulation | None, samples: Samples | None) -> None:
        """Keep a version at 16 kHz; None says that the change does not apply to this track."""
        path = self.path(content, manipulation)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.with_suffix(f".{os.getpid()}.part")
        before.write_bytes(b"" if samples is None else _packed(samples))
        os.replace(before, path)

    def read(
        self, content: str, manipulation: Manipulation | None, seed: int = 0, unchanged: Samples | None = None
    ) -> Samples | None:
        """(n,) samples at 16 kHz of a version that was made, or is made here; None where the change does not apply.

        `seed`: of noise, which is always the same for a content and an amount. `unchanged`: the excerpt, where it was
        read before. Raises AudioError where a version is not kept or cannot be read.
        """
        if manipulation is None or manipulation.traits.costly:
            return _unpacked(self.path(content, manipulation))
        before = _unpacked(self.path(content, None)) if unchanged is None else unchanged
        rng = np.random.default_rng([seed, *hashlib.sha256(f"{content} {manipulation}".encode()).digest()])
        return None if before is None else changed(before, RATE_HZ, manipulation, rng)


def make_versions(
    sounds: Sequence[Sound],
    manipulations: Sequence[Manipulation],
    cache: Path,
    recipe: Recipe,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Made:
    """Make whatever versions of the sounds the cache does not hold, one track a process.

    A sound that cannot be read is a Failure, and the others go on. Raises ManipulationError before any work where a
    library is missing.
    """
    for library in {m.traits.library for m in manipulations} - {None}:
        library()  # type: ignore[misc]
    store = VersionStore.at(cache, recipe)
    maker = _Maker(store, tuple(m for m in manipulations if m.traits.costly), recipe.excerpt_s)
    crew = min(pool.cores() if workers is None else max(0, workers), len(sounds))
    contents: dict[str, str] = {}
    failures: list[Failure] = []
    with contextlib.closing(pool.run(maker, sounds, crew, maker.patience_s)) as answers:
        for done, (sound, answer) in enumerate(answers, 1):
            if isinstance(answer, pool.Lost):
                answer = Failure(readable(sound.path), answer.cause, _REMEDY)
            if isinstance(answer, Failure):
                failures.append(answer)
            else:
                contents[sound.id] = answer
            if progress is not None:
                progress(Progress("change", done, len(sounds), len(failures)))
    return Made(contents, tuple(failures))


@dataclass(frozen=True)
class _Maker:
    """What a process does with a sound; the answer is its content hash."""

    store: VersionStore
    manipulations: tuple[Manipulation, ...]
    excerpt_s: float

    def __call__(self, sound: Sound) -> str | Failure:
        try:
            return self._make(sound.path)
        except NearfieldError as error:
            return Failure.of(readable(sound.path), error)
        except MemoryError:
            return Failure(readable(sound.path), "memory was short", "use fewer --workers")
        except OSError as error:
            return Failure(readable(sound.path), error.strerror or str(error), "check the file, and the cache's disk")
        except Exception as error:  # one file must not stop an audit, whatever a library makes of it
            cause = " ".join(f"unexpected {type(error).__name__}: {error}".split())
            return Failure(readable(sound.path), cause, f"{_REMEDY}; please report this")

    def patience_s(self, sound: Sound) -> float:
        try:
            size = os.stat(sound.path).st_size
        except OSError:
            size = 0
        return pool.patience_s(size) + _PATIENCE_S * len(self.manipulations)

    def _make(self, path: str) -> str:
        content = content_hash(path)
        missing = [m for m in (None, *self.manipulations) if not self.store.path(content, m).exists()]
        if missing:
            channels = middle(path, self.excerpt_s)
            for manipulation in missing:
                self.store.write(content, manipulation, version_of(channels, manipulation))
        return content


def middle(path: str, excerpt_s: float) -> Samples:
    """(n, channels) samples at 48 kHz of the middle `excerpt_s`; AudioError below 1 s."""
    start_s = max(0.0, (audio.probe(path).duration_s - excerpt_s) / 2)
    channels = audio.load_channels(path, _READ_HZ, start_s, excerpt_s)
    if len(channels) < _SHORTEST_S * _READ_HZ:
        raise AudioError(readable(path), f"too short ({len(channels) / _READ_HZ:.2f} s)", "give at least 1 s of sound")
    return channels


def version_of(channels: Samples, manipulation: Manipulation | None) -> Samples | None:
    """(n, channels) at 48 kHz -> (m,) at 16 kHz, changed; None where the change does not apply."""
    mono = channels.mean(axis=1, dtype=np.float32)
    if manipulation is None:
        return audio.resample(mono, _READ_HZ, RATE_HZ)
    if manipulation.traits.channels == 2:
        if channels.shape[1] != 2 or np.ptp(channels, axis=1).max() <= _ALIKE * np.abs(channels).max():
            return None
        return audio.resample(changed(channels, _READ_HZ, manipulation), _READ_HZ, RATE_HZ)
    if manipulation.traits.rate_hz is None:
        return changed(audio.resample(mono, _READ_HZ, RATE_HZ), RATE_HZ, manipulation)
    return audio.resample(changed(mono, _READ_HZ, manipulation), _READ_HZ, RATE_HZ)


def _packed(samples: Samples) -> bytes:
    peak = max(float(np.abs(samples).max()), 1e-30)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE_HZ, 1, subtype="PCM_16", format="FLAC") as file:
        file.comment = repr(peak)
        file.write(samples / np.float32(peak))
    return buffer.getvalue()


def _unpacked(path: Path) -> Samples | None:
    try:
        if not (data := path.read_bytes()):
            return None
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            return np.asarray(file.read(dtype="float32") * np.float32(float(file.comment)), np.float32)
    except (OSError, RuntimeError, ValueError) as error:
        raise AudioError(
            readable(path), f"a kept version cannot be read ({error})", "remove it, and run again"
        ) from error


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "none"
