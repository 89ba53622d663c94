"""Files x model -> SPACE, incrementally, over processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from nearfield import pool
from nearfield.catalogue.encoder import Encoder, encoder_of, load_model
from nearfield.catalogue.slices import DEFAULT_SLICES, Slices
from nearfield.catalogue.space import Vectors
from nearfield.catalogue.writer import Entry, Identity, SpaceWriter
from nearfield.data.manifest import Manifest
from nearfield.data.scan import find_audio, tags_of, track_ids
from nearfield.data.track import Track
from nearfield.errors import Failure, NearfieldError, SpaceError, readable

_CRASH_REMEDY = "convert the file again from its source, or remove it; if memory is short, use fewer --workers"
_MOST_SLICES = 1000


@dataclass(frozen=True)
class IndexProgress:
    """`total` counts the files that must be read; unchanged ones are passed over before."""

    done: int
    total: int
    failed: int
    unchanged: int


@dataclass(frozen=True)
class IndexResult:
    """What an indexing changed. `missing`: tracks kept though their files are gone; `notes`: what was out of
    order.
    """

    space_id: str
    n_tracks: int
    added: int
    updated: int
    unchanged: int
    moved: int
    removed: int
    missing: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    seconds: float


class IndexInterrupted(KeyboardInterrupt):
    """Ctrl-C during an indexing; what was finished is in the space."""

    def __init__(self, result: IndexResult) -> None:
        super().__init__("interrupted")
        self.result = result


@dataclass(frozen=True)
class _Task:
    """A file to be read; `tagged` where its track is known from a manifest, else its tags are read."""

    path: str
    track: Track
    tagged: bool
    size_bytes: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True, eq=False)
class _Answer:
    """A file read: `vector` is None where the space knows its content already."""

    track: Track
    vector: Vectors | None
    n_slices: int


@dataclass
class TrackReader:
    """What a worker does with a task; it carries the model's bytes, and loads them once where it arrives."""

    model: bytes
    model_path: str
    slices: Slices
    known: frozenset[str]
    threads: int = 1
    _encoder: Encoder | None = field(default=None, repr=False)

    def __call__(self, task: _Task) -> _Answer | Failure:
        try:
            return self._read(task)
        except NearfieldError as error:
            return Failure.of(readable(task.path), error)
        except MemoryError:
            return Failure(readable(task.path), "memory was short", _CRASH_REMEDY)
        except OSError as error:
            return Failure(readable(task.path), error.strerror or str(error), "check the file and its permissions")
        except Exception as error:  # one file must not stop a library's run, whatever a decoder makes of it
            cause = " ".join(f"unexpected {type(error).__name__}: {error}".split())
            return Failure(readable(task.path), cause, "convert it again from its source; please report this")

    def _read(self, task: _Task) -> _Answer:
        content = content_hash(task.path)  # in one go: the slices are then read from memory, not by seeks on a disk
        track = replace(task.track, path=task.path, content_hash=content)
        if not task.tagged:
            track = replace(track, **asdict(tags_of(Path(task.path))))
        if content in self.known:
            return _Answer(track, None, 0)
        if self._encoder is None:
            self._encoder = encoder_of(self.model, self.model_path, self.threads)
        found = self._encoder.embed_file(task.path, self.slices)
        return _Answer(replace(track, duration_s=found.duration_s), found.vector, found.n_slices)


