"""The report as one page that a musician can read: an answer first, then what it rests on, each term explained."""

from __future__ import annotations

from collections.abc import Sequence

from nearfield.study.report.data import Audit, Hubness
from nearfield.study.report.draw import Drawn
from nearfield.study.report.html import (
    HTML,
    document,
    folded,
    listing,
    number,
    optional,
    paragraph,
    picture,
    section,
    table,
    text,
)
from nearfield.study.report.notes import each_space, left_out, more, provenance, sources, terms
from nearfield.study.report.words import (
    at_main_k,
    change_of,
    comparison_sentence,
    headline,
    in_order,
    main_k,
    neighbours_sentence,
    part_sentence,
    sensitivity_sentence,
    verdict,
)

_MOST_DUPLICATES = 50
_Pictures = dict[str, Drawn]


def page(audits: Sequence[Audit], drawn: Sequence[Drawn]) -> str:
    """The whole page, of one space or several side by side, with its pictures inside."""
    pictures = {d.name: d for d in drawn}
    parts = [
        _answer(audits),
        _neighbours(audits, pictures),
        _organises(audits, pictures),
        _sensitivity(audits, pictures),
        _comparisons(audits),
        _shape(audits, pictures),
        sources(audits),
        left_out(audits),
        terms(),
    ]
    return document("What makes two pieces neighbours", "\n".join(p for p in parts if p), provenance(audits))


def _answer(audits: Sequence[Audit]) -> str:
    def of(audit: Audit) -> str:
        made = f"{audit.embedding.kind}, {audit.embedding.dimensions} dimensions"
        judged = f"{audit.catalogue.judged} of the {audit.catalogue.tracks} pieces in {text(audit.catalogue.name)}"
        where = paragraph(f"{text(audit.name)} ({text(made)}), judged by {judged}.", "note")
        return paragraph(headline(audit, HTML), "answer") + where

    return section("In short", each_space(audits, "", of))


def _neighbours(audits: Sequence[Audit], pictures: _Pictures) -> str:
    def of(audit: Audit) -> str:
        return listing([neighbours_sentence(n, HTML) for n in at_main_k(audit)])

    names = in_order([n.property for a in audits for n in a.neighbours or ()])
    index = [{n.property: n for n in at_main_k(a)} for a in audits]
    rows = [[HTML.spoken(name), *(_locality(of.get(name)) for of in index)] for name in names]
    head = ["property", *(f"{text(a.name)} (K = {main_k(a)})" for a in audits)]
    return section(
        "Who the neighbours are",
        each_space(audits, "neighbours", of),
        picture(
            pictures.get("locality"), "Locality: 0 is chance, 1 the best possible. The thin lines are 95 % intervals."
        ),
        table("Locality of the nearest pieces, with 95 % intervals", head, rows),
        picture(pictures.get("locality-by-k"), "Locality among few and among many neighbours."),
        folded("All figures, for every number of neighbours", "\n".join(_all_figures(a) for a in audits)),
    )


def _locality(row: object) -> str:
    found = getattr(row, "locality", None)
    return "not measured" if found is None else f"{HTML.figure(found)}, {verdict(found)}"


def _all_figures(audit: Audit) -> str:
    head = ["property", "K", "locality", "p", "seen", "chance", "best", "agree: seen", "chance", "best", "note"]
    rows = []
    for n in audit.neighbours or ():
        agree = n.agree
        shares = [agree.seen, agree.chance, agree.best] if agree else [None] * 3
        found = [HTML.figure(n.locality), *(optional(v, 3) for v in (n.p, n.seen, n.chance, n.best, *shares))]
        rows.append([HTML.spoken(n.property), str(n.k), *found, text(n.reason or "")])
    return table(f"{audit.name}: distances in each property's unit, and shares that agree", head, rows)


