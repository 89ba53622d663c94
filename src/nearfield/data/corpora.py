"""Named corpora and how each is obtained. So far one: `games`, music of free games from Debian packages.

The facts (games.tsv: titles, artists, licences, hashes, split) ship with Nearfield; the recordings are
fetched and keep their own licences, named per track. Packages are downloaded by apt-get and unpacked by
dpkg-deb: nothing is installed and no root is needed.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import IO

from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.track import Track
from nearfield.errors import CorpusError, Failure

SUBSETS = ("small", "full")
SMALL_PACKAGES = frozenset(
    [
        "blobwars-data",
        "colobot-common-sounds",
        "davegnukem-data",
        "drascula-music",
        "marsshooter-data",
        "nexuiz-music",
        "pushover-data",
        "singularity-music",
        "trackballs-data",
        "ufoai-music",
        "warzone2100-music",
        "wesnoth-1.16-music",
        "wizznic-data",
        "zaz-data",
    ]
)
MIN_DURATION_S = 30.0

_MARKER = ".nearfield.json"
# 'x.pk3.d/a.ogg' in the facts is 'a.ogg' inside the zip archive x.pk3 of the package
_INSIDE_ARCHIVE = re.compile(r"^(.*\.pk3)\.d/(.+)$")
_CHUNK = 1 << 20
_APT_OPTIONS = ("-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=60")
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)

_SPLIT_SEED = "nearfield games 58"
_WHOLE_SHARE = 0.08  # of the tracks, held out as whole packages
_BIG_TRACKS, _BIG_ARTISTS = 25, 4  # a package this large, with this many named artists, is divided by artist
_BIG_SHARE = 0.2
_MAX_GROUP = 20  # groups of packages larger than this are never held out whole
# One person's music under several package names, where the tags do not say so.
_SAME_MAKER = (
    (
        "a7xpg-data",
        "gunroar-data",
        "mu-cade-data",
        "noiz2sa-data",
        "parsec47-data",
        "rrootage-data",
        "titanion-data",
        "torus-trooper-data",
        "tumiki-fighters-data",
        "val-and-rick-data",
    ),
    ("caveexpress-data", "cavepacker-data"),
    ("tuxmath-data", "tuxtype-data"),
)


@dataclass(frozen=True)
class GameFile:
    """One line of games.tsv: an audio file of a Debian package. `path` is inside the package, `md5` in hex.

    `kind` is music, ambience or stem; the two `dup` columns name the file this one repeats ('package:path').
    """

    package: str
    path: str
    duration_s: float
    title: str
    artist: str
    album: str
    genre: str
    licence: str
    kind: str
    exact_dup_of: str
    near_dup_of: str
    split: str
    md5: str

    @property
    def is_track(self) -> bool:
        """Whether it belongs to the corpus: music, 30 s or longer, no copy of another file."""
        repeats = self.exact_dup_of or self.near_dup_of
        return self.kind == "music" and self.duration_s >= MIN_DURATION_S and not repeats


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


# ---------------------------------------------------------------------------------------------- facts


@cache
def games_files() -> tuple[GameFile, ...]:
    """All files of games.tsv, in its order (package, then path)."""
    text = resources.files("nearfield.data").joinpath("games.tsv").read_text("utf-8")
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(GameFile(duration_s=float(row.pop("duration_s")), **row) for row in rows)


def games_tracks(subset: str = "full") -> tuple[Track, ...]:
    """The corpus as it is when every file is there: 756 tracks (38.6 h), or the small subset's 281 (18.7)."""
    wanted = _wanted(subset)
    return tuple(_track(f) for files in wanted.values() for f in files)


def games_split(files: Sequence[GameFile]) -> tuple[str, ...]:
    """'held-out' or 'train' for each file, '' for files that are no tracks; the column `split` of games.tsv.

    Held out are (a) whole packages, drawn in the order of a seeded hash until 8 % of the tracks are reached,
    separately inside and outside the small subset; and (b) in the large packages of several artists, whole
    artists drawn likewise until a fifth of the package is reached, so that a retrieval within one package has
    several artists to tell apart. A named artist is never on both sides: packages that share one, or a copy,
    or a maker, are drawn together in (a), and (b) takes an artist's tracks in every package. Nothing here
    depends on which subset is fetched.
    """
    tracks = [f for f in files if f.is_track]
    held = set(_whole_packages(files, tracks))
    held |= _artists_of_big_packages(tracks, held)
    return tuple(("held-out" if f in held else "train") if f.is_track else "" for f in files)


