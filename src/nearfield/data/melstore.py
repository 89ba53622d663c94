"""Log-mel shards: what training reads instead of audio.

A store is a folder: `store.json` (format, front end), `manifest.parquet` (the tracks asked for), `shard-NNNN.f16`
(float16, one track after another, each (T, M) so that a slice of time is one run of bytes) and `index.jsonl` (one line
a finished track, written after its bytes are on disk). A kill at any moment loses at most the track in hand: on opening
for writing, bytes without a line are cut off. Layout and fields: docs/formats.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt

try:
    import fcntl
except ImportError:  # not on this system: one writer a store is then the user's care
    fcntl = None  # type: ignore[assignment]

from nearfield.data.manifest import Manifest, read_manifest
from nearfield.data.track import Track
from nearfield.errors import Failure, StoreError, readable
from nearfield.records import build
from nearfield.sound.mel import DEFAULT, MelConfig

FORMAT = 1
SHARD_BYTES = 1 << 30

Frames = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Entry:
    """Where one track's frames lie: `offset` and length in bytes follow from `frames` x n_mels x 2."""

    id: str
    content_hash: str
    shard: int
    offset: int
    frames: int
    crc32: int


class StoreWriter:
    """Appends tracks; use as a context manager. One writer a store."""

    def __init__(self, path: Path, config: MelConfig = DEFAULT, shard_bytes: int = SHARD_BYTES) -> None:
        self.path = path
        self.config = config
        self._shard_bytes = shard_bytes
        with _writing(path), contextlib.ExitStack() as opened:
            path.mkdir(parents=True, exist_ok=True)
            _agree_on_front_end(path, config)
            lock = opened.enter_context((path / "lock").open("ab"))
            _lock(lock, path)
            self.entries = {e.id: e for e in _committed(path)}
            self._shard_number = max((e.shard for e in self.entries.values()), default=0)
            self._lock = lock
            self._index = opened.enter_context((path / "index.jsonl").open("ab"))
            self._shard: IO[bytes] = _shard(path, self._shard_number).open("ab")
            opened.pop_all()  # all stay open

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._shard, self._index, self._lock):
            with contextlib.suppress(OSError):  # what a full disk did not take was never committed
                file.close()

    def holds(self, track: Track) -> bool:
        """Whether this very track (same id, same content hash) is in the store already."""
        entry = self.entries.get(track.id)
        return entry is not None and entry.content_hash == track.content_hash

    def append(self, track: Track, frames: Frames) -> None:
        """Write (T, M) float16 frames and then commit them; raises StoreError when the disk refuses."""
        if frames.ndim != 2 or frames.shape[1] != self.config.n_mels or frames.dtype != np.float16:
            raise ValueError(f"frames must be (T, {self.config.n_mels}) float16, got {frames.shape} {frames.dtype}")
        with _writing(self.path):
            entry = self._write(track, frames)
        self.entries[entry.id] = entry

    def _write(self, track: Track, frames: Frames) -> Entry:
        if self._shard.tell() + frames.nbytes > self._shard_bytes and self._shard.tell():
            self._shard.close()
            self._shard_number += 1
            self._shard = _shard(self.path, self._shard_number).open("ab")
        data = np.ascontiguousarray(frames, dtype="<f2").reshape(-1).view(np.uint8).data  # no copy: an hour has 69 MB
        entry = Entry(
            track.id, track.content_hash, self._shard_number, self._shard.tell(), len(frames), zlib.crc32(data)
        )
        self._shard.write(data)
        self._shard.flush()
        os.fsync(self._shard.fileno())
        self._index.write(json.dumps(asdict(entry)).encode() + b"\n")
        self._index.flush()
        os.fsync(self._index.fileno())
        return entry