def _organises(audits: Sequence[Audit], pictures: _Pictures) -> str:
    def of(audit: Audit) -> str:
        found = audit.organises
        if found is None:
            return ""
        parts = sorted(found.properties, key=lambda p: p.rank)
        rows = [
            [
                HTML.spoken(p.name),
                HTML.figure(p.alone, 3),
                HTML.figure(p.given_others, 3),
                f"{p.rank} ({p.rank_low} to {p.rank_high})",
                optional(p.p, 3),
            ]
            for p in parts
        ]
        together = f"Together they tell {HTML.figure(found.together)} bits about each of the {found.k} nearest."
        head = ["property", "bits alone", "bits given the others", "rank", "p"]
        caption = f"{audit.name}: what each property explains, with 95 % intervals"
        return paragraph(together) + listing([part_sentence(p, HTML) for p in parts]) + table(caption, head, rows)

    shown = picture(pictures.get("organises"), "Bits per neighbour that each property explains, with 95 % intervals.")
    return section("What organises the space", each_space(audits, "organises", of), shown)


def _sensitivity(audits: Sequence[Audit], pictures: _Pictures) -> str:
    shown = [
        picture(d, f"Changing {d.kind}: how far a piece moves, and whether it is found again.")
        for d in pictures.values()
        if d.kind
    ]

    def of(audit: Audit) -> str:
        return listing([sensitivity_sentence(s, HTML) for s in audit.sensitivity or ()])

    head = ["change", "distance moved", "found again", "neighbours kept", "median rank", "pieces"]
    tables = []
    for audit in audits:
        rows = [
            [
                change_of(s, HTML),
                *(HTML.figure(f) for f in (s.distance, s.recall_at_1, s.kept)),
                optional(s.median_rank, 1),
                str(s.distance.n),
            ]
            for s in audit.sensitivity or ()
        ]
        tables.append(table(f"{audit.name}: one thing changed in the sound, with 95 % intervals", head, rows))
    all_figures = folded("All figures", "\n".join(t for t in tables if t))
    return section("What happens when the sound changes", *shown, each_space(audits, "sensitivity", of), all_figures)


def _compared(audit: Audit) -> str:
    """At the number of neighbours that the page speaks of."""
    rows = [row for row in audit.comparisons or () if row.k == main_k(audit)]
    return listing([comparison_sentence(row, HTML) for row in rows])


def _comparisons(audits: Sequence[Audit]) -> str:
    if len(audits) == 1 and audits[0].comparisons is None:
        return ""
    return section(
        "The spaces beside each other",
        each_space(audits, "comparisons", _compared),
    )


def _shape(audits: Sequence[Audit], pictures: _Pictures) -> str:
    shapes = [a.shape for a in audits]
    hubs = [s.hubness if s else None for s in shapes]
    rows = [
        ["alignment", *(optional(s.alignment if s else None) for s in shapes)],
        ["uniformity", *(optional(s.uniformity if s else None) for s in shapes)],
        ["effective rank (RankMe)", *(optional(s.rank_me if s else None, 1) for s in shapes)],
        ["hubs: skewness", *(optional(h.skewness if h else None) for h in hubs)],
        ["hubs: Robin Hood", *(optional(h.robin_hood if h else None) for h in hubs)],
        ["share that is nobody's neighbour", *(optional(h.anti_hubs if h else None) for h in hubs)],
    ]

    def of(audit: Audit) -> str:
        if audit.shape is None:
            return ""
        return _hubs(audit.shape.hubness) + _duplicates(audit)

    figures = table("The shape of the space", ["", *(text(a.name) for a in audits)], rows) if any(shapes) else ""
    shown = picture(pictures.get("hubness"), "How many pieces are among the nearest of at least so many others.")
    return section("The shape of the space", figures, shown, each_space(audits, "shape", of))


def _hubs(hubness: Hubness | None) -> str:
    if hubness is None or not hubness.hubs:
        return ""
    items = [
        f"{text(h.name or h.id)}: among the {hubness.k} nearest of {number(h.count, 0)} others" for h in hubness.hubs
    ]
    return paragraph("The pieces that are neighbours most often:") + listing(items)


def _duplicates(audit: Audit) -> str:
    found = audit.shape.duplicates if audit.shape else ()
    items = [
        f"{', '.join(map(text, d.names or d.ids))} (cosine {number(d.cosine, 4)})" for d in found[:_MOST_DUPLICATES]
    ]
    if not items:
        return paragraph("No two pieces are nearly the same.", "note")
    rest = more(len(found) - len(items))
    many = f"{len(found)} groups of pieces are" if len(found) > 1 else "One group of pieces is"
    return paragraph(f"{many} nearly the same:") + listing(items) + rest
