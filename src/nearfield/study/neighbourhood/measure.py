"""How far neighbours agree on a property: seen, by chance, at best, with calibrated intervals and permutation tests.

The locality index is (chance - seen) / (chance - best). `seen` is the mean distance in the property from a track to its K
nearest; `chance` that to all others that may be neighbours; `best` that to the K of them closest in the property. 0 is
chance, 1 is perfect, below 0 neighbours differ more than by chance. The same is measured for disagreement (0 or 1).

Tracks of unknown property neither ask nor answer, nor do those whose vector is zero and so has no direction. Intervals are
those of dyadic.py. Permutations move the property over the tracks and leave the graph as it is; they take tracks as
exchangeable. Where tracks of one group (an artist) have much the same value, `p_interval` of the index, for which all
tracks that groups link count as one, is the careful one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nearfield.errors import SpaceError
from nearfield.search.all_pairs import Groups, group_table
from nearfield.study.metrics import Estimate, Vectors
from nearfield.study.neighbourhood.dyadic import Floats, Indices, Influence
from nearfield.study.neighbourhood.scales import Property, Scales, asked_rows, graph_of, usable, whole_sizes
from nearfield.study.neighbourhood.standing import Graph, Standing

SIZES = (1, 5, 10, 20, 50, 100)
MOST_ASKED = 5_000
PERMUTATIONS = 999


@dataclass(frozen=True)
class Scale:
    """Seen, chance and best in one measure, and the index between them; None where it cannot be measured, and `reason` why.

    `p_less`: share of permutations whose neighbours are as near in the property as those seen, or nearer (one-sided);
    `p_both`: two-sided, twice the lesser tail. Both count the data as one permutation (Phipson and Smyth 2010); None
    without permutations. `p_interval`: two-sided, of the index being 0, from its interval.
    """

    seen: Estimate
    chance: Estimate
    best: Estimate
    index: Estimate | None
    p_interval: float | None = None
    p_less: float | None = None
    p_both: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Neighbours:
    """Figures of one K. `distance`: in the property's unit; `disagree`: shares of neighbours that do not agree.

    `agree_seen`, `agree_chance`, `agree_best`: how many of the K agree. All None where no track asked has more than K
    candidates, and `reason` says so. `asked`: tracks that have.
    """

    k: int
    asked: int
    distance: Scale | None
    disagree: Scale | None
    agree_seen: Estimate | None = None
    agree_chance: Estimate | None = None
    agree_best: Estimate | None = None
    reason: str = ""


@dataclass(frozen=True)
class Neighbourhood:
    """What the neighbours in one space have of one property. Of N tracks `known` have it and a direction in the space.

    `unknown`: tracks without the property; `directionless`: those with it whose vector is zero. `asked`: tracks that ask, a
    seeded sample where there are many. `sizes` is empty where nothing could be measured, and `reason` says why.
    """

    property: str
    known: int
    unknown: int
    directionless: int
    asked: int
    permutations: int
    sizes: tuple[Neighbours, ...]
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """Two spaces asked about one property by the same tracks: their indices, first - second, and its two-sided p."""

    property: str
    k: int
    asked: int
    measure: str
    first: Estimate | None
    second: Estimate | None
    difference: Estimate | None
    p: float | None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def neighbourhood(
    vectors: Vectors,
    prop: Property,
    rng: np.random.Generator,
    sizes: Sequence[int] = SIZES,
    exclude_groups: Groups | None = None,
    permutations: int = PERMUTATIONS,
    most_asked: int = MOST_ASKED,
) -> Neighbourhood:
    """Measure (N, D) vectors against a property, for each K of `sizes`.

    `exclude_groups`: (N,) integer arrays, -1 for none; tracks of a group are not each other's neighbours, nor chance, nor
    best. More than `most_asked` tracks: as many drawn at random ask, all answer. Raises SpaceError for shapes that do not
    fit, sizes below 1, and NaN or infinity in a vector.
    """
    tracks = usable([vectors], prop)
    groups = group_table(exclude_groups, len(vectors))[:, tracks]
    n_known = int(np.count_nonzero(prop.known))
    counts = (len(tracks), len(vectors) - n_known, n_known - len(tracks))
    if len(tracks) < 3:
        reason = (
            f"not measurable: {len(tracks)} of {len(vectors)} tracks have {prop.name} and a direction; three are needed"
        )
        return Neighbourhood(prop.name, *counts, 0, 0, (), reason)
    rows = asked_rows(len(tracks), most_asked, rng)
    graph = graph_of(vectors[tracks], rows, groups, whole_sizes(sizes))
    scales = Scales.of(graph, prop, tracks, whole_sizes(sizes))
    tails = _permuted(graph, prop, tracks, scales, permutations, rng)
    found = tuple(_neighbours(scales, s, tails) for s in range(len(scales.sizes)))
    return Neighbourhood(prop.name, *counts, len(rows), permutations, found)


def locality(vectors: Vectors, prop: Property, k: int) -> Estimate:
    """The index alone, in distance, with its interval; NaN throughout where it cannot be measured."""
    tracks = usable([vectors], prop)
    if len(tracks) > 2:
        rows, groups = np.arange(len(tracks)), group_table(None, len(tracks))
        (standing,) = Scales.of(graph_of(vectors[tracks], rows, groups, (k,)), prop, tracks, (k,)).distance
        if not _reason(standing):
            return standing.index().estimate(most=1)
    return Estimate(float("nan"), float("nan"), float("nan"), 0)


def compare(
    first: Vectors,
    second: Vectors,
    prop: Property,
    rng: np.random.Generator,
    sizes: Sequence[int] = SIZES,
    exclude_groups: Groups | None = None,
    most_asked: int = MOST_ASKED,
) -> tuple[Difference, ...]:
    """How much more local a property is in the first space (N, D) than in the second (N, E) of the same tracks.

    For each K and both measures. Tracks without a direction in either space are left out of both. Errors: as above.
    """
    if len(first) != len(second):
        cause = f"spaces of {len(first)} and {len(second)} tracks"
        raise SpaceError("compare", cause, "give both the same tracks in the same order")
    tracks = usable([first, second], prop)
    asked_sizes = whole_sizes(sizes)
    if len(tracks) < 3:
        reason = f"not measurable: {len(tracks)} tracks have {prop.name} and a direction in both; three are needed"
        return tuple(_no_difference(prop, k, m, reason) for k in asked_sizes for m in ("distance", "disagree"))
    groups = group_table(exclude_groups, len(first))[:, tracks]
    rows = asked_rows(len(tracks), most_asked, rng)
    one = Scales.of(graph_of(first[tracks], rows, groups, asked_sizes), prop, tracks, asked_sizes)
    other = one.in_space(graph_of(second[tracks], rows, groups, asked_sizes))
    return tuple(
        _difference(prop, k, measure, a[s], b[s])
        for s, k in enumerate(one.sizes)
        for measure, a, b in (("distance", one.distance, other.distance), ("disagree", one.disagree, other.disagree))
    )


def _neighbours(scales: Scales, s: int, tails: tuple[Floats, Floats] | None) -> Neighbours:
    k, standing = scales.sizes[s], scales.disagree[s]
    asked = len(standing.rows)
    if not asked:
        return Neighbours(k, 0, None, None, reason=f"not measurable: no track has more than {k} others to choose from")
    p = [None, None] if tails is None else [tails[0][s], tails[1][s]]
    return Neighbours(
        k,
        asked,
        _scale(scales.distance[s], p[0], np.inf),
        _scale(standing, p[1], 1),
        _agreeing(standing.figure(seen=1), k),
        _agreeing(standing.figure(chance=1), k),
        _agreeing(standing.figure(best=1), k),
    )


def _agreeing(disagree: Influence, k: int) -> Estimate:
    """How many of the K agree, of the share that does not."""
    share = disagree.estimate(0, 1)
    return Estimate(k * (1 - share.value), k * (1 - share.high), k * (1 - share.low), share.n)


def _scale(standing: Standing, tails: Floats | None, most: float) -> Scale:
    seen = standing.figure(seen=1).estimate(0, most)
    chance, best = standing.figure(chance=1).estimate(0, most), standing.figure(best=1).estimate(0, most)
    reason = _reason(standing)
    if reason:
        return Scale(seen, chance, best, None, reason=reason)
    index = standing.index()
    less, more = (None, None) if tails is None else (float(tails[0]), float(tails[1]))
    both = None if less is None or more is None else min(1.0, 2 * min(less, more))
    return Scale(seen, chance, best, index.estimate(most=1), index.p_value(), less, both)


def _reason(standing: Standing) -> str:
    """Why there is no index, if there is none."""
    if not len(standing.rows):
        return "not measurable: no track has enough others to choose from"
    if standing.span:
        return ""
    if standing.chance.max() == 0:
        return "not measurable: all tracks are alike in it"
    return "not measurable: no two tracks share it"


def _permuted(
    graph: Graph, prop: Property, tracks: Indices, scales: Scales, rounds: int, rng: np.random.Generator
) -> tuple[Floats, Floats] | None:
    """For both measures (S, 2): the shares of permutations that see as little distance as the data, and as much."""
    if rounds < 1:
        return None
    standings = (scales.distance, scales.disagree)
    seen = [np.array([s.seen.mean() if len(s.rows) else 0 for s in row]) for row in standings]
    counts = [np.ones((len(scales.sizes), 2)) for _ in standings]
    for permuted in _seen_by_chance(graph, prop, tracks, scales, rounds, rng):
        for count, here, there in zip(counts, seen, permuted, strict=True):
            slack = 1e-9 * np.abs(here)  # sums of the same numbers in another order
            count += np.stack([there <= here + slack, there >= here - slack], axis=1)
    return counts[0] / (rounds + 1), counts[1] / (rounds + 1)


def _seen_by_chance(
    graph: Graph, prop: Property, tracks: Indices, scales: Scales, rounds: int, rng: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """For both measures (S,) means over the K nearest, each time with the property dealt out anew."""
    width = graph.nearest.shape[1]
    weights = [
        a.astype(float) / max(int(a.sum()), 1) / k for a, k in zip(scales.reach[0].asked, scales.sizes, strict=True)
    ]
    last = np.minimum(scales.sizes, width) - 1
    for _ in range(rounds):
        dealt = tracks[rng.permutation(graph.n)]
        distances = np.asarray(prop.between(dealt[graph.rows][:, None], dealt[graph.nearest]), np.float64)
        both = (distances, (distances > prop.agrees_within).astype(float))
        means = [np.cumsum(np.array(weights) @ d, axis=1)[np.arange(len(last)), last] for d in both]
        yield means[0], means[1]


def _difference(prop: Property, k: int, measure: str, one: Standing, other: Standing) -> Difference:
    reason = _reason(one)
    if reason:
        return _no_difference(prop, k, measure, reason)
    first, second = one.index(), other.index()
    gap = first.minus(second)
    parts = (first.estimate(most=1), second.estimate(most=1), gap.estimate())
    return Difference(prop.name, k, len(one.rows), measure, *parts, gap.p_value())


def _no_difference(prop: Property, k: int, measure: str, reason: str) -> Difference:
    return Difference(prop.name, k, 0, measure, None, None, None, None, reason)
