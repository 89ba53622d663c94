"""Reading a table leaves no thread behind: one that still holds the file when Python ends aborts the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nearfield.parquet import read_table


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, None], "b": ["x", "", "ü"]}).replace_schema_metadata({"nearfield": "{}"})
    pq.write_table(table, tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert found.equals(table, check_metadata=True)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises((OSError, pa.ArrowException)):
        read_table(tmp_path / "t.parquet")


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_no_thread_is_started(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(1000)), "b": list(range(1000))}), tmp_path / "t.parquet")
    count = "len(os.listdir('/proc/self/task'))"
    code = f"""
import os, sys
from nearfield.parquet import read_table
import pyarrow.parquet as pq
before = {count}
read_table(sys.argv[1])
ours = {count}
pq.read_table(open(sys.argv[1], "rb"))
print(ours - before, {count} - ours)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.parquet")], capture_output=True, text=True, check=True
    )
    ours, arrows = map(int, done.stdout.split())
    assert ours == 0
    assert arrows > 0  # the count sees what it looks for
