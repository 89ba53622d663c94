"""Write docs/results.md from the figures in results/.

    python scripts/make_results.py            write it
    python scripts/make_results.py --check    fail if it no longer says what the figures say

docs/formats.md says what the files hold; one that holds anything else is an error that names the place.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "scripts"))
from audit_tables import audit_page  # noqa: E402
from bench_tables import FILES, bench_page  # noqa: E402
from markdown import table  # noqa: E402

RESULTS = REPO / "results"
PAGE = REPO / "docs" / "results.md"

FORMAT = 1
MOST_STEPS = 12  # of a training's curve

HEAD = """\
# Results

Made from the files in `results` by `python scripts/make_results.py`: measure again, don't edit. Under each table
stand the command, the commit (with a plus where files differed from it) and the machine. A spread is the least and
the most of the repeats, whose median is the value; an interval says what it is.
"""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A section the page always shows, measured or not."""

    title: str
    about: str


RIVER = {
    "frontend": Kind("Front end", "`nearfield.log_mel` against the published front end, librosa and the bare FFTs."),
    "prepare": Kind("Preparing a corpus", "`nearfield prepare`, files to a store of log-mels."),
    "training": Kind("Training", "The curve of the shipped model."),
    "halves": Kind(
        "Held-out same-track retrieval",
        "The first and the second half of each held-out track are embedded apart, and look for each other.",
    ),
    "index": Kind("Indexing", "`nearfield index`, files to a space."),
    "bliss": Kind("Beside bliss-audio", "`nearfield index` and bliss-audio, in turns on the same files."),
    "fresh": Kind("A fresh machine", "`make demo` and `make test` in a new clone, with nothing installed or cached."),
}

NUMBER, TEXT, OPTIONAL_NUMBER = (int, float), (str,), (int, float, type(None))
FIGURE = {
    "name": TEXT,
    "value": NUMBER,
    "unit": TEXT,
    "low": OPTIONAL_NUMBER,
    "high": OPTIONAL_NUMBER,
    "n": (int,),
    "goal": (str, type(None)),
    "met": (bool, type(None)),
}
HALVES_ROW = {
    "method": TEXT,
    "candidates": TEXT,
    "metric": TEXT,
    "value": NUMBER,
    "low": NUMBER,
    "high": NUMBER,
    "n": (int,),
}
PAIRED_ROW = {
    "method": TEXT,
    "against": TEXT,
    "candidates": TEXT,
    "metric": TEXT,
    "difference": NUMBER,
    "low": NUMBER,
    "high": NUMBER,
}
STAMP = {"machine": (dict, str), "command": TEXT, "commit": TEXT}
FIGURES_SECTION = STAMP | {"date": TEXT, "seed": (int, type(None)), "settings": (dict,), "figures": (list,)}
HALVES_SECTION = (
    STAMP
    | {"date": TEXT, "seed": (int, type(None)), "n_tracks": (int,), "rows": (list,)}
    | {
        "paired": (list,),
        "goal": TEXT,
        "met": (bool,),
    }
)
TRAINING_SECTION = STAMP | {"seconds": NUMBER, "steps": (int,), "curve": (list,), "validation": (list,)}


class ResultsError(Exception):
    """A results file that does not hold what docs/formats.md says."""


def main() -> None:
    try:
        text = page(RESULTS)
    except ResultsError as error:
        sys.exit(f"make_results: {error}")
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return
    then = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if then != text:
        print(*difflib.unified_diff(then.splitlines(), text.splitlines(), "docs/results.md", "results"), sep="\n")
        sys.exit("docs/results.md is out of date; write it anew: python scripts/make_results.py")


def page(folder: Path) -> str:
    """The whole page; raises ResultsError."""
    files: dict[str, Json] = {"river.json": {"format": FORMAT}}
    files |= {f.name: read(f) for f in sorted(folder.glob("*.json")) if f.name not in FILES}
    parts = [HEAD]
    for name, content in files.items():
        problems = [f"{name}: {p}" for p in problems_of(content)]
        if problems:
            raise ResultsError("\n  ".join(problems))
        known = RIVER if name == "river.json" else {}
        others = {key: Kind(key, "") for key in content if key not in known and key != "format"}
        parts += [section(kind, key, content.get(key)) for key, kind in (known | others).items()]
    return "\n".join([*parts, *bench_page(folder), *audit_page(folder / "audit")])


def read(path: Path) -> Json:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path.name}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path.name}: is no mapping of sections")
    return content


def problems_of(content: Json) -> Iterator[str]:
    """What breaks the format, with its place."""
    if content.get("format") != FORMAT:
        yield f"format is {content.get('format')}, this script reads {FORMAT}"
    for key, part in content.items():
        if key == "format":
            continue
        if not isinstance(part, dict):
            yield f"{key} is no mapping"
        elif key == "halves":
            yield from wrong(key, part, HALVES_SECTION, {"rows": HALVES_ROW, "paired": PAIRED_ROW})
        elif key == "training":
            yield from wrong(key, part, TRAINING_SECTION, {})
            yield from wrong_points(f"{key}.curve", part.get("curve"), 2)
            yield from wrong_points(f"{key}.validation", part.get("validation"), 4)
        else:
            yield from wrong(key, part, FIGURES_SECTION, {"figures": FIGURE})


def wrong(where: str, row: Any, fields: Mapping[str, tuple[type, ...]], lists: Mapping[str, Any]) -> Iterator[str]:
    """Fields that are missing or of another type, in a mapping and in the lists of mappings below it."""
    if not isinstance(row, dict):
        yield f"{where} is no mapping"
        return
    for name, types in fields.items():
        if name not in row:
            yield f"{where}.{name} is missing"
        elif not is_a(row[name], types):
            yield f"{where}.{name} is {row[name]!r}"
    for name, inner in lists.items():
        for n, item in enumerate(row.get(name) or ()):
            yield from wrong(f"{where}.{name}[{n}]", item, inner, {})


