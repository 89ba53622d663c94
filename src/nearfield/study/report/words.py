"""What an audit says, in sentences that need no knowledge of statistics and are right all the same.

A figure is said to differ from chance only where its 95 % interval does not cover 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nearfield.errors import readable
from nearfield.study.report.data import Audit, Comparison, Figure, Neighbours, Part, Sensitivity

MAIN_K = 10
NO_MORE = "no more than chance"

TERMS = (
    (
        "Space, neighbours",
        "An embedding gives every piece a place in a space. The neighbours of a piece are the pieces whose places lie nearest "
        "to its own, by the angle between them.",
    ),
    (
        "Chance and best",
        "Chance is what pieces drawn at random would show. Best is the most that any choice of neighbours could reach in this "
        "catalogue, given how the property is spread in it.",
    ),
    (
        "Locality",
        "How far the neighbours of a piece agree with it on a property: 0 is chance, 1 is the best possible, below 0 they "
        "agree less than chance would have it.",
    ),
    (
        "Interval",
        "Each figure was measured on this catalogue's pieces; others would have given a slightly different one. The range "
        "behind it says how different: of ranges made this way, about 95 of 100 hold the figure of all such music. "
        "Where the range of a difference from chance covers 0, it cannot be told apart from chance; the page "
        "then says: no more than chance.",
    ),
    (
        "p",
        "How often a figure at least this far from chance would come out if the property had nothing to do with the space, "
        "found by shuffling. Small means hardly ever.",
    ),
    (
        "Bits",
        "How much knowing a property tells about who the neighbours are. One bit halves the choice: the neighbours are found "
        "among half as many pieces. Given the others means what is left when all the other properties are known already.",
    ),
    (
        "Distance moved",
        "The sound of a piece was changed in one way and embedded again. 0: it stays where it was; 1: it moves as far as "
        "from one random piece to another.",
    ),
    (
        "Found again",
        "How often the unchanged piece is the nearest of the whole catalogue when one asks with its changed version.",
    ),
    ("Neighbours kept", "How many of the nearest pieces are still the nearest after the change."),
    (
        "Hub",
        "A piece that stands among the neighbours of very many others, whether or not it is like them. An anti-hub is "
        "nobody's neighbour. Skewness is 0 where all pieces are neighbours equally often and grows with hubs; Robin Hood is "
        "the share of all places among neighbours that would have to be given from the often named to the rarely named to "
        "make them equal.",
    ),
    (
        "Alignment, uniformity, effective rank",
        "Alignment: how far apart two parts of one piece lie (0: together, 4: opposite). Uniformity: how evenly the pieces "
        "are spread (0: all in one place; lower is more even). Effective rank: how many directions of the space are in use.",
    ),
)

_SPOKEN = {"tempo_folded": "tempo up to octaves", "side": "one channel for both"}

T = TypeVar("T")


@dataclass(frozen=True)
class Voice:
    """How a number (with so many decimals) and a name are put into a sentence."""

    number: Callable[[float, int], str]
    name: Callable[[str], str]

    def spoken(self, name: str) -> str:
        """A property or a kind of change, as one says it."""
        return self.name(spoken(name))

    def figure(self, figure: Figure | None, digits: int = 2) -> str:
        """A value with its interval."""
        if figure is None or figure.value is None:
            return "not measured"
        value = self.number(figure.value, digits)
        if figure.low is None or figure.high is None:
            return value
        return f"{value} ({self.number(figure.low, digits)} to {self.number(figure.high, digits)})"

    def each(self, names: Sequence[str]) -> str:
        """a, b and c."""
        said = [self.spoken(name) for name in names]
        return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def rounded(value: float, digits: int) -> str:
    """With so many decimals; what rounds to 0 has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


PLAIN = Voice(rounded, readable)


def spoken(name: str) -> str:
    """As one says it."""
    return _SPOKEN.get(name, name.replace("_", " "))


def main_k(audit: Audit) -> int:
    """What was asked for (`main_k` of the settings), else 10; where that was not measured, what comes nearest to it."""
    asked = audit.settings.get("main_k")
    wanted = asked if isinstance(asked, int) else MAIN_K
    return min({n.k for n in audit.neighbours or ()}, key=lambda k: (abs(k - wanted), k), default=wanted)


def at_main_k(audit: Audit) -> list[Neighbours]:
    """A row a property, at that K."""
    return [n for n in audit.neighbours or () if n.k == main_k(audit)]


def headline(audit: Audit, voice: Voice) -> str:
    """What makes two pieces neighbours here, in one sentence or two."""
    if audit.organises is not None and audit.organises.properties:
        return _by_parts(audit.organises.properties, voice)
    rows = [n for n in at_main_k(audit) if n.locality is not None and n.locality.value is not None]
    if not rows:
        return "What makes two pieces neighbours here was not measured."
    above = [n for n in rows if n.locality and n.locality.above_zero]
    if not above:
        names = voice.each([n.property for n in rows])
        return f"None of the properties measured ({names}) says more than chance does about who is near whom."
    above.sort(key=lambda n: -((n.locality and n.locality.value) or 0))
    said = ", ".join(f"{voice.spoken(n.property)} (locality {voice.figure(n.locality)})" for n in above)
    return (
        f"Two neighbours agree more than chance on, from the most to the least: {said}. "
        "How much each explains beside the others was not measured."
    )


