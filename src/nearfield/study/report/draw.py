"""What the pictures of a report are made of, drawn without a display and without matplotlib's global state.

The colours are those of Okabe and Ito ("Color Universal Design", 2008), which colour-blind eyes tell apart; spaces differ in
marker and line too, so that a grey print reads as well.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfield.errors import AuditError, readable
from nearfield.study.report.data import Audit, Figure
from nearfield.study.report.words import spoken

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
_MARKERS = "osD^vPX"
_LINES = ("-", "--", "-.", ":")
DPI = 110
_LONGEST_NAME = 28


@dataclass(frozen=True)
class Drawn:
    """A picture: its file's name without suffix, the PNG, what it shows in words, and its size in pixels; `kind` says
    which change of the sound it is of, if of one.
    """

    name: str
    png: bytes
    alt: str
    width: int
    height: int
    kind: str = ""


def figure_module() -> Any:
    """The module with the figure class; only a report needs it."""
    try:
        import matplotlib.figure
    except ImportError as error:
        raise AuditError("report", "its pictures need matplotlib", "pip install 'nearfield[audit]'") from error
    return matplotlib.figure


def canvas(width: float, height: float, panels: int = 1) -> tuple[Any, list[Any]]:
    """A figure of so many inches, and its panels beside each other."""
    figure = figure_module().Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    axes = list(np.ravel(figure.subplots(1, panels, squeeze=False)))
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def finished(figure: Any, name: str, alt: str, kind: str = "") -> Drawn:
    """The figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a script that the font lacks shows as boxes
        canvas.print_png(out, metadata={"Software": None})
    width, height = canvas.get_width_height()
    return Drawn(name, out.getvalue(), alt, int(width), int(height), kind)


def label(name: str) -> str:
    """A name in a picture: printable, not taken for mathematics, not too long."""
    text = readable(name)
    half = _LONGEST_NAME // 2
    short = (
        text if len(text) <= _LONGEST_NAME else f"{text[: half - 1]}…{text[-half:]}"
    )  # names often differ at the end
    seen = f" {short}" if short.startswith("_") else short  # which matplotlib's legend would pass over
    return seen.replace("$", r"\$")


def style_of(number: int) -> dict[str, Any]:
    """Colour, marker and line of a space by its number."""
    n = len(COLOURS)
    line = _LINES[(number // n + number) % len(_LINES)]
    style = {"color": COLOURS[number % n], "marker": _MARKERS[number % n], "markersize": 5}
    return style | {"linestyle": line, "linewidth": 1.6}


def values(figures: Sequence[Figure | None]) -> tuple[Any, Any, Any]:
    """Three arrays (n,): values and the ends of their intervals, NaN where there are none."""

    def array(of: Callable[[Figure], float | None]) -> Any:
        return np.array([np.nan if f is None or of(f) is None else of(f) for f in figures], float)

    value = array(lambda f: f.value)
    low, high = array(lambda f: f.low), array(lambda f: f.high)
    return value, np.where(np.isnan(low), value, low), np.where(np.isnan(high), value, high)


def bars(ax: Any, rows: Sequence[str], number: int, of: int, found: Sequence[Figure | None], label: str) -> None:
    """Bars of one space among `of`, a row each from the top, with their intervals."""
    value, low, high = values(found)
    thick = 0.8 / of
    at = np.arange(len(rows)) + (number - (of - 1) / 2) * thick
    ends = np.abs(np.stack([value - low, high - value]))
    ax.barh(at, value, thick * 0.92, color=COLOURS[number % len(COLOURS)], label=label, alpha=0.9)
    ax.errorbar(value, at, xerr=ends, fmt="none", ecolor="black", elinewidth=1.1, capsize=2.5)


def name_rows(ax: Any, names: Sequence[str], xlabel: str) -> None:
    """Names for the rows of `bars`, and a line at 0."""
    ax.set_yticks(range(len(names)), [label(spoken(n)) for n in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.axvline(0, color="black", linewidth=0.9)
    ax.set_xlabel(xlabel)


def band(ax: Any, x: Sequence[float], found: Sequence[Figure | None], number: int, audit: Audit) -> None:
    """A curve with its interval as a band, a lone point with a bar."""
    value, low, high = values(found)
    style = style_of(number)
    ax.plot(x, value, label=label(audit.name), **style)
    if len(x) > 1:
        ax.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    elif len(x) == 1:
        ends = np.abs(np.stack([value - low, high - value]))
        ax.errorbar(x, value, yerr=ends, fmt="none", ecolor=style["color"], capsize=3)


def legend(figure: Any, ax: Any, audits: Sequence[Audit]) -> None:
    """Above the panels, where it hides nothing; one space needs none."""
    if len(audits) > 1:
        handles, labels = ax.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
