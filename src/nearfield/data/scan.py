"""Anyone's folder of music -> a Manifest, from the files' own tags."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

import tinytag

from nearfield.data.manifest import Manifest
from nearfield.data.track import Track
from nearfield.errors import AudioError, CorpusError, Failure, readable
from nearfield.sound import audio

AUDIO_EXTENSIONS = frozenset(
    (
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".m4a",
        ".m4b",
        ".mp4",
        ".aac",
        ".wma",
        ".aif",
        ".aiff",
    )
) | {".caf"}
_NOTE = re.compile(r"^([A-G])\s*(#|♯|b|♭|-?sharp|-?flat)?\s*(m|min|minor|maj|major)?$", re.IGNORECASE)
_WHEEL = re.compile(r"^0?([1-9]|1[0-2])\s*([ABDM])$", re.IGNORECASE)
_WHEEL_MAJOR = ("B", "F#", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E")  # Camelot 1B to 12B
_WHEEL_MINOR = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")  # Camelot 1A to 12A
_YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)")


@dataclass(frozen=True)
class Tags:
    """What one file says of itself: a Track's fields of the same names. Empty and None mean "not known"."""

    duration_s: float
    title: str = ""
    artist: str = ""
    album: str = ""
    genre: str = ""
    year: int | None = None
    tempo_bpm: float | None = None
    key: str = ""


