"""Tables of the audits in results/audit, for docs/results.md: one catalogue after another, its spaces side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown import table

Json = Mapping[str, Any]

CHANGES = (
    ("tempo", 0.8),
    ("tempo", 1.25),
    ("tempo", 2.0),
    ("pitch", -2.0),
    ("pitch", 2.0),
    ("pitch", 12.0),
    ("low shelf", 12.0),
    ("high shelf", 12.0),
    ("tilt", 3.0),
    ("level", -12.0),
    ("mp3", 64.0),
    ("opus", 24.0),
    ("white noise", 20.0),
)


def audit_page(folder: Path) -> Iterator[str]:
    """Lines; nothing where there is no audit."""
    audits = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    for name in sorted({a["catalogue"]["name"] for a in audits}):
        # the shipped model first: by what a space is compared with, then by name
        these = [a for a in audits if a["catalogue"]["name"] == name]
        yield from _catalogue(name, sorted(these, key=lambda a: (bool(a["comparisons"]), a["embedding"]["name"])))


def _catalogue(name: str, audits: Sequence[Json]) -> Iterator[str]:
    first = audits[0]
    k = first["settings"]["main_k"]
    spaces = [a["embedding"]["name"] for a in audits]
    left = ", ".join(first["settings"]["leave_out"])
    yield f"## Audit: {name}"
    yield ""
    yield (
        f"{first['catalogue']['judged']} of {first['catalogue']['tracks']} tracks, the {k} nearest"
        + (f"; tracks of the same {left} are not each other's neighbours" if left else "")
        + ". Locality: 0 is chance, 1 the best possible; 95 % intervals."
    )
    yield ""
    yield from table(("locality", *spaces, "source"), _localities(audits, k))
    yield ""
    yield "What organises the space: bits a neighbour, given the other properties."
    yield ""
    yield from table(("property", *spaces), _organised(audits))
    rows = list(_moved(audits))
    if rows:
        n = max(a["settings"].get("changed_tracks") or 0 for a in audits)
        yield ""
        yield f"How far one change of the sound moves a track, of the mean distance of two tracks; {n} tracks."
        yield ""
        yield from table(("change", *spaces), rows)
    yield ""
    yield "The shape of the space."
    yield ""
    yield from table(("", *spaces), _shape(audits))
    yield ""
    for a in audits:
        said = a["provenance"]
        yield f"- {a['embedding']['name']}: `{said['command']}`, commit {said['commit']}, {said['date']}, {said['seconds']:.0f} s"
    yield ""


def _localities(audits: Sequence[Json], k: int) -> Iterator[Sequence[str]]:
    for source in audits[0]["sources"]:
        cells = []
        for a in audits:
            (row,) = [r for r in a["neighbours"] if r["property"] == source["property"] and r["k"] == k]
            cells.append(_figure(row.get("locality")) or str(row.get("reason")))
        yield (source["property"].replace("_", " "), *cells, f"{source['source']}, {source['known']} tracks")


def _organised(audits: Sequence[Json]) -> Iterator[Sequence[str]]:
    parts = [
        {p["name"]: p["given_others"] for p in (a["organises"] or {"properties": []})["properties"]} for a in audits
    ]
    for name in parts[0]:
        yield (name, *(_figure(of.get(name), 3) for of in parts))
    yield ("together", *(_figure((a["organises"] or {}).get("together"), 3) for a in audits))


def _moved(audits: Sequence[Json]) -> Iterator[Sequence[str]]:
    found = [{(r["kind"], r["amount"]): r for r in a["sensitivity"] or ()} for a in audits]
    for key in CHANGES:
        rows = [of.get(key) for of in found]
        if any(rows):
            unit = next(r["unit"] for r in rows if r)
            yield (f"{key[0]} {key[1]:g} {unit}", *(_figure(r["distance"]) if r else "" for r in rows))


def _shape(audits: Sequence[Json]) -> Iterator[Sequence[str]]:
    shapes = [a["shape"] for a in audits]
    for name, of in (
        ("alignment of a track with its middle", lambda s: s["alignment"]),
        ("uniformity", lambda s: s["uniformity"]),
        ("RankMe", lambda s: s["rank_me"]),
        ("hubs: skewness", lambda s: s["hubness"]["skewness"]),
        ("hubs: Robin Hood index", lambda s: s["hubness"]["robin_hood"]),
        ("tracks that are nobody's neighbour", lambda s: s["hubness"]["anti_hubs"]),
        ("groups of near-duplicates", lambda s: len(s["duplicates"])),
    ):
        values = [of(s) for s in shapes]
        yield (name, *("" if v is None else f"{v:.3g}" for v in values))


def _figure(figure: Json | None, digits: int = 2) -> str:
    if figure is None or figure["value"] is None:
        return ""
    value, low, high = (f"{figure[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
