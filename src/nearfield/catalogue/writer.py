"""Writing a SPACE so that a kill, a full disk or Ctrl-C at any moment leaves the last whole generation in
place.

Finished tracks go to a journal at once; `commit` writes the next generation's files, syncs them, and replaces
`meta.json` last. A journal left behind is taken up by the next writer. One writer at a time holds the
folder's lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import nearfield
from nearfield.catalogue.journal import Journal, records
from nearfield.catalogue.space import (
    FORMAT,
    META,
    POINTER,
    POOLING,
    DamagedError,
    FileSum,
    Space,
    SpaceMeta,
    Vectors,
    open_space,
    space_id,
)
from nearfield.data.manifest import tracks_table
from nearfield.data.track import Track
from nearfield.errors import Failure, SpaceError, readable

try:
    import fcntl
except ImportError:  # no such thing on Windows: there nobody stops a second writer
    fcntl = None  # type: ignore[assignment]

_OURS = re.compile(r"(?:tracks|vectors|journal)-(\d+)\.(?:parquet|f32|bin)(?:\.part)?")


@dataclass(frozen=True)
class Identity:
    """What the vectors of a space are made with."""

    model: str
    model_digest: str
    model_path: str
    mel: Mapping[str, float]
    slice_frames: int
    slices: int | str
    dimensions: int

    @property
    def id(self) -> str:
        return space_id(self.model_digest, self.mel, self.slice_frames, self.slices)


@dataclass(frozen=True, eq=False)
class Entry:
    """One track of the space: its vector (D,), the file's state when it was read, and the folder it came
    with.
    """

    track: Track
    vector: Vectors
    size_bytes: int
    mtime_ns: int
    n_slices: int
    root: str


class SpaceWriter:
    """The entries by path, opened for changing; a context that holds the lock. `notes` says what was out of
    order.
    """

    def __init__(self, place: Path, identity: Identity) -> None:
        place = Path(os.path.expanduser(place))
        self.place, self.identity = place, identity
        self.home = place / identity.id
        self.entries: dict[str, Entry] = {}
        self.notes: list[str] = []
        self.old: SpaceMeta | None = None
        self._changed = False
        self._journal: Journal | None = None
        with _writing(self.home):
            self.home.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(place)
        try:
            self._load()
        except BaseException:
            os.close(self._lock)
            raise

    def put(self, entry: Entry, moved_from: str | None = None) -> None:
        """Set the entry of its path, in the journal first; `moved_from` is the path it had before."""
        with _writing(self.home):
            if self._journal is None:
                self._journal = Journal(self._journal_path)
            self._journal.append(_pack(entry, moved_from))
        self._apply(entry, moved_from)

    def drop(self, path: str) -> None:
        """Take a path out; on disk with the next commit."""
        del self.entries[path]
        self._changed = True

    def commit(self, failures: Sequence[Failure], make_current: bool = True) -> SpaceMeta:
        """Write the next generation and, with `make_current` or where none is, make this space the current one;
        nothing when all is as it was.
        """
        entries = [self.entries[p] for p in sorted(self.entries, key=os.fsencode)]
        roots = tuple(sorted({e.root for e in entries}, key=os.fsencode))
        old = self.old
        if old is None or self._changed or tuple(failures) != old.failures or roots != old.roots:
            old = self._write_generation(entries, roots, tuple(failures))
        if make_current or not (self.place / POINTER).exists():
            self._point_here()
        self.old, self._changed = old, False
        self._sweep(old)
        return old

    def _point_here(self) -> None:
        with _writing(self.home):
            pointer = json.dumps({"format": FORMAT, "current": self.identity.id}) + "\n"
            if not (self.place / POINTER).exists() or (self.place / POINTER).read_bytes() != pointer.encode():
                _replace(self.place / POINTER, pointer)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _generation(self) -> int:
        """The newest on disk; counted from the files where meta.json cannot say."""
        if self.old is not None:
            return self.old.generation
        found = (_OURS.fullmatch(name) for name in os.listdir(self.home))
        return max((int(m[1]) for m in found if m), default=0)

    @property
    def _journal_path(self) -> Path:
        return self.home / f"journal-{self._generation}.bin"

    def _load(self) -> None:
        if (self.home / META).exists():
            try:
                space = open_space(self.place, self.identity.id)
                self.old = space.meta
                self.entries = {e.track.path: e for e in _entries(space)}
            except DamagedError as error:
                self.notes.append(f"{error.subject}: {error.cause}; this space is built anew")
                self._changed = True
        taken_up = 0
        try:
            for payload in records(self._journal_path):
                self._apply(*_unpack(payload, self.identity.dimensions))
                taken_up += 1
        except (KeyError, TypeError, ValueError) as error:
            self.notes.append(f"the journal of another version was left out from record {taken_up} on ({error})")
        if taken_up:
            self.notes.append(f"took up {taken_up} tracks of an indexing that was interrupted")

    def _apply(self, entry: Entry, moved_from: str | None) -> None:
        self.entries[entry.track.path] = entry
        if moved_from is not None:
            self.entries.pop(moved_from, None)
        self._changed = True

    def _write_generation(
        self, entries: Sequence[Entry], roots: tuple[str, ...], failures: tuple[Failure, ...]
    ) -> SpaceMeta:
        generation = self._generation + 1
        now = datetime.now(UTC).isoformat(timespec="seconds")
        tracks = self.home / f"tracks-{generation}.parquet"
        vectors = self.home / f"vectors-{generation}.f32"
        with _writing(self.home, tracks, vectors):
            with open(tracks, "wb") as file:  # Arrow itself would take a "~" or a ":" in a path for more than a name
                pq.write_table(_table(entries, roots), file)
            _sync(tracks)
            with open(vectors, "wb") as file:
                for entry in entries:
                    file.write(np.ascontiguousarray(entry.vector, "<f4").tobytes())
            _sync(vectors)
            meta = SpaceMeta(
                id=self.identity.id,
                pooling=POOLING,
                n_tracks=len(entries),
                generation=generation,
                tracks=FileSum.of(tracks),
                vectors=FileSum.of(vectors),
                roots=roots,
                failures=failures,
                created=now if self.old is None else self.old.created,
                updated=now,
                nearfield=nearfield.__version__,
                **asdict(self.identity),
            )
            _replace(self.home / META, meta.to_json())
        return meta

    def _sweep(self, meta: SpaceMeta) -> None:
        """Remove what the current generation does not use; what will not go is tried again next time."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        for name in os.listdir(self.home):
            if _OURS.fullmatch(name) and name not in (meta.tracks.name, meta.vectors.name):
                with contextlib.suppress(OSError):
                    os.unlink(self.home / name)


