"""The catalogue list on disk: one Parquet file, validated when read and when written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nearfield.data.track import Track
from nearfield.errors import ManifestError, readable
from nearfield.parquet import read_table

FORMAT = 1
_WRITE_AGAIN = "write it again with 'nearfield corpus scan' or 'nearfield corpus fetch'"
_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("path_raw", pa.binary()),  # the exact bytes, only where the path is not UTF-8
        pa.field("duration_s", pa.float64()),
        pa.field("title", pa.string(), nullable=False),
        pa.field("artist", pa.string(), nullable=False),
        pa.field("album", pa.string(), nullable=False),
        pa.field("genre", pa.string(), nullable=False),
        pa.field("year", pa.int32()),
        pa.field("package", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("tempo_bpm", pa.float64()),
        pa.field("key", pa.string(), nullable=False),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("factors", pa.map_(pa.string(), pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True)
class Manifest:
    """Tracks with unique ids, and the folder their relative paths start from."""

    name: str
    root: Path
    tracks: tuple[Track, ...]

    def __post_init__(self) -> None:
        problems = [f"track {t.id!r}: {p}" for t in self.tracks for p in t.problems()]
        twice = [i for i, n in Counter(t.id for t in self.tracks).items() if n > 1]
        problems += [f"id {i!r} occurs more than once" for i in twice]
        if problems:
            more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
            raise ManifestError(
                f"manifest {self.name!r}", "; ".join(problems[:5]) + more, "correct these rows and write it again"
            )

    def __len__(self) -> int:
        return len(self.tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self.tracks)

    def locate(self, track: Track) -> Path:
        """The file of a track."""
        return self.root / track.path

    def digest(self) -> str:
        """A hash of what the manifest says (not of where it lies), for provenance."""
        rows = sorted((t.id, t.content_hash, t.duration_s or 0.0, t.split) for t in self.tracks)
        return hashlib.sha256(json.dumps(rows).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write atomically; the root is kept relative when the music lies below the manifest's own folder."""
    path = path.absolute()
    table = tracks_table(manifest.tracks)
    root = manifest.root.absolute()
    kept = os.path.relpath(root, path.parent) if root.is_relative_to(path.parent) else os.fspath(root)
    header = json.dumps({"format": FORMAT, "name": manifest.name, "root": kept})
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:  # Arrow itself would take a "~" or a ":" in a path for more than a name
            pq.write_table(table.replace_schema_metadata({"nearfield": header}), file)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise ManifestError(
            readable(path), f"cannot be written ({error.strerror or error})", "free space or choose another place"
        ) from error


def read_manifest(path: Path) -> Manifest:
    """Read and validate; raises ManifestError naming the file, the cause and the remedy."""
    subject = readable(path)
    if not path.is_file():
        raise ManifestError(subject, "no such file", "make one with 'nearfield corpus scan FOLDER'")
    try:
        table = read_table(path)
        names = table.schema.names
        header = json.loads((table.schema.metadata or {}).get(b"nearfield", b"{}"))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ManifestError(subject, f"not a readable Parquet file ({error})", _WRITE_AGAIN) from error
    if header.get("format") != FORMAT:
        raise ManifestError(
            subject,
            f"manifest format is {header.get('format')}, this version reads {FORMAT}",
            _WRITE_AGAIN,
        )
    missing = [n for n in _SCHEMA.names if n not in names]
    if missing:
        raise ManifestError(subject, f"columns are missing: {', '.join(missing)}", _WRITE_AGAIN)
    try:
        root = path.absolute().parent / header["root"]
        return Manifest(header["name"], root.resolve(), tuple(_track(r) for r in table.to_pylist()))
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(subject, f"is damaged ({error})", _WRITE_AGAIN) from error


def tracks_table(tracks: Sequence[Track]) -> pa.Table:
    """The tracks as an Arrow table in the manifest's columns (other artefacts extend it)."""
    return pa.Table.from_pylist([_row(t) for t in tracks], schema=_SCHEMA)


def tracks_of(table: pa.Table) -> list[Track]:
    """The inverse of `tracks_table`; further columns are passed over."""
    return [_track(r) for r in table.select(_SCHEMA.names).to_pylist()]


def _row(track: Track) -> dict[str, Any]:
    row: dict[str, Any] = {f.name: getattr(track, f.name) for f in fields(track)}
    raw = os.fsencode(track.path)
    row["path"] = raw.decode("utf-8", "backslashreplace")
    row["path_raw"] = None if row["path"] == track.path else raw
    row["tags"] = list(track.tags)
    row["factors"] = sorted(track.factors.items())
    for name in ("id", "title", "artist", "album", "genre"):
        row[name] = row[name].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return row


def _track(row: dict[str, Any]) -> Track:
    raw = row.pop("path_raw")
    path = row["path"] if raw is None else os.fsdecode(raw)
    return Track(**{**row, "path": path, "tags": tuple(row["tags"]), "factors": dict(row["factors"])})
