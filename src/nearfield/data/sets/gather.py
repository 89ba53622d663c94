"""A published set's labels and files gathered to a manifest: what is broken or absent is listed, and the rest goes on."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nearfield.data.manifest import Manifest
from nearfield.data.scan import find_audio
from nearfield.data.track import Track
from nearfield.errors import CorpusError, Failure, readable

REMEDY = "see docs/datasets.md for the layout, or fetch the set again"


@dataclass(frozen=True)
class SetResult:
    """The manifest of a set; files and rows passed over; in words, what the set is known to lack and was left out."""

    manifest: Manifest
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()


class Gathering:
    """Tracks of the set `name` below `root`, checked as they come."""

    def __init__(self, name: str, root: Path) -> None:
        self.root = root.absolute()
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self._name = name
        self._tracks: dict[str, Track] = {}

    def add(self, track: Track, file: Path) -> None:
        """Keep a track whose `file` is there; `path` and `content_hash` are filled in, so leave them empty."""
        path = os.path.relpath(file, self.root)
        track = replace(track, path=path)
        try:
            state = os.stat(file)
        except (OSError, ValueError) as error:
            gone = isinstance(error, FileNotFoundError | NotADirectoryError)
            cause = "is named by the labels but not there" if gone else str(getattr(error, "strerror", None) or error)
            self.fail(path, cause)
            return
        problems = track.problems()
        if not stat.S_ISREG(state.st_mode) or not state.st_size:
            problems.append("is empty" if stat.S_ISREG(state.st_mode) else "is not a file")
        if track.id in self._tracks:
            problems.append(f"id {track.id!r} occurs more than once")
        if problems:
            self.fail(path, "; ".join(problems))
            return
        self._tracks[track.id] = replace(track, content_hash=f"stat:{state.st_size}-{state.st_mtime_ns}")

    def fail(self, what: str | Path, cause: str, remedy: str = REMEDY) -> None:
        """List a file (or `file:line`) that is passed over."""
        place = os.path.relpath(what, self.root) if isinstance(what, Path) else what
        self.failures.append(Failure(readable(place), cause, remedy))

    def result(self) -> SetResult:
        """Raises CorpusError when nothing was kept."""
        if not self._tracks:
            first = f"the first of {len(self.failures)}: {self.failures[0].path} {self.failures[0].cause}"
            cause = f"no track of {self._name} could be kept" + (f" ({first})" if self.failures else "")
            raise CorpusError(readable(self.root), cause, REMEDY)
        manifest = Manifest(self._name, self.root, tuple(self._tracks.values()))
        return SetResult(manifest, tuple(self.failures), tuple(self.notes))


def locate(folder: Path, what: str, patterns: Sequence[str], holding: str | None = None) -> Path:
    """The first file or folder that one of `patterns` (globs below `folder`, tried in order) finds.

    With `holding`, a folder counts when something in it matches that. Raises CorpusError that says what was looked for and
    where.
    """
    found = seek(folder, patterns, holding)
    if found is None:
        cause = f"holds no {what}: looked for {', '.join(patterns)}"
        if not folder.is_dir():
            cause = "is not a folder" if folder.exists() else "no such folder"
        raise CorpusError(readable(folder), cause, "see docs/datasets.md for the layout that is expected")
    return found


def seek(folder: Path, patterns: Sequence[str], holding: str | None = None) -> Path | None:
    """What `locate` finds, or None: for files that a set may do without."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if holding is None or any(True for _ in path.glob(holding)):
                return path
    return None


def below(name: str, depth: int = 2) -> tuple[str, ...]:
    """Patterns for `name` in a folder itself and in up to `depth` folders below, as archives unpack."""
    return tuple("*/" * n + name for n in range(depth + 1))


def audio_by_stem(gathering: Gathering, folder: Path) -> dict[str, Path]:
    """Audio files below `folder` by their names without extension: published as mp3, they may have been converted.

    Of files that differ in folder or extension only, the first by path counts.
    """
    found = find_audio(folder)
    gathering.failures += found.failures
    stems: dict[str, Path] = {}
    for path in found.paths:
        stems.setdefault(path.stem, path)
    return stems
