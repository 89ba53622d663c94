"""The arrays that fill the published network in the golden files, made by their rule (tests/golden/README.md)."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

MAP = Path(__file__).parent.parent / "golden" / "weights_map.csv"

Array = npt.NDArray[np.float32]


def published_arrays() -> Iterator[tuple[str, str, Array]]:
    """(role, path in the file, array in Keras order) of every row of the map."""
    with MAP.open(newline="") as file:
        for row in csv.DictReader(file):
            shape = tuple(int(n) for n in row["shape"].split("x")) if row["shape"] else ()
            yield row["role"], row["h5_path"], _filled(row["role"], shape)


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
