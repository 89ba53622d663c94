"""The SPACE: one embedding of one catalogue, opened for reading.

A folder holds one space or several, one subfolder per space id; `space.json` names the current one. Each has
its tracks (Parquet), its vectors (raw float32) and `meta.json`, which names the files of the current
generation with sizes and checksums; writer.py replaces it last. See docs/formats.md.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearfield.data.manifest import tracks_of
from nearfield.data.track import Track
from nearfield.errors import Failure, SpaceError, readable
from nearfield.parquet import read_table
from nearfield.search.neighbours import Neighbour, Rules, nearest
from nearfield.search.resolve import find

FORMAT = 1
POOLING = "mean of unit slices"
POINTER = "space.json"
META = "meta.json"
REBUILD = "run 'nearfield index' on your music folders again: it rebuilds this space, others stay as they are"
_OTHER_VERSION = "open it with the nearfield that wrote it, or index into another folder with --space"

Vectors = npt.NDArray[np.float32]


class DamagedError(SpaceError):
    """Files of a space that are missing, cut short or altered: indexing again rebuilds it."""


class Embeds(Protocol):
    """What `neighbours` asks of a model (an Encoder has it)."""

    @property
    def digest(self) -> str: ...

    def embed_file(self, path: str | Path, slices: Any = ...) -> Any: ...


@dataclass(frozen=True)
class FileSum:
    """A file of the current generation: its name, size in bytes and BLAKE2b checksum (16 bytes, hex)."""

    name: str
    size: int
    blake2b: str

    @classmethod
    def of(cls, path: Path) -> FileSum:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        return cls(path.name, path.stat().st_size, digest.hexdigest())


@dataclass(frozen=True)
class SpaceMeta:
    """What a space says of itself. `slices` is a number a track, or "all"; `roots` are the folders indexed
    into it.
    """

    id: str
    model: str
    model_digest: str
    model_path: str
    mel: Mapping[str, float]
    slice_frames: int
    pooling: str
    slices: int | str
    dimensions: int
    n_tracks: int
    generation: int
    tracks: FileSum
    vectors: FileSum
    roots: tuple[str, ...]
    failures: tuple[Failure, ...]
    created: str
    updated: str
    nearfield: str

    def to_json(self) -> str:
        """Text of `meta.json`, with a checksum over itself."""
        content = {"format": FORMAT, **asdict(self)}
        return json.dumps({**content, "blake2b": _checksum(content)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, path: Path) -> SpaceMeta:
        """Read and check; DamagedError when altered, SpaceError when of another format."""
        content = _json(path)
        version, checksum = content.get("format"), content.pop("blake2b", None)
        altered = checksum != _checksum(content)
        # another version may count its checksum otherwise; no version has no number, or this one's checksum
        if version != FORMAT and isinstance(version, int) and checksum != _checksum({**content, "format": FORMAT}):
            cause = f"space format is {version}, this version reads {FORMAT}"
            raise SpaceError(readable(path), cause, _OTHER_VERSION)
        if altered:
            raise DamagedError(readable(path), "its content does not match its checksum", REBUILD)
        del content["format"]
        try:
            for name in ("tracks", "vectors"):
                content[name] = FileSum(**content[name])
            content["roots"] = tuple(content["roots"])
            content["failures"] = tuple(Failure(**f) for f in content["failures"])
            return cls(**content)
        except (KeyError, TypeError) as error:
            raise SpaceError(readable(path), f"its keys are not known ({error})", _OTHER_VERSION) from error


@dataclass(frozen=True, eq=False)
class Space:
    """An opened space: tracks in the order of the rows of `vectors` (N, D), unit float32, read from disk as
    needed.
    """

    folder: Path
    meta: SpaceMeta
    table: pa.Table
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks, their paths absolute."""
        return tuple(tracks_of(self.table))

    @property
    def ids(self) -> list[str]:
        """The tracks' absolute paths, as exports name them."""
        return [t.path for t in self.tracks]

    def index_of(self, query: str | Path | Track) -> int | None:
        """The row a person means by a path, an id or a part of a name; None for a file outside the space."""
        return find(self.tracks, query.path if isinstance(query, Track) else os.fspath(query))

    def vector_of(self, query: str | Path | Track, model: Embeds | None = None) -> Vectors:
        """(D,) of a track of the space, or of a file outside it embedded by `model` (the one that made the
        space).
        """
        row = self.index_of(query)
        if row is not None:
            return np.array(self.vectors[row])
        path = query.path if isinstance(query, Track) else query
        if model is None:
            remedy = "index it, or pass model=nearfield.load_model() to embed it now"
            raise SpaceError(readable(path), "is not in this space", remedy)
        self.check_model(model)
        return np.asarray(model.embed_file(path, self.meta.slices).vector)

    def check_model(self, model: Embeds) -> None:
        """SpaceError unless the model is the very one that made the space."""
        if model.digest != self.meta.model_digest:
            cause = f"was made by model {self.meta.model!r} ({self.meta.model_digest}), not by {model.digest}"
            raise SpaceError(readable(self.folder), cause, "name that model with --model, or index again with yours")

    def neighbours(
        self,
        query: str | Path | Track | npt.NDArray[np.floating[Any]],
        k: int = 20,
        *,
        max_per_artist: int | None = None,
        leave_out_duplicates: bool = False,
        model: Embeds | None = None,
    ) -> tuple[Neighbour, ...]:
        """The `k` tracks nearest a track, a file or a vector (D,), best first; never the query itself."""
        rules = Rules(max_per_artist, leave_out_duplicates)
        if isinstance(query, np.ndarray):
            return nearest(np.asarray(query, np.float32), self.vectors, self.tracks, k, rules)
        row = self.index_of(query)
        vector = self.vector_of(query, model) if row is None else self.vectors[row]
        return nearest(vector, self.vectors, self.tracks, k, rules, own=() if row is None else (row,))


