"""Gains: by how many bits a neighbour is likelier under a model of properties than by chance, on tracks not fitted.

The figures behind `organise.py`: every property's features, models with each alone, with all, and with all but one, each
fitted on some tracks and judged on others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nearfield.errors import SpaceError
from nearfield.study.organise import choice
from nearfield.study.organise.bends import Bends, bends_of
from nearfield.study.organise.choice import Candidates, Floats, Indices
from nearfield.study.organise.score import Score, permutation_p


class PropertyLike(Protocol):
    """What is asked of a property (`study/properties.py`)."""

    @property
    def name(self) -> str: ...
    @property
    def known(self) -> npt.NDArray[np.bool_]: ...
    @property
    def between(self) -> Callable[[Indices, Indices], Floats]: ...


@dataclass(frozen=True)
class Settings:
    """How it is measured. `rounds`: of the permutation test (0: none, p is NaN). `draws`: for the intervals of ranks."""

    most_queries: int = 1000
    controls: int = 90
    folds: int = 5
    ridge: float = 1.0
    rounds: int = 99
    draws: int = 2000


@dataclass(frozen=True, eq=False)
class Part:
    """A property with the features of its distances."""

    prop: PropertyLike
    bends: Bends
    block: Floats

    def features(self, candidates: Candidates, order: Indices | None) -> Floats:
        """(Q, R, F), with the value of order[i] as that of track i."""
        if order is None:
            return self.block
        return self.bends.features(_distances(self.prop, order[candidates.queries][:, None], order[candidates.tracks]))


def parts_of(properties: Sequence[PropertyLike], candidates: Candidates) -> tuple[list[Part], tuple[str, ...]]:
    """Properties with features, and the names of those that say nothing about any pair."""
    parts, left_out = [], []
    for prop in properties:
        apart = _distances(prop, candidates.queries[:, None], candidates.tracks)
        bends = bends_of(apart.reshape(-1), candidates.weights.reshape(-1))
        if bends.constant:
            left_out.append(prop.name)
        else:
            parts.append(Part(prop, bends, bends.features(apart)))
    if not parts:
        cause = f"none of {len(left_out)} properties is known and differs between tracks"
        raise SpaceError("what organises the space", cause, "name properties that the catalogue knows")
    return parts, tuple(left_out)


def cross_fitted(
    parts: Sequence[Part], candidates: Candidates, N: int, settings: Settings, rng: np.random.Generator
) -> tuple[Indices, Floats]:
    """(E, 2) tracks of each edge, and its gains in bits (E, 1 + 2P): together, alone, given the others.

    Tracks are dealt to folds; a fold's queries are judged by models that saw none of its tracks, not as candidates either:
    mutual neighbours would otherwise tell of each other.
    """
    P = len(parts)
    held_in = rng.permutation(N) % settings.folds
    edge_query, column = np.nonzero(candidates.cases)
    edges = np.stack([candidates.queries[edge_query], candidates.tracks[edge_query, column]], axis=1)
    models = [range(P), *([p] for p in range(P)), *([q for q in range(P) if q != p] for p in range(P))]
    gains = np.zeros((len(edges), len(models)))
    for fold in range(settings.folds):
        held = held_in[candidates.queries] == fold
        fitted = candidates.of(~held).among(held_in != fold)
        blocks = [part.block[~held] for part in parts]
        start = _fit(blocks, range(P), fitted, settings, [np.zeros(b.shape[2]) for b in blocks])
        for m, model in enumerate(models):
            coefficients = _fit(blocks, model, fitted, settings, start) if m else start
            gains[held[edge_query], m] = _bits(parts, model, coefficients, candidates, held)
    gains[:, 1 + P :] = gains[:, :1] - gains[:, 1 + P :]
    return edges, gains


def _fit(
    blocks: Sequence[Floats], model: Sequence[int], fitted: Candidates, settings: Settings, start: Sequence[Floats]
) -> list[Floats]:
    chosen = [blocks[p] for p in model]
    if not chosen:
        return []
    curvature = choice.information(chosen, fitted.even, fitted)
    return choice.fit(chosen, fitted, settings.ridge, [start[p] for p in model], curvature)


def _bits(
    parts: Sequence[Part],
    model: Sequence[int],
    coefficients: Sequence[Floats],
    candidates: Candidates,
    held: npt.NDArray[np.bool_],
) -> Floats:
    """Gains over chance of the edges of the held queries, row by row."""
    judged = candidates.of(held)
    shares = choice.log_shares([parts[p].block[held] for p in model], coefficients, judged)
    return np.asarray((shares - judged.even)[judged.cases] / np.log(2))


def p_of(
    number: int, parts: Sequence[Part], candidates: Candidates, N: int, settings: Settings, rng: np.random.Generator
) -> float:
    if not settings.rounds:
        return float("nan")
    others = [p for p in range(len(parts)) if p != number]
    blocks = [p.block for p in parts]
    coefficients = _fit(blocks, others, candidates, settings, [np.zeros(b.shape[2]) for b in blocks])
    shares = choice.log_shares([blocks[p] for p in others], coefficients, candidates)
    score = Score([blocks[p] for p in others], shares, candidates, settings.ridge)
    return permutation_p(score, lambda order: parts[number].features(candidates, order), N, settings.rounds, rng)


def _distances(prop: PropertyLike, one: Indices, other: Indices) -> Floats:
    """Distances of pairs of tracks, NaN where one is not known."""
    one, other = np.broadcast_arrays(one, other)
    known = prop.known[one] & prop.known[other]
    apart = np.full(one.shape, np.nan)
    apart[known] = prop.between(one[known], other[known])
    return apart
