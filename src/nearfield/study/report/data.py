"""The audit of a space as data, field by field; docs/formats.md, Audit report, says what each means.

Every section but `embedding` and `catalogue` may be missing; `not_measured` then says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nearfield.study.embedding.rows import LeftOut

FORMAT = 1
SECTIONS = ("neighbours", "organises", "shape", "sensitivity", "comparisons")


@dataclass(frozen=True)
class Figure:
    """A mean over `n` units with its 95 % interval; null where there is none."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError(f"n = {self.n} is below 0")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low = {self.low} is above high = {self.high}")

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above 0: more than chance."""
        return self.low is not None and self.low > 0

    @property
    def below_zero(self) -> bool:
        return self.high is not None and self.high < 0


@dataclass(frozen=True)
class Of:
    """The embedding: what it is called and where it comes from."""

    name: str
    kind: str
    path: str
    dimensions: int
    digest: str


@dataclass(frozen=True)
class Catalogue:
    """What was judged; `left_out` lists the rest with causes."""

    name: str
    digest: str
    tracks: int
    judged: int
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where a property comes from, of how many judged tracks it is known, and how far apart still counts as the same."""

    property: str
    source: str
    known: int
    unit: str = ""
    agrees_within: float | None = None


@dataclass(frozen=True)
class Agreement:
    """Shares, 0 to 1, of neighbours that agree with the track: seen, by chance, and the most any ranking could reach."""

    seen: float | None
    chance: float | None
    best: float | None

    def __post_init__(self) -> None:
        for name in ("seen", "chance", "best"):
            _check_share(name, getattr(self, name))


@dataclass(frozen=True)
class Neighbours:
    """A property among the K nearest: mean distances in its unit, the index between chance (0) and best (1)."""

    property: str
    k: int
    seen: float | None = None
    chance: float | None = None
    best: float | None = None
    locality: Figure | None = None
    p: float | None = None
    agree: Agreement | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        _check_k(self.k)
        _check_share("p", self.p)
        if self.locality is None and not self.reason:
            raise ValueError("without a locality there must be a reason")


@dataclass(frozen=True)
class Part:
    """How much one property explains, in bits a neighbour; ranks 1 is most, with the ends of its interval."""

    name: str
    alone: Figure
    given_others: Figure
    rank: int
    rank_low: int
    rank_high: int
    p: float | None = None


@dataclass(frozen=True)
class Organises:
    """What the properties explain of who the K nearest are, in bits a neighbour."""

    k: int
    together: Figure
    properties: tuple[Part, ...]

    def __post_init__(self) -> None:
        _check_k(self.k)


@dataclass(frozen=True)
class Hub:
    """A track that `count` others have among their K nearest."""

    id: str
    name: str
    count: int


@dataclass(frozen=True)
class Hubness:
    """How unevenly tracks are neighbours of others; `counts[c]` tracks are among the K nearest of c others."""

    k: int
    skewness: float | None
    robin_hood: float | None
    anti_hubs: float | None
    hubs: tuple[Hub, ...] = ()
    counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_k(self.k)
        _check_share("robin_hood", self.robin_hood)
        _check_share("anti_hubs", self.anti_hubs)


@dataclass(frozen=True)
class Duplicates:
    """Tracks that are nearly the same."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    cosine: float


@dataclass(frozen=True)
class Shape:
    """The whole of the space (study/shape.py)."""

    alignment: float | None
    uniformity: float | None
    rank_me: float | None
    hubness: Hubness | None = None
    duplicates: tuple[Duplicates, ...] = ()


@dataclass(frozen=True)
class Sensitivity:
    """What one change of the sound does: the distance moved as a share of that of random pairs, whether the original is
    still found first, the share of its `k` nearest that stay, and the median rank of the original. No amount: nothing to
    say it by, or no change at all.
    """

    kind: str
    amount: float | None
    unit: str
    distance: Figure
    recall_at_1: Figure
    kept: Figure
    median_rank: float | None
    k: int | None = None


@dataclass(frozen=True)
class Comparison:
    """This space's locality minus another's, over the same queries."""

    other: str
    property: str
    k: int
    difference: Figure
    p: float | None = None

    def __post_init__(self) -> None:
        _check_k(self.k)
        _check_share("p", self.p)


@dataclass(frozen=True)
class Provenance:
    """What made the report."""

    command: str = ""
    commit: str = ""
    date: str = ""
    seconds: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """One space's audit. None or empty: not measured, for the reason in `not_measured`."""

    format: int
    embedding: Of
    catalogue: Catalogue
    settings: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    neighbours: tuple[Neighbours, ...] | None = None
    organises: Organises | None = None
    shape: Shape | None = None
    sensitivity: tuple[Sensitivity, ...] | None = None
    comparisons: tuple[Comparison, ...] | None = None
    provenance: Provenance | None = None
    not_measured: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.embedding.name

    def why_not(self, section: str) -> str:
        """The reason for which a section is missing."""
        return self.not_measured.get(section, "not asked for")


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k = {k} is below 1")


def _check_share(name: str, share: float | None) -> None:
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"{name} = {share} is not within 0 to 1")