def content_hash(path: str | Path) -> str:
    """BLAKE2b of the whole file, 32 hex digits; OSError as the disk says."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def index_folder(
    folder: str | Path,
    space: str | Path,
    model: Encoder | str | Path | None = None,
    slices: Slices = DEFAULT_SLICES,
    workers: int | None = None,
    prune: bool = False,
    progress: Callable[[IndexProgress], None] | None = None,
) -> IndexResult:
    """Bring a space up to date with every sound file below a folder; other folders' tracks stay.

    Unchanged files (path, size, time) are not opened; of the others, those whose content is known keep or
    share its vector. `prune` drops tracks whose files are gone. `workers`: processes, one a core when None, 0
    for none at all; in a script call from under `if __name__ == "__main__":`. Raises SpaceError and
    ModelError; single files that cannot be read are Failures in the result.
    """
    root = Path(os.path.abspath(folder))
    found = find_audio(root)
    if not found.paths and not found.failures:
        raise SpaceError(readable(folder), "no sound files found in it", "name a folder of music")
    ids = track_ids(root, found.paths)
    tasks = [_Task(str(p), Track(id=i, path=str(p)), False) for p, i in zip(found.paths, ids, strict=True)]
    return _Run(tasks, root, found.failures, Path(space), model, slices, workers, prune, progress).run()


def index_manifest(
    manifest: Manifest,
    space: str | Path,
    model: Encoder | str | Path | None = None,
    slices: Slices = DEFAULT_SLICES,
    workers: int | None = None,
    prune: bool = False,
    progress: Callable[[IndexProgress], None] | None = None,
) -> IndexResult:
    """The same for the tracks of a manifest, which says what they are called; tags are not read."""
    if not len(manifest):
        raise SpaceError(f"manifest {manifest.name!r}", "names no tracks", "scan a folder of music")
    root = Path(os.path.abspath(manifest.root))
    tasks = [_Task(os.path.abspath(manifest.locate(t)), t, True) for t in manifest]
    return _Run(tasks, root, (), Path(space), model, slices, workers, prune, progress).run()


@dataclass(eq=False)
class _Run:
    """One indexing, from the files found to the generation written."""

    tasks: Sequence[_Task]
    root: Path
    found_failures: Sequence[Failure]
    space: Path
    model: Encoder | str | Path | None
    slices: Slices
    workers: int | None
    prune: bool
    progress: Callable[[IndexProgress], None] | None

    def __post_init__(self) -> None:
        if self.slices != "all" and not 1 <= self.slices <= _MOST_SLICES:
            raise SpaceError("slices", f"{self.slices} a track", f"take 1 to {_MOST_SLICES}, or all")
        self.started = time.monotonic()
        self.failures = list(self.found_failures)
        self.encoder = self.model if isinstance(self.model, Encoder) else load_model(self.model, threads=1)
        self.crew = pool.cores() if self.workers is None else max(0, self.workers)
        self.counts = dict.fromkeys(("added", "updated", "unchanged", "moved", "removed", "missing"), 0)

    def run(self) -> IndexResult:
        encoder = self.encoder
        identity = Identity(
            encoder.name,
            encoder.digest,
            encoder.path,
            encoder.mel.as_dict(),
            encoder.slice_frames,
            self.slices,
            encoder.dimensions,
        )
        with SpaceWriter(self.space, identity) as writer:
            try:
                self._read(writer, list(self._changed(writer)))
                self._missing(writer)
            except KeyboardInterrupt:
                raise IndexInterrupted(self._finish(writer, interrupted=True)) from None
            if not writer.entries and writer.old is None:
                raise self._nothing()
            return self._finish(writer)

    def _changed(self, writer: SpaceWriter) -> Iterator[_Task]:
        """The files whose path, size or time the space does not know."""
        for task in self.tasks:
            try:
                state = os.stat(task.path)
            except OSError as error:
                cause, remedy = error.strerror or str(error), "check the path and its permissions"
                self.failures.append(Failure(readable(task.path), cause, remedy))
                continue
            if not stat.S_ISREG(state.st_mode):
                self.failures.append(Failure(readable(task.path), "is not a regular file", "leave it out"))
                continue
            old = writer.entries.get(task.path)
            if old is not None and (old.size_bytes, old.mtime_ns) == (state.st_size, state.st_mtime_ns):
                self.counts["unchanged"] += 1
            else:
                yield replace(task, size_bytes=state.st_size, mtime_ns=state.st_mtime_ns)

    def _read(self, writer: SpaceWriter, todo: Sequence[_Task]) -> None:
        by_content = {e.track.content_hash: e for e in writer.entries.values()}  # as it was before this run
        threads = 1 if self.crew else 0
        work = TrackReader(self.encoder.data, self.encoder.path, self.slices, frozenset(by_content), threads)
        results = pool.run(work, todo, min(self.crew, len(todo)), lambda task: pool.patience_s(task.size_bytes))
        with contextlib.closing(results):
            self._tell(0, len(todo))
            for done, (task, answer) in enumerate(results, 1):
                if isinstance(answer, pool.Lost):
                    answer = Failure(readable(task.path), answer.cause, _CRASH_REMEDY)
                if isinstance(answer, Failure):
                    self.failures.append(answer)
                else:
                    self._store(writer, task, answer, by_content)
                self._tell(done, len(todo))

    def _store(self, writer: SpaceWriter, task: _Task, answer: _Answer, by_content: Mapping[str, Entry]) -> None:
        """Put what was read into the space, and count it for what it is."""
        known = writer.entries.get(task.path)
        moved_from = None
        vector, n_slices, track = answer.vector, answer.n_slices, answer.track
        if vector is None:
            same = by_content[track.content_hash]
            before = same.track.path
            vector, n_slices = same.vector, same.n_slices
            track = replace(track, duration_s=same.track.duration_s)
            if known is None and writer.entries.get(before) is same and _vanished(before):
                moved_from = before
        same_content = known is not None and known.track.content_hash == track.content_hash
        kind = "unchanged" if same_content else "updated" if known else "moved" if moved_from else "added"
        self.counts[kind] += 1
        root = known.root if known else str(self.root)
        writer.put(Entry(track, vector, task.size_bytes, task.mtime_ns, n_slices, root), moved_from)

    def _missing(self, writer: SpaceWriter) -> None:
        """Tracks below the folder whose files are gone: dropped with `prune`, else kept and counted."""
        present = {t.path for t in self.tasks}
        below = os.path.join(self.root, "")
        gone = [p for p in writer.entries if p.startswith(below) and p not in present and _vanished(p)]
        for path in gone if self.prune else ():
            writer.drop(path)
        self.counts["removed" if self.prune else "missing"] = len(gone)

    def _finish(self, writer: SpaceWriter, interrupted: bool = False) -> IndexResult:
        """Commit. An interrupted run keeps the earlier failures it did not come to, and the current space as it is."""
        below = readable(os.path.join(self.root, ""))
        earlier = writer.old.failures if writer.old else ()
        failures = sorted(self.failures, key=lambda f: f.path)
        mended = {readable(p) for p in writer.entries} | {f.path for f in failures}
        kept = [f for f in earlier if not f.path.startswith(below) or (interrupted and f.path not in mended)]
        meta = writer.commit([*kept, *failures], make_current=not interrupted)
        return IndexResult(
            meta.id,
            meta.n_tracks,
            **self.counts,
            failures=tuple(failures),
            notes=tuple(writer.notes),
            seconds=time.monotonic() - self.started,
        )

    def _nothing(self) -> SpaceError:
        first = self.failures[0]
        cause = f"none of its {len(self.failures)} sound files can be read ({first.path}: {first.cause})"
        return SpaceError(readable(self.root), cause, first.remedy)

    def _tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(IndexProgress(done, total, len(self.failures), self.counts["unchanged"]))


def _vanished(path: str) -> bool:
    """Gone for certain: a folder that may not be entered, or a disk in trouble, is no proof."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