def _by_parts(parts: Sequence[Part], voice: Voice) -> str:
    ranked = sorted(parts, key=lambda p: (p.rank, p.name))
    above = [p for p in ranked if p.given_others.above_zero]
    others = [p.name for p in ranked if not p.given_others.above_zero]
    silent = f" {_capital(voice.each(others))}: {NO_MORE} once the rest is known." if others else ""
    if not above:
        return "None of the properties measured says more than chance does about who is near whom, once the others are known."
    steps = []
    for group in _tied(above):
        doubt = "" if len(group) == 1 else " (which of them matters more is not certain)"
        steps.append(voice.each([p.name for p in group]) + doubt)
    first = "first " if len(steps) > 1 else ""
    return f"What makes two pieces neighbours here: {first}{', then '.join(steps)}.{silent}"


def _tied(parts: Sequence[Part]) -> list[list[Part]]:
    """Ranked parts, together where the intervals of their ranks overlap."""
    groups: list[list[Part]] = []
    for part in parts:
        if groups and max(p.rank_high for p in groups[-1]) >= part.rank_low:
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def neighbours_sentence(row: Neighbours, voice: Voice) -> str:
    """Of the 10 nearest, 7.1 share the tempo; by chance 2.3 would, and at best 9.8."""
    what = voice.spoken(row.property)
    if row.locality is None or row.locality.value is None:
        return f"{_capital(what)}: not measured ({voice.name(row.reason or 'no value')})."
    agree = row.agree
    if agree is not None and agree.seen is not None and agree.chance is not None:
        n = [voice.number(row.k * share, 1) for share in (agree.seen, agree.chance)]
        best = "" if agree.best is None else f", and at best {voice.number(row.k * agree.best, 1)}"
        said = f"Of the {row.k} nearest, {n[0]} share the {what}; by chance {n[1]} would{best}."
    elif row.seen is not None and row.chance is not None:
        best = "" if row.best is None else f", and at best {voice.number(row.best, 2)}"
        said = (
            f"The {row.k} nearest differ in {what} by {voice.number(row.seen, 2)} on average; "
            f"by chance by {voice.number(row.chance, 2)}{best}."
        )
    else:
        said = f"{_capital(what)} among the {row.k} nearest:"
    return f"{said} Locality {voice.figure(row.locality)}: {verdict(row.locality)}."


def verdict(figure: Figure) -> str:
    """More than chance, less, or neither."""
    if figure.low is None or figure.high is None:
        return "without an interval, nothing can be said about chance"
    return "more than chance" if figure.above_zero else "less than chance" if figure.below_zero else NO_MORE


def part_sentence(part: Part, voice: Voice) -> str:
    what = _capital(voice.spoken(part.name))
    beside = f"; {NO_MORE}" if not part.given_others.above_zero else ""
    return f"{what}: {voice.figure(part.alone)} bits alone, {voice.figure(part.given_others)} given the others{beside}."


def sensitivity_sentence(row: Sensitivity, voice: Voice) -> str:
    change = _capital(change_of(row, voice))
    found = (
        ""
        if row.recall_at_1.value is None
        else f", found again in {voice.number(100 * row.recall_at_1.value, 0)} of 100"
    )
    kept = ""
    if row.kept.value is not None:
        kept = (
            f", {voice.number(row.k * row.kept.value, 1)} of {row.k} neighbours kept"
            if row.k is not None
            else f", {voice.number(100 * row.kept.value, 0)} % of the neighbours kept"
        )
    return f"{change}: moved {voice.figure(row.distance)} of the distance between random pieces{found}{kept}."


def change_of(row: Sensitivity, voice: Voice) -> str:
    """What was changed and by how much; without a unit or an amount there is only one way to change it."""
    if not row.unit or row.amount is None:
        return voice.spoken(row.kind)
    unit = "" if row.unit in spoken(row.kind) else f" {voice.name(row.unit)}"
    return f"{voice.spoken(row.kind)} {voice.number(row.amount, decimals(row.amount))}{unit}"


def comparison_sentence(row: Comparison, voice: Voice) -> str:
    change = row.difference
    verdict = (
        "higher here" if change.above_zero else "lower here" if change.below_zero else "no difference to be told from 0"
    )
    what = voice.spoken(row.property)
    return f"Locality of {what} ({row.k} nearest) beside {voice.name(row.other)}: {verdict}, {voice.figure(change)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def decimals(value: float) -> int:
    """As few decimals as show the value, at most 3."""
    return next((n for n in range(3) if abs(round(value, n) - value) < 1e-9), 3)


def in_order(values: Sequence[T]) -> list[T]:
    """Each once, in the order of first appearance."""
    return list(dict.fromkeys(values))
