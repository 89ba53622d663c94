"""Files of vectors, from this program or any other: NumPy's .npz and Parquet."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearfield.errors import AuditError, readable
from nearfield.parquet import read_table
from nearfield.study.embedding.rows import Rows

_SEE = "docs/formats.md says what it must hold"


def read_npz(path: Path) -> Rows:
    """Arrays `ids` (N,), of text or whole numbers, and `vectors` (N, D), of numbers; nothing pickled is read.

    Raises AuditError for a file that is not such an archive, a missing array, a wrong shape or type.
    """
    subject = readable(path)
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            missing = [name for name in ("ids", "vectors") if name not in arrays.files]
            if missing:
                has = ", ".join(arrays.files) or "none"
                raise AuditError(subject, f"lacks the arrays {', '.join(missing)} (it has: {has})", _SEE)
            ids, vectors = arrays["ids"], arrays["vectors"]
    except (OSError, ValueError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise AuditError(subject, f"not a readable .npz archive ({error})", _SEE) from error
    if ids.ndim != 1 or ids.dtype.kind not in "USiu":
        raise AuditError(subject, f"`ids` is {ids.dtype} of shape {ids.shape}, must be text of shape (N,)", _SEE)
    text = [i.decode("utf-8", "surrogateescape") if isinstance(i, bytes) else str(i) for i in ids.tolist()]
    return Rows((tuple(text),), _checked(vectors, len(text), subject))


def read_parquet(path: Path) -> Rows:
    """Columns `id` (text or whole numbers) and `vector` (a list of numbers, or one of fixed size); `path`, where it is there,
    names the rows too. A null vector, or a null in one, is not a number.

    Raises AuditError for a file that is not Parquet, a missing column, a wrong type, vectors of unequal length.
    """
    subject = readable(path)
    try:
        table = read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise AuditError(subject, f"not a readable Parquet file ({error})", _SEE) from error
    missing = [name for name in ("id", "vector") if name not in table.schema.names]
    if missing:
        has = ", ".join(table.schema.names) or "none"
        raise AuditError(subject, f"lacks the columns {', '.join(missing)} (it has: {has})", _SEE)
    ids = table["id"].to_pylist()
    if not all(isinstance(i, str | int) for i in ids):
        raise AuditError(subject, f"`id` is {table['id'].type}, must be text without nulls", _SEE)
    vectors = _checked(_lists(table["vector"].combine_chunks(), subject), len(ids), subject)
    names: list[tuple[str, ...]] = [tuple(map(str, ids))]
    if "path" in table.schema.names:
        names.append(_paths(table))
    return Rows(tuple(names), vectors)


def _paths(table: pa.Table) -> tuple[str, ...]:
    """As exported spaces have them: the exact bytes stand in a column of their own where they are not UTF-8."""
    raw = table["path_raw"].to_pylist() if "path_raw" in table.schema.names else [None] * table.num_rows
    return tuple(str(p) if r is None else os.fsdecode(r) for p, r in zip(table["path"].to_pylist(), raw, strict=True))


def _lists(column: Any, subject: str) -> npt.NDArray[Any]:
    """A column of lists -> (N, D); a list that is null becomes NaN."""
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise AuditError(subject, f"`vector` is {kind}, must be a list of numbers", _SEE)
    if not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise AuditError(subject, f"`vector` is {kind}, must be a list of numbers", _SEE)
    known = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), bool)
    lengths = np.unique(column.value_lengths().drop_null().to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        cause = f"its vectors are of unequal length ({int(lengths[0])} to {int(lengths[-1])} numbers)"
        raise AuditError(subject, cause, "give every track a vector of the same length")
    wide = np.full((len(column), int(lengths[0]) if len(lengths) else 1), np.nan)
    wide[known] = column.flatten().to_numpy(zero_copy_only=False).reshape(int(known.sum()), -1)
    return wide


def _checked(vectors: npt.NDArray[Any], n_ids: int, subject: str) -> npt.NDArray[np.float32]:
    if vectors.ndim != 2 or vectors.shape[1] == 0 or vectors.dtype.kind not in "fiu":
        cause = f"`vectors` is {vectors.dtype} of shape {vectors.shape}, must be numbers of shape (N, D)"
        raise AuditError(subject, cause, _SEE)
    if len(vectors) != n_ids:
        raise AuditError(subject, f"has {n_ids} ids and {len(vectors)} vectors", "give one id for each vector")
    with np.errstate(over="ignore"):  # becomes infinite, and is listed as such
        return vectors.astype(np.float32)
