"""Named corpora and how each is obtained. Here: `games`, music of free games from Debian packages (grooves.py has the other).

Its facts (games.py) ship with Nearfield; the recordings are fetched (debian.py) and keep their own licences,
named per track.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nearfield.data.apt import Apt, disk_errors, require_tools, sole_use
from nearfield.data.debian import Unpacked, read_marker, unpack
from nearfield.data.games import GameFile, track_of, wanted_files
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.errors import CorpusError, Failure


@dataclass(frozen=True)
class FetchProgress:
    """Where a fetch stands; `step` is downloading, unpacking, done, present or failed."""

    package: str
    step: str
    done_packages: int
    total_packages: int
    fetched_bytes: int


@dataclass(frozen=True)
class FetchResult:
    """What a fetch left; `fetched_bytes` counts the downloaded packages, `audio_bytes` the tracks on disk."""

    manifest: Manifest
    manifest_path: Path
    failures: tuple[Failure, ...]
    fetched_packages: int
    present_packages: int
    fetched_bytes: int
    audio_bytes: int


def fetch_games(
    dest: Path,
    subset: str = "full",
    *,
    progress: Callable[[FetchProgress], None] | None = None,
    keep_debs: bool = False,
    verify: bool = False,
) -> FetchResult:
    """Fetch the games corpus into `dest` (dest/<package>/<path>) and write dest/manifest.parquet ('games').

    Only files that are tracks are kept (music, 30 s or longer, no copies), each checked against its MD5. What
    cannot be had, or differs from the facts, is a Failure in the result and left out of the manifest; the
    rest goes on. Fetching again skips what is complete: by size and time stamp, or with `verify` by hashing
    all of it anew (and trying again what failed). Killed at any moment, at most the package in hand is
    fetched again. `keep_debs` keeps the packages in dest/debs.

    Raises CorpusError without apt-get or dpkg-deb, for a full or unwritable disk, when another fetch is at
    work in `dest`, and when no track at all could be had.
    """
    wanted = wanted_files(subset)
    remedy = "run this in a Debian or Ubuntu container, or try 'nearfield corpus scan FOLDER' on your own music"
    require_tools("games", "its music comes", remedy)
    dest = dest.absolute()
    with disk_errors(dest), sole_use(dest):
        fetch = _Fetch(dest, len(wanted), progress, keep_debs, verify)
        for package, files in wanted.items():
            fetch.package(package, files)
        there = [f for files in wanted.values() for f in files if (f.package, f.path) in fetch.sizes]
        if not there:
            first = fetch.failures[0]
            raise CorpusError("corpus games", f"no track could be had ({first.cause})", first.remedy)
        manifest = Manifest("games", dest, tuple(track_of(f) for f in there))
        path = dest / "manifest.parquet"
        write_manifest(manifest, path)
    return FetchResult(
        manifest,
        path,
        tuple(fetch.failures),
        fetch.fetched_packages,
        fetch.present_packages,
        fetch.fetched_bytes,
        sum(fetch.sizes.values()),
    )


class _Fetch:
    """One run: package after package, counting."""

    def __init__(
        self,
        dest: Path,
        total: int,
        progress: Callable[[FetchProgress], None] | None,
        keep_debs: bool,
        verify: bool,
    ) -> None:
        self.dest = dest
        self.apt = Apt(dest)
        self.failures: list[Failure] = []
        self.sizes: dict[tuple[str, str], int] = {}
        self.fetched_packages = self.present_packages = self.fetched_bytes = 0
        self._total, self._progress, self._keep, self._verify = total, progress, keep_debs, verify
        self._done = 0

    def package(self, package: str, files: Sequence[GameFile]) -> None:
        """Make sure of one package's files: see whether they are there, else download and unpack."""
        md5_of = {f.path: f.md5 for f in files}
        marker = read_marker(self.dest / package, md5_of, self._verify)
        if marker is None:
            marker = self._obtain(package, md5_of)
        else:
            self.present_packages += 1
            self._tell(package, "present", done=True)
        if marker is not None:
            self.sizes |= {(package, p): size for p, (size, _) in marker.files.items()}
            self.failures += [_differs(package, path, cause) for path, cause in marker.faults.items()]

    def _obtain(self, package: str, md5_of: Mapping[str, str]) -> Unpacked | None:
        self._tell(package, "downloading")
        try:
            with self.apt.download(package) as deb:
                size = deb.stat().st_size
                self.fetched_bytes += size
                self._tell(package, "unpacking")
                marker = unpack(deb, md5_of, self.dest / package)
                if self._keep:
                    (self.dest / "debs").mkdir(exist_ok=True)
                    os.replace(deb, self.dest / "debs" / deb.name)
        except CorpusError as error:
            self.failures.append(Failure.of(package, error))
            self._tell(package, "failed", done=True)
            return None
        self.fetched_packages += 1
        self._tell(package, "done", done=True)
        return marker

    def _tell(self, package: str, step: str, done: bool = False) -> None:
        self._done += done
        if self._progress is not None:
            self._progress(FetchProgress(package, step, self._done, self._total, self.fetched_bytes))


def _differs(package: str, path: str, cause: str) -> Failure:
    return Failure(f"{package}/{path}", cause, "it is left out; another version of the package may hold it")