def _whole_packages(files: Sequence[GameFile], tracks: Sequence[GameFile]) -> Iterator[GameFile]:
    group_of = _package_groups(files)
    groups = defaultdict(list)
    for track in tracks:
        groups[group_of[track.package]].append(track)
    for small in (True, False):
        room = round(_WHOLE_SHARE * sum((t.package in SMALL_PACKAGES) == small for t in tracks))
        for name in sorted(groups, key=_draw):
            members = groups[name]
            here = any(t.package in SMALL_PACKAGES for t in members) == small
            if here and len(members) <= min(room, _MAX_GROUP):
                room -= len(members)
                yield from members


def _artists_of_big_packages(tracks: Sequence[GameFile], whole: set[GameFile]) -> set[GameFile]:
    held = set(whole)
    by_package = defaultdict(list)
    for track in tracks:
        by_package[track.package].append(track)
    for _, members in sorted(by_package.items()):
        counts = Counter(_artist_key(t.artist) for t in members if t.artist)
        if len(members) < _BIG_TRACKS or len(counts) < _BIG_ARTISTS:
            continue
        goal = max(6, round(_BIG_SHARE * len(members)))
        count = sum(t in held for t in members)
        # artists of one track come last: they have no second track to be found by
        for artist in sorted(counts, key=lambda a: (counts[a] == 1, _draw(a))):
            new = {t for t in tracks if t.artist and _artist_key(t.artist) == artist} - held
            if new and counts[artist] < goal and count < goal and count + counts[artist] <= goal + 1:
                held |= new
                count += counts[artist]
    return held - whole


def _package_groups(files: Sequence[GameFile]) -> dict[str, str]:
    """Package -> the name of its group: joined by a named artist, a copied file, or a known maker."""
    group = {f.package: f.package for f in files}

    def join(one: str, other: str) -> None:
        kept, gone = group[one], group[other]
        for package, name in group.items():
            if name == gone:
                group[package] = kept

    first: dict[str, str] = {}
    for file in files:
        if file.is_track and file.artist:
            join(first.setdefault(_artist_key(file.artist), file.package), file.package)
        for copied in (file.exact_dup_of, file.near_dup_of):
            if copied:
                join(copied.split(":")[0], file.package)
    for packages in _SAME_MAKER:
        for package in packages:
            join(packages[0], package)
    return group


def _artist_key(artist: str) -> str:
    """One spelling per artist: 'Kevin MacLeod - "Hitman"' is Kevin MacLeod."""
    return re.split(r" - | \(", artist.casefold())[0].strip(' "')


def _draw(name: str) -> str:
    return hashlib.sha256(f"{_SPLIT_SEED}/{name}".encode()).hexdigest()


def _wanted(subset: str) -> dict[str, list[GameFile]]:
    if subset not in SUBSETS:
        raise CorpusError(f"subset {subset!r}", "is not known", f"choose one of {', '.join(SUBSETS)}")
    wanted: dict[str, list[GameFile]] = {}
    for file in games_files():
        if file.is_track and (subset == "full" or file.package in SMALL_PACKAGES):
            wanted.setdefault(file.package, []).append(file)
    return wanted


@cache
def _ids() -> Mapping[tuple[str, str], str]:
    """'games/<package>/<shortest end of the path that is its own>', over all files: a subset changes none."""
    found = {}
    by_package = defaultdict(list)
    for file in games_files():
        by_package[file.package].append(file.path)
    for package, paths in by_package.items():
        ends = {p: _ends(p) for p in paths}
        times = Counter(e for es in ends.values() for e in es)
        for path, candidates in ends.items():
            found[package, path] = f"games/{package}/" + next(e for e in candidates if times[e] == 1)
    return found


def _ends(path: str) -> list[str]:
    parts = PurePosixPath(path).with_suffix("").parts
    return ["/".join(parts[-n:]) for n in range(1, len(parts) + 1)] + [path]


def _track(file: GameFile) -> Track:
    return Track(
        id=_ids()[file.package, file.path],
        path=f"{file.package}/{file.path}",
        duration_s=file.duration_s,
        title=file.title,
        artist=file.artist,
        album=file.album,
        genre=file.genre,
        package=file.package,
        licence=file.licence,
        split=file.split,
        content_hash=f"md5:{file.md5}",
    )


