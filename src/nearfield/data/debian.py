"""Files out of Debian packages: downloaded by apt-get, unpacked by dpkg-deb, each checked against its MD5.

Nothing is installed and no root is needed. A marker in a package's folder says that it is complete.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nearfield.errors import CorpusError

TOOLS = ("apt-get", "dpkg-deb")  # the programs used here
_HOME = ".apt"  # in the destination: the lock, package lists of our own, downloads under way
_MARKER = ".nearfield.json"
# the path 'x.pk3.d/a.ogg' means 'a.ogg' inside the zip archive x.pk3 of the package
_INSIDE_ARCHIVE = re.compile(r"^(.*\.pk3)\.d/(.+)$")
_CHUNK = 1 << 20
_APT_OPTIONS = ("-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=60")
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def sole_use(dest: Path) -> Iterator[None]:
    """A lock on `dest` that ends with the process, however it ends."""
    (dest / _HOME).mkdir(parents=True, exist_ok=True)
    with open(dest / _HOME / "lock", "w") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such locks on this system; then there is no apt-get either
            pass
        except BlockingIOError as error:
            raise CorpusError(str(dest), "another fetch is at work here", "wait for it or stop it") from error
        yield


@contextlib.contextmanager
def disk_errors(dest: Path) -> Iterator[None]:
    """What the disk refuses inside, as one CorpusError about `dest`."""
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


class Apt:
    """apt-get as an ordinary user: the system's package lists first, then lists of its own under `dest`."""

    def __init__(self, dest: Path) -> None:
        self._home = dest / _HOME
        self._private = self._updated = False
        for left in self._home.glob("get-*"):  # what a killed run had begun
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


@dataclass(frozen=True)
class Unpacked:
    """What a package left: path -> (size in bytes, mtime in ns), and path -> cause for files left out."""

    files: Mapping[str, tuple[int, int]]
    faults: Mapping[str, str]


def unpack(deb: Path, md5_of: Mapping[str, str], folder: Path) -> Unpacked:
    """Take the files of `md5_of` out of a package to folder/<path>, each only if its MD5 agrees; mark it complete.

    Raises CorpusError for a damaged package; OSError as the disk gives them.
    """
    faults: dict[str, str] = {}
    got: dict[str, tuple[int, int]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).unlink(missing_ok=True)
    for path, stream in _members(deb, frozenset(md5_of), folder):
        target = folder / path
        if _write_checked(stream, target, md5_of[path]):
            stat = target.stat()
            got[path] = (stat.st_size, stat.st_mtime_ns)
        else:
            faults[path] = "differs from the known recording (MD5): the package holds another version"
    for path in md5_of.keys() - got.keys() - faults.keys():
        faults[path] = "is not in the package"
    marker = Unpacked(got, {p: faults[p] for p in sorted(faults)})
    _write_marker(folder, marker, md5_of)
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


def _write_marker(folder: Path, marker: Unpacked, md5_of: Mapping[str, str]) -> None:
    said = {"files": marker.files, "faults": marker.faults, "md5": md5_of}
    part = folder / (_MARKER + ".part")
    try:
        part.write_text(json.dumps(said), "utf-8")
        os.replace(part, folder / _MARKER)
    finally:
        part.unlink(missing_ok=True)


def read_marker(folder: Path, md5_of: Mapping[str, str], verify: bool) -> Unpacked | None:
    """What is known of a complete package; None if it must be fetched (again)."""
    try:
        said = json.loads((folder / _MARKER).read_text("utf-8"))
        marker = Unpacked({p: (size, time) for p, (size, time) in said["files"].items()}, said["faults"])
        known = said["md5"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if known != md5_of or (verify and marker.faults):
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