@dataclass(frozen=True)
class FoundAudio:
    """The audio files below a folder (the folder's own path in front), and what could not be looked at."""

    paths: tuple[Path, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class ScanProgress:
    """`path` is the file just read, printable."""

    done: int
    total: int
    path: str


@dataclass(frozen=True)
class ScanResult:
    """The manifest of what can be opened, and the files and folders passed over."""

    manifest: Manifest
    failures: tuple[Failure, ...]


def scan_folder(folder: Path, *, progress: Callable[[ScanProgress], None] | None = None) -> ScanResult:
    """Every audio file below `folder` as a Track with its tags; the same folder gives the same manifest.

    Ids are the files' paths below the folder, printable; paths are relative to it. Raises CorpusError when
    the folder cannot be read or holds no audio that can be opened; single files that cannot are Failures in
    the result.
    """
    found = find_audio(folder)
    tracks: list[Track] = []
    failures = list(found.failures)
    for done, (path, track_id) in enumerate(zip(found.paths, track_ids(folder, found.paths), strict=True), 1):
        try:
            state = os.stat(path)
            stamp = f"stat:{state.st_size}-{state.st_mtime_ns}"  # hashing would read a whole library to list it
            tags = asdict(tags_of(path))
            tracks.append(Track(id=track_id, path=os.path.relpath(path, folder), content_hash=stamp, **tags))
        except OSError as error:
            failures.append(Failure(track_id, error.strerror or str(error), "check the path and its permissions"))
        except AudioError as error:
            failures.append(Failure.of(track_id, error))
        if progress is not None:
            progress(ScanProgress(done, len(found.paths), track_id))
    name = readable(folder)
    if not tracks:
        cause = "no audio files found"
        if failures:
            cause = f"no audio file can be read ({len(failures)} failed; the first: {failures[0].cause})"
        raise CorpusError(name, cause, f"name a folder with {', '.join(sorted(AUDIO_EXTENSIONS))} files")
    return ScanResult(Manifest(readable(folder.absolute().name) or "folder", folder, tuple(tracks)), tuple(failures))


def find_audio(folder: Path) -> FoundAudio:
    """All audio files below `folder`, known by their extensions, sorted by path.

    Hidden files and folders (one dot in front; an album may well be called "...And") are passed over. Links
    are followed, but no folder is entered twice and no file listed twice: a link gives way to what it points
    to. Raises CorpusError when `folder` itself cannot be listed.
    """
    walk = _Walk()
    try:
        if not folder.is_dir():
            cause = "is not a folder" if folder.exists() else "no such folder"
            raise CorpusError(readable(folder), cause, "name an existing folder of music")
        os.listdir(folder)
    except OSError as error:
        raise CorpusError(readable(folder), str(error.strerror), "check its permissions") from error
    walk.enter(folder)
    while walk.linked_folders:  # after all real folders, so that a link never takes a real folder's place
        walk.enter(walk.linked_folders.pop(0))
    listed = {os.path.realpath(p) for p in walk.files}
    for link in walk.linked_files:
        real = os.path.realpath(link)
        if real not in listed:
            listed.add(real)
            walk.files.append(link)
    return FoundAudio(tuple(sorted(walk.files, key=_order)), tuple(sorted(walk.failures, key=lambda f: f.path)))


def track_ids(folder: Path, paths: Sequence[Path]) -> list[str]:
    """A unique readable id per path below `folder`; '#2' tells apart names that read the same."""
    plain = [readable(PurePath(os.path.relpath(p, folder)).as_posix()) for p in paths]
    taken = set(plain)
    seen: set[str] = set()
    ids = []
    for name in plain:
        unique, n = name, 1
        while unique in seen or (n > 1 and unique in taken):
            n += 1
            unique = f"{name}#{n}"
        seen.add(unique)
        ids.append(unique)
    return ids


def tags_of(path: Path) -> Tags:
    """Tags and duration of one file; raises AudioError when no reader can open it.

    Missing or broken tags are no error: the sound decides whether a file counts.
    """
    info = audio.probe(path)
    tag = _read_tags(path)
    if tag is None:
        return Tags(info.duration_s)
    return Tags(
        duration_s=info.duration_s,
        title=_text(tag.title),
        artist=_text(tag.artist) or _text(tag.albumartist),
        album=_text(tag.album),
        genre=_text(tag.genre),
        year=_year(_text(tag.year)),
        tempo_bpm=parse_tempo(_other(tag, "bpm", "tempo")),
        key=parse_key(_other(tag, "initial_key", "initialkey", "key")),
    )


def parse_tempo(text: str) -> float | None:
    """'128', '127.98', '127,98' or '128 BPM' -> beats per minute; None if that is not between 20 and 400."""
    try:
        tempo_bpm = float(text.lower().removesuffix("bpm").strip().replace(",", "."))
    except ValueError:
        return None
    return tempo_bpm if 20 <= tempo_bpm <= 400 else None


def parse_key(text: str) -> str:
    """'Am', 'F# minor', 'Gb', 'C♯ min', Camelot '8A' or Open Key '1m' -> 'A minor'; '' if none of these.

    A note name keeps its spelling; the wheels' keys are spelt as printed on the Camelot wheel (but C# minor).
    """
    text = text.strip()
    if wheel := _WHEEL.match(text):
        number, side = int(wheel[1]), wheel[2].upper()
        if side in "DM":  # Open Key counts from C, Camelot from B
            number = (number + 6) % 12 + 1
        if side in "AM":
            return f"{_WHEEL_MINOR[number - 1]} minor"
        return f"{_WHEEL_MAJOR[number - 1]} major"
    note = _NOTE.match(text)
    if note is None or (note[1].islower() and not note[3]):  # a lone 'a' may mean A minor, or nothing
        return ""
    sign = (note[2] or "").lower().lstrip("-")
    sign = {"sharp": "#", "♯": "#", "flat": "b", "♭": "b"}.get(sign, sign)
    mode = note[3] or ""
    minor = mode == "m" or mode.lower().startswith("min")  # 'AM' is A major
    return f"{note[1].upper()}{sign} {'minor' if minor else 'major'}"


class _Walk:
    """What a walk has gathered so far."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.linked_files: list[Path] = []
        self.linked_folders: list[Path] = []
        self.failures: list[Failure] = []
        self._entered: set[tuple[int, int]] = set()

    def enter(self, folder: Path) -> None:
        """Walk a folder and all real folders below it; links to folders are put off."""
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            try:
                stat = here.stat()
                if (stat.st_dev, stat.st_ino) in self._entered:
                    continue
                self._entered.add((stat.st_dev, stat.st_ino))
                names = sorted(os.listdir(here), key=os.fsencode)
            except OSError as error:
                self._fail(here, error)
                continue
            waiting += [here / n for n in reversed(names) if not _hidden(n) and self._look(here / n)]

    def _look(self, path: Path) -> bool:
        """Note a file or a link; True for a real folder, to be entered."""
        audible = path.suffix.lower() in AUDIO_EXTENSIONS
        try:
            linked = path.is_symlink()
            if path.is_dir():
                if linked:
                    self.linked_folders.append(path)
                return not linked
            if audible:
                path.stat()  # a link that points nowhere, or to itself
                if path.is_file():
                    (self.linked_files if linked else self.files).append(path)
        except OSError as error:
            if audible:
                self._fail(path, error)
        return False

    def _fail(self, path: Path, error: OSError) -> None:
        cause = error.strerror or str(error)
        self.failures.append(Failure(readable(path), cause, "check the link and the permissions"))


def _hidden(name: str) -> bool:
    return name.startswith(".") and not name.startswith("..")


def _order(path: Path) -> tuple[bytes, ...]:
    return tuple(os.fsencode(part) for part in path.parts)


def _read_tags(path: Path) -> tinytag.TinyTag | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return tinytag.TinyTag.get(path)
    except Exception:  # a tag reader may raise anything on garbage, and the sound has opened
        return None


def _other(tag: tinytag.TinyTag, *names: str) -> str:
    """The first of these fields outside the common ones."""
    for name in names:
        for value in tag.other.get(name) or ():
            if value:
                return _text(value)
    return ""


def _text(value: object) -> str:
    """One line of proper Unicode; tags come padded, with NULs, or cut in the middle of a character."""
    if value is None:
        return ""
    text = str(value).split("\0")[0].encode("utf-8", "replace").decode("utf-8")
    return " ".join(text.split())


def _year(text: str) -> int | None:
    found = _YEAR.search(text)
    return int(found[1]) if found else None
