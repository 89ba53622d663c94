"""The arrays that fill the published network in the golden files, made by their rule (tests/golden/README.md)."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

MAP = Path(__file__).parent.parent / "golden" / "weights_map.csv"

Array = npt.NDArray[np.float32]


def published_rows() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """(role, path in the file, shape in Keras order) of every row of the map."""
    with MAP.open(newline="") as file:
        for row in csv.DictReader(file):
            shape = tuple(int(n) for n in row["shape"].split("x")) if row["shape"] else ()
            yield row["role"], row["h5_path"], shape


def published_arrays() -> Iterator[tuple[str, str, Array]]:
    """(role, path in the file, array in Keras order) of every row of the map."""
    for role, place, shape in published_rows():
        yield role, place, _filled(role, shape)


def keras_file(path: Path, write: Callable[[h5py.File], None], changed: Mapping[str, bytes | None] = {}) -> Path:
    """A Keras file whose weights `write` puts into the HDF5 file that it is given; `changed` members, None for none."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        write(file)
    members = {
        "metadata.json": b'{"keras_version": "2.13.1"}',
        "config.json": b"{}",
        "model.weights.h5": weights.getvalue(),
        **changed,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def _filled(role: str, shape: tuple[int, ...]) -> Array:
    x = np.asarray(np.random.default_rng(zlib.crc32(role.encode())).standard_normal(shape)).astype(np.float32)
    if role.endswith("skip_gain"):
        x = 0.5 + 0.1 * x
    elif role.endswith(".gain"):
        x = 1 + 0.1 * x
    elif role.endswith(".bias"):
        x = 0.1 * x
    elif ".se." in role:
        x = x / np.sqrt(shape[0])
    return np.asarray(x, np.float32)
