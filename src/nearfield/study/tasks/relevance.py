"""Which of the others a query wants: those of its label, or those that share a tag with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.errors import BenchError
from nearfield.study.tasks.intervals import Floats, Indices


@dataclass(frozen=True, eq=False)
class Relevance:
    """Of N tracks. `known` (N,): tracks with a label; the others neither ask nor answer.

    `gains(rows, others)` (B, C): 0 to 1 for each pair, above 0 where the other is relevant.
    """

    known: npt.NDArray[np.bool_]
    gains: Callable[[Indices, Indices], Floats]


def by_label(labels: Sequence[str]) -> Relevance:
    """The same label is relevant, gain 1; "" is not known."""
    text = np.array(labels, str)
    codes = np.unique(text, return_inverse=True)[1]

    def gains(rows: Indices, others: Indices) -> Floats:
        return np.asarray(codes[rows][:, None] == codes[others], np.float64)

    return Relevance(text != "", gains)


def by_tags(sets: Sequence[frozenset[str]]) -> Relevance:
    """Sharing a tag is relevant, and the gain is the Jaccard index of the two sets; no tag at all is not known."""
    place = {tag: n for n, tag in enumerate(sorted(set().union(*sets)))}
    holds = np.zeros((len(sets), len(place)), np.float32)
    for row, held in zip(holds, sets, strict=True):
        row[[place[tag] for tag in held]] = 1
    return by_flags(holds)


def by_flags(holds: npt.ArrayLike) -> Relevance:
    """The same from (N, T) flags, one column a tag. Raises BenchError for another shape, or values beside 0 and 1."""
    flags = np.asarray(holds, np.float32)
    if flags.ndim != 2 or not np.isin(flags, (0, 1)).all():
        raise BenchError("tags", f"an array of shape {flags.shape}, not all 0 or 1", "give one flag a track and tag")
    sizes = flags.sum(axis=1)

    def gains(rows: Indices, others: Indices) -> Floats:
        shared = (flags[rows] @ flags[others].T).astype(np.float64)  # counts, exact in float32
        either = sizes[rows][:, None] + sizes[others] - shared
        return np.asarray(shared / np.maximum(either, 1))

    return Relevance(sizes > 0, gains)
