"""Manifests: what is written is what is read, and what breaks the rules is refused by name."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.data.manifest import Manifest, read_manifest, write_manifest
from nearfield.data.track import Track
from nearfield.errors import ManifestError, readable

FULL = Track(
    id="a",
    path="x/a.ogg",
    duration_s=31.5,
    title="T",
    artist="A",
    album="L",
    genre="rock",
    year=1999,
    package="p",
    licence="CC0",
    tempo_bpm=120.5,
    key="F# minor",
    tags=("calm", "piano"),
    split="train",
    content_hash="md5:00",
    factors={"style": "waltz"},
)


def test_every_field_survives_the_disk(tmp_path: Path) -> None:
    manifest = Manifest("games", tmp_path, (FULL, Track("b", "b.ogg")))
    write_manifest(manifest, tmp_path / "m.parquet")
    again = read_manifest(tmp_path / "m.parquet")
    assert again.tracks == manifest.tracks
    assert (again.name, len(again), again.digest()) == ("games", 2, manifest.digest())
    assert again.locate(again.tracks[0]) == tmp_path.resolve() / "x/a.ogg"


@settings(max_examples=60, deadline=None)
@given(raw=st.binary(min_size=1, max_size=40).filter(lambda b: b"\0" not in b))
def test_any_bytes_make_a_path(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("m")
    track = Track("only", os.fsdecode(raw))
    write_manifest(Manifest("odd", folder, (track,)), folder / "m.parquet")
    assert os.fsencode(read_manifest(folder / "m.parquet").tracks[0].path) == raw
    shown = readable(track.path)
    assert len(f"<{shown}>".splitlines()) == 1
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert shown.encode("utf-8")


def test_a_moved_corpus_is_still_found_and_a_foreign_root_is_kept(tmp_path: Path) -> None:
    (tmp_path / "one/music").mkdir(parents=True)
    write_manifest(Manifest("m", tmp_path / "one/music", (FULL,)), tmp_path / "one/m.parquet")
    (tmp_path / "one").rename(tmp_path / "two")
    assert read_manifest(tmp_path / "two/m.parquet").root == (tmp_path / "two/music").resolve()
    write_manifest(Manifest("m", Path("/somewhere/else"), (FULL,)), tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").root == Path("/somewhere/else")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": ""}, "id is empty"),
        ({"path": ""}, "path is empty"),
        ({"duration_s": 0.0}, "duration_s is 0.0"),
        ({"duration_s": float("nan")}, "duration_s is nan"),
        ({"tempo_bpm": 5.0}, "tempo_bpm is 5.0"),
        ({"key": "H minor"}, "key is 'H minor'"),
    ],
)
def test_rules_are_named_when_broken(change: dict[str, object], words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        Manifest("m", Path(), (replace(FULL, **change),))  # type: ignore[arg-type]


def test_an_id_twice_is_refused() -> None:
    with pytest.raises(ManifestError, match="'a' occurs more than once"):
        Manifest("m", Path(), (FULL, FULL))


def test_files_that_are_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        read_manifest(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(ManifestError, match="not a readable Parquet file"):
        read_manifest(tmp_path / "text.parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(ManifestError, match="format is None, this version reads 1"):
        read_manifest(tmp_path / "other.parquet")


def test_every_cut_of_a_manifest_is_refused(tmp_path: Path) -> None:
    write_manifest(Manifest("m", tmp_path, (FULL,)), tmp_path / "m.parquet")
    data = (tmp_path / "m.parquet").read_bytes()
    for size in np.random.default_rng(0).integers(0, len(data) - 1, 20):
        (tmp_path / "cut.parquet").write_bytes(data[:size])
        with pytest.raises(ManifestError):
            read_manifest(tmp_path / "cut.parquet")


def test_writing_to_a_place_that_refuses_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").mkdir()
    with pytest.raises(ManifestError, match="cannot be written"):
        write_manifest(Manifest("m", tmp_path, (FULL,)), tmp_path / "m.parquet")
    assert list(tmp_path.glob("*.part")) == []
