"""Tables of the benchmark in results/bench*.json, for docs/results.md: all tasks at a glance, then each with everything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown import table

Json = Mapping[str, Any]

FILES = ("bench.json", "bench_differences.json", "bench_about.json")
MAIN = ("R-precision", "MIREX weighted", "Accuracy2", "accuracy", "R2", "ROC-AUC")
CHANCE = "chance"


def bench_page(folder: Path) -> Iterator[str]:
    """Lines; nothing where nothing was asked."""
    if not (folder / FILES[0]).exists():
        return
    rows, differences, about = (_read(folder / name) for name in FILES)
    yield "## Benchmark"
    yield ""
    yield "What embeddings are good for; docs/benchmarks.md says what is asked and how. 95 % intervals."
    yield ""
    yield from _glance(rows)
    yield from _better(rows, differences)
    for task in dict.fromkeys(row["task"] for row in rows):
        yield from _task(task, rows, differences, about)
    yield from _missing(about)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _glance(rows: Sequence[Json]) -> Iterator[str]:
    """Of each task the main figure of everyone; the best of what is asked by its vectors in bold."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        metric = _main(row["metric"] for row in rows if row["task"] == task)
        found = {row["model"]: row["value"] for row in rows if row["task"] == task and row["metric"] == metric}
        best = max((v for v in found.values() if v is not None), default=None)
        cells = [_cell(found.get(model), best) for model in models]
        lines.append((f"{task}: {metric}", *cells))
    yield from table(("task", *models), lines)
    yield ""


def _cell(value: float | None, best: float | None) -> str:
    if value is None:
        return ""
    return f"**{value:.3f}**" if value == best else f"{value:.3f}"


def _main(metrics: Iterator[str]) -> str:
    there = list(dict.fromkeys(metrics))
    return next((m for m in MAIN if m in there), there[0])


def _better(rows: Sequence[Json], differences: Sequence[Json]) -> Iterator[str]:
    """In how many tasks the first model is ahead of another one, and behind, with an interval that excludes 0."""
    counts: dict[tuple[str, str], list[int]] = {}
    for task in dict.fromkeys(row["task"] for row in rows):
        metric = _main(row["metric"] for row in rows if row["task"] == task)
        for row in differences:
            if row["task"] == task and row["metric"] == metric and row["low"] is not None:
                count = counts.setdefault((row["model"], row["against"]), [0, 0, 0])
                count[0 if row["low"] > 0 else 2 if row["high"] < 0 else 1] += 1
    if counts:
        yield "Tasks in which a model is ahead of another one, not told apart, or behind, by the interval of the difference:"
        yield ""
        body = [(model, against, *map(str, count)) for (model, against), count in counts.items()]
        yield from table(("model", "against", "ahead", "not told apart", "behind"), body)
        yield ""


def _task(task: str, rows: Sequence[Json], differences: Sequence[Json], about: Json) -> Iterator[str]:
    these = [row for row in rows if row["task"] == task]
    metrics = list(dict.fromkeys(row["metric"] for row in these))
    metric = _main(iter(metrics))
    minus = {r["against"]: r for r in differences if r["task"] == task and r["metric"] == metric}
    first = next((r["model"] for r in minus.values()), "")
    heads = ["model", *metrics, *([f"{first} is better by ({metric})"] if minus else [])]
    cells = {(row["model"], row["metric"]): figure(row) for row in these}
    body = []
    for model in dict.fromkeys(row["model"] for row in these):
        better = [signed(minus[model]) if model in minus else ""] if minus else []
        body.append((model, *(cells.get((model, m), "") for m in metrics), *better))
    yield f"### {task}"
    yield ""
    sizes = sorted({row["n"] for row in these})
    yield f"{', '.join(map(str, sizes))} tracks asked."
    yield ""
    yield from table(heads, body)
    yield ""
    yield from (f"- {note}" for note in about["tasks"].get(task, {}).get("notes", ()))
    yield from _sources(these)
    yield ""


def _sources(rows: Sequence[Json]) -> Iterator[str]:
    """Command, commit, date and seed: once where all rows share them."""
    sources: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        key = (row["command"], row["commit"], row["date"], str(row["seed"]))
        sources.setdefault(key, []).append(row["model"])
    for (command, commit, date, seed), models in sources.items():
        who = "" if len(sources) == 1 else f"{', '.join(dict.fromkeys(models))}: "
        yield f"- {who}`{command}`, commit {commit}, {date}, seed {seed}"


def _missing(about: Json) -> Iterator[str]:
    """What is not in the tables."""
    lines = [f"{a['model']} on {a['catalogue']}: {a['cause']}" for a in about["absent"]]
    lines += [f"{f['question']}: {f['cause']}" for f in about["failed"]]
    lines += [f"{track}: {cause}" for of in about["lacking"].values() for track, cause in of.items()]
    yield f"The last run took {about['last']['seconds']:.0f} s."
    yield ""
    if lines:
        yield "Not in the tables:"
        yield ""
        yield from (f"- {line}" for line in lines)
        yield ""


def figure(row: Json) -> str:
    if row["value"] is None:
        return ""
    exact = row["model"] == CHANCE or row["low"] is None
    return f"{row['value']:.3f}" if exact else f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def signed(row: Json) -> str:
    if row["value"] is None or row["low"] is None:
        return ""
    return f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
