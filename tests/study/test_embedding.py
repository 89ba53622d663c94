"""Any embedding becomes vectors of the catalogue's tracks; whatever does not fit is told or listed."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from conftest import RATE_HZ, tone_track, write_tiny_model
from nearfield.catalogue.embed import index_folder, index_manifest
from nearfield.catalogue.encoder import load_model
from nearfield.catalogue.export import export_space
from nearfield.catalogue.slices import slice_starts
from nearfield.catalogue.space import open_space
from nearfield.data.manifest import Manifest
from nearfield.data.track import Track
from nearfield.errors import AuditError, ModelError, NearfieldError
from nearfield.study.embedding import hear, heard
from nearfield.study.embedding.opening import Embedding, Reading, open_embedding
from nearfield.study.embedding.rows import LeftOut
from nearfield.study.embedding.vector_files import read_npz

NAMES = ("a.wav", "b.flac", "c.ogg", "d.wav", "e.flac", "more/f.ogg")
IN_PROCESS = Reading(workers=0)
HEAR = """
    import numpy as np

    class Model:
        sample_rate = 16000

    def load_model(path):
        return Model()

    def get_scene_embeddings(audio, model):
        assert isinstance(audio, np.ndarray) and audio.dtype == np.float32
        return np.stack([audio.std(axis=1), np.abs(np.diff(audio)).mean(axis=1), audio.max(axis=1)], axis=1)
"""


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six files of 6 s, made once."""
    folder = tmp_path_factory.mktemp("tones")
    (folder / "more").mkdir()
    for seed, name in enumerate(NAMES):
        soundfile.write(folder / name, tone_track(seed, 6.0), RATE_HZ)
    return folder


@pytest.fixture
def library(tones: Path, tmp_path: Path) -> Path:
    """A copy of them, for a test to change."""
    return Path(shutil.copytree(tones, tmp_path / "music"))


def catalogue(folder: Path, names: tuple[str, ...] = NAMES) -> Manifest:
    return Manifest("tones", folder, tuple(Track(id=f"tone {n}", path=name) for n, name in enumerate(names)))


def made_up(n: int = 6, dimensions: int = 4) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(n, dimensions)).astype(np.float32)


IDS = tuple(f"tone {n}" for n in range(6))


def npz(folder: Path, ids: object = IDS, vectors: object = None, **more: object) -> Path:
    path = folder / "mine.npz"
    np.savez(path, ids=np.array(ids), vectors=np.array(made_up() if vectors is None else vectors), **more)
    return path


def parquet(folder: Path, **columns: object) -> Path:
    path = folder / "mine.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def module(folder: Path, text: str = HEAR) -> str:
    path = folder / "loud.py"
    path.write_text(textwrap.dedent(text))
    return str(path)


def error(given: str | Path, manifest: Manifest, how: Reading = IN_PROCESS) -> NearfieldError:
    with pytest.raises(NearfieldError) as told:
        open_embedding(given, manifest, how)
    assert told.value.subject
    assert told.value.remedy
    return told.value


# files of vectors


def test_rows_come_in_the_order_of_the_catalogue(tmp_path: Path) -> None:
    order = [3, 1, 5, 0, 4, 2]
    path = npz(tmp_path, [IDS[i] for i in order], made_up()[order])
    found = open_embedding(path, catalogue(tmp_path))
    assert (found.name, found.kind, found.path, found.dimensions) == ("mine", "vectors", str(path), 4)
    assert found.ids == IDS
    assert np.array_equal(found.vectors, made_up())
    assert found.vectors.dtype == np.float32
    assert (found.left_out, found.embed) == ((), None)
    assert open_embedding(f"mine too={path}", catalogue(tmp_path)).name == "mine too"


def test_the_digest_is_that_of_the_vectors(tmp_path: Path) -> None:
    first = open_embedding(npz(tmp_path), catalogue(tmp_path)).digest
    assert open_embedding(npz(tmp_path), catalogue(tmp_path)).digest == first
    assert open_embedding(npz(tmp_path, vectors=made_up() + 1), catalogue(tmp_path)).digest != first


