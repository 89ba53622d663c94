"""The pictures of a report, drawn without a display and without matplotlib's global state.

The colours are those of Okabe and Ito ("Color Universal Design", 2008), which colour-blind eyes tell apart; spaces differ in
marker and line too, so that a grey print reads as well.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfield.errors import AuditError, readable
from nearfield.study.report_data import Audit, Figure, Sensitivity
from nearfield.study.report_words import PLAIN, at_main_k, in_order, main_k, spoken

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
_MARKERS = "osD^vPX"
_LINES = ("-", "--", "-.", ":")
_DPI = 110
_LONGEST_NAME = 28
_RATIO = "ratio"  # amounts of this unit are drawn by octaves


@dataclass(frozen=True)
class Drawn:
    """A picture: its file's name without suffix, the PNG, what it shows in words, its size in pixels, and of which
    change of the sound it is, if of one."""

    name: str
    png: bytes
    alt: str
    width: int
    height: int
    kind: str = ""


def figures(audits: Sequence[Audit]) -> tuple[Drawn, ...]:
    """All pictures that the audits have figures for; AuditError when matplotlib is not installed."""
    _matplotlib()
    drawn = [_locality(audits), _by_k(audits), _organises(audits), _occurrences(audits)]
    kinds = in_order([s.kind for a in audits for s in a.sensitivity or ()])
    return tuple(d for d in [*drawn, *(_sensitivity(audits, kind) for kind in kinds)] if d is not None)


def _matplotlib() -> Any:
    """The module with the figure class; only a report needs it."""
    try:
        import matplotlib.figure
    except ImportError as error:
        raise AuditError("report", "its pictures need matplotlib", "pip install 'nearfield[audit]'") from error
    return matplotlib.figure


def _canvas(width: float, height: float, panels: int = 1) -> tuple[Any, list[Any]]:
    figure = _matplotlib().Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    axes = list(np.ravel(figure.subplots(1, panels, squeeze=False)))
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def _finish(figure: Any, name: str, alt: str, kind: str = "") -> Drawn:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    out = io.BytesIO()
    canvas.print_png(out, metadata={"Software": None})
    width, height = canvas.get_width_height()
    return Drawn(name, out.getvalue(), alt, int(width), int(height), kind)


def _label(name: str) -> str:
    """A name in a picture: printable, not taken for mathematics, not too long."""
    text = readable(name).replace("$", r"\$")
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def _style(number: int, line: bool = True) -> dict[str, Any]:
    n = len(COLOURS)
    style = {"color": COLOURS[number % n], "marker": _MARKERS[number % n], "markersize": 5}
    return style | ({"linestyle": _LINES[(number // n + number) % len(_LINES)], "linewidth": 1.6} if line else {})


def _values(figures: Sequence[Figure | None]) -> tuple[Any, Any, Any]:
    """Three arrays (n,): values and the ends of their intervals, NaN where there are none."""

    def array(of: Callable[[Figure], float | None]) -> Any:
        return np.array([np.nan if f is None or of(f) is None else of(f) for f in figures], float)

    value = array(lambda f: f.value)
    low, high = array(lambda f: f.low), array(lambda f: f.high)
    return value, np.where(np.isnan(low), value, low), np.where(np.isnan(high), value, high)


def _bars(ax: Any, rows: Sequence[str], number: int, of: int, found: Sequence[Figure | None], label: str) -> None:
    """Bars of one space among `of`, a row each from the top, with their intervals."""
    value, low, high = _values(found)
    thick = 0.8 / of
    at = np.arange(len(rows)) + (number - (of - 1) / 2) * thick
    ends = np.abs(np.stack([value - low, high - value]))
    ax.barh(at, value, thick * 0.92, color=COLOURS[number % len(COLOURS)], label=label, alpha=0.9)
    ax.errorbar(value, at, xerr=ends, fmt="none", ecolor="black", elinewidth=1.1, capsize=2.5)


def _rows(ax: Any, names: Sequence[str], xlabel: str) -> None:
    ax.set_yticks(range(len(names)), [_label(spoken(n)) for n in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.axvline(0, color="black", linewidth=0.9)
    ax.set_xlabel(xlabel)


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
    figure, (ax,) = _canvas(7, 1.3 + 0.28 * len(names) * (1 + 0.6 * len(audits)))
    for number, (audit, of) in enumerate(zip(audits, found, strict=True)):
        _bars(ax, names, number, len(audits), [of.get(n) for n in names], _label(audit.name))
    k = ", ".join(map(str, in_order([main_k(a) for a in audits if a.neighbours])))
    _rows(ax, names, f"locality of the {k} nearest (0 chance, 1 the best possible)")
    _legend(ax, audits)
    alt = _said(audits, [[(n, of.get(n)) for n in names] for of in found])
    return _finish(figure, "locality", f"Bars of locality with 95 % intervals. {alt}")


def _by_k(audits: Sequence[Audit]) -> Drawn | None:
    rows = [(a, n) for a in audits for n in a.neighbours or () if n.locality is not None]
    names, ks = in_order([n.property for _, n in rows]), sorted({n.k for _, n in rows})
    if len(ks) < 2:
        return None
    columns = min(3, len(names))
    deep = -(-len(names) // columns)
    figure = _matplotlib().Figure(figsize=(7, 0.6 + 2.1 * deep), dpi=_DPI, layout="constrained")
    axes = np.ravel(figure.subplots(deep, columns, squeeze=False, sharex=True))
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(axes, names, strict=False):
        for number, audit in enumerate(audits):
            own = sorted((n for a, n in rows if a is audit and n.property == name), key=lambda n: n.k)
            _band(ax, [n.k for n in own], [n.locality for n in own], number, audit)
        ax.axhline(0, color="black", linewidth=0.9)
        ax.set_xscale("log")
        ax.set_xticks(ks, [str(k) for k in ks])
        ax.minorticks_off()
        ax.tick_params(labelsize=8)
        ax.set_title(_label(spoken(name)), fontsize=10)
        ax.grid(alpha=0.25, linewidth=0.6)
    _legend(axes[0], audits)
    figure.supxlabel("K, number of nearest pieces", fontsize=10)
    figure.supylabel("locality", fontsize=10)
    alt = f"Curves of locality for K of {', '.join(map(str, ks))}, one panel each for {', '.join(map(spoken, names))}"
    return _finish(figure, "locality-by-k", f"{alt}; the table below has the figures.")


def _organises(audits: Sequence[Audit]) -> Drawn | None:
    names = in_order(
        [p.name for a in audits if a.organises for p in sorted(a.organises.properties, key=lambda p: p.rank)]
    )
    if not names:
        return None
    figure, axes = _canvas(7, 1.3 + 0.28 * len(names) * (1 + 0.6 * len(audits)), panels=2)
    parts = [{p.name: p for p in a.organises.properties} if a.organises else {} for a in audits]
    for ax, which, title in zip(axes, ("alone", "given_others"), ("alone", "given the others"), strict=True):
        for number, (audit, of) in enumerate(zip(audits, parts, strict=True)):
            found = [getattr(of[n], which) if n in of else None for n in names]
            _bars(ax, names, number, len(audits), found, _label(audit.name))
        _rows(ax, names, "bits per neighbour")
        ax.set_title(title, fontsize=10)
    axes[1].set_yticklabels([])
    _legend(axes[0], audits)
    alt = _said(audits, [[(n, of[n].given_others) for n in names if n in of] for of in parts])
    return _finish(
        figure, "organises", f"Bars of bits per neighbour, alone and given the others. Given the others: {alt}"
    )


def _occurrences(audits: Sequence[Audit]) -> Drawn | None:
    """The share of tracks that are among the K nearest of at least so many others."""
    found = [
        (n, a, a.shape.hubness) for n, a in enumerate(audits) if a.shape and a.shape.hubness and a.shape.hubness.counts
    ]
    if not found:
        return None
    figure, (ax,) = _canvas(7, 3.2)
    for number, audit, hubness in found:
        counts = np.array(hubness.counts, float)
        at_least = counts[::-1].cumsum()[::-1] / counts.sum()
        style = _style(number) | {"marker": ""}
        ax.step(np.arange(len(counts)), 100 * at_least, where="mid", label=_label(audit.name), **style)
    ax.set_yscale("log")
    ax.set_xlabel(f"among the {found[0][2].k} nearest of at least so many others")
    ax.set_ylabel("% of the pieces")
    _legend(ax, audits)
    most = ", ".join(f"{readable(a.name)}: the worst hub is named {len(h.counts) - 1} times" for _, a, h in found)
    return _finish(figure, "hubness", f"How many pieces are neighbours of how many others. {most}")


def _sensitivity(audits: Sequence[Audit], kind: str) -> Drawn | None:
    rows = [sorted((s for s in a.sensitivity or () if s.kind == kind), key=lambda s: s.amount) for a in audits]
    unit = next(s.unit for of in rows for s in of)
    figure, axes = _canvas(7, 2.9, panels=2)
    panels: tuple[tuple[str, Callable[[Sensitivity], Figure]], ...] = (
        ("distance moved, of random pairs'", lambda s: s.distance),
        ("found again (recall@1)", lambda s: s.recall_at_1),
    )
    for ax, (label, of_row) in zip(axes, panels, strict=True):
        for number, (audit, own) in enumerate(zip(audits, rows, strict=True)):
            _band(ax, [s.amount for s in own], [of_row(s) for s in own], number, audit)
        ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
        if unit == _RATIO:
            amounts = sorted({s.amount for own in rows for s in own})
            ax.set_xscale("log", base=2)
            ax.set_xticks(amounts, [f"{a:g}" for a in amounts], rotation=45)
            ax.minorticks_off()
        ax.tick_params(labelsize=8)
        ax.set_xlabel(_label(f"{spoken(kind)} ({unit})" if unit else spoken(kind)))
        ax.set_ylabel(label)
    axes[1].set_ylim(0, 1.03)
    _legend(axes[0], audits)
    alt = _said(audits, [[(f"{s.amount:g}", s.distance) for s in own] for own in rows])
    safe = "".join(c if c.isalnum() and c.isascii() else "-" for c in kind)
    return _finish(
        figure, f"sensitivity-{safe}", f"Distance moved and recall when changing {spoken(kind)}. Distance: {alt}"
    )


def _band(ax: Any, x: Sequence[float], found: Sequence[Figure | None], number: int, audit: Audit) -> None:
    """A curve with its interval as a band, a lone point with a bar."""
    value, low, high = _values(found)
    style = _style(number)
    ax.plot(x, value, label=_label(audit.name), **style)
    if len(x) > 1:
        ax.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    elif len(x) == 1:
        ends = np.abs(np.stack([value - low, high - value]))
        ax.errorbar(x, value, yerr=ends, fmt="none", ecolor=style["color"], capsize=3)


def _legend(ax: Any, audits: Sequence[Audit]) -> None:
    if len(audits) > 1:
        ax.legend(fontsize=8, framealpha=0.85)
