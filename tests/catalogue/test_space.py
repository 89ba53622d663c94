"""The SPACE on disk: damage is told, a failed write changes nothing, one writer at a time."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import nearfield
from conftest import RATE_HZ, tone_track
from nearfield.catalogue import writer as writing
from nearfield.catalogue.embed import index_folder
from nearfield.catalogue.encoder import load_model
from nearfield.catalogue.export import export_space
from nearfield.catalogue.space import SpaceMeta, open_space, space_id, summaries
from nearfield.catalogue.writer import Entry, Identity, SpaceWriter
from nearfield.data.track import Track
from nearfield.errors import Failure, NearfieldError, SpaceError

IDENTITY = Identity("m", "abc", "/m.onnx", {"rate_hz": 16_000}, 300, 8, 4)


def entry(n: int) -> Entry:
    vector = np.eye(4, dtype=np.float32)[n % 4]
    track = Track(id=str(n), path=f"/music/{n}.ogg", duration_s=60.0 + n, tags=("a", "b"), factors={"x": "y"})
    return Entry(track, vector, 100 + n, 10**18 + n, 8, "/music")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A space of five made-up tracks."""
    with SpaceWriter(tmp_path / "S", IDENTITY) as writer:
        for n in range(5):
            writer.put(entry(n))
        writer.commit([Failure("/music/x\udcff", "bad", "remove it")])
    return tmp_path / "S"


def test_what_is_written_is_read(place: Path) -> None:
    space = open_space(place)
    assert space.tracks == tuple(entry(n).track for n in range(5))
    assert np.array_equal(space.vectors, np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0]])
    assert space.vectors.dtype == np.float32
    assert space.table["mtime_ns"].to_pylist() == [10**18 + n for n in range(5)]
    meta = space.meta
    assert (meta.id, meta.generation, meta.n_tracks, meta.roots) == (IDENTITY.id, 1, 5, ("/music",))
    assert meta.failures == (Failure("/music/x\udcff", "bad", "remove it"),)
    assert SpaceMeta.from_json(place / meta.id / "meta.json") == meta
    assert sorted(p.name for p in (place / meta.id).iterdir()) == [
        "meta.json",
        "tracks-1.parquet",
        "vectors-1.f32",
    ]


def test_the_id_depends_on_everything_that_makes_vectors() -> None:
    ids = {
        space_id("abc", {"a": 1}, 300, 8),
        space_id("abd", {"a": 1}, 300, 8),
        space_id("abc", {"a": 2}, 300, 8),
        space_id("abc", {"a": 1}, 301, 8),
        space_id("abc", {"a": 1}, 300, "all"),
    }
    assert len(ids) == 5
    assert all(len(i) == 12 for i in ids)


@pytest.mark.parametrize("name", ["meta.json", "tracks-1.parquet", "vectors-1.f32"])
def test_every_cut_and_flip_is_told(place: Path, name: str) -> None:
    path = place / IDENTITY.id / name
    whole = path.read_bytes()
    step = max(1, len(whole) // 40)
    damaged = [whole[:n] for n in range(0, len(whole), step)]
    for at in range(0, len(whole), step):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 7)
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(SpaceError) as told:
            open_space(place)
        assert name in told.value.subject
        assert told.value.cause
        assert told.value.remedy
    path.unlink()
    with pytest.raises(SpaceError):
        open_space(place)


def test_damage_is_mended_by_indexing_again(place: Path) -> None:
    (place / IDENTITY.id / "vectors-1.f32").write_bytes(b"")
    with SpaceWriter(place, IDENTITY) as writer:
        assert writer.entries == {}
        assert "built anew" in writer.notes[0]
        writer.put(entry(3))
        writer.commit([])
    space = open_space(place)
    assert (space.meta.generation, space.ids) == (2, ["/music/3.ogg"])


def test_pointer_and_folder_problems(place: Path, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="no such folder"):
        open_space(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpaceError, match="holds no space"):
        open_space(tmp_path / "empty")
    with pytest.raises(SpaceError, match=f"no such space; ask for one that is there: {IDENTITY.id}"):
        open_space(place, "0123456789ab")
    for text, cause in (
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"format": 2}', "format is 2"),
    ):
        (place / "space.json").write_text(text)
        with pytest.raises(SpaceError, match=cause):
            open_space(place)
        assert len(open_space(place, IDENTITY.id)) == 5
    with SpaceWriter(place, IDENTITY) as writer:
        writer.commit([])
    assert len(open_space(place)) == 5


def test_another_version_is_left_alone(place: Path) -> None:
    path = place / IDENTITY.id / "meta.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 2, "blake2b": "of another kind"}))
    before = path.read_bytes()
    with pytest.raises(SpaceError, match="space format is 2, this version reads 1"):
        open_space(place)
    with pytest.raises(SpaceError, match="space format is 2"):
        SpaceWriter(place, IDENTITY)
    assert path.read_bytes() == before


def test_one_writer_at_a_time(place: Path) -> None:
    with (
        SpaceWriter(place, IDENTITY),
        pytest.raises(SpaceError, match=rf"process {os.getpid()}\) is writing"),
    ):
        SpaceWriter(place, IDENTITY)
    with SpaceWriter(place, IDENTITY):
        assert len(open_space(place)) == 5  # reading goes on meanwhile


