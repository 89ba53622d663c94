"""The published weights of MULE (arXiv 2210.03799) as a checkpoint and a model of ours, without TensorFlow.

They are one Keras file, a zip of metadata.json, config.json and model.weights.h5. An array in it is found by its layer's
number, which Keras counted up by class as the network was put together; mule.tsv says which layer each module of ours is.
A file that was saved again may count otherwise, so every array must be there, have its shape, and none may be left over.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nearfield.errors import ModelError, readable
from nearfield.model.checkpoint import save_checkpoint
from nearfield.model.embedder import Embedder, EmbedderConfig
from nearfield.model.export import Exported, export_embedder
from nearfield.model.nfnet import NfnetConfig

KERAS = "2"  # the major version that wrote the published file
LICENCE = "CC-BY-NC-4.0"

_METADATA, _WEIGHTS = "metadata.json", "model.weights.h5"
_MEMBERS = (_METADATA, "config.json", _WEIGHTS)
_POINTER = b"version https://git-lfs"
_CONTAINERS = ("layers/", "_layer_checkpoint_dependencies/")  # the same under two names, by TensorFlow's version
_ARRAYS = {
    "weight_standardization": {"weight": "vars/0", "gain": "vars/1", "bias": "layer/vars/0"},
    "dense": {"weight": "vars/0", "bias": "vars/1"},
    "scalar_multiply": {"skip_gain": "vars/0"},
}
_TAKE_IT = "take model.keras as it was published"

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Published:
    """The network with the file's weights; its output is neither whitened nor normalised, as published."""

    embedder: Embedder
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Imported:
    """The two files that were written."""

    checkpoint: Path
    model: Exported


def import_mule(path: Path, folder: Path) -> Imported:
    """Write `mule.safetensors` and `mule.onnx` to the folder; raises ModelError naming the file, the cause and the remedy."""
    published = read_mule(path)
    checkpoint = folder / "mule.safetensors"
    save_checkpoint(checkpoint, published.embedder, published.provenance)
    model = export_embedder(published.embedder, folder / "mule.onnx", "mule", LICENCE, published.provenance)
    return Imported(checkpoint, model)


def read_mule(path: Path) -> Published:
    """The published file, read strictly; raises ModelError."""
    name = readable(path)
    try:
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise ModelError(name, "a Git LFS pointer, not the model itself", "run 'git lfs pull' where it lies")
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            members = _members(file, name)
    except OSError as error:
        raise ModelError(
            name, f"cannot be read ({error.strerror or error})", "name the published file, model.keras"
        ) from error
    version = _keras_version(members[_METADATA], name)
    with torch.device("meta"):  # no weight is drawn, all come from the file
        embedder = Embedder(EmbedderConfig(encoder=NfnetConfig(), projector=None, mapped=False))
    _fill(embedder, _arrays(members[_WEIGHTS], name), name)
    provenance = {"model": "MULE, arXiv 2210.03799", "file": readable(path.name), "sha256": digest, "keras": version}
    return Published(embedder.eval(), provenance)


def places() -> dict[str, str]:
    """Parameter of the encoder -> where its array is in the file, below the container of layers."""
    found = {}
    text = resources.files("nearfield.model").joinpath("mule.tsv").read_text("utf-8")
    for line in text.splitlines()[1:]:
        module, layer = line.split("\t")
        for leaf, place in _ARRAYS[layer.rstrip("0123456789").rstrip("_")].items():
            found[f"{module}.{leaf}"] = f"{layer}/{place}"
    return found


def _members(file: Any, name: str) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(file) as archive:
            missing = [m for m in _MEMBERS if m not in archive.namelist()]
            if missing:
                raise ModelError(name, f"a zip without {' and '.join(missing)}", _TAKE_IT)
            return {m: archive.read(m) for m in _MEMBERS}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ModelError(name, f"not a whole Keras file ({error})", "download it again") from error


def _keras_version(metadata: bytes, name: str) -> str:
    try:
        version = str(json.loads(metadata)["keras_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(name, f"its {_METADATA} names no keras_version", _TAKE_IT) from error
    if version.split(".")[0] != KERAS:
        raise ModelError(
            name, f"was written by Keras {version}, MULE's by Keras {KERAS}", f"{_TAKE_IT}, not saved again"
        )
    return version


def _arrays(data: bytes, name: str) -> dict[str, Array]:
    """Path below the container of layers -> array."""
    try:
        import h5py
    except ImportError as error:
        raise ModelError(name, "h5py, which reads it, is not installed", "pip install 'nearfield[mule]'") from error

    found: dict[str, Array] = {}

    def keep(path: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            container = next((c for c in _CONTAINERS if path.startswith(c)), "")
            tail = path.removeprefix(container)
            found[path if tail in found else tail] = np.asarray(node[()], np.float32)

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            file.visititems(keep)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ModelError(name, f"its {_WEIGHTS} cannot be read ({error})", "download it again") from error
    return found


def _fill(embedder: Embedder, arrays: Mapping[str, Array], name: str) -> None:
    wanted, where = embedder.encoder.state_dict(), places()
    shapes = {role: _keras_shape(role, tensor) for role, tensor in wanted.items()}
    problems = [f"{where[r]} is missing" for r in wanted if where[r] not in arrays]
    problems += [f"{readable(place)} is left over" for place in sorted(arrays.keys() - set(where.values()))]
    problems += [
        f"{where[r]} is {arrays[where[r]].shape}, must be {shape}"
        for r, shape in shapes.items()
        if where[r] in arrays and arrays[where[r]].shape != shape
    ]
    problems += [
        f"{readable(p)} holds numbers that are not finite" for p, a in arrays.items() if not np.isfinite(a).all()
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(name, "; ".join(problems[:3]) + more, _TAKE_IT)
    embedder.encoder.load_state_dict(
        {r: _as_torch(arrays[where[r]], tensor) for r, tensor in wanted.items()}, assign=True
    )


def _keras_shape(role: str, tensor: Tensor) -> tuple[int, ...]:
    """Kernels are (height, width, in, out) there, dense ones (in, out), gains (out,)."""
    if role.endswith(".gain"):
        return (len(tensor),)
    order = (2, 3, 1, 0) if tensor.ndim == 4 else tuple(reversed(range(tensor.ndim)))
    return tuple(tensor.shape[axis] for axis in order)


def _as_torch(array: Array, wanted: Tensor) -> Tensor:
    if array.ndim > 1:
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    return torch.from_numpy(np.ascontiguousarray(array)).reshape(wanted.shape)