class MelStore:
    """A store opened for reading. Entries are in file order; `tracks` says what is known about each."""

    def __init__(self, path: Path) -> None:
        header = _header(path)
        self.path = path
        self.config = build(MelConfig, header["mel"], readable(path))
        self.manifest: Manifest = read_manifest(path / "manifest.parquet")
        by_id = {t.id: t for t in self.manifest}
        kept = {e.id: e for e in _read_index(path) if e.id in by_id}
        self.entries: tuple[Entry, ...] = tuple(sorted(kept.values(), key=lambda e: (e.shard, e.offset)))
        self.tracks: tuple[Track, ...] = tuple(by_id[e.id] for e in self.entries)
        if not self.entries:
            raise StoreError(readable(path), "holds no tracks", "run 'nearfield prepare' on a manifest")
        _check_lengths(path, self.entries, self.config)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def nbytes(self) -> int:
        return sum(self._size(e) for e in self.entries)

    def frames(self, n: int) -> Frames:
        """All frames of the n-th entry, (T, M), read from disk."""
        entry = self.entries[n]
        return self._read([entry])[0]

    def read(self, numbers: Sequence[int]) -> list[Frames]:
        """Frames of several entries, read in file order whatever the order asked for."""
        order = sorted(range(len(numbers)), key=lambda i: numbers[i])
        parts = self._read([self.entries[numbers[i]] for i in order])
        out: list[Frames] = [parts[0]] * len(numbers)
        for i, part in zip(order, parts, strict=True):
            out[i] = part
        return out

    def mapped(self, numbers: Sequence[int]) -> list[Frames]:
        """The same as views of the files, checked and read through once: several processes then share the system's copy."""
        for n in sorted(numbers):
            self.frames(n)
        shards = {
            s: np.memmap(_shard(self.path, s), "<f2", "r") for s in sorted({self.entries[n].shard for n in numbers})
        }
        rows = (self.entries[n] for n in numbers)
        M = self.config.n_mels
        return [shards[e.shard][e.offset // 2 : e.offset // 2 + e.frames * M].reshape(-1, M) for e in rows]

    def groups(self, numbers: Sequence[int], budget_bytes: int) -> list[list[int]]:
        """Runs of neighbouring entries that fit the budget together: one group when all fit, else read one at a time."""
        groups: list[list[int]] = [[]]
        used = 0
        for n in sorted(numbers):
            size = self._size(self.entries[n])
            if groups[-1] and used + size > budget_bytes:
                groups.append([])
                used = 0
            groups[-1].append(n)
            used += size
        return groups

    def digest(self) -> str:
        """A hash of what the store holds, whatever the order it was written in: the corpus as training sees it."""
        rows = sorted((e.id, e.frames, e.crc32) for e in self.entries)
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]

    def verify(self) -> list[Failure]:
        """Read everything and compare checksums; what differs, as failures."""
        bad = []
        for n, entry in enumerate(self.entries):
            try:
                self.frames(n)
            except StoreError as error:
                bad.append(Failure(entry.id, error.cause, error.remedy))
        return bad

    def _size(self, entry: Entry) -> int:
        return entry.frames * self.config.n_mels * 2

    def _read(self, entries: Sequence[Entry]) -> list[Frames]:
        parts: list[Frames] = []
        handle: IO[bytes] | None = None
        shard = -1
        try:
            for entry in entries:
                if entry.shard != shard:
                    if handle is not None:
                        handle.close()
                    handle, shard = _shard(self.path, entry.shard).open("rb", buffering=0), entry.shard
                assert handle is not None
                handle.seek(entry.offset)
                part = np.empty((entry.frames, self.config.n_mels), "<f2")
                _read_into(handle, part.data.cast("B"), self.path)
                if zlib.crc32(part.reshape(-1).view(np.uint8).data) != entry.crc32:
                    raise StoreError(
                        f"{readable(self.path)}, track {entry.id!r}",
                        "its frames differ from their checksum",
                        "prepare into a new folder, and look at the disk",
                    )
                parts.append(part)
        finally:
            if handle is not None:
                handle.close()
        return parts


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Errors of the disk as a StoreError."""
    try:
        yield
    except OSError as error:
        cause = f"cannot be written ({error.strerror or error})"
        remedy = "free space or check its permissions, then run the same command again: finished tracks are kept"
        raise StoreError(readable(path), cause, remedy) from error


def _read_into(handle: IO[bytes], view: memoryview, path: Path) -> None:
    done = 0
    while done < len(view):
        n = handle.readinto(view[done:])  # type: ignore[attr-defined]
        if not n:
            raise _cut_short(path)
        done += n


def _cut_short(path: Path) -> StoreError:
    return StoreError(
        readable(path), "a shard is shorter than the index says", "run 'nearfield prepare' again: it continues"
    )


def _shard(path: Path, number: int) -> Path:
    return path / f"shard-{number:04d}.f16"


def _header(path: Path) -> dict[str, dict[str, float]]:
    name = readable(path)
    try:
        header = json.loads((path / "store.json").read_text())
    except FileNotFoundError as error:
        raise StoreError(name, "is not a log-mel store", "make one with 'nearfield prepare MANIFEST STORE'") from error
    except (OSError, ValueError) as error:
        raise StoreError(name, f"store.json cannot be read ({error})", "prepare it again in a new folder") from error
    said = header.get("format") if isinstance(header, dict) else None
    if said != FORMAT:
        raise StoreError(name, f"store format is {said}, this version reads {FORMAT}", "prepare it again")
    return dict(header)


def _agree_on_front_end(path: Path, config: MelConfig) -> None:
    if not (path / "store.json").exists():
        part = path / "store.json.part"
        part.write_text(json.dumps({"format": FORMAT, "mel": config.as_dict()}))
        os.replace(part, path / "store.json")
    elif build(MelConfig, _header(path)["mel"], readable(path)) != config:
        raise StoreError(readable(path), "was made with another front end", "prepare into a new folder")


def _read_index(path: Path) -> Iterator[Entry]:
    """Whole lines only: a line torn by a kill ends without its newline and does not count."""
    try:
        data = (path / "index.jsonl").read_bytes()
    except FileNotFoundError:
        return
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            yield Entry(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise StoreError(readable(path), "index.jsonl is damaged", "prepare it again") from error


def _committed(path: Path) -> list[Entry]:
    """The finished entries; cuts off what a kill left behind them, and forgets those whose bytes are gone."""
    index = path / "index.jsonl"
    listed = list(_read_index(path))
    row_bytes = int(_header(path)["mel"]["n_mels"]) * 2
    sizes = {n: _shard(path, n).stat().st_size if _shard(path, n).exists() else 0 for n in {e.shard for e in listed}}
    entries = [e for e in listed if e.offset + e.frames * row_bytes <= sizes[e.shard]]
    if index.exists():
        whole = "".join(json.dumps(asdict(e)) + "\n" for e in entries).encode()
        if index.read_bytes() != whole:
            part = path / "index.jsonl.part"
            part.write_bytes(whole)
            os.replace(part, index)
    ends: dict[int, int] = {}
    for e in entries:
        ends[e.shard] = max(ends.get(e.shard, 0), e.offset + e.frames * row_bytes)
    for file in path.glob("shard-*.f16"):
        os.truncate(file, ends.get(int(file.stem.split("-")[1]), 0))
    return entries


def _lock(file: IO[bytes], path: Path) -> None:
    """For this process alone; the system lets go of it when the process ends, however it ends."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(readable(path), "another nearfield is writing to it", "wait until it has ended") from error


def _check_lengths(path: Path, entries: Sequence[Entry], config: MelConfig) -> None:
    for entry in entries:
        file = _shard(path, entry.shard)
        size = file.stat().st_size if file.exists() else 0
        if entry.offset + entry.frames * config.n_mels * 2 > size:
            raise _cut_short(path)