def test_the_lock_of_a_dead_process_is_free(place: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from nearfield.catalogue import writer;"
        "writer._lock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, place], check=False)
    assert int((place / "lock").read_text()) != os.getpid()
    with SpaceWriter(place, IDENTITY):
        assert int((place / "lock").read_text()) == os.getpid()


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["pq.write_table", "FileSum.of", "_replace", "_sync", "os.write"])
def test_a_full_disk_leaves_the_last_generation(place: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    home = place / IDENTITY.id
    before = {p.name: p.read_bytes() for p in home.iterdir()}
    with SpaceWriter(place, IDENTITY) as writer:
        if step != "os.write":
            writer.put(entry(9))
        with monkeypatch.context() as patch:
            name, _, attribute = step.rpartition(".")
            patch.setattr(getattr(writing, name) if name else writing, attribute, full)
            with pytest.raises(SpaceError, match="No space left on device"):
                writer.put(entry(9)) if step == "os.write" else writer.commit([])
    assert {
        p.name: p.read_bytes() for p in home.iterdir() if "journal" not in p.name and ".part" not in p.name
    } == before
    assert len(open_space(place)) == 5
    with SpaceWriter(place, IDENTITY) as writer:  # space was freed: the journal is taken up
        assert len(writer.entries) == (5 if step == "os.write" else 6)
        writer.commit([])
    assert len(open_space(place)) == (5 if step == "os.write" else 6)
    assert len(list(home.iterdir())) == 3


def test_a_reader_follows_a_writer_that_overtakes_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfield.catalogue import space as spaces

    read, old = spaces._read, SpaceMeta.from_json(place / IDENTITY.id / "meta.json")
    with SpaceWriter(place, IDENTITY) as writer:
        writer.drop("/music/0.ogg")
        writer.commit([])
    metas = iter([old])
    real = SpaceMeta.from_json
    monkeypatch.setattr(SpaceMeta, "from_json", lambda path: next(metas, None) or real(path))
    monkeypatch.setattr(spaces, "_read", read)
    assert len(open_space(place)) == 4


def test_moves_are_taken_up_from_the_journal(place: Path) -> None:
    with SpaceWriter(place, IDENTITY) as writer:
        writer.put(Entry(Track(id="n", path="/music/new.ogg"), entry(0).vector, 1, 2, 3, "/music"), "/music/0.ogg")
    with SpaceWriter(place, IDENTITY) as writer:
        assert sorted(writer.entries) == [f"/music/{n}.ogg" for n in (1, 2, 3, 4)] + ["/music/new.ogg"]


def test_summaries(place: Path) -> None:
    other = Identity("n", "def", "/n.onnx", {"rate_hz": 16_000}, 300, "all", 2)
    with SpaceWriter(place, other) as writer:
        writer.commit([])
    (place / IDENTITY.id / "tracks-1.parquet").unlink()
    found = {s.id: s for s in summaries(place)}
    assert found[other.id].current
    assert found[other.id].meta is not None
    assert not found[IDENTITY.id].current
    assert "tracks-1.parquet: is missing; run 'nearfield index'" in found[IDENTITY.id].problem
    assert open_space(place).vectors.shape == (0, 2)


def test_exports(place: Path, tmp_path: Path) -> None:
    space = open_space(place)
    export_space(space, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        assert sorted(arrays) == ["ids", "vectors"]
        assert arrays["ids"].tolist() == space.ids
        assert np.array_equal(arrays["vectors"], space.vectors)
        assert arrays["vectors"].dtype == np.float32
    export_space(space, tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table["path"].to_pylist() == space.ids
    assert np.array_equal(np.array(table["vector"].to_pylist(), np.float32), space.vectors)
    with pytest.raises(SpaceError, match=r"suffix '\.csv' is not known"):
        export_space(space, tmp_path / "x.csv")
    with pytest.raises(SpaceError, match="cannot be written"):
        export_space(space, tmp_path / "none" / "x.npz")
    shutil.rmtree(place)


def test_neighbours(library: Path, tmp_path: Path, tiny_model: Path) -> None:
    index_folder(library, tmp_path / "S", tiny_model, workers=0)
    space, model = nearfield.open_space(tmp_path / "S"), load_model(tiny_model)
    similarities = np.asarray(space.vectors @ space.vectors[2], np.float64)
    order = [i for i in np.argsort(-similarities) if i != 2]
    found = space.neighbours(library / "c.ogg", k=3)
    assert [n.path for n in found] == [space.ids[i] for i in order[:3]]
    np.testing.assert_allclose([n.similarity for n in found], similarities[order[:3]], atol=1e-6)
    assert found == space.neighbours("c.ogg", 3) == space.neighbours(space.tracks[2], 3)
    assert [n.path for n in space.neighbours(space.vectors[2], 1)] == [space.ids[2]]
    assert len(space.neighbours("c.ogg", 100)) == 5

    outside = tmp_path / "outside.flac"
    shutil.copy(library / "b.flac", outside)
    first = space.neighbours(outside, 1, model=model)[0]
    assert (first.path, round(first.similarity, 6)) == (space.ids[1], 1.0)
    with pytest.raises(SpaceError, match="is not in this space"):
        space.neighbours(outside)
    vector = model.embed(tone_track(3), RATE_HZ)
    assert space.neighbours(vector, 1)[0].path.endswith("d.wav")
    with pytest.raises(SpaceError, match="shape"):
        space.neighbours(vector[:5])


def test_a_query_by_another_model_is_refused(place: Path, tiny_model: Path, library: Path) -> None:
    with pytest.raises(NearfieldError, match="was made by model 'm'"):
        open_space(place).neighbours(library / "a.wav", model=load_model(tiny_model))
