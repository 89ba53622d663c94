"""A table of labels (CSV) laid over the tracks of a scanned folder.

Most published sets of music come as files and one table. Its columns named like a Track's fields are taken as they are
(`bpm` is tempo_bpm), `file` or `path` says which track a row is about, and every other column is kept in `factors`.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nearfield.data.manifest import Manifest
from nearfield.data.scan import parse_key, parse_tempo
from nearfield.data.track import Track
from nearfield.errors import Failure, ManifestError, readable

_FILE = ("file", "path", "filename", "file_path")
_TEXTS = ("title", "artist", "album", "genre", "package", "licence", "split")
_TEMPO = ("tempo_bpm", "bpm", "tempo")


@dataclass(frozen=True)
class Labelled:
    """The manifest with its labels; tracks without a row, and rows without a track, as failures."""

    manifest: Manifest
    failures: tuple[Failure, ...]


def label_tracks(manifest: Manifest, table: Path, tag_columns: Sequence[str] = ()) -> Labelled:
    """Labels of a CSV file with a header, over what the files' own tags said; an empty cell leaves a field as it was.

    Paths are relative to the table's folder. `tag_columns` become tags: a cell may hold several, parted by ";".
    Raises ManifestError for a table that cannot be read, has no column of files, or names a file twice.
    """
    rows = _read(table, tag_columns)
    base = table.absolute().parent
    by_path = {os.path.normpath(base / file): row for file, row in rows.items()}
    tracks, failures = [], []
    for track in manifest:
        row = by_path.pop(os.path.normpath(manifest.root.absolute() / track.path), None)
        if row is None:
            failures.append(
                Failure(track.path, f"has no row in {readable(table)}", "add one, if it should be labelled")
            )
        tracks.append(track if row is None else _labelled(track, row, tag_columns))
    failures += [Failure(path, "is named in the table but not there", "correct its row") for path in sorted(by_path)]
    return Labelled(replace(manifest, tracks=tuple(tracks)), tuple(failures))


def _read(table: Path, tag_columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Rows by the file they are about."""
    subject = readable(table)
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            lines = [{k: (v or "").strip() for k, v in row.items() if k is not None} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise ManifestError(subject, f"cannot be read ({cause})", "give a CSV file in UTF-8") from error
    key = next((name for name in _FILE if name in columns), None)
    if key is None:
        raise ManifestError(
            subject, f"has none of the columns {', '.join(_FILE)}", "name each row's file in one of them"
        )
    if missing := [name for name in tag_columns if name not in columns]:
        raise ManifestError(subject, f"has no column {missing[0]!r}", f"its columns are {', '.join(columns)}")
    rows: dict[str, dict[str, str]] = {}
    for line in lines:
        file_name = line.pop(key)
        if file_name in rows:
            raise ManifestError(subject, f"names {file_name!r} twice", "keep one row a file")
        rows[file_name] = line
    return rows


def _labelled(track: Track, row: Mapping[str, str], tag_columns: Sequence[str]) -> Track:
    texts: dict[str, Any] = {name: row[name] for name in _TEXTS if row.get(name)}
    tempo = next((t for name in _TEMPO if (t := parse_tempo(row.get(name, ""))) is not None), track.tempo_bpm)
    year = row.get("year", "")
    tags = [tag.strip() for name in tag_columns for tag in row[name].split(";")]
    known = {*_TEXTS, *_TEMPO, "key", "year", *tag_columns}
    return replace(
        track,
        **texts,
        tempo_bpm=tempo,
        key=parse_key(row.get("key", "")) or track.key,
        year=int(year) if year.isdecimal() else track.year,
        tags=tuple(dict.fromkeys(t for t in tags if t)) or track.tags,
        factors={**track.factors, **{k: v for k, v in row.items() if k not in known and v}},
    )