@pytest.mark.parametrize("path_of", ["written", "absolute", "through a link"])
def test_rows_may_be_named_by_paths(tmp_path: Path, path_of: str) -> None:
    root = tmp_path / "music"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    start = {"written": "", "absolute": f"{root}/", "through a link": f"{tmp_path}/link/"}[path_of]
    found = open_embedding(npz(tmp_path, [start + name for name in NAMES]), catalogue(root))
    assert found.ids == IDS


def test_ids_that_are_numbers_or_bytes(tmp_path: Path) -> None:
    manifest = Manifest("n", tmp_path, tuple(Track(id=str(n), path=f"{n}.wav") for n in range(6)))
    assert open_embedding(npz(tmp_path, range(6)), manifest).ids == tuple("012345")
    assert open_embedding(npz(tmp_path, [b"0", b"1", b"2", b"3", b"4", b"5"]), manifest).ids == tuple("012345")


def list_columns() -> dict[str, pa.Array]:
    flat = pa.array(made_up().reshape(-1))
    return {
        "list": pa.array(made_up().tolist(), pa.list_(pa.float64())),
        "large": pa.array(made_up().tolist(), pa.large_list(pa.float32())),
        "fixed": pa.FixedSizeListArray.from_arrays(flat, 4),
    }


@pytest.mark.parametrize("kind", ["list", "large", "fixed"])
def test_parquet_of_any_kind_of_list(tmp_path: Path, kind: str) -> None:
    path = parquet(tmp_path, id=list(IDS), vector=list_columns()[kind])
    assert np.array_equal(open_embedding(path, catalogue(tmp_path)).vectors, made_up())


@pytest.mark.parametrize("fixed", [False, True])
def test_nulls_are_no_vectors(tmp_path: Path, fixed: bool) -> None:
    rows: list[object] = made_up().tolist()
    rows[1], rows[4] = None, [1.0, None, 2.0, 3.0]
    kind = pa.list_(pa.float32(), 4) if fixed else pa.list_(pa.float32())
    found = open_embedding(parquet(tmp_path, id=list(IDS), vector=pa.array(rows, kind)), catalogue(tmp_path))
    assert found.ids == ("tone 0", "tone 2", "tone 3", "tone 5")
    assert np.array_equal(found.vectors, made_up()[[0, 2, 3, 5]])
    assert [t.id for t in found.left_out] == ["tone 1", "tone 4"]


def test_bad_vectors_are_left_out_and_listed(tmp_path: Path) -> None:
    vectors = made_up().astype(np.float64)
    vectors[0, 2], vectors[1, 0], vectors[2], vectors[3, 1] = np.nan, -np.inf, 0, 1e300
    ids = [*IDS[:4], *IDS[4:], "stranger"]
    vectors = np.concatenate([vectors, np.ones((1, 4))])
    manifest = Manifest(
        "m", tmp_path, (*catalogue(tmp_path).tracks, Track(id="seven", path="7"), Track(id="x", path="x"))
    )
    more = npz(tmp_path, [*ids, "seven"], np.concatenate([vectors, np.ones((1, 4))]))
    found = open_embedding(more, manifest)
    assert found.ids == ("tone 4", "tone 5", "seven")
    unsound = "its vector has numbers that are not finite"
    assert found.left_out == (
        LeftOut("stranger", "is not in the catalogue"),
        LeftOut("tone 0", unsound),
        LeftOut("tone 1", unsound),
        LeftOut("tone 2", "its vector is zero"),
        LeftOut("tone 3", unsound),
        LeftOut("x", "has no vector"),
    )


def test_no_id_that_matches_shows_both_sides(tmp_path: Path) -> None:
    told = error(npz(tmp_path, list("uvwxyz")), catalogue(tmp_path))
    assert told.cause == "none of its ids ('u', 'v', 'w', ...) is in the catalogue ('tone 0', 'tone 1', 'tone 2', ...)"


def test_ids_that_are_not_unique(tmp_path: Path) -> None:
    told = error(npz(tmp_path, [*IDS[:5], "tone 0"]), catalogue(tmp_path))
    assert told.cause == "its ids must be unique, 1 are not ('tone 0')"