def is_a(value: Any, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, types) and value == value  # a NaN is no figure


def wrong_points(where: str, points: Any, width: int) -> Iterator[str]:
    for n, point in enumerate(points if isinstance(points, list) else ()):
        if not (isinstance(point, list) and len(point) == width and all(is_a(v, OPTIONAL_NUMBER) for v in point)):
            yield f"{where}[{n}] is {point!r}, not {width} numbers"


def section(kind: Kind, key: str, part: Json | None) -> str:
    """A heading, what it is about, a table, and how it was measured."""
    lines = [f"## {kind.title}", "", *([kind.about, ""] if kind.about else [])]
    if part is None:
        return "\n".join([*lines, "Not measured yet.", ""])
    body = {"halves": halves, "training": training}.get(key, figures)
    return "\n".join([*lines, *body(part), "", *stamp(part), ""])


def figures(part: Json) -> Iterator[str]:
    if not part["figures"]:
        yield "Not measured yet."
        return
    yield from table(
        ("figure", "value", "spread", "repeats", "goal", ""),
        [
            (
                f["name"],
                f"{number(f['value'])} {f['unit']}".strip(),
                span(f["low"], f["high"]),
                str(f["n"]),
                f["goal"] or "",
                verdict(f["met"]),
            )
            for f in part["figures"]
        ],
    )


def halves(part: Json) -> Iterator[str]:
    """A row a method: recalls among all tracks and among those of the same package; then differences in pairs."""
    columns = list(dict.fromkeys((r["metric"], r["candidates"]) for r in part["rows"]))
    cells: dict[str, dict[tuple[str, str], str]] = {}
    for r in part["rows"]:
        cell = f"{number(r['value'])} ({span(r['low'], r['high'])}), n = {r['n']}"
        cells.setdefault(r["method"], {})[r["metric"], r["candidates"]] = cell
    heads = [f"{metric}, {candidates}" for metric, candidates in columns]
    yield from table(("method", *heads), [(m, *(row.get(c, "") for c in columns)) for m, row in cells.items()])
    if part["paired"]:
        yield from ("", "Differences on the same tracks, with intervals of their own:", "")
        rows = [
            (
                p["method"],
                p["against"],
                p["candidates"],
                p["metric"],
                number(p["difference"]),
                span(p["low"], p["high"]),
                "yes" if p.get("apart") else "no",
            )
            for p in part["paired"]
        ]
        heads = ("method", "against", "candidates", "metric", "difference", "interval", "the two intervals are apart")
        yield from table(heads, rows)
    yield from ("", f"{part['n_tracks']} tracks. Goal: {part['goal']}: {verdict(part['met'])}.")


def training(part: Json) -> Iterator[str]:
    """Losses beside what was measured on validation tracks, at a dozen steps of the run at most."""
    measured = {point[0]: point[1:] for point in part["validation"]}
    steps = thinned(sorted(measured) or [point[0] for point in part["curve"]])
    rows = []
    for step in steps:
        before = [loss for at, loss in part["curve"] if at <= step]
        rows.append([str(step), number(before[-1]) if before else "", *map(number, measured.get(step, (None,) * 3))])
    yield from table(("step", "loss", "recall@1", "recall@1 in the package", "moved by stretching"), rows)
    yield from (
        "",
        f"{part['steps']} steps in {number(part['seconds'] / 60)} minutes. The loss is the mean since the line before.",
    )
    if seen := part.get("whitened"):
        recall, within, moved = map(number, seen)
        yield from (
            "",
            f"Whitened, as exported: recall@1 {recall}, in the package {within}, moved by stretching {moved}.",
        )


def thinned(steps: Sequence[int]) -> list[int]:
    """The first, the last, and others at even distances."""
    if len(steps) <= MOST_STEPS:
        return list(steps)
    return [steps[round(n * (len(steps) - 1) / (MOST_STEPS - 1))] for n in range(MOST_STEPS)]


def stamp(part: Json) -> Iterator[str]:
    yield f"- Command: `{part['command']}`"
    seed = f", seed {part['seed']}" if part.get("seed") is not None else ""
    date = f", {part['date']}" if part.get("date") else ""
    yield f"- Commit {part['commit']}{date}{seed}"
    if settings := part.get("settings"):
        yield "- " + "; ".join(f"{name}: {value}" for name, value in settings.items())
    yield f"- {machine(part['machine'])}"
    yield from (f"- Note: {note}" for note in part.get("notes") or ())


def machine(said: Json | str) -> str:
    if isinstance(said, str):
        return said
    rest = dict(said)
    libraries = rest.pop("libraries", {})
    named = [
        str(rest.pop("cpu", "")),
        f"{rest.pop('cores')} cores" if "cores" in rest else "",
        f"{number(rest.pop('memory_gb'))} GB" if "memory_gb" in rest else "",
        str(rest.pop("system", "")),
        f"Python {rest.pop('python')}" if "python" in rest else "",
        *(f"{name} {value}" for name, value in rest.items()),
        *(f"{name} {version}" for name, version in libraries.items()),
    ]
    return ", ".join(word for word in named if word)


def number(value: float | None) -> str:
    """Four digits, or all of a whole number."""
    if value is None:
        return ""
    if value == round(value) and abs(value) < 1e9:
        return f"{round(value)}"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.2g}" if abs(value) < 1e-3 else f"{value:.4g}"


def span(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{number(low)} to {number(high)}"


def verdict(met: bool | None) -> str:
    return "" if met is None else "met" if met else "**missed**"


if __name__ == "__main__":
    main()
