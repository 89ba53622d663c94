"""Files out of Debian packages: downloaded by apt-get, unpacked by dpkg-deb, each checked against its MD5.

Nothing is installed and no root is needed. A marker in a package's folder says that it is complete.
"""

from __future__ import annotations

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

_MARKER = ".nearfield.json"
# the path 'x.pk3.d/a.ogg' means 'a.ogg' inside the zip archive x.pk3 of the package
_INSIDE_ARCHIVE = re.compile(r"^(.*\.pk3)\.d/(.+)$")
_CHUNK = 1 << 20


def unpack_whole(deb: Path, folder: Path) -> None:
    """All of a package's files to folder/<path>, in one step: a folder that is there is complete.

    Raises CorpusError for a damaged package; OSError as the disk gives them.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    command = ["dpkg-deb", "--extract", os.fspath(deb), os.fspath(part)]
    run = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if run.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        said = " ".join(run.stderr.split()) or f"dpkg-deb ended with status {run.returncode}"
        raise CorpusError(deb.name, f"cannot be unpacked ({said})", "free space, and fetch again")
    os.replace(part, folder)


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