def _entries(space: Space) -> Iterator[Entry]:
    state = space.table.select(["size_bytes", "mtime_ns", "n_slices", "root"]).to_pylist()
    for track, row, vector in zip(space.tracks, state, space.vectors, strict=True):
        root = space.meta.roots[row["root"]]
        yield Entry(track, vector, row["size_bytes"], row["mtime_ns"], row["n_slices"], root)


def _table(entries: Sequence[Entry], roots: Sequence[str]) -> pa.Table:
    table = tracks_table([e.track for e in entries])
    number = {root: i for i, root in enumerate(roots)}
    columns = {
        "size_bytes": pa.array([e.size_bytes for e in entries], pa.int64()),
        "mtime_ns": pa.array([e.mtime_ns for e in entries], pa.int64()),
        "n_slices": pa.array([e.n_slices for e in entries], pa.int32()),
        "root": pa.array([number[e.root] for e in entries], pa.int32()),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _pack(entry: Entry, moved_from: str | None) -> bytes:
    """One JSON line, then the vector; escaped, so that names which are not UTF-8 come back as they were."""
    track = asdict(entry.track)
    state = {k: getattr(entry, k) for k in ("size_bytes", "mtime_ns", "n_slices", "root")}
    line = json.dumps({"track": track, "moved_from": moved_from, **state})
    return line.encode() + b"\n" + np.ascontiguousarray(entry.vector, "<f4").tobytes()


def _unpack(payload: bytes, dimensions: int) -> tuple[Entry, str | None]:
    line, _, raw = payload.partition(b"\n")
    content = json.loads(line)
    moved_from = content.pop("moved_from")
    track = content.pop("track")
    vector = np.frombuffer(raw, "<f4", dimensions)
    return Entry(Track(**{**track, "tags": tuple(track["tags"])}), vector, **content), moved_from


def _replace(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
    _sync(part)
    os.replace(part, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Onto the disk itself: only then may what points to it be written."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(place: Path) -> int:
    """A descriptor that holds the lock; the system lets go of it when its process ends, however it ends."""
    path = place / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            cause = f"another nearfield (process {holder}) is writing to it"
            raise SpaceError(readable(place), cause, "wait until it has ended") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


@contextlib.contextmanager
def _writing(subject: Path, *halves: Path) -> Iterator[None]:
    """Errors of the disk as a SpaceError; the halves written so far are removed."""
    try:
        yield
    except OSError as error:
        for half in halves:
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)
        remedy = "free space or check its permissions, then run the same command again; what was indexed is kept"
        raise SpaceError(readable(subject), f"cannot be written ({error.strerror or error})", remedy) from error