# ---------------------------------------------------------------------------------------------- fetching


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
    wanted = _wanted(subset)
    _require_tools()
    dest = dest.absolute()
    with _disk_errors(dest), _sole_use(dest):
        fetch = _Fetch(dest, len(wanted), progress, keep_debs, verify)
        for package, files in wanted.items():
            fetch.package(package, files)
        there = [f for files in wanted.values() for f in files if (f.package, f.path) in fetch.sizes]
        if not there:
            first = fetch.failures[0]
            raise CorpusError("corpus games", f"no track could be had ({first.cause})", first.remedy)
        manifest = Manifest("games", dest, tuple(_track(f) for f in there))
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
        self.apt = _Apt(dest / ".apt")
        self.failures: list[Failure] = []
        self.sizes: dict[tuple[str, str], int] = {}
        self.fetched_packages = self.present_packages = self.fetched_bytes = 0
        self._total, self._progress, self._keep, self._verify = total, progress, keep_debs, verify
        self._done = 0

    def package(self, package: str, files: Sequence[GameFile]) -> None:
        """Make sure of one package's files: see whether they are there, else download and unpack."""
        marker = _read_marker(self.dest / package, files, self._verify)
        if marker is None:
            marker = self._obtain(package, files)
        else:
            self.present_packages += 1
            self._tell(package, "present", done=True)
        if marker is not None:
            self.sizes |= {(package, p): size for p, (size, _) in marker.files.items()}
            self.failures += [_differs(package, path, cause) for path, cause in marker.faults.items()]

    def _obtain(self, package: str, files: Sequence[GameFile]) -> _Unpacked | None:
        self._tell(package, "downloading")
        try:
            with self.apt.download(package) as deb:
                size = deb.stat().st_size
                self.fetched_bytes += size
                self._tell(package, "unpacking")
                marker = _unpack(deb, files, self.dest / package)
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


class _Apt:
    """apt-get as an ordinary user: the system's package lists first, then lists of its own in `home`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._private = self._updated = False
        for left in home.glob("get-*"):  # what a killed run had begun
            shutil.rmtree(left, ignore_errors=True)

    @contextlib.contextmanager
    def download(self, package: str) -> Iterator[Path]:
        """The package's .deb, checked by apt-get, in a folder that is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix=f"get-{package}-", dir=self._home) as folder:
            cause = self._get(package, Path(folder))
            if cause and not self._updated:
                self._update()
                if self._private:
                    cause = self._get(package, Path(folder))
            if cause:
                raise CorpusError(package, cause, "check the network, run 'apt-get update', and fetch again")
            yield next(Path(folder).glob("*.deb"))

    def _get(self, package: str, folder: Path) -> str:
        """Download into `folder`; the cause if it did not come."""
        run = self._run("download", package, cwd=folder)
        if run.returncode == 0 and any(folder.glob("*.deb")):
            return ""
        said = [line[3:] for line in run.stderr.splitlines() if line.startswith("E: ")]
        cause = said[0] if said else f"apt-get ended with status {run.returncode}"
        if any(os.strerror(number) in run.stderr for number in _FULL_DISK):
            raise OSError(errno.ENOSPC, cause)
        return cause

    def _update(self) -> None:
        """Package lists of our own, once in a run; used only if any came, as the system's may still serve."""
        self._updated = True
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._home / folder).mkdir(parents=True, exist_ok=True)
        self._run("update", cwd=self._home, private=True)
        self._private = any("_Packages" in p.name for p in (self._home / "lists").iterdir())

    def _run(self, *command: str, cwd: Path, private: bool = False) -> subprocess.CompletedProcess[str]:
        own = ("-o", f"Dir::State::lists={self._home / 'lists'}", "-o", f"Dir::Cache={self._home / 'cache'}")
        return subprocess.run(
            ["apt-get", *_APT_OPTIONS, *(own if private or self._private else ()), *command],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C"},  # its messages are read
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )


def _require_tools() -> None:
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise CorpusError(
            "corpus games",
            f"{' and '.join(missing)} not found: its music comes as Debian packages",
            "run this in a Debian or Ubuntu container, or try 'nearfield corpus scan FOLDER' on your own music",
        )


@contextlib.contextmanager
def _sole_use(dest: Path) -> Iterator[None]:
    """A lock on `dest` that ends with the process, however it ends."""
    (dest / ".apt").mkdir(parents=True, exist_ok=True)
    with open(dest / ".apt" / "lock", "w") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such locks on this system; then there is no apt-get either
            pass
        except BlockingIOError as error:
            raise CorpusError(str(dest), "another fetch is at work here", "wait for it or stop it") from error
        yield