def test_two_rows_of_one_track(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "music")
    paths = [f"{tmp_path}/music/{name}" for name in NAMES[:5]] + [f"{tmp_path}/link/a.wav"]
    assert "must be unique, 1 are not" in error(npz(tmp_path, paths), catalogue(tmp_path / "music")).cause


def test_fewer_than_three_tracks(tmp_path: Path) -> None:
    assert (
        "2 tracks can be judged, 4 are left out" in error(npz(tmp_path, IDS[:2], made_up(2)), catalogue(tmp_path)).cause
    )


@pytest.mark.parametrize(
    ("ids", "vectors", "cause"),
    [
        (IDS, made_up().reshape(-1), "of shape (24,), must be numbers of shape (N, D)"),
        (IDS, made_up().reshape(6, 2, 2), "of shape (6, 2, 2)"),
        (IDS, np.zeros((6, 0)), "of shape (6, 0)"),
        (IDS, made_up() + 1j, "complex"),
        (IDS, made_up(5), "has 6 ids and 5 vectors"),
        (np.zeros((6, 1), int), made_up(), "must be text of shape (N,)"),
        (np.zeros(6), made_up(), "`ids` is float64"),
    ],
)
def test_wrong_shapes_in_an_archive(tmp_path: Path, ids: object, vectors: object, cause: str) -> None:
    assert cause in error(npz(tmp_path, ids, vectors), catalogue(tmp_path)).cause


def test_archives_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK\x03\x04 not a zip")
    assert "not a readable .npz" in error(path, catalogue(tmp_path)).cause
    with open(path, "wb") as file:
        np.save(file, made_up())
    assert "not a readable .npz" in error(path, catalogue(tmp_path)).cause
    np.savez(path, ids=np.array(IDS))
    assert error(path, catalogue(tmp_path)).cause == "lacks the arrays vectors (it has: ids)"
    np.savez(path, ids=np.array([*IDS], dtype=object), vectors=made_up())
    assert "not a readable .npz" in error(path, catalogue(tmp_path)).cause  # objects would have to be unpickled


def test_wrong_columns(tmp_path: Path) -> None:
    manifest = catalogue(tmp_path)
    assert "lacks the columns vector (it has: id)" in error(parquet(tmp_path, id=list(IDS)), manifest).cause
    assert "must be a list of numbers" in error(parquet(tmp_path, id=list(IDS), vector=list("abcdef")), manifest).cause
    words = [["a"]] * 6
    assert "must be a list of numbers" in error(parquet(tmp_path, id=list(IDS), vector=words), manifest).cause
    uneven = [[1.0] * n for n in range(1, 7)]
    assert "of unequal length (1 to 6 numbers)" in error(parquet(tmp_path, id=list(IDS), vector=uneven), manifest).cause
    unnamed = [None, *IDS[1:]]
    assert "without nulls" in error(parquet(tmp_path, id=unnamed, vector=made_up().tolist()), manifest).cause
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    assert "not a readable Parquet file" in error(tmp_path / "x.parquet", manifest).cause


def test_what_is_not_known(tmp_path: Path) -> None:
    assert "mfcc, mean-log-mel" in error("nonsense", catalogue(tmp_path)).remedy
    assert "a function that writes it" in error("untrained", catalogue(tmp_path)).remedy
    assert "is not there" in error(tmp_path / "no.csv", catalogue(tmp_path)).cause


# spaces, models


def same(found: Embedding, other: Embedding) -> bool:
    return found.ids == other.ids and np.array_equal(found.vectors, other.vectors)


def test_a_space_by_path_its_exports_and_its_model(library: Path, tiny_model: Path, tmp_path: Path) -> None:
    manifest = catalogue(library)
    index_folder(library, tmp_path / "S", tiny_model, workers=0)  # its ids are the files' names
    space = open_space(tmp_path / "S")
    found = open_embedding(tmp_path / "S", manifest)
    assert (found.name, found.kind, found.ids, found.digest) == ("tiny-0", "space", IDS, space.meta.id)
    assert np.array_equal(found.vectors, space.vectors)  # both are sorted by path
    for suffix in ("npz", "parquet"):
        export_space(space, tmp_path / f"x.{suffix}")
        assert same(open_embedding(tmp_path / f"x.{suffix}", manifest), found)
    assert same(open_embedding(tiny_model, manifest, Reading(tmp_path / "cache", workers=0)), found)
    assert same(open_embedding(tiny_model, manifest, IN_PROCESS), found)
    samples, rate_hz = soundfile.read(library / "a.wav", dtype="float32")
    assert found.embed is not None
    assert np.allclose(found.embed(samples, rate_hz), found.vectors[0], atol=1e-5)


