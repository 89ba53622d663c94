"""Log-mel shards: what training reads instead of audio; and, if asked for, the spectra that the log-mels are of.

A store is a folder: `store.json` (format, front end), `manifest.parquet` (the tracks asked for), `shard-NNNN.f16` with
`index.jsonl` for the log-mels, and where there are spectra `spectra-NNNN.f16` with `spectra.jsonl` (data/shards.py). A
kill at any moment loses at most the track in hand: on opening for writing, bytes without a line in an index are cut off.
Layout and fields: docs/formats.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

try:
    import fcntl
except ImportError:  # not on this system: one writer a store is then the user's care
    fcntl = None  # type: ignore[assignment]

from nearfield.data.manifest import Manifest, read_manifest
from nearfield.data.shards import SHARD_BYTES, Entry, Frames, Rows, Shards, ShardWriter
from nearfield.data.track import Track
from nearfield.errors import Failure, StoreError, readable
from nearfield.records import build
from nearfield.sound.mel import DEFAULT, MelConfig
from nearfield.sound.spectra import spectrum_bins

__all__ = ["Entry", "Frames", "MelStore", "StoreWriter"]

FORMAT = 1


class StoreWriter:
    """Appends tracks; use as a context manager. One writer a store.

    With `spectra` every track has its spectrum kept too. A store that was begun with them goes on with them, asked or not.
    """

    def __init__(
        self, path: Path, config: MelConfig = DEFAULT, shard_bytes: int = SHARD_BYTES, spectra: bool = False
    ) -> None:
        self.path = path
        self.config = config
        with _writing(path), contextlib.ExitStack() as opened:
            path.mkdir(parents=True, exist_ok=True)
            self.spectra = _agree_on_front_end(path, config, spectra)
            lock = opened.enter_context((path / "lock").open("ab"))
            _lock(lock, path)
            self._log_mels = ShardWriter(_log_mels(path, config), shard_bytes)
            opened.callback(self._log_mels.close)
            self._spectra = ShardWriter(_spectra(path, config), shard_bytes) if self.spectra else None
            self._lock = lock
            opened.pop_all()  # all stay open

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log_mels.close()
        if self._spectra is not None:
            self._spectra.close()
        self._lock.close()

    @property
    def entries(self) -> dict[str, Entry]:
        """Of the log-mels, by track id."""
        return self._log_mels.entries

    def holds(self, track: Track) -> bool:
        """Whether all of this very track (same id, same content hash) is in the store already."""
        return self._log_mels.holds(track) and (self._spectra is None or self._spectra.holds(track))

    def append(self, track: Track, frames: Frames, spectrum: Frames | None = None) -> None:
        """Write (T, M) float16 log-mels, in a store with spectra also their (T, K) amplitudes, and then commit them.

        The spectrum comes first and what is there already stays, so that a kill in between leaves nothing half done.
        Raises StoreError when the disk refuses.
        """
        if (spectrum is None) != (self._spectra is None) or (spectrum is not None and len(spectrum) != len(frames)):
            raise ValueError("frames need a spectrum of as many frames in a store with spectra, and none in another")
        with _writing(self.path):
            if self._spectra is not None and spectrum is not None and not self._spectra.holds(track):
                self._spectra.append(track, spectrum)
            if self._spectra is None or not self._log_mels.holds(track):
                self._log_mels.append(track, frames)


class MelStore:
    """A store opened for reading. Entries are in file order; `tracks` says what is known about each."""

    def __init__(self, path: Path) -> None:
        header = _header(path)
        self.path = path
        self.config = build(MelConfig, header["mel"], readable(path))
        self.manifest: Manifest = read_manifest(path / "manifest.parquet")
        shards = _log_mels(path, self.config)
        by_id = {t.id: t for t in self.manifest}
        kept = {e.id: e for e in shards.listed() if e.id in by_id}
        self.entries: tuple[Entry, ...] = tuple(sorted(kept.values(), key=lambda e: (e.shard, e.offset)))
        self.tracks: tuple[Track, ...] = tuple(by_id[e.id] for e in self.entries)
        if not self.entries:
            raise StoreError(readable(path), "holds no tracks", "run 'nearfield prepare' on a manifest")
        self.log_mels = Rows(shards, self.entries)
        self.has_spectra = "spectra" in header

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def nbytes(self) -> int:
        """Of the log-mels."""
        return self.log_mels.nbytes

    def spectra(self) -> Rows:
        """The amplitude spectra of all tracks; raises StoreError when not every track has one."""
        shards = _spectra(self.path, self.config)
        by_id = {e.id: e for e in shards.listed()} if self.has_spectra else {}
        found = [by_id.get(e.id) for e in self.entries]
        same = [
            s
            for e, s in zip(self.entries, found, strict=True)
            if s is not None and (s.content_hash, s.frames) == (e.content_hash, e.frames)
        ]
        if len(same) < len(self):
            cause = f"{len(self) - len(same)} of its {len(self)} tracks have no spectra" if same else "holds no spectra"
            remedy = "run 'nearfield prepare' on it again with --spectra, or train without from_spectra"
            raise StoreError(readable(self.path), cause, remedy)
        return Rows(shards, same)

    def frames(self, n: int) -> Frames:
        """All log-mel frames of the n-th entry, (T, M), read from disk."""
        return self.log_mels.read([n])[0]

    def read(self, numbers: Sequence[int]) -> list[Frames]:
        """Log-mel frames of several entries, read in file order whatever the order asked for."""
        return self.log_mels.read(numbers)

    def groups(self, numbers: Sequence[int], budget_bytes: int) -> list[list[int]]:
        """Runs of neighbouring entries whose log-mels fit the budget together."""
        return self.log_mels.groups(numbers, budget_bytes)

    def digest(self) -> str:
        """A hash of the log-mels in the store, whatever the order they were written in: the corpus as training sees it."""
        rows = sorted((e.id, e.frames, e.crc32) for e in self.entries)
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]

    def verify(self) -> list[Failure]:
        """Read everything and compare checksums; what differs, as failures."""
        bad = []
        kinds = [self.log_mels]
        if self.has_spectra:
            try:
                kinds.append(self.spectra())
            except StoreError as error:
                bad.append(Failure.of(readable(self.path), error))
        for rows in kinds:
            for n, entry in enumerate(rows.entries):
                try:
                    rows.read([n])
                except StoreError as error:
                    bad.append(Failure(entry.id, error.cause, error.remedy))
        return bad


def _log_mels(path: Path, config: MelConfig) -> Shards:
    return Shards(path, "shard", "index.jsonl", config.n_mels)


def _spectra(path: Path, config: MelConfig) -> Shards:
    return Shards(path, "spectra", "spectra.jsonl", spectrum_bins(config))


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Errors of the disk as a StoreError."""
    try:
        yield
    except OSError as error:
        cause = f"cannot be written ({error.strerror or error})"
        remedy = "free space or check its permissions, then run the same command again: finished tracks are kept"
        raise StoreError(readable(path), cause, remedy) from error


def _header(path: Path) -> dict[str, Any]:
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


def _agree_on_front_end(path: Path, config: MelConfig, spectra: bool) -> bool:
    """Whether the store has spectra, which it says from now on."""
    header: dict[str, Any] = {"format": FORMAT, "mel": config.as_dict()}
    begun = (path / "store.json").exists()
    if begun:
        header = _header(path)
        if build(MelConfig, header["mel"], readable(path)) != config:
            raise StoreError(readable(path), "was made with another front end", "prepare into a new folder")
    bins = spectrum_bins(config)
    if header.get("spectra", {"bins": bins}) != {"bins": bins}:
        raise StoreError(readable(path), f"its spectra do not have {bins} bins", "prepare into a new folder")
    if not begun or (spectra and "spectra" not in header):
        part = path / "store.json.part"
        part.write_text(json.dumps({**header, **({"spectra": {"bins": bins}} if spectra else {})}))
        os.replace(part, path / "store.json")
    return spectra or "spectra" in header


def _lock(file: IO[bytes], path: Path) -> None:
    """For this process alone; the system lets go of it when the process ends, however it ends."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(readable(path), "another nearfield is writing to it", "wait until it has ended") from error