@dataclass(frozen=True)
class SpaceSummary:
    """One space of a folder: its meta, or what is wrong with it."""

    id: str
    current: bool
    meta: SpaceMeta | None
    problem: str


def space_id(model_digest: str, mel: Mapping[str, float], slice_frames: int, slices: int | str) -> str:
    """12 hex digits of what makes vectors comparable: model, front end, slices and pooling."""
    what = [FORMAT, model_digest, sorted(mel.items()), slice_frames, POOLING, slices]
    return hashlib.blake2b(json.dumps(what).encode(), digest_size=6).hexdigest()


def open_space(folder: str | Path, id: str | None = None) -> Space:
    """Open the current space of a folder, or the one with this id. Files are checked whole against their
    checksums.

    Raises SpaceError naming the file, the cause and the remedy.
    """
    place = Path(os.path.expanduser(folder))
    current = id or current_id(place)
    home = place / current
    if not home.is_dir():
        known = ", ".join(sorted(_ids(place))) or "none"
        raise SpaceError(readable(home), "no such space", f"ask for one that is there: {known}")
    if not (home / META).exists():
        raise SpaceError(
            readable(home),
            "its first indexing was interrupted",
            "run 'nearfield index' again: it goes on where it stopped",
        )
    meta = SpaceMeta.from_json(home / META)
    for _ in range(5):
        try:
            return _read(place, home, meta)
        except DamagedError:
            newer = SpaceMeta.from_json(home / META)
            if newer.generation == meta.generation:
                raise
            meta = newer  # a writer has just replaced it
    return _read(place, home, meta)


def current_id(place: Path) -> str:
    """The id in `space.json`; SpaceError when the folder holds no space."""
    if not (place / POINTER).exists():
        there = "holds no space" if place.is_dir() else "no such folder"
        if place.is_dir() and any(_ids(place)):
            there = "holds a space whose first indexing was interrupted"
        raise SpaceError(readable(place), there, "make one with 'nearfield index FOLDER --space ...'")
    content = _json(place / POINTER)
    version, current = content.get("format"), content.get("current")
    if version != FORMAT and isinstance(version, int):
        cause = f"space format is {version}, this version reads {FORMAT}"
        raise SpaceError(readable(place / POINTER), cause, _OTHER_VERSION)
    if version != FORMAT or not isinstance(current, str) or current not in _ids(place):
        raise DamagedError(readable(place / POINTER), "names no space that is there", REBUILD)
    return current


def summaries(folder: str | Path) -> list[SpaceSummary]:
    """Every space of a folder, by id; a damaged one with its problem."""
    place = Path(os.path.expanduser(folder))
    current = current_id(place)
    found = []
    for name in sorted(_ids(place)):
        try:
            space = open_space(place, name)
            found.append(SpaceSummary(name, name == current, space.meta, ""))
        except SpaceError as error:
            found.append(SpaceSummary(name, name == current, None, str(error)))
    return found


def _ids(place: Path) -> Iterable[str]:
    for entry in place.iterdir() if place.is_dir() else ():
        if entry.is_dir() and len(entry.name) == 12 and set(entry.name) <= set("0123456789abcdef"):
            yield entry.name


def _read(place: Path, home: Path, meta: SpaceMeta) -> Space:
    for expected in (meta.tracks, meta.vectors):
        _check(home / expected.name, expected)
    subject = readable(str(home / meta.tracks.name))
    try:
        table = read_table(home / meta.tracks.name)
    except (OSError, pa.ArrowException) as error:
        raise DamagedError(subject, f"not a readable Parquet file ({error})", REBUILD) from error
    shape = (meta.n_tracks, meta.dimensions)
    if meta.vectors.size != 4 * shape[0] * shape[1] or table.num_rows != shape[0]:
        raise DamagedError(subject, f"its rows do not match the {shape[0]} tracks of {META}", REBUILD)
    if shape[0] == 0:
        return Space(place, meta, table, np.zeros(shape, np.float32))
    return Space(place, meta, table, np.memmap(home / meta.vectors.name, "<f4", "r", shape=shape))


def _check(path: Path, expected: FileSum) -> None:
    try:
        found = FileSum.of(path)
    except FileNotFoundError as error:
        raise DamagedError(readable(path), "is missing", REBUILD) from error
    except OSError as error:
        raise SpaceError(readable(path), error.strerror or str(error), "check its permissions") from error
    if found.size != expected.size:
        raise DamagedError(readable(path), f"has {found.size} bytes, expected are {expected.size}", REBUILD)
    if found != expected:
        raise DamagedError(readable(path), "its content does not match its checksum", REBUILD)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise SpaceError(readable(path), error.strerror or str(error), "check its permissions") from error
    except ValueError as error:
        raise DamagedError(readable(path), f"is not JSON ({error})", REBUILD) from error
    if not isinstance(content, dict):
        raise DamagedError(readable(path), "is not a JSON object", REBUILD)
    return content


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
