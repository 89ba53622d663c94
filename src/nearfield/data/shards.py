"""Rows of float16 in a folder: what a store is made of, once for its log-mels and once more for its spectra.

A kind of rows lies in `<stem>-NNNN.f16`, one track after another, each (T, width), so that a slice of time is one run of
bytes; and in an index with one line a finished track, written after its bytes are on disk. Layout: docs/formats.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from nearfield.data.track import Track
from nearfield.errors import StoreError, readable

SHARD_BYTES = 1 << 30

Frames = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Entry:
    """Where one track's frames lie: `offset` and length in bytes follow from `frames` x width x 2."""

    id: str
    content_hash: str
    shard: int
    offset: int
    frames: int
    crc32: int


@dataclass(frozen=True)
class Shards:
    """One kind of rows of the store at `path`."""

    path: Path
    stem: str
    index_name: str
    width: int

    @property
    def index(self) -> Path:
        return self.path / self.index_name

    def file(self, number: int) -> Path:
        return self.path / f"{self.stem}-{number:04d}.f16"

    def size(self, entry: Entry) -> int:
        """Bytes."""
        return entry.frames * self.width * 2

    def listed(self) -> Iterator[Entry]:
        """Whole lines only: a line torn by a kill ends without its newline and does not count."""
        try:
            data = self.index.read_bytes()
        except FileNotFoundError:
            return
        for line in data[: data.rfind(b"\n") + 1].splitlines():
            try:
                yield Entry(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise StoreError(
                    readable(self.path), f"{self.index_name} is damaged", "prepare it again in a new folder"
                ) from error

    def file_sizes(self, entries: Sequence[Entry]) -> dict[int, int]:
        """Bytes in the shard files that entries name; 0 where one is gone."""
        files = {n: self.file(n) for n in {e.shard for e in entries}}
        return {n: file.stat().st_size if file.exists() else 0 for n, file in files.items()}

    def recovered(self) -> list[Entry]:
        """The finished entries; cuts off what a kill left behind them, and forgets those whose bytes are gone."""
        listed = list(self.listed())
        sizes = self.file_sizes(listed)
        entries = [e for e in listed if e.offset + self.size(e) <= sizes[e.shard]]
        if self.index.exists():
            whole = "".join(json.dumps(asdict(e)) + "\n" for e in entries).encode()
            if self.index.read_bytes() != whole:
                part = self.path / f"{self.index_name}.part"
                part.write_bytes(whole)
                os.replace(part, self.index)
        ends: dict[int, int] = {}
        for e in entries:
            ends[e.shard] = max(ends.get(e.shard, 0), e.offset + self.size(e))
        for file in self.path.glob(f"{self.stem}-*.f16"):
            os.truncate(file, ends.get(int(file.stem.split("-")[1]), 0))
        return entries


class ShardWriter:
    """Appends; the caller turns errors of the disk into its own."""

    def __init__(self, shards: Shards, shard_bytes: int = SHARD_BYTES) -> None:
        self.shards = shards
        self.entries = {e.id: e for e in shards.recovered()}
        self._shard_bytes = shard_bytes
        self._number = max((e.shard for e in self.entries.values()), default=0)
        with contextlib.ExitStack() as opened:
            self._index = opened.enter_context(shards.index.open("ab"))
            self._file: IO[bytes] = shards.file(self._number).open("ab")
            opened.pop_all()  # both stay open

    def close(self) -> None:
        for file in (self._file, self._index):
            with contextlib.suppress(OSError):  # what a full disk did not take was never committed
                file.close()

    def holds(self, track: Track) -> bool:
        """Whether this very track (same id, same content hash) is there already."""
        entry = self.entries.get(track.id)
        return entry is not None and entry.content_hash == track.content_hash

    def append(self, track: Track, frames: Frames) -> None:
        """Write (T, width) float16 frames and then commit them."""
        if frames.ndim != 2 or frames.shape[1] != self.shards.width or frames.dtype != np.float16:
            raise ValueError(f"frames must be (T, {self.shards.width}) float16, got {frames.shape} {frames.dtype}")
        if self._file.tell() + frames.nbytes > self._shard_bytes and self._file.tell():
            self._file.close()
            self._number += 1
            self._file = self.shards.file(self._number).open("ab")
        data = np.ascontiguousarray(frames, dtype="<f2").reshape(-1).view(np.uint8).data  # no copy: an hour has 69 MB
        entry = Entry(track.id, track.content_hash, self._number, self._file.tell(), len(frames), zlib.crc32(data))
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._index.write(json.dumps(asdict(entry)).encode() + b"\n")
        self._index.flush()
        os.fsync(self._index.fileno())
        self.entries[entry.id] = entry


class Rows:
    """One kind of rows opened for reading: the n-th entry is of the store's n-th track."""

    def __init__(self, shards: Shards, entries: Sequence[Entry]) -> None:
        """Raises StoreError when a shard is shorter than the entries say."""
        self.entries = tuple(entries)
        self.width = shards.width
        self._shards = shards
        sizes = shards.file_sizes(self.entries)
        if any(e.offset + shards.size(e) > sizes[e.shard] for e in self.entries):
            raise _cut_short(shards.path)

    @property
    def nbytes(self) -> int:
        return sum(map(self._shards.size, self.entries))

    def read(self, numbers: Sequence[int]) -> list[Frames]:
        """(T, width) of several tracks, read in file order whatever the order asked for."""
        parts = dict(zip(sorted(set(numbers), key=self._place), self._in_file_order(numbers), strict=True))
        return [parts[n] for n in numbers]

    def mapped(self, numbers: Sequence[int]) -> list[Frames]:
        """The same as views of the files, checked and read through once: several processes then share the system's copy."""
        for _ in self._in_file_order(numbers):
            pass
        files = {
            shard: np.memmap(self._shards.file(shard), "<f2", "r")
            for shard in sorted({self.entries[n].shard for n in numbers})
        }
        entries = [self.entries[n] for n in numbers]
        spans = [slice(e.offset // 2, e.offset // 2 + e.frames * self.width) for e in entries]
        return [files[e.shard][span].reshape(-1, self.width) for e, span in zip(entries, spans, strict=True)]

    def groups(self, numbers: Sequence[int], budget_bytes: int) -> list[list[int]]:
        """Runs of neighbouring tracks that fit the budget together: one group when all fit, else read one at a time."""
        groups: list[list[int]] = [[]]
        used = 0
        for n in sorted(numbers, key=self._place):
            size = self._shards.size(self.entries[n])
            if groups[-1] and used + size > budget_bytes:
                groups.append([])
                used = 0
            groups[-1].append(n)
            used += size
        return groups

    def _place(self, number: int) -> tuple[int, int]:
        return self.entries[number].shard, self.entries[number].offset

    def _in_file_order(self, numbers: Sequence[int]) -> Iterator[Frames]:
        handle: IO[bytes] | None = None
        shard = -1
        try:
            for n in sorted(set(numbers), key=self._place):
                entry = self.entries[n]
                if entry.shard != shard:
                    if handle is not None:
                        handle.close()
                    handle, shard = self._shards.file(entry.shard).open("rb", buffering=0), entry.shard
                assert handle is not None
                handle.seek(entry.offset)
                yield self._one(handle, entry)
        finally:
            if handle is not None:
                handle.close()

    def _one(self, handle: IO[bytes], entry: Entry) -> Frames:
        part = np.empty((entry.frames, self.width), "<f2")
        view, done = part.data.cast("B"), 0
        while done < len(view):
            n = handle.readinto(view[done:])  # type: ignore[attr-defined]
            if not n:
                raise _cut_short(self._shards.path)
            done += n
        if zlib.crc32(part.reshape(-1).view(np.uint8).data) != entry.crc32:
            raise StoreError(
                f"{readable(self._shards.path)}, track {entry.id!r}",
                "its frames differ from their checksum",
                "prepare into a new folder, and look at the disk",
            )
        return part


def _cut_short(path: Path) -> StoreError:
    return StoreError(
        readable(path), "a shard is shorter than the index says", "run 'nearfield prepare' again: it continues"
    )