def test_a_space_whose_music_has_moved_goes_by_ids(library: Path, tiny_model: Path, tmp_path: Path) -> None:
    index_manifest(catalogue(library), tmp_path / "S", tiny_model, workers=0)
    moved = library.rename(tmp_path / "elsewhere")
    assert open_embedding(tmp_path / "S", catalogue(moved)).ids == IDS


def test_a_space_whose_model_is_gone_has_only_vectors(library: Path, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "gone.onnx", seed=3)
    index_manifest(catalogue(library), tmp_path / "S", model, workers=0)
    model.unlink()
    found = open_embedding(tmp_path / "S", catalogue(library))
    assert (len(found.ids), found.embed) == (6, None)


def test_a_file_that_cannot_be_heard_is_listed_with_its_cause(library: Path, tiny_model: Path) -> None:
    (library / "b.flac").write_bytes(b"")
    for given in (tiny_model, "mfcc"):
        found = open_embedding(given, catalogue(library), IN_PROCESS)
        assert len(found.ids) == 5
        assert found.left_out == (LeftOut("tone 1", "the file is empty (0 bytes)"),)


# what hears the files


def test_mfcc_statistics_are_standardised_and_embed(library: Path) -> None:
    found = open_embedding("mfcc", catalogue(library), IN_PROCESS)
    assert (found.kind, found.vectors.shape) == ("baseline", (6, 40))
    assert found.vectors.mean(axis=0) == pytest.approx(np.zeros(40), abs=1e-5)
    assert found.vectors.std(axis=0) == pytest.approx(np.ones(40), abs=1e-4)
    samples, rate_hz = soundfile.read(library / "a.wav", dtype="float32")
    assert found.embed is not None
    assert found.embed(samples, rate_hz) == pytest.approx(found.vectors[0], abs=1e-3)
    stereo = np.stack([samples, samples], axis=1)
    assert found.embed(stereo, rate_hz) == pytest.approx(found.vectors[0], abs=1e-3)
    with pytest.raises(NearfieldError, match="silent"):
        found.embed(np.zeros(16_000 * 5), 16_000)
    with pytest.raises(NearfieldError, match="1 of them are NaN"):
        found.embed(np.where(np.arange(len(samples)) == 7, np.nan, samples), 16_000)


def test_mean_log_mel(library: Path) -> None:
    assert open_embedding("mean-log-mel", catalogue(library), IN_PROCESS).vectors.shape == (6, 96)


def test_what_was_heard_is_kept(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int, int]] = []
    how = Reading(tmp_path / "cache", workers=0, tell=lambda *step: told.append(step))
    manifest = catalogue(library)
    first = open_embedding("mfcc", manifest, how)
    assert told == [(n, 6, 0) for n in range(1, 7)]
    soundfile.write(library / "d.wav", tone_track(99), RATE_HZ)
    journal = tmp_path / "cache" / "mfcc.journal"
    journal.write_bytes(journal.read_bytes()[:-5])  # a kill amid the last record
    told.clear()
    again = open_embedding("mfcc", manifest, how)
    assert [step[1] for step in told] == [2, 2]  # the changed file and the lost record
    assert not same(first, again)
    monkeypatch.setattr(heard.FileWork, "__call__", None)  # nothing is left to hear
    assert same(open_embedding("mfcc", manifest, Reading(tmp_path / "cache", workers=0)), again)


def test_all_cores_hear_what_one_does(library: Path) -> None:
    manifest = catalogue(library)
    assert same(open_embedding("mfcc", manifest, Reading(workers=2)), open_embedding("mfcc", manifest, IN_PROCESS))


