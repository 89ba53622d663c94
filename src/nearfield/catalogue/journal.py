"""An append-only file of records that survives a kill at any moment.

A record is `NFJ1`, the payload's length and CRC-32 (little endian), then the payload; reading stops at the
first record that is cut short or damaged, and writing goes on from there.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_HEADER = struct.Struct("<4sII")
_MARK = b"NFJ1"


def records(path: Path) -> Iterator[bytes]:
    """The payloads of the whole records, in order; none when there is no file."""
    for payload, _ in _walk(path):
        yield payload


class Journal:
    """Open for appending, after the last whole record. Raises OSError as the disk does."""

    def __init__(self, path: Path) -> None:
        end = 0
        for _, end in _walk(path):  # noqa: B007 - the end of the last whole record is wanted
            pass
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)  # two may write at once
        os.ftruncate(self._descriptor, end)

    def append(self, payload: bytes) -> None:
        """One record, handed to the system in one write: a killed process loses nothing already appended."""
        view = memoryview(_HEADER.pack(_MARK, len(payload), zlib.crc32(payload)) + payload)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _walk(path: Path) -> Iterator[tuple[bytes, int]]:
    """(payload, offset after it) of each whole record."""
    if not path.exists():
        return
    end = 0
    with open(path, "rb") as file:
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            mark, length, crc = _HEADER.unpack(header)
            payload = file.read(length) if mark == _MARK else b""
            if mark != _MARK or len(payload) != length or zlib.crc32(payload) != crc:
                return
            end += _HEADER.size + length
            yield payload, end
