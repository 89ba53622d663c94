"""One process at a time: a file that says which, locked for as long as that process lives."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

try:
    import fcntl
except ImportError:  # not on this system: one process a folder is then the user's care
    fcntl = None  # type: ignore[assignment]

from nearfield.errors import ModelError, readable
from nearfield.model.checkpoint import writing

PATIENCE_S = 0.5  # who only looks holds the lock for a moment too


class Claim:
    """As a context manager; raises ModelError naming the process that is there already.

    The system lets go of the lock when the process ends, however it ends, and with it every child that was given
    `fileno()`: what is left of a killed process still counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        if not _taken(self._file):
            number = _number(self.path)
            self._file.close()
            who = "another process" if number is None else f"process {number}, or one that it started,"
            raise ModelError(
                readable(self.path.parent), f"{who} is at work there", "wait until it has ended, or end it"
            )
        with writing(self.path):
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n".encode())
            self._file.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()

    def fileno(self) -> int:
        """Of the locked file."""
        assert self._file is not None
        return self._file.fileno()


def holder(path: Path) -> int | None:
    """The process that claims `path`; None where there is none."""
    number = _number(path)
    if number is None or fcntl is None:
        return None
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return number
    return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _taken(file: IO[bytes]) -> bool:
    if fcntl is None:
        return True
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        else:
            return True
