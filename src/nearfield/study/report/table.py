"""The report on a terminal: a table for all spaces, then a block each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nearfield.errors import readable
from nearfield.study.report.data import SECTIONS, Audit, Sensitivity
from nearfield.study.report.files import checked_all
from nearfield.study.report.words import (
    PLAIN,
    at_main_k,
    change_of,
    comparison_sentence,
    headline,
    in_order,
    main_k,
    spoken,
)

if TYPE_CHECKING:
    from rich.console import Console

_MOST_HUBS = 3


def print_report(console: Console, audits: Sequence[Mapping[str, Any]]) -> None:
    """Print the figures of one space, or of several side by side; AuditError for an audit that is not one."""
    read = checked_all(audits)
    if len(read) > 1:
        _side_by_side(console, read)
    for audit in read:
        _block(console, audit)


def _side_by_side(console: Console, audits: Sequence[Audit]) -> None:
    names = in_order([n.property for a in audits for n in at_main_k(a)])
    found = [{n.property: n.locality for n in at_main_k(a)} for a in audits]
    rows = [[spoken(name), *(PLAIN.figure(of.get(name)) for of in found)] for name in names]
    if rows:
        head = ["locality", *(f"{a.name} (K = {main_k(a)})" for a in audits)]
        _table(console, head, rows)


def _block(console: Console, audit: Audit) -> None:
    _line(
        console, f"{audit.name}: {audit.catalogue.judged} of {audit.catalogue.tracks} tracks of {audit.catalogue.name}"
    )
    _line(console, headline(audit, PLAIN))
    _neighbours(console, audit)
    if audit.organises is not None:
        rows = [
            [
                spoken(p.name),
                PLAIN.figure(p.alone, 3),
                PLAIN.figure(p.given_others, 3),
                f"{p.rank} ({p.rank_low}-{p.rank_high})",
            ]
            for p in sorted(audit.organises.properties, key=lambda p: p.rank)
        ]
        _table(console, ["organised by", "bits alone", "given the others", "rank"], rows)
    _sensitivity(console, audit)
    for row in (c for c in audit.comparisons or () if c.k == main_k(audit)):
        _line(console, comparison_sentence(row, PLAIN))
    _shape(console, audit)
    for section in SECTIONS[:-1]:  # spaces need not be compared
        if getattr(audit, section) is None:
            _line(console, f"{section}: not measured ({audit.why_not(section)})")
    if audit.catalogue.left_out:
        first = audit.catalogue.left_out[0]
        _line(console, f"{len(audit.catalogue.left_out)} left out, such as {first.id}: {first.cause}")
    _line(console, "")


def _neighbours(console: Console, audit: Audit) -> None:
    rows = []
    for n in at_main_k(audit):
        agree = n.agree
        shares = (agree.seen, agree.chance, agree.best) if agree else (None, None, None)
        rows.append(
            [
                spoken(n.property),
                PLAIN.figure(n.locality) if n.locality else f"not measured: {n.reason}",
                "" if n.p is None else f"{n.p:.3f}",
                *("" if s is None else f"{n.k * s:.1f}" for s in shares),
            ]
        )
    if rows:
        k = main_k(audit)
        _table(console, ["property", "locality", "p", f"of {k} nearest share it", "chance", "best"], rows)


def _sensitivity(console: Console, audit: Audit) -> None:
    rows = [
        [
            change_of(s, PLAIN),
            *(PLAIN.figure(f) for f in (s.distance, s.recall_at_1, s.kept)),
            "" if s.median_rank is None else f"{s.median_rank:.0f}",
        ]
        for s in _telling(audit.sensitivity or ())
    ]
    if rows:
        _table(console, ["change", "distance moved", "found again", "neighbours kept", "median rank"], rows)


def _telling(rows: Sequence[Sensitivity]) -> list[Sensitivity]:
    """Of each kind of change the least and the greatest amount: the page has the rest."""
    kinds = in_order([row.kind for row in rows])
    of = {kind: sorted((r for r in rows if r.kind == kind), key=lambda r: r.amount or 0.0) for kind in kinds}
    return [row for kind in kinds for row in in_order([of[kind][0], of[kind][-1]])]


def _shape(console: Console, audit: Audit) -> None:
    shape = audit.shape
    if shape is None:
        return
    said = {"alignment": shape.alignment, "uniformity": shape.uniformity, "effective rank": shape.rank_me}
    hubness = shape.hubness
    if hubness is not None:
        said |= {"hubs' skewness": hubness.skewness, "Robin Hood": hubness.robin_hood, "anti-hubs": hubness.anti_hubs}
    _line(console, ", ".join(f"{name} {value:.2f}" for name, value in said.items() if value is not None))
    for hub in hubness.hubs[:_MOST_HUBS] if hubness else ():
        _line(console, f"hub: {hub.name or hub.id}, among the {hubness.k if hubness else 0} nearest of {hub.count}")
    if shape.duplicates:
        first = shape.duplicates[0]
        _line(console, f"nearly the same: {len(shape.duplicates)}, such as {', '.join(first.names or first.ids)}")


def _line(console: Console, said: str) -> None:
    console.print(readable(said), markup=False, highlight=False, soft_wrap=True)


def _table(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for n, name in enumerate(head):
        table.add_column(Text(readable(name)), justify="left" if n == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(readable(cell)) for cell in row))
    console.print(table)
