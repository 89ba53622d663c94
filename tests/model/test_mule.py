"""The published file, rebuilt from its map: read, refused, and turned into a checkpoint and a model that say what it says."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch

from nearfield.catalogue.encoder import load_model
from nearfield.catalogue.slices import pooled
from nearfield.errors import ModelError
from nearfield.model.checkpoint import load_checkpoint
from nearfield.model.mule import Imported, import_mule, read_mule
from nearfield.sound.mel import log_mel
from oracles.published import keras_file, published_arrays, published_rows

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    folder = tmp_path_factory.mktemp("mule")

    def write(file: h5py.File) -> None:
        for _, place, array in published_arrays():
            file[place] = array

    yield import_mule(keras_file(folder / "model.keras", write), folder / "out")
    shutil.rmtree(folder)  # 750 MB


def test_the_checkpoint_answers_as_the_published_network(imported: Imported) -> None:
    reference, pipeline = np.load(GOLDEN / "reference.npz"), np.load(GOLDEN / "pipeline.npz")
    found = load_checkpoint(imported.checkpoint)
    embedder = found.embedder.eval()
    with torch.no_grad():
        alone = embedder.encoder(torch.from_numpy(reference["input"])).numpy()
        whole = embedder(torch.from_numpy(golden_slices())).numpy()
    assert np.abs(alone - reference["output"]).max() <= 1e-5 * np.abs(reference["output"]).max()
    assert np.abs(whole - pipeline["embedding"]).max() <= 1e-4 * np.abs(pipeline["embedding"]).max()
    assert (found.provenance["file"], found.provenance["keras"]) == ("model.keras", "2.13.1")


def golden_slices() -> np.ndarray:
    """(4, M, T) raw log-mels of our front end."""
    golden = np.load(GOLDEN / "pipeline.npz")
    mel = log_mel(golden["waveform"])
    return np.stack([mel[:, c - 150 : c + 150] for c in golden["centres"]])


def test_the_model_answers_as_the_published_pipeline(imported: Imported) -> None:
    golden = np.load(GOLDEN / "pipeline.npz")
    model = load_model(imported.model.path)
    assert (model.name, model.metadata["licence"]) == ("mule", "CC-BY-NC-4.0")
    given = model.embed_slices(golden_slices())
    assert np.abs(given - golden["embedding"]).max() <= 1e-4 * np.abs(golden["embedding"]).max()
    vector = model.embed(golden["waveform"], 16_000, slices="all")
    assert np.abs(vector - pooled([golden["embedding"]])).max() <= 1e-4


def test_the_model_holds_nothing_but_the_network(imported: Imported) -> None:
    sizes = [int(np.prod(i.dims)) for i in onnx.load(imported.model.path).graph.initializer]
    assert max(sizes) < 1728 * 1728  # no map of the output
    assert imported.model.bytes < 4.04 * 62_345_742


def numbered(
    change: Callable[[dict[str, tuple[int, ...]]], object] = lambda shapes: None, container: str = "layers/"
) -> Callable[[h5py.File], None]:
    """A writer of the map's arrays after a `change` of their shapes; each holds its row's number, and takes no space."""
    rows = {place.replace("layers/", container): shape for _, place, shape in published_rows()}
    change(rows)

    def write(file: h5py.File) -> None:
        for number, (place, shape) in enumerate(rows.items()):
            file.create_dataset(place, shape, np.float32, fillvalue=number)

    return write


def test_every_array_is_found_under_both_names_of_the_container(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "m.keras", numbered(container="_layer_checkpoint_dependencies/"))
    tensors = read_mule(path).embedder.encoder.state_dict()
    roles = [role for role, _, _ in published_rows()]
    assert set(roles) == set(tensors)
    assert [(tensors[r].min().item(), tensors[r].max().item()) for r in roles] == [(n, n) for n in range(480)]


DENSE, KERNEL = "layers/dense_2/vars/0", "layers/weight_standardization_1/vars/0"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda s: s.pop(DENSE), "m.keras: dense_2/vars/0 is missing; take"),
        (lambda s: s.update({"layers/dense_48/vars/0": (3,)}), "m.keras: dense_48/vars/0 is left over; take"),
        (lambda s: s.update({"optimizer/vars/0": ()}), "m.keras: optimizer/vars/0 is left over; take"),
        (
            lambda s: s.update({f"_layer_checkpoint_dependencies/{DENSE[7:]}": (256, 128)}),
            "dense_2/vars/0 is left over",
        ),
        (lambda s: s.update({KERNEL: (1, 3, 1, 16)}), r"_1/vars/0 is \(1, 3, 1, 16\), must be \(3, 1, 1, 16\); take"),
        (lambda s: s.update({DENSE: (128, 256)}), r"dense_2/vars/0 is \(128, 256\), must be \(256, 128\); take"),
        (lambda s: s.clear(), r"1/vars/0 is missing; .* is missing; .* is missing; and 477 more; take"),
    ],
)
def test_arrays_of_another_network_are_refused(
    tmp_path: Path, change: Callable[[dict[str, tuple[int, ...]]], object], cause: str
) -> None:
    with pytest.raises(ModelError, match=cause):
        read_mule(keras_file(tmp_path / "m.keras", numbered(change)))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with pytest.raises(ModelError, match=r"m.keras: cannot be read \(No such file"):
        read_mule(path)
    for data, cause in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer.*; run 'git lfs pull'"),
        (b"", "not a whole Keras file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "not a whole Keras file .*; download it again"),
    ):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=cause):
            read_mule(path)
    keras_file(path, numbered())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"not a whole Keras file .*; download it again"):
        read_mule(path)


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"config.json": None, "model.weights.h5": None}, "a zip without config.json and model.weights.h5; take"),
        ({"metadata.json": b"{}"}, "its metadata.json names no keras_version; take"),
        ({"metadata.json": b"\xff"}, "its metadata.json names no keras_version; take"),
        (
            {"metadata.json": b'{"keras_version": "3.4.1"}'},
            r"was written by Keras 3.4.1, MULE's by Keras 2; take .*, not saved again",
        ),
        ({"model.weights.h5": b"\x89HDF\r\n\x1a\n"}, r"its model.weights.h5 cannot be read \(.*\); download it again"),
    ],
)
def test_a_keras_file_of_another_make_is_refused(tmp_path: Path, changed: dict[str, bytes | None], cause: str) -> None:
    with pytest.raises(ModelError, match=cause):
        read_mule(keras_file(tmp_path / "m.keras", numbered(), changed))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        numbered()(file)
        file[KERNEL][2, 0, 0, 15] = np.nan

    with pytest.raises(ModelError, match=r"standardization_1/vars/0 holds numbers that are not finite; take"):
        read_mule(keras_file(tmp_path / "m.keras", write))


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keras_file(tmp_path / "m.keras", numbered())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModelError, match=r"h5py.* is not installed; pip install 'nearfield\[mule\]'"):
        read_mule(path)
