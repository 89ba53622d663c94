"""Labels as published: delimited tables and small text files, read so that a broken row costs only itself."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO

from nearfield.data.sets.gather import Gathering
from nearfield.errors import CorpusError, readable


@dataclass(frozen=True)
class Form:
    """How a table is written. `header_rows`: a column's name is that of all of them, joined by dots.

    `quoted`: cells may stand in double quotes. `over_lines`: a quoted cell may run over several lines; where that is not
    so, lines are read one by one, and an open quote ends with its line. `open_end`: the last column takes all further cells.
    """

    delimiter: str = ","
    header_rows: int = 1
    quoted: bool = True
    over_lines: bool = False
    open_end: bool = False


@dataclass(frozen=True)
class Row:
    """A row's cells by column, without spaces around; `place` is `file:line`. `rest`: cells beyond the last column."""

    place: str
    cells: dict[str, str]
    rest: tuple[str, ...] = ()

    def __getitem__(self, column: str) -> str:
        return self.cells[column]


def read_table(gathering: Gathering, path: Path, columns: Sequence[str], form: Form = Form()) -> Iterator[Row]:
    """The rows of a table that has all of `columns`; rows with too few or too many cells are listed as failures.

    Bytes that are not UTF-8 become U+FFFD. Raises CorpusError for a file that cannot be read or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            records = _records(file, form)
            header = [cells for _, cells in islice(records, form.header_rows)]
            names = _names(header)
            if missing := [c for c in columns if c not in names]:
                cause = f"has no column {missing[0]!r}; its columns are {', '.join(names) or 'none'}"
                raise CorpusError(readable(path), cause[:500], "see docs/datasets.md for what it should hold")
            for line, cells in records:
                row = _row(gathering, path, line, names, cells, form)
                if row is not None:
                    yield row
    except OSError as error:
        raise CorpusError(readable(path), f"cannot be read ({error.strerror})", "check its permissions") from error


def read_words(gathering: Gathering, path: Path) -> list[str] | None:
    """The words of a small text file; None, and a failure, where it cannot be read or is empty."""
    try:
        words = path.read_text(encoding="utf-8-sig", errors="replace").split()
    except OSError as error:
        gathering.fail(path, f"cannot be read ({error.strerror})")
        return None
    if not words:
        gathering.fail(path, "is empty")
        return None
    return words


def number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def year(text: str) -> int | None:
    """The year that a date begins with: '2009-01-05 00:00:00' -> 2009."""
    return int(text[:4]) if text[:4].isdecimal() and text[:4] > "1000" else None


def _records(file: TextIO, form: Form) -> Iterator[tuple[int, list[str] | csv.Error]]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE
    sources: Iterable[tuple[int, Iterable[str]]]
    sources = [(0, file)] if form.over_lines else ((n, [text]) for n, text in enumerate(file))
    for before, source in sources:
        reader = csv.reader(source, delimiter=form.delimiter, quoting=quoting)
        while True:
            try:
                cells: list[str] | csv.Error = next(reader)
            except StopIteration:
                break
            except csv.Error as error:  # the reader goes on with the next line
                cells = error
            if isinstance(cells, csv.Error) or any(cell.strip() for cell in cells):
                yield before + reader.line_num, cells


def _names(header: list[list[str] | csv.Error]) -> list[str]:
    rows = [cells for cells in header if not isinstance(cells, csv.Error)]
    width = max((len(cells) for cells in rows), default=0)
    columns = ([cells[n].strip() if n < len(cells) else "" for cells in rows] for n in range(width))
    return [".".join(part for part in column if part) for column in columns]


def _row(
    gathering: Gathering, path: Path, line: int, names: list[str], cells: list[str] | csv.Error, form: Form
) -> Row | None:
    place = f"{path.relative_to(gathering.root) if path.is_relative_to(gathering.root) else path}:{line}"
    if isinstance(cells, csv.Error):
        gathering.fail(place, str(cells))
        return None
    cells = [cell.strip() for cell in cells]
    if len(cells) < len(names) or (len(cells) > len(names) and not form.open_end):
        gathering.fail(place, f"has {len(cells)} cells, {len(names)} are due")
        return None
    return Row(place, dict(zip(names, cells, strict=False)), tuple(cells[len(names) :]))