def test_a_module_with_the_functions_of_hear(library: Path, tmp_path: Path) -> None:
    found = open_embedding(module(tmp_path), catalogue(library), IN_PROCESS)
    assert (found.name, found.kind, found.ids, found.dimensions) == ("loud", "hear", IDS, 3)
    samples, rate_hz = soundfile.read(library / "a.wav", dtype="float32")
    starts = slice_starts(1 + len(samples) // 160, 300, 8)
    padded = np.pad(samples, (0, 160)).astype(np.float64)  # the last slice ends with the middle of its last frame
    slices = np.stack([padded[s * 160 : (s + 300) * 160] for s in starts])
    scenes = np.stack([slices.std(axis=1), np.abs(np.diff(slices)).mean(axis=1), slices.max(axis=1)], axis=1)
    mean = (scenes / np.linalg.norm(scenes, axis=1, keepdims=True)).mean(axis=0)
    assert found.vectors[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert found.embed is not None
    assert found.embed(samples, rate_hz) == pytest.approx(found.vectors[0], abs=1e-6)


def test_a_module_by_name_with_weights(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAR.replace("return Model()", "assert path == 'w.pt'; return Model()")
    module(tmp_path, text)
    monkeypatch.syspath_prepend(tmp_path)
    found = open_embedding("module:loud:w.pt", catalogue(library), IN_PROCESS)
    assert (found.name, found.dimensions) == ("loud", 3)
    assert "load_model('') failed (AssertionError" in error("module:loud", catalogue(library)).cause


def test_a_module_of_torch_is_given_tensors(tmp_path: Path) -> None:
    text = """
        import torch

        sample_rate = 16000

        def load_model(path):
            return torch.nn.Linear(1, 2)

        def get_scene_embeddings(audio, model):
            assert isinstance(audio, torch.Tensor) and not torch.is_grad_enabled()
            return model(audio.std(dim=1, keepdim=True))
    """
    model = hear.load_hear(module(tmp_path, text))
    assert model.scenes(np.ones((3, 100), np.float32)).shape == (3, 2)
    assert model.embed(tone_track(0), RATE_HZ).shape == (2,)


@pytest.mark.parametrize(
    ("was", "now", "cause"),
    [
        ("def load_model", "def load", "lacks load_model"),
        ("sample_rate = 16000", "pass", "sample_rate is None"),
        ("import numpy as np", "import no_such_library", "cannot be imported (ModuleNotFoundError"),
        ("import numpy as np", "import sys; sys.exit(3)", "cannot be imported (SystemExit: 3)"),
        ("return Model()", "raise SystemExit(4)", "load_model('') failed (SystemExit: 4)"),
    ],
)
def test_a_module_that_is_not_hears(tmp_path: Path, was: str, now: str, cause: str) -> None:
    told = error(module(tmp_path, HEAR.replace(was, now)), catalogue(tmp_path))
    assert isinstance(told, ModelError)
    assert cause in told.cause


@pytest.mark.parametrize("answer", ["np.zeros(3)", "np.zeros((1, 3))", "np.array([['a']] * len(audio))"])
def test_a_module_that_answers_otherwise(library: Path, tmp_path: Path, answer: str) -> None:
    head, _, _ = HEAR.rpartition("return")
    told = error(module(tmp_path, f"{head}return {answer}\n"), catalogue(library))
    assert isinstance(told, AuditError)
    assert "none of the catalogue's files could be heard" in told.cause
    assert "sounds" in told.cause


def test_a_module_that_gives_no_numbers(library: Path, tmp_path: Path) -> None:
    text = HEAR.replace("return np.stack(", "return np.nan * np.stack(")
    assert "are not finite, or cancel out" in error(module(tmp_path, text), catalogue(library)).cause


def test_the_shipped_model_has_a_name(tmp_path: Path) -> None:
    assert "none of its 6 sound files" in error("nearfield", catalogue(tmp_path)).cause
    assert load_model("nearfield").name.startswith("nearfield")


def test_a_damaged_archive_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    np.savez_compressed(path, vectors=np.random.default_rng(0).standard_normal((50, 20)), ids=np.arange(50))
    content = bytearray(path.read_bytes())
    content[1000:3000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(AuditError, match="not a readable"):
        read_npz(path)
