"""What stands at the end of the page: where its properties come from, what was left out, what its words mean, what made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nearfield.study.report.data import Audit
from nearfield.study.report.html import HTML, folded, listing, optional, paragraph, section, table, text
from nearfield.study.report.words import TERMS

_MOST_LEFT_OUT = 200
_PASSED_OVER = {"not_estimated": "whose sound could not be measured", "not_changed": "whose sound could not be changed"}


def each_space(audits: Sequence[Audit], name: str, of: Callable[[Audit], str]) -> str:
    """What each space has to say in a section: under its name where there are several, the reason where it has nothing."""
    said = []
    for audit in audits:
        heading = f"<h3>{text(audit.name)}</h3>\n" if len(audits) > 1 else ""
        missing = getattr(audit, name, "") is None
        content = paragraph(f"Not measured: {text(audit.why_not(name))}.", "note") if missing else of(audit)
        said.append(heading + content if content else "")
    return "\n".join(s for s in said if s)


def sources(audits: Sequence[Audit]) -> str:
    def of(audit: Audit) -> str:
        rows = [
            [HTML.spoken(s.property), text(s.source), str(s.known), text(s.unit), optional(s.agrees_within)]
            for s in audit.sources
        ]
        head = ["property", "source", "known of so many", "unit", "counts as shared within"]
        return table(f"{audit.name}: where the properties come from", head, rows)

    return section("Where the properties come from", each_space(audits, "", of))


def left_out(audits: Sequence[Audit]) -> str:
    def of(audit: Audit) -> str:
        found = audit.catalogue.left_out
        items = [f"{text(t.id)}: {text(t.cause)}" for t in found[:_MOST_LEFT_OUT]]
        said = folded(f"{len(found)} left out", listing(items) + more(len(found) - len(items)))
        return (said or paragraph("No piece was left out.", "note")) + _passed_over(audit)

    return section("Left out", each_space(audits, "", of))


def _passed_over(audit: Audit) -> str:
    """Pieces that are judged, but of which something could not be found out."""
    said = []
    for key, heading in _PASSED_OVER.items():
        found = audit.settings.get(key) or ()
        items = [f"{text(row['id'])}: {text(row['cause'])}" for row in found[:_MOST_LEFT_OUT]]
        said.append(folded(f"{len(found)} {heading}", listing(items) + more(len(found) - len(items))) if items else "")
    return "".join(said)


def terms() -> str:
    """Every term of the page in words."""
    said = "".join(f"<dt>{text(term)}</dt><dd>{text(meaning)}</dd>" for term, meaning in TERMS)
    return section("How to read this", f"<dl>{said}</dl>")


def provenance(audits: Sequence[Audit]) -> str:
    said = []
    for audit in audits:
        made = audit.provenance
        facts = [
            f"embedding {audit.embedding.digest} from {audit.embedding.path}",
            f"catalogue {audit.catalogue.digest}",
        ]
        if made is not None:
            facts += [made.command, f"commit {made.commit}" if made.commit else "", made.date]
            facts.append("" if made.seconds is None else f"{made.seconds:.0f} s")
            facts += [f"{name} {version}" for name, version in made.versions.items()]
        facts += [f"{name} = {value}" for name, value in audit.settings.items() if name not in _PASSED_OVER]
        said.append(paragraph(f"{text(audit.name)}: " + "; ".join(text(f) for f in facts if f)))
    return "\n".join(said)


def more(count: int) -> str:
    return paragraph(f"And {count} more; the JSON has them all.", "note") if count else ""
