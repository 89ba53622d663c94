"""The pictures of a report, each of one space or of several in one frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nearfield.errors import readable
from nearfield.study.report.data import Audit, Figure, Sensitivity
from nearfield.study.report.draw import (
    DPI,
    Drawn,
    band,
    bars,
    canvas,
    figure_module,
    finished,
    label,
    legend,
    name_rows,
    style_of,
)
from nearfield.study.report.words import PLAIN, at_main_k, change_of, in_order, main_k, spoken

_RATIOS = ("ratio", "times")  # amounts of such units are drawn by octaves


_PANELS: tuple[tuple[str, Callable[[Sensitivity], Figure]], ...] = (
    ("distance moved (1: as random pairs)", lambda s: s.distance),
    ("found again (recall@1)", lambda s: s.recall_at_1),
)


def figures(audits: Sequence[Audit]) -> tuple[Drawn, ...]:
    """All pictures that the audits have figures for; AuditError when matplotlib is not installed."""
    figure_module()
    drawn = [_locality(audits), _by_k(audits), _organises(audits), _occurrences(audits)]
    rows = [s for a in audits for s in a.sensitivity or ()]
    curves = [
        kind
        for kind in in_order([s.kind for s in rows])
        if len({s.amount for s in rows if s.kind == kind} - {None}) > 1
    ]
    drawn += [_curves(audits, kind) for kind in curves]
    drawn.append(_single(audits, in_order([s.kind for s in rows if s.kind not in curves])))
    return tuple(d for d in drawn if d is not None)


def _said(audits: Sequence[Audit], found: Sequence[Sequence[tuple[str, Figure | None]]]) -> str:
    """What a picture shows, for those who do not see it."""
    parts = []
    for audit, rows in zip(audits, found, strict=True):
        figures = ", ".join(f"{spoken(n)} {PLAIN.figure(f)}" for n, f in rows if f is not None and f.value is not None)
        parts.append(f"{readable(audit.name)}: {figures or 'not measured'}")
    return "; ".join(parts)


def _locality(audits: Sequence[Audit]) -> Drawn | None:
    names = in_order([n.property for a in audits for n in at_main_k(a) if n.locality is not None])
    if not names:
        return None
    found = [{n.property: n.locality for n in at_main_k(a)} for a in audits]
    figure, (ax,) = canvas(7, 1.5 + 0.28 * len(names) * (1 + 0.6 * len(audits)))
    for number, (audit, of) in enumerate(zip(audits, found, strict=True)):
        bars(ax, names, number, len(audits), [of.get(n) for n in names], label(audit.name))
    k = ", ".join(map(str, in_order([main_k(a) for a in audits if a.neighbours])))
    name_rows(ax, names, f"locality of the {k} nearest (0 chance, 1 the best possible)")
    legend(figure, ax, audits)
    alt = _said(audits, [[(n, of.get(n)) for n in names] for of in found])
    return finished(figure, "locality", f"Bars of locality with 95 % intervals. {alt}")


def _by_k(audits: Sequence[Audit]) -> Drawn | None:
    rows = [(a, n) for a in audits for n in a.neighbours or () if n.locality is not None]
    names, ks = in_order([n.property for _, n in rows]), sorted({n.k for _, n in rows})
    if len(ks) < 2:
        return None
    columns = min(3, len(names))
    deep = -(-len(names) // columns)
    figure = figure_module().Figure(figsize=(7, 0.6 + 2.1 * deep), dpi=DPI, layout="constrained")
    axes = np.ravel(figure.subplots(deep, columns, squeeze=False, sharex=True, sharey=True))
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(axes, names, strict=False):
        for number, audit in enumerate(audits):
            own = sorted((n for a, n in rows if a is audit and n.property == name), key=lambda n: n.k)
            band(ax, [n.k for n in own], [n.locality for n in own], number, audit)
        ax.axhline(0, color="black", linewidth=0.9)
        ax.set_xscale("log")
        ax.set_xticks(ks, [str(k) for k in ks])
        ax.minorticks_off()
        ax.tick_params(labelsize=8)
        ax.set_title(label(spoken(name)), fontsize=10)
        ax.grid(alpha=0.25, linewidth=0.6)
    legend(figure, axes[0], audits)
    figure.supxlabel("K, number of nearest pieces", fontsize=10)
    figure.supylabel("locality", fontsize=10)
    alt = f"Curves of locality for K of {', '.join(map(str, ks))}, one panel each for {', '.join(map(spoken, names))}"
    return finished(figure, "locality-by-k", f"{alt}; the table below has the figures.")


def _organises(audits: Sequence[Audit]) -> Drawn | None:
    names = in_order(
        [p.name for a in audits if a.organises for p in sorted(a.organises.properties, key=lambda p: p.rank)]
    )
    if not names:
        return None
    figure, axes = canvas(7, 1.5 + 0.28 * len(names) * (1 + 0.6 * len(audits)), panels=2)
    parts = [{p.name: p for p in a.organises.properties} if a.organises else {} for a in audits]
    for ax, which, title in zip(axes, ("alone", "given_others"), ("alone", "given the others"), strict=True):
        for number, (audit, of) in enumerate(zip(audits, parts, strict=True)):
            found = [getattr(of[n], which) if n in of else None for n in names]
            bars(ax, names, number, len(audits), found, label(audit.name))
        name_rows(ax, names, "bits per neighbour")
        ax.set_title(title, fontsize=10)
    axes[1].set_yticklabels([])
    legend(figure, axes[0], audits)
    alt = _said(audits, [[(n, of[n].given_others) for n in names if n in of] for of in parts])
    return finished(
        figure, "organises", f"Bars of bits per neighbour, alone and given the others. Given the others: {alt}"
    )


def _occurrences(audits: Sequence[Audit]) -> Drawn | None:
    """The share of tracks that are among the K nearest of at least so many others."""
    found = [
        (n, a, a.shape.hubness)
        for n, a in enumerate(audits)
        if a.shape and a.shape.hubness and sum(a.shape.hubness.counts)
    ]
    if not found:
        return None
    figure, (ax,) = canvas(7, 3.3)
    for number, audit, hubness in found:
        counts = np.array(hubness.counts, float)
        at_least = counts[::-1].cumsum()[::-1] / counts.sum()
        style = style_of(number) | {"marker": ""}
        ax.step(np.arange(len(counts)), 100 * at_least, where="mid", label=label(audit.name), **style)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xlabel(f"among the {found[0][2].k} nearest of at least so many others")
    ax.set_ylabel("% of the pieces")
    legend(figure, ax, audits)
    most = ", ".join(f"{readable(a.name)}: the worst hub is named {len(h.counts) - 1} times" for _, a, h in found)
    return finished(figure, "hubness", f"How many pieces are neighbours of how many others. {most}")


def _curves(audits: Sequence[Audit], kind: str) -> Drawn:
    """One kind of change against its amount."""
    rows = [_by_amount(a, kind) for a in audits]
    unit = next(s.unit for own in rows for _, s in own)
    figure, axes = canvas(7, 3.1, panels=2)
    for ax, (ylabel, of_row) in zip(axes, _PANELS, strict=True):
        for number, (audit, own) in enumerate(zip(audits, rows, strict=True)):
            band(ax, [amount for amount, _ in own], [of_row(s) for _, s in own], number, audit)
        ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
        if unit.startswith(_RATIOS):
            amounts = sorted({amount for own in rows for amount, _ in own})
            ax.set_xscale("log", base=2)
            ax.set_xticks(amounts, [f"{a:g}" for a in amounts], rotation=45)
            ax.minorticks_off()
        ax.tick_params(labelsize=8)
        ax.set_xlabel(label(spoken(kind)) if unit in spoken(kind) else label(f"{spoken(kind)} ({unit})"))
        ax.set_ylabel(ylabel, fontsize=9)
    axes[1].set_ylim(0, 1.03)
    legend(figure, axes[0], audits)
    alt = _said(audits, [[(f"{amount:g}", s.distance) for amount, s in own] for own in rows])
    shows = f"Distance moved and recall when changing {spoken(kind)}. Distance: {alt}"
    return finished(figure, f"sensitivity-{_safe(kind)}", shows, spoken(kind))


def _by_amount(audit: Audit, kind: str) -> list[tuple[float, Sensitivity]]:
    found = [(s.amount, s) for s in audit.sensitivity or () if s.kind == kind and s.amount is not None]
    return sorted(found, key=lambda pair: pair[0])


def _single(audits: Sequence[Audit], kinds: Sequence[str]) -> Drawn | None:
    """The changes that there is but one amount of, as bars."""
    if not kinds:
        return None
    found = [{s.kind: s for s in a.sensitivity or () if s.kind in kinds} for a in audits]
    names = {s.kind: change_of(s, PLAIN) for of in found for s in of.values()}
    figure, axes = canvas(7, 1.5 + 0.28 * len(kinds) * (1 + 0.6 * len(audits)), panels=2)
    for ax, (xlabel, of_row) in zip(axes, _PANELS, strict=True):
        for number, (audit, of) in enumerate(zip(audits, found, strict=True)):
            shown = [of_row(of[kind]) if kind in of else None for kind in kinds]
            bars(ax, kinds, number, len(audits), shown, label(audit.name))
        name_rows(ax, [names[kind] for kind in kinds], xlabel)
        ax.xaxis.label.set_size(9)
    axes[1].set_yticklabels([])
    axes[1].set_xlim(0, 1.03)
    legend(figure, axes[0], audits)
    alt = _said(audits, [[(names[s.kind], s.distance) for s in of.values()] for of in found])
    return finished(
        figure,
        "sensitivity-controls",
        f"Distance moved and recall after other changes. Distance: {alt}",
        "other things",
    )


def _safe(kind: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in kind)
