"""A SPACE for other programs: NumPy's .npz or Parquet. Both are written beside and moved into place."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nearfield.catalogue.space import Space
from nearfield.errors import SpaceError, readable


def export_space(space: Space, path: Path) -> None:
    """Write what the suffix of `path` asks for; SpaceError for another suffix, and when it cannot be written.

    `.npz`: arrays `ids` (N,) of absolute paths and `vectors` (N, D) float32. `.parquet`: the
    tracks' columns and `vector`, a list of D float32 a row.
    """
    writers = {".npz": _npz, ".parquet": _parquet}
    if path.suffix not in writers:
        raise SpaceError(readable(path), f"the suffix {path.suffix!r} is not known", "name it .npz or .parquet")
    part = path.with_name(path.name + ".part")
    try:
        writers[path.suffix](space, part)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        cause = f"cannot be written ({error.strerror or error})"
        remedy = "make its folder first" if isinstance(error, FileNotFoundError) else "free space"
        raise SpaceError(readable(path), cause, f"{remedy}, or choose another place with -o") from error


def _npz(space: Space, path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, ids=np.array(space.ids, dtype=np.str_), vectors=np.asarray(space.vectors))


def _parquet(space: Space, path: Path) -> None:
    flat = pa.array(np.asarray(space.vectors).reshape(-1), pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(flat, space.meta.dimensions)
    with open(path, "wb") as file:
        pq.write_table(space.table.append_column("vector", vectors), file)
