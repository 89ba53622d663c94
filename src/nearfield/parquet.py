"""Parquet files read so that nothing outlives the call.

Arrow's reader is given no threads: those that read ahead from a Python file may still hold it when the
interpreter ends, and then abort the process ("terminate called without an active exception").
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def read_table(path: str | Path) -> pa.Table:
    """The whole table; OSError or pyarrow.ArrowException where that fails."""
    with open(path, "rb") as file:  # opened here: Arrow refuses names that are not UTF-8
        return pq.ParquetFile(file, pre_buffer=False).read(use_threads=False)