@contextlib.contextmanager
def _disk_errors(dest: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # the reader of our progress has gone; no fault of the disk
        raise
    except OSError as error:
        if error.errno in _FULL_DISK:
            cause, remedy = "the disk is full", "free space and fetch again: what is complete is kept"
        else:
            cause, remedy = f"cannot be written ({error.strerror or error})", "choose another folder"
        raise CorpusError(str(dest), cause, remedy) from error


def _differs(package: str, path: str, cause: str) -> Failure:
    return Failure(f"{package}/{path}", cause, "it is left out; another version of the package may hold it")


# ---------------------------------------------------------------------------------------------- unpacking


@dataclass(frozen=True)
class _Unpacked:
    """What a package left: path -> (size in bytes, mtime in ns), and path -> cause for files left out."""

    files: Mapping[str, tuple[int, int]]
    faults: Mapping[str, str]


def _unpack(deb: Path, files: Iterable[GameFile], folder: Path) -> _Unpacked:
    """Take the listed files out of a package to folder/<path>, each only if its MD5 agrees; mark it complete.

    Raises CorpusError for a damaged package; OSError as the disk gives them.
    """
    wanted = {f.path: f.md5 for f in files}
    faults: dict[str, str] = {}
    got: dict[str, tuple[int, int]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).unlink(missing_ok=True)
    for path, stream in _members(deb, frozenset(wanted), folder):
        target = folder / path
        if _write_checked(stream, target, wanted[path]):
            stat = target.stat()
            got[path] = (stat.st_size, stat.st_mtime_ns)
        else:
            faults[path] = "differs from the known recording (MD5): the package holds another version"
    for path in wanted.keys() - got.keys() - faults.keys():
        faults[path] = "is not in the package"
    marker = _Unpacked(got, {p: faults[p] for p in sorted(faults)})
    _write_marker(folder, marker, wanted)
    return marker


def _members(deb: Path, paths: frozenset[str], scratch: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Each wanted file as a stream, in the package's order; archives inside the package are looked into."""
    archives = {m[1] for p in paths if (m := _INSIDE_ARCHIVE.match(p))}
    left = len(archives) + sum(not _INSIDE_ARCHIVE.match(p) for p in paths)
    command = ["dpkg-deb", "--fsys-tarfile", os.fspath(deb)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    name = member.name.removeprefix("./")
                    stream = tar.extractfile(member) if member.isreg() else None
                    if stream is None or name not in paths | archives:
                        continue
                    if name in archives:
                        yield from _archived(stream, name, paths, scratch)
                    else:
                        yield name, stream
                    left -= 1
                    if left == 0:
                        break
                else:
                    if process.wait() != 0:
                        raise tarfile.ReadError("it cannot be unpacked")
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise CorpusError(deb.name, f"the package is damaged ({error})", "fetch again") from error
        finally:
            process.kill()  # it may be waiting to write what nobody wants to read


def _archived(stream: IO[bytes], archive: str, paths: frozenset[str], scratch: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tempfile.TemporaryFile(dir=scratch) as held:  # a zip is read from its end, so it cannot be streamed
        shutil.copyfileobj(stream, held, _CHUNK)
        with zipfile.ZipFile(held) as opened:
            for name in opened.namelist():
                path = f"{archive}.d/{name}"
                if path in paths:
                    with opened.open(name) as inner:
                        yield path, inner


def _write_checked(stream: IO[bytes], target: Path, md5: str) -> bool:
    """Copy to `target` by way of a .part file; keep it only if the hash agrees."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with open(part, "wb") as out:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() == md5:
            os.replace(part, target)
            return True
        return False
    finally:
        part.unlink(missing_ok=True)


def _write_marker(folder: Path, marker: _Unpacked, md5_of: Mapping[str, str]) -> None:
    said = {"files": marker.files, "faults": marker.faults, "md5": md5_of}
    part = folder / (_MARKER + ".part")
    try:
        part.write_text(json.dumps(said), "utf-8")
        os.replace(part, folder / _MARKER)
    finally:
        part.unlink(missing_ok=True)


def _read_marker(folder: Path, files: Sequence[GameFile], verify: bool) -> _Unpacked | None:
    """What is known of a complete package; None if it must be fetched (again)."""
    try:
        said = json.loads((folder / _MARKER).read_text("utf-8"))
        marker = _Unpacked({p: (size, time) for p, (size, time) in said["files"].items()}, said["faults"])
        known = said["md5"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if known != {f.path: f.md5 for f in files} or (verify and marker.faults):
        return None
    whole = all(_unchanged(folder / p, size, time) for p, (size, time) in marker.files.items())
    if whole and verify:
        whole = all(_md5(folder / path) == known[path] for path in marker.files)
    return marker if whole else None


def _unchanged(path: Path, size: int, time_ns: int) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (size, time_ns)


def _md5(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
