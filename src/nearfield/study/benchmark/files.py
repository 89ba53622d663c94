"""What a benchmark leaves: rows in JSON, joined with those of earlier runs (docs/formats.md, Benchmark)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nearfield.errors import BenchError, readable
from nearfield.origin import public
from nearfield.study.benchmark.opening import Field
from nearfield.study.benchmark.run import Account, Score, Table
from nearfield.study.tasks.row import Row

_AGAIN = "remove it, and measure again"
ROWS, DIFFERENCES, ABOUT = "bench.json", "bench_differences.json", "bench_about.json"


@dataclass(frozen=True)
class Source:
    """What a row comes from."""

    command: str
    commit: str
    date: str


@dataclass(frozen=True)
class Line:
    """A row as it is kept: `value` with its 95 % interval, None where there is none; `against` in differences only."""

    model: str
    task: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    seed: int
    command: str
    commit: str
    date: str
    against: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        return self.task, self.metric, self.model, self.against

    def as_dict(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k != "against" or v}


def lines_of(scores: Iterable[Score], source: Source) -> list[Line]:
    return [_line_of(s.model, s.against, s.row, source) for s in scores]


def _line_of(model: str, against: str, row: Row, source: Source) -> Line:
    value, low, high = (None if math.isnan(v) else round(float(v), 5) for v in (row.value, row.low, row.high))
    of = (source.command, source.commit, source.date)
    return Line(model, row.task, row.metric, value, low, high, row.n, row.seed, *of, against)


def read_lines(path: Path) -> list[Line]:
    """Rows of a file; none where there is no file. Raises BenchError for one that holds anything else."""
    return [_line(readable(path), n, row) for n, row in enumerate(_read(path, []))]


def _read(path: Path, nothing: Any) -> Any:
    """What a file holds, of the type of `nothing`, which there is where there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError) as error:
        raise BenchError(readable(path), f"cannot be read ({error})", _AGAIN) from error
    if type(content) is not type(nothing):
        raise BenchError(readable(path), f"holds no {type(nothing).__name__}", _AGAIN)
    return content


def write_table(table: Table, field: Field, folder: Path, source: Source, seconds: float) -> tuple[Path, ...]:
    """Rows in the folder's files, in place of older ones of the same model, task and metric; the paths of the files.

    Raises BenchError when they cannot be written.
    """
    plain = [s for s in table.scores if not s.against]
    paired = [s for s in table.scores if s.against]
    paths = (folder / ROWS, folder / DIFFERENCES, folder / ABOUT)
    documents: list[Any] = []
    for path, scores in zip(paths, (plain, paired), strict=False):
        documents.append([line.as_dict() for line in joined(read_lines(path), lines_of(scores, source))])
    documents.append(_about(table, field, paths[2], source, seconds))
    for path, document in zip(paths, documents, strict=True):
        _write(path, document)
    return paths


def joined(old: Sequence[Line], new: Sequence[Line]) -> list[Line]:
    """The new ones and what they do not replace: task by task, in the order in which each was first seen."""
    rows = {line.key: line for line in [*old, *new]}
    tasks = list(dict.fromkeys(line.task for line in rows.values()))
    place = {task: n for n, task in enumerate(sorted(tasks))}
    return sorted(rows.values(), key=lambda line: place[line.task])


def _about(table: Table, field: Field, path: Path, source: Source, seconds: float) -> dict[str, Any]:
    """Models, tasks, and what could not be asked; older tasks and models that were not asked again are kept."""
    old = _read(path, {})
    models = {
        o.name: {
            name: {
                "kind": e.kind,
                "path": public(e.path),
                "dimensions": e.dimensions,
                "digest": e.digest,
                "tracks": len(e.ids),
            }
            for name, e in o.embeddings.items()
        }
        for o in field.opened
    }
    tasks = {a.task: _account(a) for a in table.accounts}
    lacking = {name: dict(rows) for name, rows in field.lacking.items()}
    kept = {key: old.get(key, {}) for key in ("models", "tasks", "lacking")}
    return {
        "models": {**kept["models"], **models},
        "tasks": dict(sorted({**kept["tasks"], **tasks}.items())),
        "lacking": {**kept["lacking"], **lacking},
        "absent": [asdict(a) for a in field.absent],
        "failed": [{"question": q, "cause": c} for q, c in table.failed],
        "last": {**asdict(source), "seconds": round(seconds, 1)},
    }


def _account(account: Account) -> dict[str, Any]:
    return {"notes": list(account.notes), "seconds": account.seconds}


def _line(name: str, number: int, row: Any) -> Line:
    known = {f.name for f in fields(Line)}
    wanted = known - {"against"}
    if not isinstance(row, dict) or not wanted <= row.keys() <= known:
        raise BenchError(name, f"row {number} is no row of a benchmark", _AGAIN)
    return Line(**row)


def _write(path: Path, document: Any) -> None:
    part = path.with_name(f"{path.name}.part")
    if isinstance(document, list):  # a row a line: a change of one is a change of one line
        text = "[\n" + ",\n".join(" " + json.dumps(row, ensure_ascii=False) for row in document) + "\n]\n"
    else:
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise BenchError(readable(path), error.strerror or str(error), "choose a place that can be written") from error
